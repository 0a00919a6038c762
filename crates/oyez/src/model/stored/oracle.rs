//! What the history is to hold, and what a reader of it may be told.
//!
//! The oracle keeps every entry that was acknowledged, for ever. It asks the store which numbers have left each class, but not whom they
//! concern: what a stream has to say about them it works out by itself.

use std::collections::BTreeMap;

use super::readers::Reader;
use crate::gap::Reason;
use crate::hub::Core;
use crate::log::Entry;
use crate::model::begun::Due;
use crate::model::deletions::{Deletion, Deletions};
use crate::model::topics::{TOPICS, bits_of_all, topic_bits, topic_bits_of};
use crate::model::wish::is_even;
use crate::position::{Epoch, Position};

pub(super) struct Oracle {
    pub(super) epoch: Epoch,
    /// Nothing known of what is gone is ever forgotten: a gap is announced only if something is missing.
    pub(super) remembers_all: bool,
    pub(super) all: BTreeMap<u64, Published>,
    /// Numbers that a crash may have taken.
    pub(super) skips: Vec<(u64, u64)>,
    /// How often something has left the disk.
    pub(super) drops: u64,
    pub(super) deletions: Deletions,
    pub(super) newest_ms: u64,
    /// The newest number, and the first that is in memory as well.
    pub(super) head: u64,
    pub(super) front: u64,
}

/// An entry as the oracle remembers it.
pub(super) struct Published {
    pub(super) topics: Vec<&'static str>,
    /// As which topics it can be read: not as those that were deleted.
    pub(super) topic_bits: u16,
    /// As which it could be read.
    pub(super) all_bits: u16,
    pub(super) id: String,
    pub(super) time_ms: u64,
    pub(super) even: bool,
    /// The class it was written to.
    chain: usize,
    /// When it left the disk, counted in times that something did.
    gone_at: Option<u64>,
}

impl Published {
    pub(super) fn is_gone(&self) -> bool {
        self.gone_at.is_some()
    }
}

impl Oracle {
    pub(super) fn new(epoch: Epoch, remembers_all: bool) -> Self {
        Self {
            epoch,
            remembers_all,
            all: BTreeMap::new(),
            skips: Vec::new(),
            drops: 0,
            deletions: Deletions::default(),
            newest_ms: 0,
            head: 0,
            front: 1,
        }
    }

    /// Looks how far the log reaches.
    pub(super) fn look(&mut self, core: &Core) {
        (self.head, self.front) = (core.log.head(), core.log.front());
    }

    /// An entry is published at this time, to a class.
    pub(super) fn publish(&mut self, entry: &Entry, now_ms: u64, chain: usize) {
        self.newest_ms = self.newest_ms.max(now_ms);
        let known = |topic: &str| *TOPICS.iter().find(|name| **name == topic).expect("it is one of the world's");
        let topics: Vec<_> = entry.topics.iter().map(|topic| known(topic)).collect();
        let bits = bits_of_all(&topics);
        let published = Published {
            topics,
            topic_bits: bits,
            all_bits: bits,
            id: entry.event_id(self.epoch).to_string(),
            time_ms: self.newest_ms,
            even: is_even(&entry.event()),
            chain,
            gone_at: None,
        };
        self.all.insert(entry.sequence, published);
    }

    /// A topic is deleted at the place of this entry.
    pub(super) fn delete(&mut self, topic: &str, entry: &Entry, now_ms: u64, chain: usize) {
        let bits = topic_bits_of(topic);
        let mut last = 0;
        for (sequence, entry) in self.all.iter_mut().filter(|(_, entry)| entry.topic_bits & bits != 0) {
            // what is gone may be in a page that was read before
            entry.topic_bits &= !bits;
            last = if entry.is_gone() { last } else { *sequence };
        }
        if last > 0 {
            self.deletions.push(Deletion { topic_bits: bits, last, at: entry.sequence });
        }
        self.newest_ms = self.newest_ms.max(now_ms);
        let place = Published {
            topics: Vec::new(),
            topic_bits: 0,
            all_bits: 0,
            id: entry.event_id(self.epoch).to_string(),
            time_ms: self.newest_ms,
            even: false,
            chain,
            gone_at: None,
        };
        self.all.insert(entry.sequence, place);
    }

