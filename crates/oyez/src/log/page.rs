//! What a read of the log finds.

use std::collections::VecDeque;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::Error;
use crate::gap::{Gap, Reason};
use crate::log::Retained;
use crate::log::below::Found;
use crate::log::deletions::Hidden;
use crate::log::entry::Entry;
use crate::log::large::Large;
use crate::log::search::Search;
use crate::log::snapshot::Snapshot;

/// What a stream reads next.
pub(crate) enum Page {
    Read {
        entries: Vec<Arc<Entry>>,
        /// Nothing that matches lies between the last entry read and this one's successor.
        cursor: u64,
        /// There is more to read at once.
        more: bool,
        /// Behind the entries others were, that are hidden now; the cursor is this gap's.
        gap: Option<Gap>,
    },
    /// Entries that match were dropped before they were read. Reading can go on at the cursor of the gap, with these values
    /// first; what is gone now, after so many drops, is told with it.
    Lost { gap: Gap, values: Option<Snapshot>, drops: u64 },
    /// It takes longer: it lies below the tail, or has to be searched for.
    Later(Search<Later>),
    /// It cannot be read.
    Failed(Error),
}

impl Page {
    /// Does it hold a large event?
    pub(crate) fn is_large(&self) -> bool {
        let Self::Read { entries, .. } = self else { return false };
        entries.iter().any(|entry| Large::is_one(entry.frame().chunk().len()))
    }
}

/// What came of a read that took longer.
pub(crate) enum Later {
    /// What was read below the tail. What of it is hidden since is left out when it is taken.
    Found(Result<Found, Error>),
    /// A page, as it was then.
    Page(Page, Moment),
}

/// What a page that is on its way must not miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Where a topic had been deleted last.
    pub(crate) deletion: u64,
    /// How often something had been dropped below.
    pub(crate) drops: u64,
}

/// Entries that were read, and how far.
pub(crate) struct Read {
    pub(crate) entries: Vec<Arc<Entry>>,
    pub(crate) cursor: u64,
    pub(crate) more: bool,
    /// What came next is hidden: the reader is to be told, and goes on behind it.
    pub(crate) hidden: Option<Hidden>,
}

/// Entries that match are missing.
#[derive(Clone, Copy)]
pub(crate) struct Lost {
    pub(crate) reason: Reason,
    pub(crate) missed: Option<u64>,
    /// Behind it lies all that is left of the log.
    pub(crate) cursor: u64,
    /// What is left of compacted topics before that lies behind this cursor.
    pub(crate) values: Option<(u64, Snapshot)>,
}

/// Behind what a reader reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Behind {
    pub(crate) cursor: u64,
    /// Of deletions up to here it has been told, or need not be.
    pub(crate) known: u64,
}

/// A page that fills up.
pub(crate) struct PageBuilder {
    max: Retained,
    entries: Vec<Arc<Entry>>,
    bytes: usize,
}

impl PageBuilder {
    pub(crate) fn new(max: Retained) -> Self {
        Self { max, entries: Vec::new(), bytes: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() >= self.max.entries || self.bytes >= self.max.bytes
    }

    pub(crate) fn push(&mut self, entry: Option<&Arc<Entry>>) {
        if let Some(entry) = entry {
            self.bytes += entry.frame().chunk().len();
            self.entries.push(Arc::clone(entry));
        }
    }

    pub(crate) fn finish(self, cursor: u64, more: bool) -> Read {
        Read { entries: self.entries, cursor, more, hidden: None }
    }
}

/// The positions of several topics as one ascending run without doubles.
pub(crate) struct Merge<'a> {
    lists: SmallVec<[(&'a VecDeque<u64>, usize); 4]>,
}

impl<'a> Merge<'a> {
    pub(crate) fn new(lists: impl Iterator<Item = &'a VecDeque<u64>>, cursor: u64) -> Self {
        Self { lists: lists.map(|list| (list, list.partition_point(|sequence| *sequence <= cursor))).collect() }
    }

    pub(crate) fn next(&mut self) -> Option<u64> {
        let next = self.lists.iter().filter_map(|(list, at)| list.get(*at)).min().copied()?;
        for (list, at) in &mut self.lists {
            if list.get(*at) == Some(&next) {
                *at += 1;
            }
        }
        Some(next)
    }
}

/// The same backwards.
pub(crate) struct MergeBack<'a> {
    /// Each with the number of those that have not come yet.
    lists: SmallVec<[(&'a VecDeque<u64>, usize); 4]>,
}

impl<'a> MergeBack<'a> {
    /// From `end` on.
    pub(crate) fn new(lists: impl Iterator<Item = &'a VecDeque<u64>>, end: u64) -> Self {
        Self { lists: lists.map(|list| (list, list.partition_point(|sequence| *sequence <= end))).collect() }
    }

    pub(crate) fn next(&mut self) -> Option<u64> {
        let last = |(list, left): &(&'a VecDeque<u64>, usize)| left.checked_sub(1).and_then(|at| list.get(at)).copied();
        let next = self.lists.iter().filter_map(last).max()?;
        for list in &mut self.lists {
            if last(list) == Some(next) {
                list.1 -= 1;
            }
        }
        Some(next)
    }
}
