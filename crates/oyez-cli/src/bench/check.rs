//! Whether a subscriber got every event of its topic, once and in order.

use std::ops::Range;

use crate::bench::limits::HOLES_MAX;

/// What came, by sequence number. Costs nothing while all is well.
#[derive(Debug, Default)]
pub(crate) struct Check {
    next: u32,
    /// Numbers below `next` that have not come, in order.
    holes: Vec<Range<u32>>,
    /// Numbers that are no longer looked for.
    given_up: u64,
    received: u64,
    doubled: u64,
    out_of_order: u64,
}

impl Check {
    /// A check of the events from number `first` on.
    pub(crate) fn from(first: u32) -> Self {
        Self { next: first, ..Self::default() }
    }

    pub(crate) fn take(&mut self, sequence: u32) {
        if sequence == self.next {
            self.next += 1;
            self.received += 1;
        } else {
            self.take_unexpected(sequence);
        }
    }

    #[cold]
    fn take_unexpected(&mut self, sequence: u32) {
        if sequence > self.next {
            self.remember(self.next..sequence);
            self.next = sequence.saturating_add(1);
            self.received += 1;
        } else if self.fill(sequence) {
            self.received += 1;
            self.out_of_order += 1;
        } else {
            self.doubled += 1;
        }
    }

    fn remember(&mut self, hole: Range<u32>) {
        if self.holes.len() == HOLES_MAX {
            self.given_up += self.holes.remove(0).len() as u64;
        }
        self.holes.push(hole);
    }

    /// Takes a number out of the hole that it is in.
    fn fill(&mut self, sequence: u32) -> bool {
        let Some(at) = self.holes.iter().position(|hole| hole.contains(&sequence)) else { return false };
        let hole = self.holes.remove(at);
        let around = [hole.start..sequence, sequence + 1..hole.end];
        self.holes.splice(at..at, around.into_iter().filter(|hole| !hole.is_empty()));
        true
    }

    /// How many different events came.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Whether the event before number `end` came, or one after it.
    pub(crate) fn reached(&self, end: u32) -> bool {
        self.next >= end
    }

    /// How many of those below number `end` did not come.
    pub(crate) fn lost(&self, end: u32) -> u64 {
        let holes: u64 = self.holes.iter().map(|hole| hole.len() as u64).sum();
        self.given_up + holes + u64::from(end.saturating_sub(self.next))
    }

    pub(crate) fn doubled(&self) -> u64 {
        self.doubled
    }

    /// How many came after one with a higher number.
    pub(crate) fn out_of_order(&self) -> u64 {
        self.out_of_order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What came of the events 0..`end`, and `[received, lost, doubled, out of order]`.
    #[track_caller]
    fn check(sequence: &[u32], end: u32, expected: [u64; 4]) {
        let mut check = Check::from(0);
        sequence.iter().for_each(|number| check.take(*number));
        assert_eq!(
            [check.received(), check.lost(end), check.doubled(), check.out_of_order()],
            expected,
            "{sequence:?}"
        );
    }

    #[test]
    fn all_once_and_in_order_is_right() {
        check(&[], 0, [0; 4]);
        check(&[0, 1, 2, 3], 4, [4, 0, 0, 0]);
    }

    #[test]
    fn what_did_not_come_is_lost() {
        check(&[], 3, [0, 3, 0, 0]);
        check(&[0, 1], 4, [2, 2, 0, 0]);
        check(&[2, 3], 4, [2, 2, 0, 0]);
        check(&[0, 2, 5], 6, [3, 3, 0, 0]);
    }

    #[test]
    fn what_came_again_is_doubled() {
        check(&[0, 0, 1, 2, 1], 3, [3, 0, 2, 0]);
        check(&[0, 2, 1, 1], 3, [3, 0, 1, 1]);
    }

    #[test]
    fn what_came_late_is_out_of_order_and_not_lost() {
        check(&[1, 0], 2, [2, 0, 0, 1]);
        check(&[0, 5, 3, 1, 4, 2], 6, [6, 0, 0, 4]);
        check(&[0, 5, 3], 6, [3, 3, 0, 1]);
    }

    #[test]
    fn a_resumed_stream_starts_at_its_first() {
        let mut check = Check::from(3);
        [3, 4, 2].iter().for_each(|number| check.take(*number));
        assert_eq!((check.received(), check.lost(5), check.doubled()), (2, 0, 1));
    }

    #[test]
    fn memory_is_bounded_and_the_count_stays_right() {
        let odd: Vec<u32> = (0..4 * HOLES_MAX as u32).map(|number| 2 * number + 1).collect();
        check(&odd, 8 * HOLES_MAX as u32, [4 * HOLES_MAX as u64, 4 * HOLES_MAX as u64, 0, 0]);
    }
}
