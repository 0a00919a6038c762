//! The interface to entries below the tail, the older ones.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::Error;
use crate::log::Retained;
use crate::log::entry::Entry;
use crate::log::gone::{After, Missed};
use crate::matcher::Matchers;

/// The storage below the tail of a log. It keeps every visible entry, including those of the tail. So the tail may forget its
/// oldest entries at any time.
///
/// Methods that need no look-up answer at once. The others return an [`Answer`].
pub(crate) trait Below: Send + Sync {
    /// Whether it keeps entries. If not, an entry that leaves the tail is dropped from the log.
    fn keeps(&self) -> bool {
        true
    }

    /// The number of the oldest entry, if there is one.
    fn oldest(&self) -> Option<u64>;

    /// How often entries have been dropped. A stream counts drops from the value at its beginning.
    fn drops(&self) -> u64;

    /// Which dropped entries a reader after `after` has missed. Tries a bounded number of topics.
    fn missed(&self, after: After, matchers: &Matchers) -> Missed;

    /// Whether this number may have been given out and lost in a crash.
    fn is_lost_in_a_crash(&self, sequence: u64) -> bool;

    /// The first entry with this publisher's id, unless an earlier entry with it was dropped.
    fn find(&self, id: &str) -> Answer<Option<u64>>;

    /// The cursor after which all entries of this time or later lie.
    fn before_time(&self, ms: u64) -> Answer<u64>;

    /// The sequence numbers of the newest entries that match, newest first, at most `number`.
    fn newest(&self, number: usize, matchers: &Arc<Matchers>) -> Answer<Vec<u64>>;

    /// A page of the next wanted entries.
    fn read(&self, wanted: Wanted) -> Answer<Found>;

    /// The current figures.
    fn figures(&self) -> Figures;

    /// Nothing more will be written: releases what is held.
    fn release(&self) {}
}

/// The result of a look-up below the tail. Polling it may block, so it first gives way and then runs on a search thread.
///
/// # Errors
/// [`Internal`](crate::ErrorKind::Internal) when it cannot be read.
pub(crate) type Answer<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// What a read asks for.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) max: Retained,
    pub(crate) cursor: u64,
    pub(crate) matchers: Arc<Matchers>,
    /// Read up to this number; the tail has the entries after it.
    pub(crate) last: u64,
    /// The number of drops of which the stream already knows. Their entries are not reported again.
    pub(crate) drops: u64,
}

/// The result of a read.
pub(crate) enum Found {
    Page {
        entries: Vec<Arc<Entry>>,
        /// No entry that matches lies between the last of them and this cursor, inclusive.
        cursor: u64,
        more: bool,
    },
    /// Entries that match were dropped since the stream began. The retained ones lie after the same cursor; `drops` is the new
    /// count.
    Lost { missed: Option<u64>, drops: u64 },
}

/// Figures of the storage.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figures {
    pub(crate) kept: Retained,
    pub(crate) topics: usize,
    /// Torn writes found when it was opened.
    pub(crate) torn: u64,
    /// How often the disk was asked to confirm what was written, and how long that took together.
    pub(crate) syncs: u64,
    pub(crate) sync_time: Duration,
}

/// No storage: the log is in memory, and an entry that leaves the tail is dropped.
pub(crate) struct Nothing;

impl Below for Nothing {
    fn keeps(&self) -> bool {
        false
    }

    fn oldest(&self) -> Option<u64> {
        None
    }

    fn drops(&self) -> u64 {
        0
    }

    fn missed(&self, _: After, _: &Matchers) -> Missed {
        Missed::Nothing // the tail knows
    }

    fn is_lost_in_a_crash(&self, _: u64) -> bool {
        false
    }

    fn find(&self, _: &str) -> Answer<Option<u64>> {
        Box::pin(async { Ok(None) })
    }

    fn before_time(&self, _: u64) -> Answer<u64> {
        Box::pin(async { Ok(0) })
    }

    fn newest(&self, _: usize, _: &Arc<Matchers>) -> Answer<Vec<u64>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn read(&self, wanted: Wanted) -> Answer<Found> {
        let Wanted { last, .. } = wanted;
        Box::pin(async move { Ok(Found::Page { entries: Vec::new(), cursor: last, more: false }) })
    }

    fn figures(&self) -> Figures {
        Figures::default()
    }
}
