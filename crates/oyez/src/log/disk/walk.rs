//! Salvages whole batches of a segment, before and after damage.

use std::io;
use std::ops::Range;

use super::damage::{Damage, FORMAT};
use super::index::Contents;
use super::record::{HEAD_BYTES, Head, NotARecord, Record, has_rest};
use super::segment::{Before, Checked, START, SegmentHead, Span, Unread, is_begun, is_followed};
use super::volume::VolumeFile;
use crate::limits::disk::SCAN_BYTES;

/// The whole parts of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Walked {
    pub(crate) contents: Contents,
    /// The ranges of whole batches, in order.
    pub(crate) whole: Vec<Range<u32>>,
    pub(crate) holes: Vec<Hole>,
    /// Whether a torn write follows. That is not damage.
    pub(crate) torn: bool,
}

/// A damaged range, where batches should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) bytes: Range<u32>,
    /// The offset of the first record that does not decode.
    pub(crate) at: u32,
    /// The numbers before and after it, if known. The numbers in between are lost.
    pub(crate) after: u64,
    pub(crate) before: u64,
}

/// What is known about a segment from elsewhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    /// All its numbers are higher than this.
    pub(crate) after: u64,
    /// Its end, if that is recorded.
    pub(crate) end: Option<Before>,
    pub(crate) numbers: Numbers<'a>,
}

/// The numbers that records after damage can have: given out, and not lost in a crash.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbers<'a> {
    pub(crate) ceiling: u64,
    pub(crate) skips: &'a [(u64, u64)],
}

impl Numbers<'_> {
    fn contain(&self, number: u64) -> bool {
        number < self.ceiling && !self.skips.iter().any(|(first, last)| (*first..=*last).contains(&number))
    }
}

/// Walks through a segment.
pub(crate) fn walk(file: &dyn VolumeFile, head: SegmentHead, expected: Expected<'_>) -> Result<Walked, Damage> {
    let len = u32::try_from(file.len()?).unwrap_or(u32::MAX);
    let limit = expected.end.map_or(len, |before| before.end).min(len).max(START);
    let walk = Walk {
        span: Span::new(head, file, limit),
        file,
        salt: head.salt,
        limit,
        len,
        expected,
        last: expected.after,
        found: Walked { contents: Contents { end: START, ..Contents::default() }, ..Walked::default() },
    };
    walk.run()
}

struct Walk<'a> {
    span: Span<'a>,
    file: &'a dyn VolumeFile,
    salt: u64,
    limit: u32,
    len: u32,
    expected: Expected<'a>,
    /// The number of the last record that was read.
    last: u64,
    found: Walked,
}

