//! What `/stats` tells: the hub at one moment, and the last two minutes of it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use oyez::{Event, Hub, HubStats, Retention, Subscribe};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::warn;

use crate::figures::{Figures, Recent};
use crate::limits::{STATS_ROWS, STATS_SECONDS};

/// Makes the figures, remembers some, and tells those who watch once a second: one event for all who see the same,
/// through small hubs of its own.
pub(crate) struct Stats {
    hub: Hub<Event>,
    started: Instant,
    recent: Mutex<VecDeque<Recent>>,
    totals: Channel,
    streams: Channel,
}

/// Those who watch the same.
struct Channel {
    hub: Hub<Event>,
    scope: Scope,
    told: Mutex<Option<Instant>>,
}

/// How much a caller may see and wants to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Sums, without a word about anybody.
    Totals,
    /// Sums, version, and so many streams.
    Streams(usize),
}

impl Stats {
    pub(crate) fn new(hub: Hub<Event>) -> Self {
        Self {
            hub,
            started: Instant::now(),
            recent: Mutex::default(),
            totals: Channel::new(Scope::Totals),
            streams: Channel::new(Scope::Streams(STATS_ROWS)),
        }
    }

    /// The figures now, with those of the last two minutes.
    pub(crate) fn now(&self, scope: Scope) -> Figures {
        let recent = self.recent().iter().cloned().collect();
        self.figures(&self.hub.stats(), scope).with_recent(recent)
    }

    /// The figures now and once a second, each event complete in itself. A stream has [`STATS_ROWS`] rows or none.
    pub(crate) fn watch(&self, scope: Scope) -> Subscribe<Event> {
        let channel = match scope {
            Scope::Totals => &self.totals,
            Scope::Streams(_) => &self.streams,
        };
        // nobody was told while nobody watched
        if channel.is_stale(Instant::now()) {
            self.tell(channel, &self.hub.stats());
        }
        channel.hub.subscribe(TOPIC).last(1)
    }

    /// Remembers, and tells whoever watches, once a second until it is dropped.
    pub(crate) async fn run(&self) {
        let mut seconds = interval(PERIOD);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            seconds.tick().await;
            self.tick();
        }
    }

    fn tick(&self) {
        let stats = self.hub.stats();
        let mut recent = self.recent();
        if recent.len() == STATS_SECONDS {
            recent.pop_front();
        }
        recent.push_back(Recent::of(&stats, SystemTime::now()));
        drop(recent);
        for channel in [&self.totals, &self.streams] {
            if channel.hub.stats().subscribers > 0 {
                self.tell(channel, &stats);
            }
        }
    }

    fn tell(&self, channel: &Channel, stats: &HubStats) {
        let figures = serde_json::to_string(&self.figures(stats, channel.scope));
        let figures = Event::data(figures.expect("strings and numbers are JSON"));
        match channel.hub.try_publish(TOPIC, figures) {
            Ok(_) => channel.set_told(Instant::now()),
            Err(error) => warn!(%error, "statistics are not told"),
        }
    }

    fn figures(&self, stats: &HubStats, scope: Scope) -> Figures {
        let streams = match scope {
            Scope::Totals => None,
            Scope::Streams(rows) => Some(self.hub.streams(rows)),
        };
        Figures::of(stats, streams, self.started.elapsed(), SystemTime::now())
    }

    fn recent(&self) -> MutexGuard<'_, VecDeque<Recent>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Channel {
    fn new(scope: Scope) -> Self {
        Self { hub: Hub::builder().history(Retention::last(1)).build(), scope, told: Mutex::default() }
    }

    fn is_stale(&self, now: Instant) -> bool {
        let told = *self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.is_none_or(|told| now - told >= PERIOD)
    }

    fn set_told(&self, now: Instant) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }
}

const TOPIC: &str = "stats";
const PERIOD: Duration = Duration::from_secs(1);
