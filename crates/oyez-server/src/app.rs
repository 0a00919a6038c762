//! What all requests share, and the router with the layers that every answer passes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::header::{HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, Method};
use oyez::{Event, Hub, Limits};
use tokio::sync::watch;
use tokio::time::Instant;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};
use tracing::{debug, warn};

use crate::callers::Callers;
use crate::config::{Config, Cors};
use crate::control::Controls;
use crate::guard::{Guard, is_forwarded};
use crate::limits::{BATCH_EVENTS_MAX, DATA_BYTES_MAX, PREFLIGHT_AGE, RETRY_SECONDS};
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::routes;
use crate::stats::Stats;

/// The hub and what its routes need to know.
pub(crate) struct App {
    pub(crate) hub: Hub<Event>,
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    pub(crate) callers: Callers,
    pub(crate) controls: Controls,
    pub(crate) stats: Stats,
    pub(crate) draining: watch::Sender<bool>,
    warned_of_proxy: std::sync::Once,
}

impl App {
    pub(crate) fn new(config: Config) -> Self {
        let mut limits = Limits::default();
        limits.subscribers_max = config.connections_max;
        limits.data_bytes_max = DATA_BYTES_MAX;
        limits.batch_events_max = BATCH_EVENTS_MAX;
        let hub = Hub::builder().history(config.history).limits(limits).build();
        Self {
            stats: Stats::new(hub.clone()),
            hub,
            metrics: Metrics::new(),
            callers: Callers::new(config.streams_per_address),
            controls: Controls::default(),
            draining: watch::Sender::new(false),
            warned_of_proxy: std::sync::Once::new(),
            config,
        }
    }

    /// Is the caller a program on this machine? One that a proxy speaks for is not, wherever the proxy is.
    pub(crate) fn is_local(&self, peer: SocketAddr, headers: &HeaderMap) -> bool {
        if is_forwarded(headers) {
            self.warned_of_proxy.call_once(|| {
                warn!(%peer, "a proxy forwards requests; its callers count as one address, and cannot publish without a key");
            });
            return false;
        }
        peer.ip().to_canonical().is_loopback()
    }

    /// What the public listener at `address` answers.
    pub(crate) fn public(self: &Arc<Self>, address: SocketAddr) -> Router {
        let open = routes::open(self.config.demo);
        let open = match cors(&self.config.cors) {
            Some(cors) => open.layer(cors),
            None => open,
        };
        self.layered(open.merge(routes::own()).with_state(Arc::clone(self)), address)
    }

    /// What the admin listener at `address` answers.
    pub(crate) fn admin(self: &Arc<Self>, address: SocketAddr) -> Router {
        self.layered(routes::admin().with_state(Arc::clone(self)), address)
    }

    fn layered(self: &Arc<Self>, router: Router, address: SocketAddr) -> Router {
        let guard = Guard::new(address, self.config.public_urls.clone(), self.config.publish_origins.clone());
        router.layer(middleware::from_fn_with_state((Arc::clone(self), Arc::new(guard)), every_request))
    }
}

/// When a refusal that passes by itself may be tried again: spread, so that those refused together come back apart.
pub(crate) fn retry() -> Duration {
    let spread = u64::from(getrandom::u32().unwrap_or_default());
    let range = (RETRY_SECONDS.end() - RETRY_SECONDS.start()) * 1_000;
    Duration::from_millis(RETRY_SECONDS.start() * 1_000 + spread % (range + 1))
}

/// The outermost layer: the rules that hold on every route, the headers that every answer has, the count and the log line.
async fn every_request(State((app, guard)): State<(Arc<App>, Arc<Guard>)>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    let checked = guard.check(&method, request.uri(), request.headers(), routes::reads(&path));
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(problem) => {
            app.metrics.refused(refusal(&problem));
            problem.into_response()
        }
    };
    let crosses_origins = app.config.cors != Cors::Off && !routes::is_own(&path);
    secure(response.headers_mut(), crosses_origins);
    app.metrics.answered(routes::name(&path), response.status());
    // the query is left out: it may hold what belongs in no log
    debug!(%method, path, peer = peer.map(tracing::field::display), status = response.status().as_u16(), ms = started.elapsed().as_millis(), "request");
    response
}

fn refusal(problem: &Problem) -> &'static str {
    match problem {
        Problem::Host { .. } => "host",
        Problem::Origin(_) => "origin",
        Problem::UriTooLong(_) => "uri",
        _ => "head",
    }
}

fn secure(headers: &mut HeaderMap, crosses_origins: bool) {
    let resource_policy = if crosses_origins { "cross-origin" } else { "same-origin" };
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static(resource_policy));
}

fn cors(cors: &Cors) -> Option<CorsLayer> {
    let origins = match cors {
        Cors::Off => return None,
        Cors::Any => Any.into(),
        Cors::Origins(origins) => AllowOrigin::list(origins.clone()),
    };
    let names = |names: &[&'static str]| names.iter().map(|name| HeaderName::from_static(name)).collect::<Vec<_>>();
    Some(
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT])
            .allow_headers(names(&[
                "authorization",
                "cache-control",
                "content-type",
                "event-id",
                "event-type",
                "last-event-id",
            ]))
            .expose_headers(names(&["last-event-id", "oyez", "retry-after"]))
            .max_age(PREFLIGHT_AGE),
    )
}

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
