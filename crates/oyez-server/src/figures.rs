//! The figures of a hub at one moment, as JSON.

use std::time::{Duration, SystemTime};

use oyez::{HubStats, StreamStats};
use serde::{Serialize, Serializer};

use crate::limits::STATS_NAME_CHARS;

/// All that is told at one moment.
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
    history: Kept,
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

/// A second that is remembered.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Recent {
    time: String,
    #[serde(flatten)]
    sums: Sums,
}

/// By reason.
#[derive(Debug)]
struct Ended(oyez::Ended);

impl Serialize for Ended {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}

#[derive(Debug, Serialize)]
struct Kept {
    entries: u64,
    bytes: u64,
    topics: u64,
    oldest: Option<String>,
    head: String,
    /// How far its time is ahead of this machine's.
    clock_ahead_seconds: f64,
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

impl Figures {
    /// Those of the hub. `streams` is left out where a caller may not see them, and with it what is told on this machine only.
    pub(crate) fn of(stats: &HubStats, streams: Option<Vec<StreamStats>>, uptime: Duration, now: SystemTime) -> Self {
        Self {
            version: streams.is_some().then_some(env!("CARGO_PKG_VERSION")),
            time: rfc3339(now),
            uptime_seconds: uptime.as_secs(),
            sums: Sums::of(stats),
            gaps: stats.gaps,
            refused: stats.refused,
            ended: Ended(stats.ended),
            history: Kept::of(stats),
            streams: streams.map(|streams| streams.into_iter().map(Stream::of).collect()),
            recent: None,
        }
    }

    /// The same, with what is remembered.
    pub(crate) fn with_recent(self, recent: Vec<Recent>) -> Self {
        Self { recent: Some(recent), ..self }
    }
}

impl Recent {
    pub(crate) fn of(stats: &HubStats, now: SystemTime) -> Self {
        Self { time: rfc3339(now), sums: Sums::of(stats) }
    }
}

impl Sums {
    fn of(stats: &HubStats) -> Self {
        let HubStats { subscribers, published, delivered, lag_max, .. } = *stats;
        Self { subscribers, published, delivered, lag_max }
    }
}

impl Kept {
    fn of(stats: &HubStats) -> Self {
        Self {
            entries: stats.history_entries,
            bytes: stats.history_bytes,
            topics: stats.topics,
            oldest: stats.oldest.as_ref().map(ToString::to_string),
            head: stats.head.to_string(),
            clock_ahead_seconds: stats.clock_ahead_ms as f64 / 1_000.0,
        }
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
