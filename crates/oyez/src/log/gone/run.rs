//! Entries of one topic that are gone, and what a reader has missed of them.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

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
    pub(crate) fn unknown(last: u64, last_ms: u64) -> Self {
        Self { unknown: last, unknown_ms: last_ms, ..Self::default() }
    }

    /// Nothing but that something is gone, up to where this or `run` ends.
    pub(crate) fn until(self, run: &Self) -> Self {
        Self::unknown(self.unknown.max(run.last), self.unknown_ms.max(run.last_ms))
    }

    /// This run and what is gone behind it, with the segment that was dropped as this one.
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

    /// Of `run` nothing is known any more but where it ends.
    pub(crate) fn forget(&mut self, run: &Self) {
        self.unknown = self.unknown.max(run.last());
        self.unknown_ms = self.unknown_ms.max(run.last_ms());
        self.drop = self.drop.max(run.drop);
    }

    /// How many entries it is known to be.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// What of it a reader behind `after` has missed that was there when so many segments had been dropped.
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
