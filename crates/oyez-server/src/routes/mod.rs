//! What answers where. Each path is named once, here.

mod admin;
mod control;
mod delete;
mod page;
mod publish;
mod stats;
mod subscribe;

use std::borrow::Cow;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use oyez::Topic;
use serde::Serialize;
use tower_http::cors::{Cors, CorsLayer};
use tower_layer::Layer;
use tower_service::Service;

use crate::app::App;
use crate::door::Answering;
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

impl Route {
    fn of(path: &str) -> Option<&'static Self> {
        PUBLIC.iter().find(|route| route.is_at(path))
    }

    fn is_at(&self, path: &str) -> bool {
        let Some((prefix, parameter)) = self.path.split_once('{') else { return path == self.path };
        let value = path.strip_prefix(prefix).unwrap_or_default();
        !value.is_empty() && (parameter.starts_with('*') || !value.contains('/'))
    }

    /// Never for other origins' pages, whatever is configured.
    fn is_own(&self) -> bool {
        matches!(self.answer, Answer::Page | Answer::Stats)
    }
}

/// The routes of the public listener. A table of our own in place of a router: a publish passes it each time, and a router
/// takes the path apart for handlers, which takes as long as all that the hub does with the event.
#[derive(Clone)]
pub(crate) struct Public {
    routes: Routes,
    /// The same routes as other origins' pages may use them.
    shared: Option<Cors<Routes>>,
}

impl Public {
    pub(crate) fn new(app: Arc<App>, cors: Option<CorsLayer>) -> Self {
        let routes = Routes(app);
        Self { shared: cors.map(|cors| cors.layer(routes.clone())), routes }
    }
}

impl Service<Request> for Public {
    type Response = Response;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.routes.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Answering {
        match &mut self.shared {
            Some(shared) if !is_own(request.uri().path()) => Box::pin(shared.call(request)),
            _ => self.routes.call(request),
        }
    }
}

#[derive(Clone)]
struct Routes(Arc<App>);

impl Service<Request> for Routes {
    type Response = Response;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Answering {
        let Self(app) = self.clone();
        Box::pin(async move { Ok(answer(&app, request).await.into_response()) })
    }
}

async fn answer(app: &App, request: Request) -> Result<Response, Problem> {
    let route = Route::of(request.uri().path()).filter(|route| app.config.demo() || !route.demo);
    match route.map(|route| route.answer) {
        Some(Answer::Page) => page::answer(app, request.method()),
        Some(Answer::Stats) => stats::answer(app, peer(&request)?, &request),
        Some(Answer::Events) => events(app, request).await,
        Some(Answer::Control) => control::answer(app, request).await,
        None => Err(nowhere(request.uri().path())),
    }
}

fn peer(request: &Request) -> Result<SocketAddr, Problem> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    peer.map(|ConnectInfo(peer)| *peer)
        .ok_or_else(|| Problem::internal("the listener does not tell who calls: serve with ConnectInfo<SocketAddr>"))
}

/// Is this the path of a route that is never for other origins' pages?
pub(crate) fn is_own(path: &str) -> bool {
    Route::of(path).is_some_and(Route::is_own)
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

async fn events(app: &App, request: Request) -> Result<Response, Problem> {
    let peer = peer(&request)?;
    let topic = match request.uri().path() {
        "/clock" => Some(Cow::Borrowed("clock")),
        "/stock" => Some(Cow::Borrowed("stock")),
        path => path_topic(path)?,
    };
    let allow = if topic.is_some() { "GET, HEAD, OPTIONS, POST, PUT, DELETE" } else { "GET, HEAD, OPTIONS, POST" };
    match (request.method().clone(), topic) {
        (Method::GET | Method::HEAD, topic) => Ok(subscribe::answer(app, peer, topic.as_deref(), &request)),
        (Method::POST | Method::PUT, Some(topic)) => {
            let topic = Topic::new(&topic).map_err(Problem::refused);
            publish::to_topic(app, peer, topic, request).await
        }
        (Method::DELETE, Some(topic)) => {
            let topic = Topic::new(&topic).map_err(Problem::refused);
            delete::answer(app, peer, topic, request).await
        }
        (Method::POST, None) => publish::to_root(app, peer, request).await,
        (Method::OPTIONS, _) => Ok(options(allow)),
        (method, _) => Err(Problem::Method { method, allow: allow.to_owned() }),
    }
}

fn nowhere(path: &str) -> Problem {
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
    let mut body = serde_json::to_string(value).expect("what we answer has names for keys");
    body.push('\n');
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn options(allow: &'static str) -> Response {
    (StatusCode::NO_CONTENT, [(ALLOW, HeaderValue::from_static(allow))]).into_response()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use tower::ServiceExt;

    use super::*;
    use crate::settings::Settings;

    fn app() -> Arc<App> {
        let settings = Settings { demo: Some(true), ..Settings::default() };
        Arc::new(App::new(settings.resolve().unwrap()).unwrap())
    }

    async fn status(router: &Router, method: &str, path: &str, headers: &[(&str, &str)]) -> StatusCode {
        let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 1))));
        for (name, value) in headers {
            request.headers_mut().append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        router.clone().oneshot(request).await.unwrap().status()
    }

    fn router<S>(door: crate::door::Door<S>) -> Router
    where
        S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Future: Send,
    {
        Router::new().fallback_service(door)
    }

    const ADDRESS: ([u8; 4], u16) = ([127, 0, 0, 1], 8888);

    /// Every path of both listeners, and some that are none.
    fn every_route(app: &Arc<App>) -> Vec<(Router, String)> {
        let (public, admin) = (router(app.public(ADDRESS.into())), router(app.admin(ADDRESS.into())));
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
}
