//! `GET /stats`: sums for everyone, streams for those on this machine.

use axum::response::{IntoResponse, Response};
use oyez::Format;

use super::asked::Asked;
use super::json::json_answer;
use crate::app::App;
use crate::limits::{STATS_ROWS, STATS_ROWS_MAX};
use crate::problem::Problem;
use crate::request::{accepts, rows};
use crate::retry::retry;
use crate::stats::Scope;

pub(super) fn answer(app: &App, asked: &Asked<'_>) -> Result<Response, Problem> {
    let scope = scope(rows(&asked.query)?, asked.caller.is_local())?;
    if !accepts(asked.headers(), Format::Sse.media_type()) {
        return Ok(json_answer(&app.stats.now(scope)));
    }
    let streamed = stream(app, asked, scope);
    Ok(streamed.unwrap_or_else(|problem| problem.into_stream_response(&asked.reader())))
}

fn stream(app: &App, asked: &Asked<'_>, scope: Scope) -> Result<Response, Problem> {
    let end = asked.visit().map(|visit| visit.stream(1));
    let place = app.places.take(asked.caller)?;
    let subscribe = app.stats.watch(scope).keep_alive(app.config.settings.keep_alive);
    let subscribe = if place.is_some() || end.is_some() { subscribe.hold((place, end)) } else { subscribe };
    let sse = subscribe.try_into_response().map_err(|error| Problem::from_hub(&error, retry()))?;
    if let Some(visit) = asked.visit() {
        visit.begin();
    }
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
