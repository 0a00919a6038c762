//! How much of the log stays readable.

use std::time::Duration;

use crate::limits::HISTORY_BYTES;

/// What a hub keeps for those who come later or come back. Each bound holds; the oldest entries go first.
///
/// Beside it a hub with a short history keeps up to 1,024 entries or 4 MiB (and always the newest entry) that have left
/// the history, for streams that are open already: a burst is not to cut them off.
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

/// What is kept right now.
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

    /// No history: streams that are open get every event, nobody gets one from before.
    #[must_use]
    pub fn none() -> Self {
        Self::last(0)
    }

    /// At most so many events, over all topics.
    #[must_use]
    pub fn events(mut self, events: usize) -> Self {
        self.events = events;
        self
    }

    /// At most so many bytes of memory, the log's index and the topic names counted.
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// Nothing older than this. Looked at when something is published or read.
    #[must_use]
    pub fn age(mut self, age: Duration) -> Self {
        self.age = Some(age);
        self
    }

    /// Must the oldest entry go? `age_ms` says how many milliseconds old it is, where that matters.
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
