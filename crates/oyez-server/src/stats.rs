//! What `/stats` tells: the hub at one moment, and the last two minutes of it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use oyez::{Event, Hub, HubStats, Retention, StreamStats, Subscribe};
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::warn;

use crate::limits::{STATS_NAME_CHARS, STATS_ROWS, STATS_SECONDS};

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

/// The figures of one moment, as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'static str>,
    time: String,
    uptime_seconds: u64,
    #[serde(flatten)]
    sums: Sums,
    gaps: u64,
    refused: u64,
    ended: Ended,
    history: History,
    #[serde(skip_serializing_if = "Option::is_none")]
    streams: Option<Vec<Stream>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recent: Option<Vec<Recent>>,
}

/// What changes from second to second.
#[derive(Debug, Clone, Serialize)]
struct Sums {
    subscribers: u64,
    published: u64,
    delivered: u64,
    lag_max: u64,
}

#[derive(Debug, Clone, Serialize)]
struct Recent {
    time: String,
    #[serde(flatten)]
    sums: Sums,
}

#[derive(Debug, Serialize)]
struct Ended {
    left: u64,
    complete: u64,
    life: u64,
    drain: u64,
    dropped: u64,
    behind: u64,
    stalled: u64,
    panic: u64,
    storage: u64,
}

#[derive(Debug, Serialize)]
struct History {
    entries: u64,
    bytes: u64,
    topics: u64,
    oldest: Option<String>,
    head: String,
}

#[derive(Debug, Serialize)]
struct Stream {
    stream: u64,
    topics: Vec<String>,
    topics_total: usize,
    peer: Option<String>,
    since: String,
    position: String,
    lag: u64,
    delivered: u64,
    state: &'static str,
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
        let mut figures = self.figures(&self.hub.stats(), scope);
        figures.recent = Some(self.recent().iter().cloned().collect());
        figures
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
        recent.push_back(Recent { time: rfc3339(SystemTime::now()), sums: Sums::of(&stats) });
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
        let rows = match scope {
            Scope::Totals => None,
            Scope::Streams(rows) => Some(rows),
        };
        Figures {
            version: rows.is_some().then_some(env!("CARGO_PKG_VERSION")),
            time: rfc3339(SystemTime::now()),
            uptime_seconds: self.started.elapsed().as_secs(),
            sums: Sums::of(stats),
            gaps: stats.gaps,
            refused: stats.refused,
            ended: Ended::of(&stats.ended),
            history: History {
                entries: stats.history_entries,
                bytes: stats.history_bytes,
                topics: stats.topics,
                oldest: stats.oldest.as_ref().map(ToString::to_string),
                head: stats.head.to_string(),
            },
            streams: rows.map(|rows| self.hub.streams(rows).into_iter().map(Stream::of).collect()),
            recent: None,
        }
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

impl Sums {
    fn of(stats: &HubStats) -> Self {
        let HubStats { subscribers, published, delivered, lag_max, .. } = *stats;
        Self { subscribers, published, delivered, lag_max }
    }
}

impl Ended {
    fn of(ended: &oyez::Ended<u64>) -> Self {
        let oyez::Ended { left, complete, life, drain, dropped, behind, stalled, panic, storage, .. } = *ended;
        Self { left, complete, life, drain, dropped, behind, stalled, panic, storage }
    }
}

impl Stream {
    fn of(stats: StreamStats) -> Self {
        Self {
            stream: stats.number,
            topics: stats.topics.into_iter().map(short).collect(),
            topics_total: stats.topics_total,
            peer: stats.peer.map(|peer| peer.to_string()),
            since: rfc3339(stats.since),
            position: stats.position.to_string(),
            lag: stats.lag,
            delivered: stats.delivered,
            state: if stats.live { "live" } else { "reading" },
        }
    }
}

/// A name as far as it fits into a table.
fn short(mut name: String) -> String {
    if let Some((cut, _)) = name.char_indices().nth(STATS_NAME_CHARS) {
        name.truncate(cut);
        name.push('…');
    }
    name
}

fn rfc3339(time: SystemTime) -> String {
    format!("{:.3}", jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::MAX))
}

const TOPIC: &str = "stats";
const PERIOD: Duration = Duration::from_secs(1);
