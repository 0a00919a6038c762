//! Counts of a hub.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use oyez_proto::EventId;

use crate::Position;
use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The figures of a hub at one moment: counters since it was made, and gauges. As a page for Prometheus they are
/// [`to_prometheus`](Self::to_prometheus); for another exporter, [`figures`](Self::figures) has each with its name, its
/// kind and a line of help.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HubStats {
    /// Streams that are open.
    pub subscribers: u64,
    /// Entries appended.
    pub published: u64,
    /// Events handed to streams, replayed ones included.
    pub delivered: u64,
    /// Gaps told to streams.
    pub gaps: u64,
    /// The most entries that an open stream has still to read; see [`StreamStats::lag`].
    pub lag_max: u64,
    /// Subscriptions refused because of a bound, a drain or an [`Access`](crate::Access).
    pub refused: u64,
    /// Streams that have ended, by reason.
    pub ended: Ended,
    /// Entries that a resume can still reach.
    pub history_entries: u64,
    /// Memory of the history, index and topic names counted.
    pub history_bytes: u64,
    /// Topics that have entries in the history.
    pub topics: u64,
    /// Values that are kept: the newest entry of each topic and key.
    pub latest_values: u64,
    /// Memory of their table, and of the values that the history does not hold any more.
    pub latest_bytes: u64,
    /// Writes that had been cut off when the history was opened: what they had begun was not acknowledged.
    pub torn_writes: u64,
    /// How often the disk was asked to confirm what had been written; 0 for a history in memory. Publishes that wait together have one
    /// sync.
    pub syncs: u64,
    /// How long those syncs took together.
    pub sync_time: Duration,
    /// By how many milliseconds the log's own time is ahead of this machine's: 0, unless that was set back, or its newest entry is
    /// from a clock that was wrong. Entries get old by the log's own time, which never goes back.
    pub clock_ahead_ms: u64,
    /// The id of the oldest entry that a resume can still reach.
    pub oldest: Option<EventId>,
    /// The id of the newest entry.
    pub head: EventId,
}

/// One open stream at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StreamStats {
    /// Its number; see [`StreamControl::number`](crate::StreamControl::number).
    pub number: u64,
    /// What it selects, as it was written: the first ten. These are its reader's own words; which topics there are they do not
    /// say, and of private entries nothing.
    pub topics: Vec<String>,
    /// How many topics and patterns it selects.
    pub topics_total: usize,
    /// Who reads it, where [`Subscribe::peer`](crate::Subscribe::peer) was told.
    pub peer: Option<SocketAddr>,
    /// Who reads it, where [`Subscribe::user`](crate::Subscribe::user) or its [`Grant`](crate::Grant) says so.
    pub user: Option<Arc<str>>,
    /// When it opened.
    pub since: SystemTime,
    /// Everything up to here was handed to the reader's connection, or does not concern it.
    pub position: Position,
    /// Entries of the log after that place, whether they concern it or not; 0 for a stream that waits for the next.
    pub lag: u64,
    /// Events handed to it.
    pub delivered: u64,
    /// It has read everything and waits.
    pub live: bool,
}

/// Who reads a stream, for those who look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reader {
    pub(crate) user: Option<Arc<str>>,
    pub(crate) peer: Option<SocketAddr>,
    /// When the stream began, in milliseconds since 1970.
    pub(crate) since_ms: u64,
}

/// One figure for each reason for which a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Ended {
    /// The reader went away.
    pub left: u64,
    /// It had all that it asked for: `until`, `limit` or `poll`.
    pub complete: u64,
    /// Its time was over.
    pub life: u64,
    /// The hub or the server drained.
    pub drain: u64,
    /// Whoever holds its [`StreamControl`](crate::StreamControl) ended it.
    pub dropped: u64,
    /// The reader lagged beyond the history, and its policy is to disconnect.
    pub behind: u64,
    /// The reader took no byte for too long while there was something to take.
    pub stalled: u64,
    /// Its filter or its access check panicked.
    pub panic: u64,
    /// What it was to read next could not be read from the disk.
    pub storage: u64,
    /// Its [`Grant`](crate::Grant) expired.
    pub expired: u64,
    /// It was [bare](crate::Subscribe::bare) and came to a gap, of which its reader is told when it comes back.
    pub gap: u64,
}

impl Ended {
    /// Each reason in one word, and its figure.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("left", self.left),
            ("complete", self.complete),
            ("life", self.life),
            ("drain", self.drain),
            ("dropped", self.dropped),
            ("behind", self.behind),
            ("stalled", self.stalled),
            ("panic", self.panic),
            ("storage", self.storage),
            ("expired", self.expired),
            ("gap", self.gap),
        ]
        .into_iter()
    }
}

/// Why a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndReason {
    Left,
    Complete,
    Life,
    Drain,
    Dropped,
    Behind,
    Stalled,
    Panic,
    Storage,
    Expired,
    Gap,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) published: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) gaps: AtomicU64,
    pub(crate) refused: AtomicU64,
    /// By reason.
    ended: [AtomicU64; EndReason::NUMBER],
}

impl EndReason {
    const NUMBER: usize = Self::Gap as usize + 1;
}

impl Counters {
    pub(crate) fn count_end(&self, reason: EndReason) {
        self.ended[reason as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn ended(&self) -> Ended {
        let of = |reason: EndReason| self.ended[reason as usize].load(Relaxed);
        Ended {
            left: of(EndReason::Left),
            complete: of(EndReason::Complete),
            life: of(EndReason::Life),
            drain: of(EndReason::Drain),
            dropped: of(EndReason::Dropped),
            behind: of(EndReason::Behind),
            stalled: of(EndReason::Stalled),
            panic: of(EndReason::Panic),
            storage: of(EndReason::Storage),
            expired: of(EndReason::Expired),
            gap: of(EndReason::Gap),
        }
    }
}
