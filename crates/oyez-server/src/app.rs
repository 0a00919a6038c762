//! What all requests share.

use std::sync::atomic::AtomicBool;

use oyez::{Event, Hub, Limits};
use tokio::sync::watch;

use crate::bodies::Bodies;
use crate::config::Config;
use crate::controls::Controls;
use crate::limits::{BATCH_EVENTS_MAX, DATA_BYTES_MAX};
use crate::metrics::Metrics;
use crate::places::Places;
use crate::rights::Rights;
use crate::stats::Stats;

/// The hub and what its routes need to know.
pub(crate) struct App {
    pub(crate) hub: Hub<Event>,
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    pub(crate) rights: Rights,
    pub(crate) places: Places,
    pub(crate) controls: Controls,
    pub(crate) stats: Stats,
    pub(crate) bodies: Bodies,
    pub(crate) draining: watch::Sender<bool>,
    /// The disk has failed: nothing more is acknowledged.
    pub(crate) failed: AtomicBool,
}

impl App {
    pub(crate) fn new(config: Config) -> Result<Self, oyez::Error> {
        let (hub, metrics) = (open(&config)?, Metrics::new());
        Ok(Self {
            stats: Stats::new(hub.clone()),
            hub,
            rights: Rights::new(config.anonymous_publish, metrics.clone()),
            places: Places::new(config.settings.streams_per_address, metrics.clone()),
            controls: Controls::default(),
            bodies: Bodies::default(),
            draining: watch::Sender::new(false),
            failed: AtomicBool::new(false),
            metrics,
            config,
        })
    }
}

fn open(config: &Config) -> Result<Hub<Event>, oyez::Error> {
    let mut limits = Limits::default();
    limits.subscribers_max = config.connections_max;
    limits.data_bytes_max = DATA_BYTES_MAX;
    limits.batch_events_max = BATCH_EVENTS_MAX;
    let hub = Hub::builder().history(config.history).limits(limits);
    let hub = config.settings.compact.iter().cloned().fold(hub, oyez::HubBuilder::compact);
    match &config.storage {
        Some(storage) => hub.open(storage.clone()),
        None => Ok(hub.build()),
    }
}
