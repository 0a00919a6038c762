//! When each stream is to be looked at next.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use super::inbox::Id;

/// Times of streams, the earliest first. A time that has moved leaves its entry behind, which is passed over: it is the
/// stream that knows its time. A stream at the tail has one entry however often it is written to.
#[derive(Default)]
pub(crate) struct Schedule(BinaryHeap<Reverse<(Instant, usize, u32)>>);

impl Schedule {
    pub(crate) fn push(&mut self, at: Instant, id: Id) {
        self.0.push(Reverse((at, id.key, id.round)));
    }

    /// A stream whose time has come.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<(Instant, Id)> {
        let Reverse((at, key, round)) = *self.0.peek().filter(|Reverse((at, ..))| *at <= now)?;
        self.0.pop();
        Some((at, Id { key, round }))
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((at, ..))| *at)
    }
}
