//! What a subscription asked for, once it is known to be valid.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use crate::checks::Checks;
use crate::gap::Reason;
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
    pub(crate) bare: Option<Bare>,
}

/// What a stream whose reader takes events with data, and nothing else, has to say elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Bare {
    /// The head of its response is not written: what is missing before the first event is said there.
    pub(crate) looks_ahead: bool,
    /// Why something is missing there, until it is said.
    pub(crate) missing: Option<Reason>,
    /// What its first event begins with, until that is sent.
    pub(crate) retry_ms: Option<u32>,
}

impl Rare {
    /// `None` when nothing of it was asked for, as usual.
    pub(crate) fn of(checks: Option<Checks>, until: Option<Until>, bare: Option<Bare>) -> Option<Box<Self>> {
        let is_any = checks.is_some() || until.is_some() || bare.is_some();
        is_any.then(|| Box::new(Self { checks, until, bare }))
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

    /// What it has to say elsewhere, if it is bare.
    pub(crate) fn bare(&self) -> Option<&Bare> {
        self.rare.as_ref()?.bare.as_ref()
    }

    /// The same, to change it.
    pub(crate) fn bare_mut(&mut self) -> Option<&mut Bare> {
        self.rare.as_mut()?.bare.as_mut()
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

/// What happens when a resume cannot be complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnGap {
    /// The stream says so with an `oyez.gap` event, a [bare](crate::Subscribe::bare) one with a header, and goes on with what is
    /// kept.
    #[default]
    Announce,
    /// There is no stream: [`ErrorKind::Gone`](crate::ErrorKind::Gone), which is 410 over HTTP.
    Fail,
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