impl Walk<'_> {
    fn run(mut self) -> Result<Walked, Damage> {
        let mut at = START;
        while at < self.limit {
            let start = at;
            let before = self.last;
            let end = match self.batch(start)? {
                Ok(end) => {
                    at = end;
                    continue;
                }
                Err(end) => end,
            };
            // the batch that begins here is incomplete
            let checked = Checked { end: start, last: before, entries: 0, torn: false };
            if self.expected.end.is_none() && !is_followed(self.file, self.salt, end, self.len, &checked)? {
                self.found.torn = end > start || is_begun(self.file, end, self.len)?;
                break;
            }
            at = self.next_batch(end)?;
            self.has_hole(start..at, end, before);
        }
        self.finish()
    }

    /// Reads the batch at `start`. Returns its end, or the offset at which it does not decode.
    fn batch(&mut self, start: u32) -> Result<Result<u32, u32>, Damage> {
        let mut at = start;
        let mut batch = Vec::new();
        loop {
            let wanted = batch.last().map(|head: &Head| head.place.rest - 1);
            let head = if at < self.limit { self.record(at)? } else { None };
            let Some(head) = head.filter(|head| wanted.is_none_or(|rest| rest == head.place.rest)) else {
                return Ok(Err(at));
            };
            at += head.len;
            self.last = head.place.sequence;
            batch.push(head);
            if head.place.rest == 0 {
                self.keep(start..at, &batch);
                return Ok(Ok(at));
            }
        }
    }

    /// The record at this offset, if there is a plausible one.
    fn record(&mut self, at: u32) -> Result<Option<Head>, Damage> {
        let head = match self.span.record(at, SCAN_BYTES, self.salt) {
            Ok(record) => record.head,
            Err(Unread::NotARecord(NotARecord::Other)) => return Ok(None),
            Err(Unread::NotARecord(NotARecord::Newer)) => return Err(newer()),
            Err(Unread::Io(error)) => return Err(error.into()),
        };
        let number = head.place.sequence;
        let last = self.expected.end.map_or(u64::MAX, |end| end.last);
        // after damage, the rest of an old torn write must not pass for a later record
        let may_be = self.found.holes.is_empty() || self.expected.numbers.contain(number);
        Ok(Some(head).filter(|_| number > self.last && number <= last && may_be))
    }

    fn keep(&mut self, bytes: Range<u32>, batch: &[Head]) {
        let contents = &mut self.found.contents;
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return };
        if contents.entries == 0 {
            (contents.first, contents.first_ms) = (first.place.sequence, first.place.time_ms);
        }
        contents.entries += batch.len() as u32;
        contents.end = bytes.end;
        (contents.last, contents.last_ms) = (last.place.sequence, last.place.time_ms);
        if let Some(hole) = self.found.holes.last_mut().filter(|hole| hole.bytes.end == bytes.start) {
            hole.before = first.place.sequence;
        }
        match self.found.whole.last_mut() {
            Some(whole) if whole.end == bytes.start => whole.end = bytes.end,
            _ => self.found.whole.push(bytes),
        }
    }

    fn has_hole(&mut self, bytes: Range<u32>, at: u32, after: u64) {
        let before = self.last + 1;
        match self.found.holes.last_mut() {
            Some(hole) if hole.bytes.end == bytes.start => (hole.bytes.end, hole.before) = (bytes.end, before),
            _ => self.found.holes.push(Hole { bytes, at, after, before }),
        }
    }

    /// The offset of the next batch after the damage at `from`. A batch that could be the rest of a damaged one is skipped.
    fn next_batch(&mut self, from: u32) -> Result<u32, Damage> {
        let damaged = self.span.bytes(from, HEAD_BYTES, SCAN_BYTES)?;
        let damaged = Head::read(damaged).filter(|head| head.len <= self.limit - from);
        let mut at = from;
        while at < self.limit {
            if !self.has_head(at)? {
                at += 1;
                continue;
            }
            let Some(head) = self.record(at)? else {
                at += 1;
                continue;
            };
            // a commit begins where everything was durable; otherwise the head of the damaged record decides, if it is intact
            let before = damaged.filter(|damaged| {
                from + damaged.len == at && (self.last + 1..head.place.sequence).contains(&damaged.place.sequence)
            });
            if head.place.synced == at || (before.is_some() && self.ends_batch(from..at, head.place.rest)?) {
                return Ok(at);
            }
            if let Some(end) = self.pass_by(at)? {
                return Ok(end);
            }
            at += 1;
        }
        Ok(self.limit)
    }

    /// Whether the damaged record is the last of its batch, before a record with this `rest`. If only its own `rest` is damaged,
    /// the checksum shows it.
    fn ends_batch(&mut self, bytes: Range<u32>, next: u16) -> Result<bool, Damage> {
        let salt = self.salt;
        let record = self.span.bytes(bytes.start, (bytes.end - bytes.start) as usize, SCAN_BYTES)?;
        let own = Head::read(record).map(|head| head.place.rest);
        let rest = [0, next.saturating_add(1)].into_iter().find(|rest| has_rest(record, *rest, salt)).or(own);
        Ok(rest == Some(0))
    }

    /// The end of the batch of the record at this offset.
    fn pass_by(&mut self, at: u32) -> Result<Option<u32>, Damage> {
        let mut at = at;
        while at < self.limit {
            let Some(head) = self.record(at)? else { return Ok(None) };
            self.last = head.place.sequence;
            at += head.len;
            if head.place.rest == 0 {
                return Ok(Some(at));
            }
        }
        Ok(Some(self.limit))
    }

    /// Whether these bytes could be a record's head. Called at each byte of a damaged range.
    fn has_head(&mut self, at: u32) -> io::Result<bool> {
        let head = Head::read(self.span.bytes(at, HEAD_BYTES, SCAN_BYTES)?);
        Ok(head.is_some_and(|head| head.place.sequence > self.last && head.len <= self.limit - at))
    }

    fn finish(mut self) -> Result<Walked, Damage> {
        let Some(end) = self.expected.end else { return Ok(self.found) };
        let Contents { end: found, last, .. } = self.found.contents;
        if (found, last.max(self.expected.after)) == (end.end, end.last) {
            return Ok(self.found);
        }
        // if the end is missing, it is known from where it should have been
        match self.found.holes.last_mut().filter(|hole| hole.bytes.end > found) {
            Some(hole) => (hole.bytes.end, hole.before) = (end.end.max(hole.bytes.end), end.last + 1),
            None => {
                let after = last.max(self.expected.after);
                let hole = Hole { bytes: found..end.end.max(found), at: found, after, before: end.last + 1 };
                self.found.holes.push(hole);
            }
        }
        Ok(self.found)
    }
}

/// Calls `each` with every record of whole batches and its offset.
pub(crate) fn each_record(
    file: &dyn VolumeFile,
    head: SegmentHead,
    walked: &Walked,
    mut each: impl FnMut(u32, &Record<'_>) -> Result<(), NotARecord>,
) -> Result<(), Damage> {
    let mut span = Span::new(head, file, walked.contents.end);
    for whole in &walked.whole {
        let mut at = whole.start;
        while at < whole.end {
            let record = span.record(at, SCAN_BYTES, head.salt);
            let record = record.map_err(|unread| match unread {
                Unread::Io(error) => Damage::Io(error),
                Unread::NotARecord(_) => changed(&head, at),
            })?;
            each(at, &record).map_err(|_| newer())?;
            at += record.head.len;
        }
    }
    Ok(())
}

fn newer() -> Damage {
    Damage::Newer { name: "a record".to_owned(), format: FORMAT + 1 }
}

fn changed(head: &SegmentHead, at: u32) -> Damage {
    Damage::At { name: head.name(), offset: at.into(), what: "it changed while it was read" }
}
