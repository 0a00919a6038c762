//! What answers where. Each path is named once, here.

mod admin;
mod control;
mod page;
mod publish;
mod stats;
mod subscribe;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use serde::Serialize;

use crate::app::App;
use crate::guard::Reads;
use crate::problem::Problem;
use crate::request::path_topic;

pub(crate) use admin::router as admin;

/// The routes of the public listener: all of them, so that a test can try every rule on every route.
const PUBLIC: [Route; 8] = [
    Route { path: "/", answer: Answer::Page, demo: false },
    Route { path: "/stats", answer: Answer::Stats, demo: false },
    Route { path: "/events", answer: Answer::Events, demo: false },
    Route { path: "/events/", answer: Answer::Events, demo: false },
    Route { path: "/events/{*topic}", answer: Answer::Events, demo: false },
    Route { path: "/control/{connection}", answer: Answer::Control, demo: false },
    Route { path: "/clock", answer: Answer::Events, demo: true },
    Route { path: "/stock", answer: Answer::Events, demo: true },
];

struct Route {
    path: &'static str,
    answer: Answer,
    /// Only with the demo.
    demo: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Page,
    Stats,
    Events,
    Control,
}

impl Answer {
    /// Never for other origins' pages, whatever is configured.
    fn is_own(self) -> bool {
        matches!(self, Self::Page | Self::Stats)
    }
}

/// The routes of the public listener that other origins' pages may be allowed to use.
pub(crate) fn open(demo: bool) -> Router<Arc<App>> {
    router(|route| !route.answer.is_own() && (demo || !route.demo)).fallback(nowhere)
}

/// The other routes of the public listener.
pub(crate) fn own() -> Router<Arc<App>> {
    router(|route| route.answer.is_own())
}

fn router(wanted: impl Fn(&Route) -> bool) -> Router<Arc<App>> {
    PUBLIC.iter().filter(|route| wanted(route)).fold(Router::new(), |router, route| {
        let answer = match route.answer {
            Answer::Page => any(page::answer),
            Answer::Stats => any(stats::answer),
            Answer::Events => any(events),
            Answer::Control => any(control::answer),
        };
        router.route(route.path, answer)
    })
}

/// Is this the path of a route that is never for other origins' pages?
pub(crate) fn is_own(path: &str) -> bool {
    PUBLIC.iter().any(|route| route.path == path && route.answer.is_own())
}

/// Whose pages may send requests to `path` that change nothing. The page itself may be linked from anywhere.
pub(crate) fn reads(path: &str) -> Reads {
    if path == "/stats" { Reads::SameOrigin } else { Reads::AnyOrigin }
}

/// The name under which requests to a path are counted: few and fixed, never a topic.
pub(crate) fn name(path: &str) -> &'static str {
    match path {
        "/" => "page",
        "/stats" => "stats",
        "/clock" | "/stock" => "demo",
        path if path.starts_with("/control/") => "control",
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
        _ => None,
    };
    match not_yet {
        Some(what) => Problem::RouteNotYet { path: path.to_owned(), what },
        None => Problem::NoRoute { path: path.to_owned() },
    }
}

fn json_answer(value: &impl Serialize) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let body = serde_json::to_string(value).expect("what we answer has names for keys") + "\n";
    (headers, body).into_response()
}

fn options(allow: &'static str) -> Response {
    (StatusCode::NO_CONTENT, [(ALLOW, HeaderValue::from_static(allow))]).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;
    use crate::config::Settings;

    fn app() -> Arc<App> {
        let settings = Settings { demo: Some(true), ..Settings::default() };
        Arc::new(App::new(settings.resolve().unwrap()))
    }

    async fn status(router: &Router, method: &str, path: &str, headers: &[(&str, &str)]) -> StatusCode {
        let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 1))));
        for (name, value) in headers {
            request.headers_mut().append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        router.clone().oneshot(request).await.unwrap().status()
    }

    const ADDRESS: ([u8; 4], u16) = ([127, 0, 0, 1], 8888);

    /// Every path of both listeners, and some that are none.
    fn every_route(app: &Arc<App>) -> Vec<(Router, String)> {
        let (public, admin) = (app.public(ADDRESS.into()), app.admin(ADDRESS.into()));
        let mut routes = Vec::new();
        for path in PUBLIC.iter().map(|route| route.path).chain(["/nowhere", "/metrics"]) {
            routes.push((public.clone(), path.replace("{*topic}", "a/b").replace("{connection}", "1")));
        }
        for path in ["/healthz", "/readyz", "/metrics", "/", "/events"] {
            routes.push((admin.clone(), path.to_owned()));
        }
        routes
    }

    #[tokio::test]
    async fn every_route_refuses_foreign_hosts_and_origins() {
        let app = app();
        for (router, path) in every_route(&app) {
            for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH", "QUERY"] {
                let foreign = [("host", "evil.example")];
                assert_eq!(status(&router, method, &path, &foreign).await, 421, "{method} {path}");
                let changes = !matches!(method, "GET" | "HEAD" | "OPTIONS") || path == "/stats";
                for origin in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")]
                {
                    let found = status(&router, method, &path, &[("host", "localhost:8888"), origin]).await;
                    assert_eq!(found == StatusCode::FORBIDDEN, changes, "{method} {path} {origin:?}: {found}");
                }
            }
        }
        assert_eq!(app.hub.stats().published, 0);
    }

    #[tokio::test]
    async fn every_answer_has_the_security_headers() {
        for (router, path) in every_route(&app()) {
            for host in ["localhost:8888", "evil.example"] {
                let mut request = Request::builder().uri(&path).header("host", host).body(Body::empty()).unwrap();
                request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 1))));
                let response = router.clone().oneshot(request).await.unwrap();
                for name in ["x-content-type-options", "referrer-policy", "cross-origin-resource-policy"] {
                    assert!(response.headers().contains_key(name), "{path} {host} {name}");
                }
                assert!(!response.headers().contains_key("server"), "{path}");
            }
        }
    }

    #[tokio::test]
    async fn a_browser_is_told_to_come_back_where_others_get_503() {
        let reader = |headers: &[(&str, &str)]| {
            let headers = headers.iter().map(|(n, v)| (n.parse::<http::HeaderName>().unwrap(), v.parse().unwrap()));
            oyez::LastEventId::from_request(&"/events".parse().unwrap(), &headers.collect())
        };
        let busy = || Problem::Busy { reason: "full".to_owned(), retry: std::time::Duration::from_secs(3) };
        let browser = [("accept", "text/event-stream"), ("sec-fetch-mode", "cors")];
        let response = busy().into_stream_response(&reader(&browser));
        assert_eq!(response.status(), 200);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "retry: 3000\n\n");
        let response = busy().into_stream_response(&reader(&browser[..1]));
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &HeaderValue::from(3)));
    }
}
