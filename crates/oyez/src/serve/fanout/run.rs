//! Entries as the bytes of one write.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use super::framing::Framing;
use crate::log::{Entry, Log};
use crate::readable::Readable;

/// What all readers at the same place get next, made once for all of them.
pub(crate) struct Run {
    /// It begins with the first entry that matches behind this cursor.
    pub(crate) from: u64,
    /// The cursor when all of it is sent.
    pub(crate) upto: u64,
    /// There was more than fits.
    pub(crate) full: bool,
    pub(crate) bytes: Bytes,
    /// When the first of its entries expires; never is the largest number.
    pub(crate) expires_ms: u64,
    /// Where each entry ends, and its number.
    ends: SmallVec<[(usize, u64); 1]>,
}

/// Entries that go into one run: all that match between two cursors.
#[derive(Clone, Copy)]
pub(crate) struct Stretch<'a> {
    pub(crate) from: u64,
    pub(crate) upto: u64,
    /// There are more than fit.
    pub(crate) full: bool,
    pub(crate) entries: &'a [Arc<Entry>],
}

impl Stretch<'_> {
    pub(crate) fn holds_private(&self) -> bool {
        self.entries.iter().any(|entry| entry.private)
    }
}

/// What a reader at a cursor gets.
pub(crate) enum Next<'a> {
    Run(&'a Run),
    /// Nothing up to this cursor, which is the tail.
    Nothing(u64),
    /// Nothing up to this cursor, and perhaps something behind it.
    Skipped(u64),
    /// Entries that it should have had are gone, or some that come next have expired: its subscriber knows what to say.
    Lost,
}

/// How far a write has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) entries: u64,
    /// The last entry of which something was sent.
    pub(crate) told: Option<u64>,
    pub(crate) cursor: u64,
    /// The rest of that entry.
    pub(crate) rest: Bytes,
}

impl Run {
    /// All of `stretch`, for a reader that may have these private entries.
    pub(crate) fn new(stretch: &Stretch<'_>, framing: Framing, readable: &Readable, log: &Log) -> Self {
        let Stretch { from, upto, full, entries } = *stretch;
        let expires_ms = u64::MAX;
        if let [only] = entries {
            let bytes = framing.entry(only, readable, log);
            let ends = SmallVec::from_buf([(bytes.len(), only.sequence)]);
            return Self { from, upto, full, bytes, expires_ms, ends };
        }
        let mut gathered = BytesMut::with_capacity(entries.iter().map(|entry| entry.frame().chunk().len()).sum());
        let mut ends = SmallVec::with_capacity(entries.len());
        for entry in entries {
            gathered.extend_from_slice(&framing.entry(entry, readable, log));
            ends.push((gathered.len(), entry.sequence));
        }
        Self { from, upto, full, bytes: gathered.freeze(), expires_ms, ends }
    }

    /// The same, hidden from this time on.
    pub(crate) fn until(self, expires_ms: u64) -> Self {
        Self { expires_ms, ..self }
    }

    /// Is it what a reader at `cursor` gets next?
    pub(crate) fn follows(&self, cursor: u64) -> bool {
        // without entries, it says that none up to its end is for the reader
        let first = self.ends.first().map_or(self.upto, |(_, first)| *first);
        self.from <= cursor && cursor < first
    }

    /// What it means for a reader that it follows.
    pub(crate) fn next(&self, log: &Log) -> Next<'_> {
        if self.expires_ms != u64::MAX && self.expires_ms <= log.clock.ms() {
            return Next::Lost;
        }
        match (self.ends.is_empty(), self.full) {
            (false, _) => Next::Run(self),
            (true, true) => Next::Skipped(self.upto),
            (true, false) => Next::Nothing(self.upto),
        }
    }

    /// What so many bytes of it mean for the reader that took them.
    pub(crate) fn sent(&self, bytes: usize) -> Sent {
        if bytes == self.bytes.len() {
            let told = self.ends.last().map(|(_, sequence)| *sequence);
            return Sent { entries: self.ends.len() as u64, told, cursor: self.upto, rest: Bytes::new() };
        }
        let whole = self.ends.partition_point(|(end, _)| *end <= bytes);
        let (start, before) =
            whole.checked_sub(1).map_or((0, None), |last| (self.ends[last].0, Some(self.ends[last].1)));
        if start == bytes {
            return Sent {
                entries: whole as u64,
                told: before,
                cursor: before.unwrap_or(self.from),
                rest: Bytes::new(),
            };
        }
        let (end, cut) = self.ends[whole];
        // the rest of a large event is shared; of many small ones only what is needed is kept
        let rest = match &self.ends[..] {
            [_] => self.bytes.slice(bytes..end),
            _ => Bytes::copy_from_slice(&self.bytes[bytes..end]),
        };
        Sent { entries: whole as u64 + 1, told: Some(cut), cursor: cut, rest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(lengths: &[usize]) -> Run {
        let mut end = 0;
        let ends: SmallVec<_> = lengths
            .iter()
            .zip(11..)
            .map(|(length, sequence)| {
                end += length;
                (end, sequence)
            })
            .collect();
        Run { from: 10, upto: 20, full: false, bytes: Bytes::from(vec![b'x'; end]), expires_ms: u64::MAX, ends }
    }

    fn check(lengths: &[usize], bytes: usize, entries: u64, told: Option<u64>, cursor: u64, rest: usize) {
        let expected = Sent { entries, told, cursor, rest: Bytes::from(vec![b'x'; rest]) };
        assert_eq!(run(lengths).sent(bytes), expected, "{lengths:?} {bytes}");
    }

    #[test]
    fn a_write_that_was_cut_short_ends_within_an_entry_or_between_two() {
        check(&[5, 5, 5], 15, 3, Some(13), 20, 0);
        check(&[5, 5, 5], 0, 0, None, 10, 0);
        check(&[5, 5, 5], 1, 1, Some(11), 11, 4);
        check(&[5, 5, 5], 5, 1, Some(11), 11, 0);
        check(&[5, 5, 5], 9, 2, Some(12), 12, 1);
        check(&[5, 5, 5], 10, 2, Some(12), 12, 0);
        check(&[5, 5, 5], 14, 3, Some(13), 13, 1);
        check(&[7], 3, 1, Some(11), 11, 4);
        check(&[], 0, 0, None, 20, 0);
    }
}
