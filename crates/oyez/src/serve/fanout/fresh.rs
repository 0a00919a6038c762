//! What a group is about to get.

use std::sync::Arc;

use smallvec::SmallVec;

use super::run::Stretch;
use crate::limits::serve::{FRESH_ENTRIES, RUN_BYTES};
use crate::log::Entry;

/// The newest entries that concern a group, while a turn goes on: what those at the tail get need not be looked for in the
/// log.
#[derive(Default)]
pub(crate) struct Fresh {
    /// All that concern it behind this cursor are here.
    from: u64,
    entries: SmallVec<[Arc<Entry>; 1]>,
}

impl Fresh {
    pub(crate) fn behind(cursor: u64) -> Self {
        Self { from: cursor, entries: SmallVec::new() }
    }

    /// Are all that concern the group behind this cursor here?
    pub(crate) fn reaches(&self, cursor: u64) -> bool {
        self.from <= cursor
    }

    /// `entry` is the newest one, and `head` was before.
    pub(crate) fn push(&mut self, entry: &Arc<Entry>, head: u64) {
        if self.entries.len() >= FRESH_ENTRIES {
            self.forget(head);
        }
        self.entries.push(Arc::clone(entry));
    }

    /// None up to `head` is here any more.
    pub(crate) fn forget(&mut self, head: u64) {
        *self = Self::behind(self.from.max(head));
    }

    /// Those behind `cursor`, as many as one run takes, where everything up to `followed` was noted.
    pub(crate) fn next(&self, cursor: u64, followed: u64) -> Option<Stretch<'_>> {
        let read = self.entries.partition_point(|entry| entry.sequence <= cursor);
        let new = self.entries.get(read..).filter(|new| !new.is_empty())?;
        let before = read.checked_sub(1).and_then(|last| self.entries.get(last));
        let mut bytes = 0;
        let fit = new.iter().take_while(|entry| {
            let fits = bytes < RUN_BYTES;
            bytes += entry.frame().chunk().len();
            fits
        });
        let entries = &new[..fit.count()];
        let full = entries.len() < new.len();
        let from = before.map_or(self.from, |last| last.sequence);
        let upto = entries.last().filter(|_| full).map_or(followed, |last| last.sequence);
        Some(Stretch { from, upto, full, entries })
    }
}
