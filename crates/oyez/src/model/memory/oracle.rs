//! What a log in memory is to hold, and what each of its readers is to be told.

use super::readers::Reader;
use super::{Published, World};
use crate::gap::Reason;
use crate::model::begun::Due;
use crate::model::topics::{topic_bits, topic_bits_of};
use crate::position::Position;

impl World {
    /// What an id stands for.
    pub(super) fn find(&self, id: &str) -> Result<u64, Reason> {
        match Position::parse(id) {
            Ok(position) if position.epoch != self.core.log.epoch => Err(Reason::Epoch),
            Ok(position) if position.sequence > self.head() => Err(Reason::Unknown),
            Ok(position) => Ok(position.sequence),
            // which of the entries its reader has seen, nobody can tell
            Err(_) if self.left_ids.contains(id) => Err(Reason::Unknown),
            Err(_) => self.publisher_ids.get(id).copied().ok_or(Reason::Unknown),
        }
    }

    /// `missed` is [`u64::MAX`] where the number means nothing.
    pub(super) fn due(
        &self,
        reason: Reason,
        missed: u64,
        may: bool,
        requested: &str,
        after: u64,
        matchers: &[&str],
    ) -> Option<Due> {
        let must = missed > 0;
        if !must && (self.remembers_all || !may) {
            return None;
        }
        let missed = (missed != u64::MAX).then_some(missed);
        let oldest = self.history_start - 1;
        let value = self.told_values(after, oldest, oldest + 1, matchers).next();
        let first = value.or_else(|| self.matching(oldest, self.head(), matchers).next());
        let countable = self.is_countable(requested, matchers);
        Some(Due { reason, must, requested: requested.to_owned(), missed, countable, first, head: self.head() })
    }

    /// Is it known how many are missing behind this id? Of one topic, or all of them, from before the first that is gone.
    pub(super) fn is_countable(&self, requested: &str, matchers: &[&str]) -> bool {
        let [only] = matchers else { return false };
        let is_known = if *only == "*" {
            let deleted_any = self.all.iter().any(|entry| entry.topics.is_empty());
            self.compacted == 0 && !deleted_any && self.find(requested).is_ok()
        } else {
            let from_start = |after| self.matching(0, after, matchers).next().is_none();
            !only.contains('*') && self.find(requested).is_ok_and(from_start)
        };
        is_known && self.remembers_all
    }

    /// What is due when entries were deleted as well; those that have expired come first.
    pub(super) fn or_deleted(
        &self,
        due: Option<Due>,
        deleted: bool,
        requested: &str,
        after: u64,
        matchers: &[&str],
    ) -> Option<Due> {
        if !deleted || due.as_ref().is_some_and(|due| due.must) {
            return due;
        }
        self.due(Reason::Deleted, u64::MAX, true, requested, after, matchers)
    }

    pub(super) fn entry(&self, sequence: u64) -> &Published {
        &self.all[sequence as usize - 1]
    }

    pub(super) fn matches(&self, sequence: u64, matchers: &[&str]) -> bool {
        self.entry(sequence).topic_bits & topic_bits(matchers) != 0
    }

    /// Sequence numbers behind `after`, up to `end`, that match.
    pub(super) fn matching(&self, after: u64, end: u64, matchers: &[&str]) -> impl Iterator<Item = u64> + '_ {
        let bits = topic_bits(matchers);
        (after + 1..=end).filter(move |sequence| self.entry(*sequence).topic_bits & bits != 0)
    }

    /// Of those, the ones that are missed when they are gone: not those of topics that are compacted.
    pub(super) fn losses(&self, after: u64, end: u64, matchers: &[&str]) -> impl Iterator<Item = u64> + '_ {
        let bits = topic_bits(matchers) & !self.compacted;
        (after + 1..=end).filter(move |sequence| self.entry(*sequence).topic_bits & bits != 0)
    }

    /// Values behind `after`, up to `end`, that match; those from before `from` only of topics that are compacted.
    pub(super) fn told_values(
        &self,
        after: u64,
        end: u64,
        from: u64,
        matchers: &[&str],
    ) -> impl Iterator<Item = u64> + '_ {
        let bits = topic_bits(matchers);
        (after + 1..=end).filter(move |sequence| {
            let entry = self.entry(*sequence);
            entry.topics.iter().any(|topic| {
                let bits = topic_bits_of(topic) & if *sequence < from { bits & self.compacted } else { bits };
                bits != 0 && self.values.get(&(*topic, entry.key)) == Some(sequence)
            })
        })
    }

    /// The next entry that the stream has to deliver.
    pub(super) fn next(&self, reader: &Reader) -> Option<u64> {
        let passes = |sequence: &u64| !reader.wish.only_even || self.entry(*sequence).even;
        let (upto, from) = reader.values.unwrap_or_default();
        let values = self.told_values(reader.has, upto, from, &reader.wish.matchers);
        // of what is gone the values are left
        let (cursor, gone) = (reader.has.max(upto), self.core.log.front() - 1);
        let left = self.told_values(cursor, gone, gone + 1, &reader.wish.matchers);
        let log = self.matching(cursor.max(gone), self.head(), &reader.wish.matchers);
        let next = values.chain(left).chain(log).find(passes);
        next.filter(|next| reader.until.is_none_or(|until| *next <= until))
    }
}
