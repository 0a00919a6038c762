//! `GET /`: the page, or one line where it is off.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use http::{HeaderName, Method};

use crate::app::App;
use crate::page::{OFF_TEXT, page};
use crate::problem::Problem;

pub(super) fn answer(app: &App, method: &Method) -> Result<Response, Problem> {
    match method.clone() {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS => return Ok(super::options(ALLOW)),
        method => return Err(Problem::Method { method, allow: ALLOW.to_owned() }),
    }
    if !app.config.page {
        return Ok(([(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))], OFF_TEXT).into_response());
    }
    let headers: [(HeaderName, HeaderValue); 3] = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, page().csp.clone()),
        // it belongs to this version of the hub: let a reload fetch the one of the next
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    Ok((headers, page().html.clone()).into_response())
}

const ALLOW: &str = "GET, HEAD, OPTIONS";
