//! What a subscription asked for, once it is known to be valid.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use crate::checks::Checks;
use crate::matcher::Matchers;
use crate::readable::Readable;

/// What a subscription asked for, once it is known to be valid. What few streams have is behind a pointer: there may be
/// hundreds of thousands of the others.
pub(crate) struct Options {
    pub(crate) matchers: Arc<Matchers>,
    /// Which private entries it may have.
    pub(crate) readable: Readable,
    pub(crate) rare: Option<Box<Rare>>,
    pub(crate) slow: SlowPolicy,
    /// The silence before a keep-alive; 0 is never. Half as large as an optional `Duration`, and each stream has one.
    pub(crate) keep_alive_ms: u32,
    /// The caller's guard, dropped with the stream.
    pub(crate) held: Option<Held>,
}

/// What few subscriptions ask for.
pub(crate) struct Rare {
    pub(crate) checks: Option<Checks>,
    pub(crate) until: Option<Until>,
}

impl Rare {
    /// `None` when nothing of it was asked for, as usual.
    pub(crate) fn of(checks: Option<Checks>, until: Option<Until>) -> Option<Box<Self>> {
        (checks.is_some() || until.is_some()).then(|| Box::new(Self { checks, until }))
    }
}

impl Options {
    /// What an entry has to pass.
    pub(crate) fn checks(&self) -> Option<&Checks> {
        self.rare.as_ref()?.checks.as_ref()
    }

    /// Where the stream ends by itself.
    pub(crate) fn until(&self) -> Option<Until> {
        self.rare.as_ref()?.until
    }
}

pub(crate) type Held = Box<dyn Any + Send + Sync>;

/// Where the stream ends, whichever comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Until {
    /// The last sequence number that is wanted.
    pub(crate) sequence: Option<u64>,
    pub(crate) time: Option<UntilTime>,
    /// The number of entries that is wanted.
    pub(crate) limit: Option<u64>,
}

/// The time of the last entry that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UntilTime {
    /// In milliseconds since 1970, as entries have it.
    pub(crate) ms: u64,
    /// When that is or was; nothing can come after it. `None`: not in this world's life.
    pub(crate) at: Option<Instant>,
}

impl UntilTime {
    pub(crate) fn has_come(self, now: Instant) -> bool {
        self.at.is_some_and(|at| at <= now)
    }
}

/// What happens to a reader that takes bytes, but so slowly that entries it has not read leave the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SlowPolicy {
    /// Its stream ends; it comes back with its last event id and is told what it missed.
    #[default]
    Disconnect,
    /// It goes on with the oldest entry still kept, and is told what it missed.
    Skip,
    /// It gets the newest entry of each topic, and of each key where entries have one, is told that others are missing, and goes on live.
    Latest,
}