    /// Of each class this is the first number that has not left the disk now.
    pub(super) fn leave_disk(&mut self, firsts: &[u64]) {
        self.drops += 1;
        for (sequence, entry) in &mut self.all {
            let is_gone = *sequence < firsts[entry.chain];
            assert!(is_gone || !entry.is_gone(), "{sequence} came back");
            if is_gone {
                entry.gone_at.get_or_insert(self.drops);
            }
        }
    }

    /// Behind a stop that was not clean the log goes on behind `head`: what was not acknowledged names nothing.
    pub(super) fn crash(&mut self, head: u64) {
        let newest = self.all.last_key_value().map_or(0, |(newest, _)| *newest);
        if head > newest + 1 {
            self.skips.push((newest.max(self.head) + 1, head - 1));
        }
    }

    /// How many entries can be read.
    pub(super) fn kept(&self) -> usize {
        self.all.values().filter(|entry| !entry.is_gone()).count()
    }

    pub(super) fn position(&self, sequence: u64) -> String {
        Position { epoch: self.epoch, sequence }.to_string()
    }

    /// What an id stands for.
    pub(super) fn find(&self, id: &str) -> Result<u64, Reason> {
        match Position::parse(id) {
            Ok(position) if position.epoch != self.epoch => Err(Reason::Epoch),
            Ok(position) if position.sequence > self.head => Err(Reason::Unknown),
            Ok(position) if self.is_skipped(position.sequence) => Err(Reason::Crash),
            Ok(position) => Ok(position.sequence),
            Err(_) => {
                let mut kept = self.all.iter().filter(|(_, entry)| !entry.is_gone());
                kept.find(|(_, entry)| entry.id == id).map(|(sequence, _)| *sequence).ok_or(Reason::Unknown)
            }
        }
    }

    /// Where a reader reads on that comes with this id, and what it is to be told first.
    pub(super) fn resume(&self, id: &str, matchers: &[&str]) -> (u64, Option<Due>) {
        match self.find(id) {
            Ok(after) => (after, self.due(Reason::Expired, false, id, after, matchers)),
            Err(Reason::Crash) => {
                let after = Position::parse(id).expect("it is one of the hub's").sequence;
                (after, self.due(Reason::Crash, true, id, after, matchers))
            }
            Err(reason) => (0, self.due(reason, true, id, 0, matchers)),
        }
    }

    /// The same of one that wants everything from this time on.
    pub(super) fn resume_at(&self, time_ms: u64, requested: &str, matchers: &[&str]) -> (u64, Option<Due>) {
        let earlier = self.all.iter().rev().find(|(_, entry)| entry.time_ms < time_ms);
        let after = earlier.map_or(0, |(sequence, _)| *sequence);
        let due = self.due(Reason::Expired, false, requested, after, matchers);
        // how many entries of a time are gone is not known
        (after, due.map(|due| Due { missed: None, countable: false, ..due }))
    }

    /// Where the newest so many that match begin.
    pub(super) fn before_last(&self, number: usize, matchers: &[&str]) -> u64 {
        let mut newest: Vec<u64> = self.matching(0, self.head, matchers).filter(|at| !self.all[at].is_gone()).collect();
        let surplus = newest.len().saturating_sub(number);
        newest.drain(..surplus);
        newest.first().map_or(self.head, |first| first - 1)
    }

    fn is_skipped(&self, sequence: u64) -> bool {
        self.skips.iter().any(|(first, last)| (*first..=*last).contains(&sequence))
    }

    /// What a stream that begins behind `after` has to say, or may; with `must` whatever is gone.
    fn due(&self, reason: Reason, must: bool, requested: &str, after: u64, matchers: &[&str]) -> Option<Due> {
        let bits = topic_bits(matchers);
        let gone = || self.all.range(after + 1..).filter(|(_, entry)| entry.is_gone());
        let missed = gone().filter(|(_, entry)| entry.all_bits & bits != 0).count() as u64;
        if !must && missed == 0 && (self.remembers_all || gone().next().is_none()) {
            return None;
        }
        let counts = reason == Reason::Expired;
        Some(Due {
            reason,
            must: must || missed > 0,
            requested: requested.to_owned(),
            missed: (counts && missed > 0).then_some(missed),
            countable: counts && self.is_countable(after, matchers),
            first: self.first_behind(after, matchers),
            head: self.head,
        })
    }

