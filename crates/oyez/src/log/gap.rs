//! Where a gap ends: before the first entry that follows.

use std::sync::Arc;

use crate::Error;
use crate::gap::{Gap, Reason};
use crate::limits::{GAP_STEPS, PAGE_BYTES};
use crate::log::Retained;
use crate::log::below::{Found, Wanted};
use crate::log::entry::Entry;
use crate::log::log::Log;
use crate::log::page::{Behind, Lost, Read};
use crate::log::snapshot::Snapshot;
use crate::log::step::{Step, give_way};
use crate::matcher::Matchers;

/// The first entry after a gap and the cursor before it. Without an entry, the cursor up to which there is none.
type First = (Option<Arc<Entry>>, u64);

impl Log {
    /// The gap, which ends before the first entry that matches or at the head, and the values that come first. Gives way between
    /// the steps of its search.
    pub(super) async fn gap(&self, lost: Lost, requested: String, matchers: &Arc<Matchers>) -> (Gap, Option<Snapshot>) {
        let Lost { mut reason, mut missed, mut cursor, mut values } = lost;
        loop {
            if let Some((after, snapshot)) = values.take() {
                if let Some(first) = self.first_value(after, &snapshot, matchers).await {
                    let end = first.sequence - 1;
                    return (self.gap_before(reason, requested, missed, (Some(first), end)), Some(snapshot));
                }
            }
            if self.below.keeps() {
                match self.first_below(cursor, matchers).await {
                    // the search did not reach the end
                    Ok((None, end)) if end + 1 >= self.tail.read().front() => cursor = end,
                    Ok(first) => return (self.gap_before(reason, requested, missed, first), None),
                    // the next read meets the same error
                    Err(_) => return (self.gap_before(reason, requested, missed, (None, cursor)), None),
                }
            }
            // deletions are not checked here
            match self.read_over_nothing(Behind { cursor, known: u64::MAX }, matchers).await {
                Ok(Read { entries, cursor: end, more, .. }) => {
                    // entries that are hidden by now are missed as well
                    let expired = self.expired(&entries, matchers);
                    let hidden = expired.iter().take_while(|expired| **expired).count();
                    missed = missed.map(|missed| missed + hidden as u64);
                    let first = match entries.get(hidden) {
                        Some(entry) => (Some(Arc::clone(entry)), entry.sequence - 1),
                        None if more => {
                            cursor = end;
                            give_way().await;
                            continue;
                        }
                        None => (None, end),
                    };
                    return (self.gap_before(reason, requested, missed, first), None);
                }
                // more was dropped, and joins this gap: as a loss, even if entries were deleted too
                Err(lost) => {
                    reason = if reason == Reason::Deleted { lost.reason } else { reason };
                    (missed, cursor, values) = (None, lost.cursor, lost.values);
                }
            }
        }
    }

    fn gap_before(&self, reason: Reason, requested: String, missed: Option<u64>, first: First) -> Gap {
        let (first, end) = first;
        let oldest = first.map(|first| first.event_id(self.epoch));
        Gap { reason, requested, oldest, missed, position: self.position(end) }
    }

    /// The first value of `snapshot` after `cursor` that matches.
    pub(super) async fn first_value(
        &self,
        cursor: u64,
        snapshot: &Snapshot,
        matchers: &Matchers,
    ) -> Option<Arc<Entry>> {
        let mut cursor = cursor;
        loop {
            // a loss meanwhile is found when the values are delivered
            let read = self.tail.read().facts.latest.read(ONE, cursor, snapshot, matchers);
            match (read.entries.into_iter().next(), read.more) {
                (None, true) => cursor = read.cursor,
                (found, _) => return found,
            }
            give_way().await;
        }
    }

    /// The first matching entry below the tail, or retained value, after `cursor`, as far as the search went.
    async fn first_below(&self, cursor: u64, matchers: &Arc<Matchers>) -> Result<First, Error> {
        let last = self.tail.read().front() - 1;
        let (first, end) = self.first_kept(cursor, matchers, last).await?;
        let remaining = self.tail.read().remaining(cursor, end);
        let Some(remaining) = remaining else { return Ok((first, end)) };
        Ok(match self.first_value(cursor, &remaining, matchers).await {
            Some(value) => {
                let before = value.sequence - 1;
                (Some(value), before)
            }
            None => (first, end),
        })
    }

    async fn first_kept(&self, mut cursor: u64, matchers: &Arc<Matchers>, last: u64) -> Result<First, Error> {
        let mut step = Step::of(matchers);
        for _ in 0..GAP_STEPS {
            if cursor >= last {
                break;
            }
            let (max, drops) = (FIRST, self.below.drops());
            let wanted = Wanted { max, cursor, matchers: Arc::clone(matchers), last, drops };
            let Found::Page { mut entries, cursor: end, more } = self.below.read(wanted).await? else { continue };
            // each chain may have one
            self.retain_matching(&mut entries, matchers, &mut step).await;
            if let Some(first) = entries.into_iter().next() {
                let before = first.sequence - 1;
                return Ok((Some(first), before));
            }
            cursor = end;
            if !more {
                break;
            }
        }
        Ok((None, cursor))
    }
}

/// The page of a search for one entry.
const ONE: Retained = Retained { entries: 1, bytes: PAGE_BYTES };
/// The same below.
const FIRST: Retained = Retained { entries: 1, bytes: usize::MAX };
