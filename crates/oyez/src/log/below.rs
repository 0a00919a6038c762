//! The seam below the tail: what a log stands on.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::Error;
use crate::log::Retained;
use crate::log::entry::Entry;
use crate::log::gone::{After, Missed};
use crate::matcher::Matchers;

/// What lies below the tail of a log. It keeps all that is visible, that in the tail as well, so the tail may forget its oldest
/// entries at any time.
///
/// What can be said at once is said at once; for what has to be looked up there is an [`Answer`], which comes when it comes.
pub(crate) trait Below: Send + Sync {
    /// Does it keep entries? Over nothing, what leaves the tail has left the log.
    fn keeps(&self) -> bool {
        true
    }

    /// The number of the oldest entry, if there is one.
    fn oldest(&self) -> Option<u64>;

    /// How often something has been dropped: what a stream that begins now counts from.
    fn drops(&self) -> u64;

    /// What of the entries that are gone a reader behind `after` has missed. Tries a bounded number of topics.
    fn missed(&self, after: After, matchers: &Matchers) -> Missed;

    /// Was this number given out, perhaps, and lost in a crash?
    fn is_lost_in_a_crash(&self, sequence: u64) -> bool;

    /// The first entry that has this publisher's id, unless there was another before.
    fn find(&self, id: &str) -> Answer<Option<u64>>;

    /// The cursor behind which everything of this time or later lies.
    fn before_time(&self, ms: u64) -> Answer<u64>;

    /// The numbers of the newest entries that match, newest first, at most so many.
    fn newest(&self, number: usize, matchers: &Arc<Matchers>) -> Answer<Vec<u64>>;

    /// The next entries that are wanted, as many as make a page.
    fn read(&self, wanted: Wanted) -> Answer<Found>;

    /// Figures of this moment.
    fn figures(&self) -> Figures;

    /// Nothing is written any more: what was held is given free.
    fn release(&self) {}
}

/// What is looked up below the tail. It may block the thread that polls it, which is one for searches: it gives way first.
///
/// # Errors
/// [`Internal`](crate::ErrorKind::Internal) when it cannot be read.
pub(crate) type Answer<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// What is to be read.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) max: Retained,
    pub(crate) cursor: u64,
    pub(crate) matchers: Arc<Matchers>,
    /// Up to this number; behind it is the tail.
    pub(crate) last: u64,
    /// How often something had been dropped when the stream last knew of all that is gone: that is nobody's loss now.
    pub(crate) drops: u64,
}

/// What became of a read.
pub(crate) enum Found {
    Page {
        entries: Vec<Arc<Entry>>,
        /// Nothing that matches lies between the last of them and this one's successor.
        cursor: u64,
        more: bool,
    },
    /// Entries that match are gone since the stream began. What is left lies behind the same cursor, and counts from now.
    Lost { missed: Option<u64>, drops: u64 },
}

/// How much there is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figures {
    pub(crate) kept: Retained,
    pub(crate) topics: usize,
    /// Writes that had been cut off when it was opened.
    pub(crate) torn: u64,
}

/// Nothing: the log is in memory, and what leaves its tail is gone.
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
