//! The results of a read of the log.

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
        /// No entry that matches lies between the last entry read and this cursor, inclusive.
        cursor: u64,
        /// There is more to read at once.
        more: bool,
        /// After the entries come hidden ones, with this gap; the cursor is the gap's.
        gap: Option<Gap>,
    },
    /// Entries that match were dropped before they were read. Reading continues at the cursor of the gap, after these values. The
    /// gap covers everything dropped so far, up to `drops`.
    Lost { gap: Gap, values: Option<Snapshot>, drops: u64 },
    /// Takes longer: the entries are below the tail, or need a search.
    Later(Search<Later>),
    /// The entries cannot be read.
    Failed(Error),
}

impl Page {
    /// Whether it holds a large event.
    pub(crate) fn is_large(&self) -> bool {
        let Self::Read { entries, .. } = self else { return false };
        entries.iter().any(|entry| Large::is_one(entry.frame().chunk().len()))
    }
}

/// The result of a read that took longer.
pub(crate) enum Later {
    /// Entries read below the tail. Those hidden since are left out when the result is taken.
    Found(Result<Found, Error>),
    /// A page, as of that moment.
    Page(Page, Moment),
}

/// Counters that show whether a page is outdated when it arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The position of the newest deletion.
    pub(crate) deletion: u64,
    /// How often entries had been dropped below.
    pub(crate) drops: u64,
}

/// Entries that were read, and the cursor after them.
pub(crate) struct Read {
    pub(crate) entries: Vec<Arc<Entry>>,
    pub(crate) cursor: u64,
    pub(crate) more: bool,
    /// The next entries are hidden. The reader gets a gap and continues after them.
    pub(crate) hidden: Option<Hidden>,
}

/// Entries that match are missing.
#[derive(Clone, Copy)]
pub(crate) struct Lost {
    pub(crate) reason: Reason,
    pub(crate) missed: Option<u64>,
    /// All retained entries of the log lie after this cursor.
    pub(crate) cursor: u64,
    /// Retained values of compacted topics before that, after this cursor.
    pub(crate) values: Option<(u64, Snapshot)>,
}

/// The place of a reader. It reads what comes after.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Behind {
    pub(crate) cursor: u64,
    /// Deletions up to here are known to the reader, or do not concern it.
    pub(crate) known: u64,
}

/// Collects a page.
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

/// Merges the positions of several topics into one ascending sequence without doubles.
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

/// The same, descending.
pub(crate) struct MergeBack<'a> {
    /// Each list with the number of positions that are left.
    lists: SmallVec<[(&'a VecDeque<u64>, usize); 4]>,
}

impl<'a> MergeBack<'a> {
    /// Starts at `end`.
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
