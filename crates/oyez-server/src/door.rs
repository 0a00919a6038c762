//! What every request passes first and every answer last: the rules that hold on every route, the headers that every answer
//! has, the count and the log line.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, Method, Version};
use http_body::Body as _;
use tower_http::cors::{Cors, CorsLayer};
use tower_layer::Layer;
use tower_service::Service;

use crate::app::App;
use crate::guard::{Guard, Pages};
use crate::problem::Problem;
use crate::routes::{self, Route, Table};
use crate::visit::Visit;

/// What a listener answers: the routes of one table, with the same rules in front of each.
#[derive(Clone)]
pub(crate) struct Door {
    app: Arc<App>,
    guard: Arc<Guard>,
    table: &'static Table,
    /// The routes as other origins' pages may use them.
    shared: Option<Cors<Shared>>,
}

/// An answer on its way.
type Answering = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

impl Door {
    /// In front of what the listener at `address` answers.
    pub(crate) fn new(app: Arc<App>, address: SocketAddr, table: &'static Table, cors: Option<CorsLayer>) -> Self {
        let settings = &app.config.settings;
        let guard = Guard::new(address, settings.public_urls.clone(), settings.publish_origins.clone());
        let shared = cors.map(|cors| cors.layer(Shared(Arc::clone(&app), table)));
        Self { app, guard: Arc::new(guard), table, shared }
    }

    /// The answer of what was found, or the refusal that was; pages of other origins read both, as far as they may.
    fn answer(&mut self, found: Found, mut request: Request) -> Answering {
        // a preflight is answered in front of the routes: one that is refused is not to come there
        let is_refused_preflight = found.refused.is_some() && request.method() == Method::OPTIONS;
        if let Some(shared) = self.shared.as_mut().filter(|_| is_shared(found.route) && !is_refused_preflight) {
            request.extensions_mut().insert(found);
            return Box::pin(shared.call(request));
        }
        found.answer(Arc::clone(&self.app), self.table, request)
    }
}

impl Service<Request> for Door {
    type Response = Response;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Answering {
        let app = Arc::clone(&self.app);
        let is_head = request.method() == Method::HEAD;
        let route = Route::at(request.uri().path(), self.table.routes);
        let visit =
            Visit::of(&request, Route::logged_path(route, request.uri().path()), app.config.settings.access_log);
        if let Some(visit) = &visit {
            request.extensions_mut().insert(visit.clone());
        }
        let (name, pages) = route.map_or((NOWHERE, Pages::Read), |route| (route.name, route.pages));
        let crosses_origins = self.shared.is_some() && is_shared(route);
        let hostless = self.table.hostless && request.version() <= Version::HTTP_10;
        let checked = self.guard.check(request.method(), request.uri(), request.headers(), pages, hostless);
        let refused = checked.inspect_err(|problem| app.metrics.refused(refusal(problem))).err();
        let answer = self.answer(Found { route, refused }, request);
        Box::pin(async move {
            let mut response = answer.await?;
            secure(response.headers_mut(), crosses_origins);
            app.metrics.answered(name, response.status());
            if is_head {
                drop_body(&mut response);
            }
            if let Some(visit) = visit {
                visit.answered(&response);
            }
            Ok(response)
        })
    }
}

/// May other origins' pages read what is here, if the configuration lets them? They read that nothing is here, too.
fn is_shared(route: Option<&Route>) -> bool {
    route.is_none_or(|route| route.pages == Pages::Read)
}

/// What stands behind the layer for other origins' pages.
#[derive(Clone)]
struct Shared(Arc<App>, &'static Table);

/// What is at the path of a request, and why it is refused all the same; that layer passes it on beside the request.
#[derive(Clone)]
struct Found {
    route: Option<&'static Route>,
    refused: Option<Problem>,
}

impl Found {
    fn answer(self, app: Arc<App>, table: &'static Table, request: Request) -> Answering {
        Box::pin(async move {
            Ok(match self.refused {
                Some(problem) => problem.into_response(),
                None => routes::answer(&app, table, self.route, request).await,
            })
        })
    }
}

impl Service<Request> for Shared {
    type Response = Response;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Answering {
        let found = request.extensions_mut().remove::<Found>().unwrap_or(Found { route: None, refused: None });
        found.answer(Arc::clone(&self.0), self.1, request)
    }
}

fn refusal(problem: &Problem) -> &'static str {
    match problem {
        Problem::Host { .. } => "host",
        Problem::Origin(_) => "origin",
        Problem::UriTooLong(_) => "uri",
        _ => "head",
    }
}

