//! `GET /`: the page, or one line where it is off.

use axum::response::{IntoResponse, Response};
use http::HeaderName;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};

use crate::app::App;
use crate::page::{OFF_TEXT, page};

pub(super) fn answer(app: &App) -> Response {
    if !app.config.page {
        return ([(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))], OFF_TEXT).into_response();
    }
    let headers: [(HeaderName, HeaderValue); 3] = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, page().csp.clone()),
        // it belongs to this version of the hub: let a reload fetch the one of the next
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, page().html.clone()).into_response()
}
