//! How much of the log stays readable.

use std::time::Duration;

use crate::limits::HISTORY_BYTES;

/// What a hub keeps for readers that come later or come back. All bounds hold; the oldest entries are dropped first.
///
/// A hub with a short history also keeps up to 1,024 entries or 4 MiB that were dropped from the history, and always the newest
/// entry. Only streams that are already open may read these, so that a burst does not cut them off.
///
/// ```
/// use std::time::Duration;
/// use oyez::Retention;
/// let hour = Retention::last(10_000).age(Duration::from_secs(3600)).bytes(16 << 20);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
    pub(crate) age: Option<Duration>,
}

/// What is kept at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Retained {
    pub(crate) entries: usize,
    pub(crate) bytes: usize,
}

impl Retention {
    /// The newest `events` of the hub, over all topics, within 64 MiB.
    #[must_use]
    pub fn last(events: usize) -> Self {
        Self { events, ..Self::default() }
    }

    /// No history: open streams get every event, and nobody gets an earlier one.
    #[must_use]
    pub fn none() -> Self {
        Self::last(0)
    }

    /// At most this many events, over all topics.
    #[must_use]
    pub fn events(mut self, events: usize) -> Self {
        self.events = events;
        self
    }

    /// At most this many bytes of memory, including the log's index and the topic names.
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// No event older than this. Checked at each publish and read.
    #[must_use]
    pub fn age(mut self, age: Duration) -> Self {
        self.age = Some(age);
        self
    }

    /// Whether the oldest entry must be dropped. `age_ms` gives its age in milliseconds, if that matters.
    pub(crate) fn is_exceeded(&self, kept: Retained, age_ms: impl Fn() -> u64) -> bool {
        let too_old = self.age.is_some_and(|age| u128::from(age_ms()) > age.as_millis());
        kept.entries > self.events || kept.bytes > self.bytes || too_old
    }
}

impl Default for Retention {
    /// 64 MiB, however many and however old the events are.
    fn default() -> Self {
        Self { events: usize::MAX, bytes: HISTORY_BYTES, age: None }
    }
}
