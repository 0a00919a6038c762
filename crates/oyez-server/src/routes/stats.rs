//! `GET /stats`: sums for everyone, streams for those on this machine.

use std::net::SocketAddr;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, HeaderValue};
use http::{HeaderMap, Method};
use oyez::{Format, LastEventId};

use super::subscribe::take_place;
use crate::app::App;
use crate::limits::{STATS_ROWS, STATS_ROWS_MAX};
use crate::problem::Problem;
use crate::request::stats_rows;
use crate::retry::retry;
use crate::stats::Scope;

pub(super) fn answer(app: &App, peer: SocketAddr, request: &Request) -> Result<Response, Problem> {
    match request.method().clone() {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS => return Ok(super::options(ALLOW)),
        method => return Err(Problem::Method { method, allow: ALLOW.to_owned() }),
    }
    let rows = stats_rows(request.uri())?;
    let scope = scope(rows, app.is_local(peer, request.headers()))?;
    if !wants_stream(request.headers()) {
        return Ok(super::json_answer(&app.stats.now(scope)));
    }
    let reader = LastEventId::from_request(request.uri(), request.headers());
    match stream(app, peer, request.headers(), scope) {
        Ok(response) => Ok(response),
        Err(problem) => Ok(problem.into_stream_response(&reader)),
    }
}

fn stream(app: &App, peer: SocketAddr, headers: &HeaderMap, scope: Scope) -> Result<Response, Problem> {
    let subscribe = app.stats.watch(scope).keep_alive(app.config.settings.keep_alive);
    let subscribe = match take_place(app, peer, headers)? {
        Some(place) => subscribe.hold(place),
        None => subscribe,
    };
    let sse = subscribe.try_into_response().map_err(|error| Problem::from_hub(&error, retry()))?;
    Ok(sse.into_response())
}

/// What this caller is shown. Who reads what is told on this machine only.
fn scope(rows: Option<usize>, local: bool) -> Result<Scope, Problem> {
    match rows {
        Some(rows) if rows > STATS_ROWS_MAX => {
            Err(Problem::invalid(format!("rows={rows} is more than {STATS_ROWS_MAX}")))
        }
        Some(0) => Ok(Scope::Totals),
        _ if !local => Ok(Scope::Totals),
        rows => Ok(Scope::Streams(rows.unwrap_or(STATS_ROWS))),
    }
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let names = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains(Format::Sse.content_type()));
    headers.get_all(ACCEPT).iter().any(names)
}

const ALLOW: &str = "GET, HEAD, OPTIONS";
