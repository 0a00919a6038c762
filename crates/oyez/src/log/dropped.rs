//! What is still known of entries that are gone: enough to say whether a resume is complete.

use std::collections::{BTreeSet, HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::Topic;
#[cfg(unix)]
use crate::limits::MISSED_CHECKS;
#[cfg(unix)]
use crate::matcher::Matchers;

/// Where a resume starts reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Sequence(u64),
    /// Milliseconds since 1970; entries of that time itself are still to be read.
    Time(u64),
}

impl After {
    /// Is an entry of this sequence number and time still to be read? There is none with the number 0.
    pub(crate) fn is_before(self, sequence: u64, time_ms: u64) -> bool {
        match self {
            Self::Sequence(after) => sequence > after,
            Self::Time(ms) => sequence > 0 && time_ms >= ms,
        }
    }
}

/// What a resume has missed, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missed {
    Nothing,
    Events(u64),
    /// Something may be missing; how much is not known.
    Unknown,
}

impl Missed {
    pub(crate) fn number(self) -> Option<u64> {
        match self {
            Self::Nothing => Some(0),
            Self::Events(number) => Some(number),
            Self::Unknown => None,
        }
    }

    /// This and what is missed of other entries.
    #[cfg(unix)]
    pub(crate) fn and(self, others: Self) -> Self {
        match (self, others) {
            (Self::Nothing, missed) | (missed, Self::Nothing) => missed,
            (Self::Events(some), Self::Events(others)) => Self::Events(some + others),
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
        }
    }
}

/// The entries of one topic that are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct DroppedRun {
    first: u64,
    last: u64,
    last_ms: u64,
    count: u64,
    /// There may have been others up to here: the topic had been forgotten when it came back.
    unknown: u64,
    unknown_ms: u64,
    /// The segment that was dropped last, counted from 1; 0 in memory.
    drop: u64,
}

impl DroppedRun {
    pub(crate) fn of(first: u64, last: u64, last_ms: u64, count: u64) -> Self {
        Self { first, last, last_ms, count, ..Self::default() }
    }

    /// The sequence number of the last of them; 0 when there is none.
    pub(crate) fn last(&self) -> u64 {
        self.last.max(self.unknown)
    }

    pub(crate) fn last_ms(&self) -> u64 {
        self.last_ms.max(self.unknown_ms)
    }

    /// There may be others as well, up to this one at least.
    pub(crate) fn and_unknown(&mut self, sequence: u64, time_ms: u64) {
        self.unknown = self.last().max(sequence);
        self.unknown_ms = if sequence > self.last { time_ms } else { self.last_ms() };
    }

    pub(crate) fn add(&mut self, sequence: u64, time_ms: u64) {
        if self.count == 0 {
            self.first = sequence;
        }
        self.last = sequence;
        self.last_ms = time_ms;
        self.count += 1;
    }

    /// This run and the first `number` of `positions`, of which the last has this time.
    pub(crate) fn and(mut self, positions: &VecDeque<u64>, number: usize, last_ms: impl Fn(u64) -> u64) -> Self {
        let (Some(first), Some(last)) = (positions.front(), number.checked_sub(1).and_then(|at| positions.get(at)))
        else {
            return self;
        };
        if self.count == 0 {
            self.first = *first;
        }
        self.last = *last;
        self.last_ms = last_ms(*last);
        self.count += number as u64;
        self
    }

    /// Nothing but that something is gone, up to this number and time.
    #[cfg(unix)]
    pub(crate) fn unknown(last: u64, last_ms: u64) -> Self {
        Self { unknown: last, unknown_ms: last_ms, ..Self::default() }
    }

    /// Nothing but that something is gone, up to where this or `run` ends.
    #[cfg(unix)]
    pub(crate) fn until(self, run: &Self) -> Self {
        Self::unknown(self.unknown.max(run.last), self.unknown_ms.max(run.last_ms))
    }

    /// This run and what is gone behind it, with the segment that was dropped as this one.
    #[cfg(unix)]
    pub(crate) fn join(&mut self, behind: &Self, drop: u64) {
        if behind.last() == 0 {
            return; // what was gone before is not gone again
        }
        self.drop = self.drop.max(drop);
        self.unknown = self.unknown.max(behind.unknown);
        self.unknown_ms = self.unknown_ms.max(behind.unknown_ms);
        if behind.count == 0 {
            return;
        }
        if self.count == 0 {
            self.first = behind.first;
        }
        (self.last, self.last_ms) = (behind.last, behind.last_ms);
        self.count += behind.count;
    }

    /// How many entries it is known to be.
    #[cfg(unix)]
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// What of it a reader behind `after` has missed that was there when so many segments had been dropped.
    #[cfg(unix)]
    pub(crate) fn missed_since(&self, after: After, drops: u64) -> Missed {
        if self.drop > drops { self.missed(after) } else { Missed::Nothing }
    }

    /// What of it a reader behind `after` has missed.
    pub(crate) fn missed(&self, after: After) -> Missed {
        if after.is_before(self.unknown, self.unknown_ms) {
            return Missed::Unknown;
        }
        if !after.is_before(self.last, self.last_ms) {
            return Missed::Nothing;
        }
        match after {
            After::Sequence(after) if after < self.first => Missed::Events(self.count),
            After::Sequence(after) if self.last - self.first + 1 == self.count => Missed::Events(self.last - after),
            After::Sequence(_) | After::Time(_) => Missed::Unknown,
        }
    }
}