    /// Behind this place, is what is gone nothing but what had been deleted before?
    pub(super) fn is_gone_deleted(&self, after: u64, matchers: &[&str]) -> bool {
        let bits = topic_bits(matchers);
        let mut gone = self.all.range(after + 1..).filter(|(_, entry)| entry.is_gone() && entry.all_bits & bits != 0);
        gone.clone().next().is_some() && gone.all(|(_, entry)| entry.topic_bits & bits == 0)
    }

    /// What a reader is to be told now that has fallen behind and stands at `cursor`; what it says it read at the time of `view`.
    pub(super) fn due_now(&self, reader: &Reader, cursor: u64, requested: String, view: u64) -> Due {
        let missed = self.losses(reader, view).count() as u64;
        assert!(missed > 0 || self.may_have_lost(reader, view), "nothing is missing");
        Due {
            reason: Reason::Policy,
            must: true,
            requested,
            // more may have left since it was found out
            missed: (view == self.drops).then_some(missed),
            countable: false,
            first: self.first_behind(cursor, &reader.wish.matchers),
            head: self.head,
        }
    }

    fn first_behind(&self, after: u64, matchers: &[&str]) -> Option<u64> {
        self.matching(after, self.head, matchers).find(|at| self.is_readable(*at, self.drops))
    }

    /// Is it known how many are missing behind this place? Of one topic from before the first that is gone.
    fn is_countable(&self, after: u64, matchers: &[&str]) -> bool {
        let [only] = matchers else { return false };
        let is_exact = !only.contains('*');
        self.remembers_all
            && is_exact
            && !self.all.range(..=after).any(|(_, entry)| entry.all_bits & topic_bits(matchers) != 0)
    }

    /// Entries behind the reader that have left since it began, or since it was told last; also those that had been deleted.
    fn losses<'a>(&'a self, reader: &'a Reader, view: u64) -> impl Iterator<Item = u64> + 'a {
        let bits = topic_bits(&reader.wish.matchers);
        let front = self.front.max(reader.has + 1);
        let gone = self.all.range(reader.has + 1..front).filter(move |(_, entry)| {
            entry.all_bits & bits != 0 && entry.gone_at.is_some_and(|at| at > reader.knows && at <= view)
        });
        gone.map(|(sequence, _)| *sequence)
    }

    /// May its reader be told that it has lost something?
    ///
    /// Here is all the tolerance for a store that knows less than the oracle: one whose summary was full.
    pub(super) fn may_have_lost(&self, reader: &Reader, view: u64) -> bool {
        let has_left_any = || self.all.values().any(|entry| entry.gone_at.is_some());
        self.losses(reader, view).next().is_some() || (!self.remembers_all && has_left_any())
    }

    /// Is something missing behind a gap that ends here? Then another class has kept what is older than what this one has lost, and
    /// it is told again.
    pub(super) fn is_uneven(&self, end: u64, matchers: &[&str]) -> bool {
        let bits = topic_bits(matchers);
        self.all.range(end + 1..).any(|(_, entry)| entry.all_bits & bits != 0 && entry.is_gone())
    }

    /// Could it be read when something had left the disk so often?
    fn is_readable(&self, sequence: u64, view: u64) -> bool {
        self.all[&sequence].gone_at.is_none_or(|at| at > view) || sequence >= self.front
    }

    /// Entries behind `after`, up to `end`, that match.
    fn matching(&self, after: u64, end: u64, matchers: &[&str]) -> impl Iterator<Item = u64> + '_ {
        let bits = topic_bits(matchers);
        let behind = self.all.range(after + 1..=end.max(after + 1));
        behind.filter(move |(sequence, entry)| **sequence <= end && entry.topic_bits & bits != 0).map(|(at, _)| *at)
    }

    /// Entries behind `after`, up to `end`, that the reader wants, gone or not.
    pub(super) fn wanted(&self, reader: &Reader, after: u64, end: u64) -> impl Iterator<Item = u64> + '_ {
        let only_even = reader.wish.only_even;
        self.matching(after, end, &reader.wish.matchers).filter(move |at| !only_even || self.all[at].even)
    }

    /// The next entry that the stream has to deliver.
    pub(super) fn next(&self, reader: &Reader, view: u64) -> Option<u64> {
        let next = self.wanted(reader, reader.has, self.head).find(|at| self.is_readable(*at, view));
        next.filter(|next| reader.until.is_none_or(|until| *next <= until))
    }
}
