//! Dropped entries of one topic, and what a reader has missed of them.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// The position or time after which a resume reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Sequence(u64),
    /// Milliseconds since 1970; entries of exactly that time are read.
    Time(u64),
}

impl After {
    /// Whether an entry with this number and time comes after it. No entry has the number 0.
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
    /// Entries may be missing; how many is unknown.
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

    /// This loss and another one, of other entries.
    pub(crate) fn and(self, others: Self) -> Self {
        match (self, others) {
            (Self::Nothing, missed) | (missed, Self::Nothing) => missed,
            (Self::Events(some), Self::Events(others)) => Self::Events(some + others),
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
        }
    }
}

/// The dropped entries of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct DroppedRun {
    first: u64,
    last: u64,
    last_ms: u64,
    count: u64,
    /// There may be other dropped entries up to here: the topic had been forgotten when it got entries again.
    unknown: u64,
    unknown_ms: u64,
    /// The last dropped segment, counted from 1; 0 in memory.
    drop: u64,
}

impl DroppedRun {
    pub(crate) fn of(first: u64, last: u64, last_ms: u64, count: u64) -> Self {
        Self { first, last, last_ms, count, ..Self::default() }
    }

    /// The sequence number of the last one; 0 without one.
    pub(crate) fn last(&self) -> u64 {
        self.last.max(self.unknown)
    }

    pub(crate) fn last_ms(&self) -> u64 {
        self.last_ms.max(self.unknown_ms)
    }

    /// There may be other dropped entries, up to this number and time.
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

    /// This run and the first `number` of `positions`, the last of which has this time.
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

    /// A run that says only that entries may have been dropped up to this number and time.
    pub(crate) fn unknown(last: u64, last_ms: u64) -> Self {
        Self { unknown: last, unknown_ms: last_ms, ..Self::default() }
    }

    /// A run that says only that entries may have been dropped, up to the end of this or of `run`.
    pub(crate) fn until(self, run: &Self) -> Self {
        Self::unknown(self.unknown.max(run.last), self.unknown_ms.max(run.last_ms))
    }

    /// Adds the later run `next`, which was dropped with the segment `drop`.
    pub(crate) fn join(&mut self, next: &Self, drop: u64) {
        if next.last() == 0 {
            return; // an empty run changes nothing
        }
        self.drop = self.drop.max(drop);
        self.unknown = self.unknown.max(next.unknown);
        self.unknown_ms = self.unknown_ms.max(next.unknown_ms);
        if next.count == 0 {
            return;
        }
        if self.count == 0 {
            self.first = next.first;
        }
        (self.last, self.last_ms) = (next.last, next.last_ms);
        self.count += next.count;
    }

    /// Forgets `run`, except where it ends.
    pub(crate) fn forget(&mut self, run: &Self) {
        self.unknown = self.unknown.max(run.last());
        self.unknown_ms = self.unknown_ms.max(run.last_ms());
        self.drop = self.drop.max(run.drop);
    }

    /// The number of entries known to be dropped.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// What a reader after `after` has missed of it, counting only entries that were still there when `drops` segments had been
    /// dropped.
    pub(crate) fn missed_since(&self, after: After, drops: u64) -> Missed {
        if self.drop > drops { self.missed(after) } else { Missed::Nothing }
    }

    /// What a reader after `after` has missed of it.
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

#[cfg(test)]
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
