//! What comes next to a stream that is open, and what it has lost.

use super::Oracle;
use super::published::Published;
use crate::gap::Reason;
use crate::model::begun::Due;
use crate::model::reader::{Reader, Values};
use crate::model::topics::{topic_bits, topic_bits_of};

impl Oracle {
    /// What a reader at `cursor` that lagged too far has to be told now; what it says it read at the time of `view`.
    pub(in crate::model) fn due_now(&self, reader: &Reader, cursor: u64, requested: String, view: u64) -> Due {
        let missed = self.losses(reader, self.head, view).count() as u64;
        assert!(
            missed > 0 || self.may_have_lost(reader, view),
            "nothing is missing: {reader:?}, in view of {view} of {}",
            self.drops
        );
        let is_in_snapshot = reader.values.is_some_and(|values| cursor < values.upto);
        // more may have left since it was found out, and of what was passed over before nobody knows whether it was replaced
        let is_number = view == self.drops && !is_in_snapshot;
        let matchers = &reader.wish.matchers;
        Due {
            reason: Reason::Policy,
            must: true,
            requested,
            missed: is_number.then_some(missed),
            countable: self.knows.number_in_stream && is_number && self.is_countable(cursor, matchers),
            first: self.first_after(cursor, reader.values, Some(reader.began), matchers),
            head: self.head,
        }
    }

    /// The first one that comes, whatever a filter says of it, to a stream that began when so much had left.
    pub(super) fn first_after(
        &self,
        after: u64,
        values: Option<Values>,
        began: Option<u64>,
        matchers: &[&str],
    ) -> Option<u64> {
        let bits = topic_bits(matchers);
        self.matching(after, self.head, matchers).find(|at| self.comes(*at, bits, values, began, self.drops))
    }

    /// Does it come, as one of these topics?
    fn comes(&self, sequence: u64, bits: u16, values: Option<Values>, began: Option<u64>, view: u64) -> bool {
        match values {
            Some(values) if sequence <= values.upto => self.is_value(sequence, began.unwrap_or(view), bits),
            _ => self.is_readable(sequence, began, view, bits),
        }
    }

    /// Entries after the reader, up to `end`, that have left since it began, or since it was told last; also those that had been
    /// deleted.
    pub(in crate::model) fn losses<'a>(
        &'a self,
        reader: &'a Reader,
        end: u64,
        view: u64,
    ) -> impl Iterator<Item = u64> + 'a {
        let bits = topic_bits(&reader.wish.matchers) & !self.compacted;
        let end = end.min(self.front - 1).max(reader.has);
        let gone = self.all.range(reader.has + 1..=end.max(reader.has + 1)).filter(move |(sequence, entry)| {
            // before its place a snapshot has values only
            let values = reader.values.filter(|values| **sequence <= values.upto);
            let knows = values.map_or(reader.knows, |values| values.knows);
            let is_news = entry.gone_at.is_some_and(|at| at > knows && at <= view) && !entry.had_left(reader.began);
            let is_wanted = values.is_none() || self.has_value(**sequence, bits);
            **sequence <= end && entry.loss_bits & bits != 0 && is_news && is_wanted
        });
        gone.map(|(sequence, _)| *sequence)
    }

    /// Of those one that had not been deleted, of which its reader has to know when it comes to `end`.
    pub(in crate::model) fn lost(&self, reader: &Reader, end: u64, view: u64) -> Option<u64> {
        let bits = topic_bits(&reader.wish.matchers) & !self.compacted;
        self.losses(reader, end, view).find(|at| self.all[at].topic_bits & bits != 0)
    }

    /// May its reader be told that it has lost something?
    ///
    /// Here is all the tolerance for a log that knows less than the oracle: one whose summary was full.
    pub(in crate::model) fn may_have_lost(&self, reader: &Reader, view: u64) -> bool {
        let bits = topic_bits(&reader.wish.matchers) & !self.compacted;
        let has_left_since = |drops| {
            let is_news = |entry: &Published| entry.gone_at.is_some_and(|at| at > drops);
            let may_match = |entry: &Published| !self.knows.topics_of_values || entry.loss_bits & bits != 0;
            self.all.values().any(|entry| is_news(entry) && may_match(entry) && !entry.had_left(reader.began))
        };
        self.losses(reader, self.head, view).next().is_some()
            // what has left may have been a value
            || reader.values.is_some_and(|values| reader.has < values.upto && has_left_since(values.knows))
            || (!self.remembers_all && self.all.values().any(Published::is_gone))
    }

    /// Is something missing after a gap that ends here? Then another class has kept what is older than what this one has lost, or values
    /// have come first, and it is told again.
    pub(in crate::model) fn is_uneven(&self, end: u64, matchers: &[&str]) -> bool {
        let bits = topic_bits(matchers) & !self.compacted;
        self.dropped_after(end).any(|(_, entry)| entry.loss_bits & bits != 0)
            || self.is_deleted_before_the_history(end, matchers)
    }

    /// Whether anything was dropped after this place.
    pub(in crate::model) fn has_dropped_after(&self, end: u64) -> bool {
        self.dropped_after(end).next().is_some()
    }

    /// Could it be read, as one of the topics `bits`, when something had left so often, by a stream that began at a time? Of those that
    /// are compacted the values stay.
    pub(super) fn is_readable(&self, sequence: u64, began: Option<u64>, view: u64, bits: u16) -> bool {
        let entry = &self.all[&sequence];
        let had_left = began.is_some_and(|began| entry.had_left(began));
        (!had_left && (entry.gone_at.is_none_or(|at| at > view) || sequence >= self.front))
            || self.has_value(sequence, bits & self.compacted)
    }

    /// Is it the newest of its key in one of these topics?
    fn has_value(&self, sequence: u64, bits: u16) -> bool {
        let entry = &self.all[&sequence];
        let is_value = |topic: &&str| self.values.get(&(*topic, entry.key)) == Some(&sequence);
        entry.topics.iter().filter(|topic| topic_bits_of(topic) & bits != 0).any(is_value)
    }

    /// Is it told as a value of one of these topics, to a stream that began at a time? Of those that are not compacted only what is in the
    /// history.
    pub(super) fn is_value(&self, sequence: u64, began: u64, bits: u16) -> bool {
        let entry = &self.all[&sequence];
        let is_missing = entry.is_gone() || entry.had_left(began);
        self.has_value(sequence, if is_missing { bits & self.compacted } else { bits })
    }

    /// Entries after `after`, up to `end`, that match.
    pub(in crate::model) fn matching(&self, after: u64, end: u64, matchers: &[&str]) -> impl Iterator<Item = u64> + '_ {
        let bits = topic_bits(matchers);
        let rest = self.all.range(after + 1..=end.max(after + 1));
        rest.filter(move |(sequence, entry)| **sequence <= end && entry.topic_bits & bits != 0).map(|(at, _)| *at)
    }

    /// The next entry that the stream has to deliver.
    pub(in crate::model) fn next(&self, reader: &Reader, view: u64) -> Option<u64> {
        let bits = topic_bits(&reader.wish.matchers);
        let passes = |at: &u64| !reader.wish.only_even || self.all[at].even;
        let mut wanted = self.matching(reader.has, self.head, &reader.wish.matchers).filter(passes);
        let next = wanted.find(|at| self.comes(*at, bits, reader.values, Some(reader.began), view));
        next.filter(|next| reader.until.is_none_or(|until| *next <= until))
    }
}
