//! What all requests share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::Router;
use http::header::HeaderName;
use http::{HeaderMap, Method};
use oyez::{Event, Hub, Limits};
use tokio::sync::watch;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};
use tracing::warn;

use crate::callers::Callers;
use crate::config::Config;
use crate::control::Controls;
use crate::door::Door;
use crate::guard::is_forwarded;
use crate::limits::{BATCH_EVENTS_MAX, DATA_BYTES_MAX, PREFLIGHT_AGE};
use crate::metrics::Metrics;
use crate::routes::{self, Public};
use crate::settings::{Cors, Origin};
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
    /// The disk has failed: nothing more is acknowledged.
    pub(crate) failed: AtomicBool,
    warned_of_proxy: std::sync::Once,
}

impl App {
    pub(crate) fn new(config: Config) -> Result<Self, oyez::Error> {
        let mut limits = Limits::default();
        limits.subscribers_max = config.connections_max;
        limits.data_bytes_max = DATA_BYTES_MAX;
        limits.batch_events_max = BATCH_EVENTS_MAX;
        let hub = Hub::builder().history(config.history).limits(limits);
        let hub = config.settings.compact.iter().cloned().fold(hub, oyez::HubBuilder::compact);
        let hub = match &config.storage {
            Some(storage) => hub.open(storage.clone())?,
            None => hub.build(),
        };
        Ok(Self {
            stats: Stats::new(hub.clone()),
            hub,
            metrics: Metrics::new(),
            callers: Callers::new(config.settings.streams_per_address),
            controls: Controls::default(),
            draining: watch::Sender::new(false),
            failed: AtomicBool::new(false),
            warned_of_proxy: std::sync::Once::new(),
            config,
        })
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
    pub(crate) fn public(self: &Arc<Self>, address: SocketAddr) -> Door<Public> {
        Door::new(Arc::clone(self), address, Public::new(Arc::clone(self), cors(&self.config.settings.cors)))
    }

    /// What the admin listener at `address` answers.
    pub(crate) fn admin(self: &Arc<Self>, address: SocketAddr) -> Door<Router> {
        Door::new(Arc::clone(self), address, routes::admin().with_state(Arc::clone(self)))
    }
}

fn cors(cors: &Cors) -> Option<CorsLayer> {
    let origins = match cors {
        Cors::Off => return None,
        Cors::Any => Any.into(),
        Cors::Origins(origins) => AllowOrigin::list(origins.iter().map(Origin::header).collect::<Vec<_>>()),
    };
    let names = |names: &[&'static str]| names.iter().map(|name| HeaderName::from_static(name)).collect::<Vec<_>>();
    Some(
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE])
            .allow_headers(names(&[
                "authorization",
                "cache-control",
                "content-type",
                "event-id",
                "event-type",
                "idempotency-key",
                "last-event-id",
            ]))
            .expose_headers(names(&["idempotent-replayed", "last-event-id", "oyez", "retry-after"]))
            .max_age(PREFLIGHT_AGE),
    )
}