/// The head is that of the answer to a GET. A stream leaves the hub before it has begun.
fn drop_body(response: &mut Response) {
    if let Some(length) = response.body().size_hint().exact() {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    *response.body_mut() = Body::empty();
}

fn secure(headers: &mut HeaderMap, crosses_origins: bool) {
    let resource_policy = if crosses_origins { "cross-origin" } else { "same-origin" };
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static(resource_policy));
}

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The name under which requests are counted that find no route.
const NOWHERE: &str = "other";

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::extract::ConnectInfo;
    use http::StatusCode;
    use tower::ServiceExt;

    use super::*;
    use crate::routes::{ADMIN, PUBLIC};
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

    /// Every path of both listeners, and some that are none.
    fn every_route(app: &Arc<App>) -> Vec<(Router, String)> {
        let mut routes = Vec::new();
        for (table, nowhere) in [(&PUBLIC, ["/nowhere", "/metrics"]), (&ADMIN, ["/", "/events"])] {
            let door = Door::new(Arc::clone(app), ([127, 0, 0, 1], 8888).into(), table, None);
            let router = Router::new().fallback_service(door);
            for path in table.routes.iter().map(|route| route.path).chain(nowhere) {
                routes.push((router.clone(), path.replace("{*topic}", "a/b").replace("{connection}", "1")));
            }
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
    async fn pages_of_other_origins_read_what_is_shared_and_nothing_else() {
        let settings = Settings { cors: Some(vec!["https://app.example".to_owned()]), ..Settings::default() };
        let app = Arc::new(App::new(settings.resolve().unwrap()).unwrap());
        let cors = crate::cors::layer(&app.config.settings.cors);
        let router = Router::new().fallback_service(Door::new(app, ([127, 0, 0, 1], 8888).into(), &PUBLIC, cors));
        for (path, reads) in [("/events/a?poll=1", true), ("/nowhere", true), ("/", false), ("/stats", false)] {
            let request =
                Request::builder().uri(path).header("host", "localhost").header("origin", "https://app.example");
            let mut request = request.body(Body::empty()).unwrap();
            request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 1))));
            let response = router.clone().oneshot(request).await.unwrap();
            let headers = response.headers();
            assert_eq!(headers.contains_key("access-control-allow-origin"), reads, "{path}");
            assert_eq!(headers["cross-origin-resource-policy"] == "cross-origin", reads, "{path}");
        }
        let long = format!("/events/{}", "x".repeat(9_000));
        for (method, path, host, status) in [
            ("POST", "/events/a", "localhost", 403),
            ("GET", &long, "localhost", 414),
            ("GET", "/events/a", "evil.example", 421),
            ("OPTIONS", "/events/a", "evil.example", 421),
            ("PATCH", "/events/a", "localhost", 403),
            ("GET", "/events/a?limt=1", "localhost", 400),
            ("GET", "/nowhere", "localhost", 404),
        ] {
            for origin in ["https://app.example", "https://evil.example"] {
                let request = Request::builder().method(method).uri(path).header("host", host).header("origin", origin);
                let mut request = request.body(Body::empty()).unwrap();
                request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 1))));
                let response = router.clone().oneshot(request).await.unwrap();
                assert_eq!(response.status(), status, "{method} {path}");
                // a preflight on a foreign name is not answered as one
                let reads = origin == "https://app.example" && method != "OPTIONS";
                let allowed = response.headers().contains_key("access-control-allow-origin");
                assert_eq!(allowed, reads, "{method} {path} {host} {origin}");
            }
        }
    }
}
