//! What answers where. Each path is named once, here.

mod admin;
mod page;
mod publish;
mod subscribe;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::header::{ALLOW, HeaderValue};
use http::{Method, StatusCode};

use crate::app::App;
use crate::problem::Problem;
use crate::request::path_topic;

pub(crate) use admin::router as admin;

/// The routes of the public listener.
pub(crate) fn public(app: &App) -> Router<Arc<App>> {
    let router = Router::new()
        .route("/", any(page::answer))
        .route("/events", any(events))
        .route("/events/", any(events))
        .route("/events/{*topic}", any(events))
        .fallback(nowhere);
    if !app.config.demo {
        return router;
    }
    router.route("/clock", any(events)).route("/stock", any(events))
}

/// The name under which requests to a path are counted: few and fixed, never a topic.
pub(crate) fn name(path: &str) -> &'static str {
    match path {
        "/" => "page",
        "/clock" | "/stock" => "demo",
        path if path == "/events" || path.starts_with("/events/") => "events",
        _ => "other",
    }
}

async fn events(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Result<Response, Problem> {
    let path = request.uri().path().to_owned();
    let topic = match &*path {
        "/clock" => Some(Cow::Borrowed("clock")),
        "/stock" => Some(Cow::Borrowed("stock")),
        path => path_topic(path)?,
    };
    let allow = if topic.is_some() { "GET, HEAD, OPTIONS, POST, PUT" } else { "GET, HEAD, OPTIONS, POST" };
    match (request.method().clone(), topic.as_deref()) {
        (Method::GET | Method::HEAD, topic) => Ok(subscribe::answer(&app, peer, topic, &request)),
        (Method::POST | Method::PUT, Some(topic)) => publish::to_topic(&app, peer, topic, request).await,
        (Method::POST, None) => publish::to_root(&app, peer, request).await,
        (Method::OPTIONS, _) => Ok(options(allow)),
        (method @ Method::DELETE, Some(_)) => Err(Problem::MethodNotYet { method, allow }),
        (method, _) => Err(Problem::Method { method, allow }),
    }
}

async fn nowhere(request: Request) -> Problem {
    let path = request.uri().path();
    let not_yet = match path {
        path if path.starts_with("/.well-known/mercure") => Some("(the Mercure protocol)"),
        path if path.starts_with("/control/") => Some("(control of open streams)"),
        "/stats" => Some("(statistics)"),
        _ => None,
    };
    match not_yet {
        Some(what) => Problem::RouteNotYet { path: path.to_owned(), what },
        None => Problem::NoRoute { path: path.to_owned() },
    }
}

fn options(allow: &'static str) -> Response {
    (StatusCode::NO_CONTENT, [(ALLOW, HeaderValue::from_static(allow))]).into_response()
}
