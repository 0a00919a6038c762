//! Where a stream begins, and what it has to say first.

use super::Oracle;
use crate::gap::Reason;
use crate::model::begun::Due;
use crate::model::reader::Values;
use crate::model::topics::topic_bits;
use crate::position::Position;

impl Oracle {
    /// What an id stands for.
    pub(in crate::model) fn find(&self, id: &str) -> Result<u64, Reason> {
        match Position::parse(id) {
            Ok(position) if position.epoch != self.epoch => Err(Reason::Epoch),
            Ok(position) if position.sequence > self.head => Err(Reason::Unknown),
            Ok(position) if self.is_skipped(position.sequence) => Err(Reason::Crash),
            Ok(position) => Ok(position.sequence),
            Err(_) if self.left_ids.contains(id) => Err(Reason::Unknown),
            Err(_) => self.ids.get(id).map(|uses| uses.first).ok_or(Reason::Unknown),
        }
    }

    /// Does it stand for one entry alone? A batch may come again when its key is forgotten.
    pub(in crate::model) fn is_unique(&self, id: &str) -> bool {
        self.ids.get(id).is_none_or(|uses| uses.first == uses.last)
    }

    /// Where a reader reads on that comes with this id, and what it is to be told first.
    pub(in crate::model) fn resume(&self, id: &str, matchers: &[&str]) -> (u64, Option<Due>) {
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
    pub(in crate::model) fn resume_at(&self, time_ms: u64, requested: &str, matchers: &[&str]) -> (u64, Option<Due>) {
        let earlier = self.all.iter().rev().find(|(_, entry)| entry.time_ms < time_ms);
        let after = earlier.map_or(0, |(sequence, _)| *sequence);
        let due = self.due(Reason::Expired, false, requested, after, matchers);
        // how many entries of a time are gone is not known
        (after, due.map(|due| Due { missed: None, countable: false, ..due }))
    }

    /// Before the oldest entry of the history.
    pub(in crate::model) fn earliest(&self) -> u64 {
        self.in_history().next().map_or(self.head, |(oldest, _)| oldest - 1)
    }

    /// Where the newest so many that match begin, or all there are.
    pub(in crate::model) fn before_last(&self, number: usize, matchers: &[&str]) -> u64 {
        let bits = topic_bits(matchers);
        let kept: Vec<u64> =
            self.in_history().filter(|(_, entry)| entry.topic_bits & bits != 0).map(|(at, _)| *at).collect();
        match kept.len().checked_sub(number) {
            Some(surplus) => kept.get(surplus).map_or(self.head, |first| first - 1),
            None => self.earliest(),
        }
    }

    /// Has a snapshot of these topics anything to tell now?
    pub(in crate::model) fn has_values(&self, matchers: &[&str]) -> bool {
        let bits = topic_bits(matchers);
        self.values.values().any(|at| self.is_value(*at, self.drops, bits))
    }

    /// Up to where a snapshot of these topics is taken now: before their end, which is no value.
    pub(in crate::model) fn snapshot(&self, matchers: &[&str]) -> u64 {
        self.finish(matchers).map_or(self.head, |last| last - 1)
    }

    /// Where the values end that come first to a stream which resumes.
    pub(in crate::model) fn values_of_a_resume(&self) -> Option<Values> {
        let values = Values { upto: self.earliest(), knows: self.drops };
        (self.knows.values_first && self.compacted != 0).then_some(values)
    }

    fn is_skipped(&self, sequence: u64) -> bool {
        self.skips.iter().any(|(first, last)| (*first..=*last).contains(&sequence))
    }

    /// What a stream that begins after `after` has to say, or may; with `must` whatever is gone.
    fn due(&self, reason: Reason, must: bool, requested: &str, after: u64, matchers: &[&str]) -> Option<Due> {
        let bits = topic_bits(matchers) & !self.compacted;
        let missed = self.dropped_after(after).filter(|(_, entry)| entry.loss_bits & bits != 0).count() as u64;
        let reason = match reason {
            // those that have expired come first
            Reason::Expired if missed == 0 && self.is_deleted_before_the_history(after, matchers) => Reason::Deleted,
            reason => reason,
        };
        let must = must || missed > 0 || reason == Reason::Deleted;
        if !must && (self.remembers_all || !self.has_dropped_after(after)) {
            return None;
        }
        let counts = reason == Reason::Expired;
        Some(Due {
            reason,
            must,
            requested: requested.to_owned(),
            missed: (counts && missed > 0).then_some(missed),
            countable: counts && self.is_countable(after, matchers),
            first: self.first_after(after, None, Some(self.drops), matchers),
            head: self.head,
        })
    }

    /// Was something after this place deleted, and has left since? That is told at once by those who know it apart.
    pub(super) fn is_deleted_before_the_history(&self, after: u64, matchers: &[&str]) -> bool {
        self.knows.deleted_apart && self.deletions.after(after, self.earliest(), matchers).next().is_some()
    }

    /// After this place, is what is gone nothing but what had been deleted before?
    pub(in crate::model) fn is_gone_deleted(&self, after: u64, matchers: &[&str]) -> bool {
        let bits = topic_bits(matchers) & !self.compacted;
        let mut gone = self.dropped_after(after).filter(|(_, entry)| entry.loss_bits & bits != 0);
        gone.clone().next().is_some() && gone.all(|(_, entry)| entry.topic_bits & bits == 0)
    }

    /// Is it known how many are missing after this place? Of one topic from before the first that is gone, or of all.
    pub(super) fn is_countable(&self, after: u64, matchers: &[&str]) -> bool {
        let [only] = matchers else { return false };
        let is_known = if *only == "*" {
            self.knows.number_of_all && self.compacted == 0 && !self.all.values().any(|entry| entry.topics.is_empty())
        } else {
            let bits = topic_bits(matchers);
            !only.contains('*') && !self.all.range(..=after).any(|(_, entry)| entry.loss_bits & bits != 0)
        };
        is_known && self.remembers_all
    }
}
