//! The admin listener: for the operator and for machines that watch.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};

use crate::app::App;
use crate::metrics::Metrics;
use crate::problem::Problem;

/// The routes of the admin listener.
pub(crate) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .fallback(|request: Request| async move { Problem::NoRoute { path: request.uri().path().to_owned() } })
        .method_not_allowed_fallback(|request: Request| async move {
            Problem::Method { method: request.method().clone(), allow: "GET, HEAD".to_owned() }
        })
}

async fn ready(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    if app.failed.load(Ordering::SeqCst) {
        return (StatusCode::SERVICE_UNAVAILABLE, "the disk has failed\n");
    }
    if *app.draining.borrow() { (StatusCode::SERVICE_UNAVAILABLE, "draining\n") } else { (StatusCode::OK, "ready\n") }
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static(Metrics::CONTENT_TYPE))], app.metrics.render(&app.hub.stats()))
        .into_response()
}
