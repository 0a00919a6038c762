//! What every request passes first and every answer last: the rules that hold on every route, the headers that every answer
//! has, the count and the log line.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, Method};
use http_body::Body as _;
use tokio::time::Instant;
use tower_service::Service;
use tracing::{Level, debug, enabled};

use crate::app::App;
use crate::guard::Guard;
use crate::problem::Problem;
use crate::routes;
use crate::settings::Cors;

/// The outermost service of a listener, in front of `routes`.
#[derive(Clone)]
pub(crate) struct Door<S> {
    app: Arc<App>,
    guard: Arc<Guard>,
    routes: S,
}

/// An answer on its way.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

impl<S> Door<S> {
    /// In front of what the listener at `address` answers.
    pub(crate) fn new(app: Arc<App>, address: SocketAddr, routes: S) -> Self {
        let guard =
            Guard::new(address, app.config.settings.public_urls.clone(), app.config.settings.publish_origins.clone());
        Self { app, guard: Arc::new(guard), routes }
    }
}

impl<S> Service<Request> for Door<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.routes.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Answering {
        let (app, debugged) = (Arc::clone(&self.app), Debugged::of(&request));
        let is_head = request.method() == Method::HEAD;
        let path = request.uri().path();
        let (name, is_own) = (routes::name(path), routes::is_own(path));
        let checked = self.guard.check(request.method(), request.uri(), request.headers(), routes::reads(path));
        let answer = match checked {
            Ok(()) => Ok(self.routes.call(request)),
            Err(problem) => Err(problem),
        };
        Box::pin(async move {
            let mut response = match answer {
                Ok(answer) => answer.await?,
                Err(problem) => {
                    app.metrics.refused(refusal(&problem));
                    problem.into_response()
                }
            };
            let crosses_origins = app.config.settings.cors != Cors::Off && !is_own;
            secure(response.headers_mut(), crosses_origins);
            app.metrics.answered(name, response.status());
            if is_head {
                drop_body(&mut response);
            }
            if let Some(debugged) = debugged {
                debugged.tell(&response);
            }
            Ok(response)
        })
    }
}

/// A request as the log tells it, where it does.
struct Debugged {
    started: Instant,
    method: Method,
    path: String,
    peer: Option<SocketAddr>,
}

impl Debugged {
    fn of(request: &Request) -> Option<Self> {
        enabled!(Level::DEBUG).then(|| Self {
            started: Instant::now(),
            method: request.method().clone(),
            // the query is left out: it may hold what belongs in no log
            path: request.uri().path().to_owned(),
            peer: request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0),
        })
    }

    fn tell(self, response: &Response) {
        let Self { started, method, path, peer } = self;
        let (status, ms) = (response.status().as_u16(), started.elapsed().as_millis());
        debug!(%method, path, peer = peer.map(tracing::field::display), status, ms, "request");
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
