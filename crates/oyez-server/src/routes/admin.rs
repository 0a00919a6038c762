//! Health, readiness and metrics.

use std::sync::atomic::Ordering;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};

use crate::app::App;
use crate::disk::Disk;
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

pub(super) async fn metrics(app: &App) -> Response {
    let directory = app.config.storage.as_ref().map(|storage| storage.directory().to_owned());
    // the disk may be slow
    let disk = tokio::task::spawn_blocking(move || directory.map(|directory| Disk::of(&directory)).unwrap_or_default());
    let disk = disk.await.unwrap_or_default();
    let content_type = (CONTENT_TYPE, HeaderValue::from_static(Metrics::CONTENT_TYPE));
    ([content_type], app.metrics.render(&app.hub.stats(), disk)).into_response()
}