/// The summary of topics whose entries are all gone, bounded in bytes; of the topics beyond only the highest number is known.
#[derive(Debug)]
pub(crate) struct Dropped {
    runs: HashMap<Topic, DroppedRun>,
    by_last: BTreeSet<(u64, Topic)>,
    bytes: usize,
    bytes_max: usize,
    /// What any topic that has no run may have lost: nothing, until one had to be forgotten.
    forgotten: DroppedRun,
}

impl Dropped {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { runs: HashMap::new(), by_last: BTreeSet::new(), bytes: 0, bytes_max, forgotten: DroppedRun::default() }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps what is known of a topic whose last entry has gone.
    pub(crate) fn remember(&mut self, topic: Topic, run: DroppedRun) {
        self.bytes += cost(&topic);
        self.by_last.insert((run.last, topic.clone()));
        self.runs.insert(topic, run);
        while self.bytes > self.bytes_max {
            let Some((_, topic)) = self.by_last.pop_first() else { break };
            let Some(run) = self.runs.remove(&topic) else { break };
            self.bytes -= cost(&topic);
            self.forgotten.unknown = self.forgotten.unknown.max(run.last());
            self.forgotten.unknown_ms = self.forgotten.unknown_ms.max(run.last_ms());
            self.forgotten.drop = self.forgotten.drop.max(run.drop);
        }
    }

    /// What is known of a topic that has no entry.
    pub(crate) fn run(&self, topic: &Topic) -> DroppedRun {
        self.runs.get(topic).copied().unwrap_or(self.forgotten)
    }

    /// Gives that back for a topic that has entries again.
    pub(crate) fn recall(&mut self, topic: &Topic) -> DroppedRun {
        let Some(run) = self.runs.remove(topic) else { return self.forgotten };
        self.by_last.remove(&(run.last, topic.clone()));
        self.bytes -= cost(topic);
        run
    }

    pub(crate) fn runs(&self) -> impl Iterator<Item = (&Topic, DroppedRun)> {
        self.runs.iter().map(|(topic, run)| (topic, *run))
    }

    /// What may have been missed of topics that are not known any more.
    pub(crate) fn missed_of_forgotten(&self, after: After) -> Missed {
        self.forgotten.missed(after)
    }
}

/// Of a history on disk, where segments are dropped.
#[cfg(unix)]
impl Dropped {
    /// Goes on with what was known of topics before.
    pub(crate) fn of(bytes_max: usize, runs: impl Iterator<Item = (Topic, DroppedRun)>, forgotten: DroppedRun) -> Self {
        let mut dropped = Self { forgotten, ..Self::new(bytes_max) };
        runs.for_each(|(topic, run)| dropped.remember(topic, run));
        dropped
    }

    pub(crate) fn forgotten(&self) -> DroppedRun {
        self.forgotten
    }

    /// Entries of this topic are gone, behind those that were before, with the segment that was dropped as this one.
    pub(crate) fn add(&mut self, topic: Topic, run: &DroppedRun, drop: u64) {
        let mut known = self.recall(&topic);
        known.join(run, drop);
        self.remember(topic, known);
    }

    /// Of any topic something may be gone.
    pub(crate) fn add_to_all(&mut self, run: &DroppedRun, drop: u64) {
        self.runs.values_mut().chain([&mut self.forgotten]).for_each(|known| known.join(run, drop));
    }

    /// What a reader behind `after` has missed that was there when so many segments had been dropped, but for topics of which
    /// nothing is ever missed.
    pub(crate) fn missed_since(&self, after: After, matchers: &Matchers, drops: u64, compact: &Matchers) -> Missed {
        if matchers.is_exact() {
            let topics = matchers.exact.iter().filter(|topic| !(compact.len() > 0 && compact.matches(topic)));
            let missed = topics.map(|topic| self.run(topic).missed_since(after, drops));
            let mut missed = missed.filter(|missed| *missed != Missed::Nothing);
            return match (missed.next(), missed.next()) {
                (None, _) => Missed::Nothing,
                (Some(only), None) => only,
                // an entry of two topics would be counted twice
                (Some(_), Some(_)) => Missed::Unknown,
            };
        }
        let mut behind = self.runs.iter().filter(|(_, run)| run.missed_since(after, drops) != Missed::Nothing);
        let found = behind.by_ref().take(MISSED_CHECKS / matchers.len()).any(|(topic, _)| matchers.matches(topic));
        // with more topics than we may look at, one of the others could match
        if found || behind.next().is_some() { Missed::Unknown } else { self.forgotten.missed_since(after, drops) }
    }
}

/// A name in two maps, with what they keep beside it.
fn cost(topic: &Topic) -> usize {
    topic.len() + 240
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_is_not_gone_again_with_a_segment_that_held_nothing_of_it() {
        let mut run = DroppedRun::of(22, 29, 0, 8);
        run.join(&DroppedRun::of(30, 30, 0, 1), 1);
        run.join(&DroppedRun::default(), 2);
        let missed = |after, drops| run.missed_since(After::Sequence(after), drops);
        assert_eq!((missed(7, 0), missed(7, 1), missed(30, 0)), (Missed::Events(9), Missed::Nothing, Missed::Nothing));
    }
}
