//! Health, readiness and metrics.

use std::sync::atomic::Ordering;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};

use crate::app::App;
use crate::metrics::Metrics;

/// The process answers.
pub(super) fn health() -> Response {
    "ok\n".into_response()
}

/// Whether readers and publishers should be sent here.
pub(super) fn ready(app: &App) -> Response {
    let not = |why: &'static str| (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    if app.failed.load(Ordering::SeqCst) {
        return not("the disk has failed\n");
    }
    if *app.draining.borrow() { not("draining\n") } else { "ready\n".into_response() }
}

pub(super) fn metrics(app: &App) -> Response {
    let content_type = (CONTENT_TYPE, HeaderValue::from_static(Metrics::CONTENT_TYPE));
    ([content_type], app.metrics.render(&app.hub.stats())).into_response()
}
