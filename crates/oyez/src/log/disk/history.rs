//! What the log asks its disk: where a resume begins, and pages for streams that are behind.

use std::io;
use std::sync::Arc;
use std::task::Waker;

use super::chain::StoredPage;
use super::readers::{Fetch, Readers, Wanted};
use super::segment::PAGE;
use super::store::{Store, StoredRead};
use crate::Topic;
use crate::gap::Reason;
use crate::limits::disk::{GAP_STEPS, LAST_STEPS};
use crate::log::Retained;
use crate::log::dropped::{After, Missed};
use crate::log::entry::Entry;
use crate::log::memory::Lost;
use crate::matcher::Matchers;

/// The history of a log that is on disk.
pub(crate) struct History {
    pub(crate) store: Arc<Store>,
    readers: Readers,
}

impl History {
    pub(crate) fn new(store: Arc<Store>) -> io::Result<Self> {
        let readers = Readers::start(Arc::clone(&store))?;
        Ok(Self { store, readers })
    }

    /// The cursor before the oldest entry.
    pub(crate) fn earliest(&self, head: u64) -> u64 {
        self.store.oldest().map_or(head, |oldest| oldest - 1)
    }

    /// The cursor behind which the newest `number` entries that match lie, or all there are if these are fewer.
    pub(crate) fn before_last(&self, number: usize, matchers: &Matchers, head: u64) -> io::Result<u64> {
        let newest = self.store.newest(number, matchers)?;
        Ok(match newest.last() {
            Some(first) if newest.len() == number => first - 1,
            _ if number == 0 => head,
            _ => self.earliest(head),
        })
    }

    /// [`before_last`](Self::before_last), but only those entries count that `counts` says. Up to the number `floor` there are none
    /// of them. Where most do not count it may be a place behind which fewer lie.
    pub(crate) fn before_last_of(
        &self,
        number: usize,
        matchers: &Matchers,
        (floor, head): (u64, u64),
        counts: impl Fn(&Entry) -> bool,
    ) -> io::Result<u64> {
        let floor = floor.max(self.earliest(head));
        let mut asked = number;
        let mut cursor = head;
        for _ in 0..LAST_STEPS {
            cursor = self.before_last(asked, matchers, head)?.max(floor);
            let found = self.numbers(cursor, matchers, head, &counts)?;
            if let Some(first) = found.len().checked_sub(number).and_then(|surplus| found.get(surplus)) {
                return Ok(first - 1);
            }
            if cursor == floor {
                break;
            }
            asked = asked.saturating_mul(4);
        }
        Ok(cursor)
    }

    /// The numbers of the entries behind `cursor`, up to `last`, that match and count.
    fn numbers(
        &self,
        mut cursor: u64,
        matchers: &Matchers,
        last: u64,
        counts: impl Fn(&Entry) -> bool,
    ) -> io::Result<Vec<u64>> {
        let mut found = Vec::new();
        loop {
            // what is lost meanwhile is found out when it is read
            let read = self.store.read(PAGE, cursor, matchers, last, u64::MAX)?;
            let StoredRead::Page(StoredPage { entries, cursor: end, more }) = read else { return Ok(found) };
            found.extend(entries.iter().filter(|entry| counts(entry)).map(|entry| entry.sequence));
            if !more {
                return Ok(found);
            }
            cursor = end;
        }
    }

    /// Where a reader goes on that has this id, or what it has missed.
    pub(crate) fn resume(&self, id: &str, head: u64, matchers: &Matchers) -> io::Result<Result<u64, Lost>> {
        let lost = |reason, missed, cursor| Ok(Err(Lost { reason, missed, cursor, values: None }));
        let sequence = match self.store.find(id, head)? {
            Ok(sequence) => sequence,
            Err(reason) => return lost(reason, None, self.earliest(head)),
        };
        if self.store.is_lost_in_a_crash(sequence) {
            return lost(Reason::Crash, None, sequence);
        }
        match self.store.missed(After::Sequence(sequence), matchers) {
            Missed::Nothing => Ok(Ok(sequence)),
            Missed::Events(number) => lost(Reason::Expired, Some(number), sequence),
            Missed::Unknown => lost(Reason::Expired, None, sequence),
        }
    }

    /// Where a reader begins that wants everything from this time on, or what it has missed.
    pub(crate) fn resume_at(&self, ms: u64, head: u64, matchers: &Matchers) -> io::Result<Result<u64, Lost>> {
        let cursor = self.store.before_time(ms)?.max(self.earliest(head));
        Ok(match self.store.missed(After::Time(ms), matchers) {
            Missed::Nothing => Ok(cursor),
            Missed::Events(number) => Err(Lost { reason: Reason::Expired, missed: Some(number), cursor, values: None }),
            Missed::Unknown => Err(Lost { reason: Reason::Expired, missed: None, cursor, values: None }),
        })
    }

    /// The newest entry of a topic; 0 when there is none.
    pub(crate) fn newest_of(&self, topic: &Topic) -> io::Result<u64> {
        let mut matchers = Matchers::default();
        matchers.push(topic.clone().into());
        Ok(self.store.newest(1, &matchers)?.first().copied().unwrap_or_default())
    }

    /// The first entry behind `cursor` that matches and counts, up to the number `last`, and the cursor before it; without one the
    /// cursor up to which there is none, as far as was looked.
    pub(crate) fn first_behind(
        &self,
        cursor: u64,
        matchers: &Matchers,
        last: u64,
        counts: impl Fn(&Entry) -> bool,
    ) -> io::Result<(Option<Arc<Entry>>, u64)> {
        let mut cursor = cursor;
        for _ in 0..GAP_STEPS {
            if cursor >= last {
                break;
            }
            match self.store.read(ONE, cursor, matchers, last, self.store.drops())? {
                StoredRead::Page(StoredPage { entries, cursor: end, more }) => {
                    // of each chain there may be one
                    if let Some(entry) = entries.into_iter().find(|entry| counts(entry)) {
                        let before = entry.sequence - 1;
                        return Ok((Some(entry), before));
                    }
                    cursor = end;
                    if !more {
                        break;
                    }
                }
                StoredRead::Lost { .. } => {}
            }
        }
        Ok((None, cursor))
    }

    /// Asks for the next page behind `cursor`, up to the number `last`.
    pub(crate) fn fetch(&self, wanted: Wanted, waker: &Waker) -> Fetch {
        self.readers.fetch(wanted, waker)
    }
}

const ONE: Retained = Retained { entries: 1, bytes: usize::MAX };
