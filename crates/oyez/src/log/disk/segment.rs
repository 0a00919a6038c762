//! One file of the log: a head, then records, then room.
//!
//! Each file has its full size before the first record is written, and is reused for another segment when its entries are dropped.
//! So writing changes only bytes, never metadata. The generation in the head orders the segments. The salt in the head goes into
//! every checksum, so that contents of an earlier use never decode. The head also says where the previous segment ended: records
//! after that end do not count, and no record before it may be missing.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use oyez_proto::EventId;
use smallvec::SmallVec;

use super::damage::{Damage, FORMAT};
use super::index::{Contents, FileIndex, Index, MemoryIndex, Noted, Sample};
use super::record::{self, Fields, Head, NotARecord, Record};
use super::volume::{Volume, VolumeFile};
use crate::Topic;
use crate::extras::{Extras, Mark};
use crate::frame::Frame;
use crate::limits::PAGE_BYTES_BELOW;
use crate::limits::disk::{SAMPLED_RECORDS, SCAN_BYTES, SPAN_BYTES, SPARSE_BYTES};
use crate::log::Retained;
use crate::log::entry::{Entry, Unframed};
use crate::log::large::Large;
use crate::log::step::Step;
use crate::matcher::Matchers;
use crate::position::Epoch;
use crate::sync::RwLock;

/// The offset of the first record, after a page for the head.
pub(crate) const START: u32 = 4096;

/// The head of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHead {
    pub(crate) chain: u8,
    pub(crate) generation: u64,
    pub(crate) salt: u64,
    pub(crate) before: Before,
}

/// The previous segment: its generation (0 without one) and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Before {
    pub(crate) generation: u64,
    pub(crate) end: u32,
    pub(crate) last: u64,
}

impl SegmentHead {
    pub(crate) fn name(&self) -> String {
        segment_name(self.chain, self.generation)
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&u32::from(self.chain).to_le_bytes());
        for number in [self.generation, self.salt, self.before.generation, self.before.last] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.before.end.to_le_bytes());
        let crc = record::checksum(0, &out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    pub(crate) fn read(name: &str, file: &dyn VolumeFile) -> Result<Self, Damage> {
        let damaged = |offset| Damage::At { name: name.to_owned(), offset, what: "the head of the segment" };
        let mut bytes = [0; HEAD_BYTES];
        if file.len()? < START.into() {
            return Err(damaged(file.len()?));
        }
        file.read_at(0, &mut bytes)?;
        let (body, crc) = bytes.split_at(HEAD_BYTES - 4);
        if body.get(..MAGIC.len()) != Some(MAGIC) || Fields(crc).u32() != Some(record::checksum(0, body)) {
            return Err(damaged(0));
        }
        let mut fields = Fields(body.get(MAGIC.len()..).unwrap_or_default());
        let mut read = || {
            let (format, chain) = (fields.u32()?, fields.u32()?);
            let (generation, salt) = (fields.u64()?, fields.u64()?);
            let (before, last) = (fields.u64()?, fields.u64()?);
            let before = Before { generation: before, end: fields.u32()?, last };
            Some((format, Self { chain: u8::try_from(chain).ok()?, generation, salt, before }))
        };
        match read().ok_or_else(|| damaged(0))? {
            (FORMAT, head) => Ok(head),
            (format, _) => Err(Damage::Newer { name: name.to_owned(), format }),
        }
    }
}

pub(crate) fn segment_name(chain: u8, generation: u64) -> String {
    format!("{chain:02}-{generation:012}.segment")
}

pub(crate) fn index_name(chain: u8, generation: u64) -> String {
    format!("{chain:02}-{generation:012}.index")
}

/// The chain and generation in a file's name.
pub(crate) fn parse_name(name: &str, suffix: &str) -> Option<(u8, u64)> {
    let (chain, generation) = name.strip_suffix(suffix)?.split_once('-')?;
    Some((chain.parse().ok()?, generation.parse().ok()?))
}

/// A segment that can be read. One thread writes to the newest one of a chain.
pub(crate) struct Segment {
    pub(crate) head: SegmentHead,
    pub(crate) file: Arc<dyn VolumeFile>,
    pub(crate) capacity: u32,
    pub(crate) index: RwLock<Index>,
}

/// How far the records of a file are whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checked {
    /// The offset after the last whole batch.
    pub(crate) end: u32,
    pub(crate) last: u64,
    pub(crate) entries: u32,
    /// Whether an incomplete batch begins there.
    pub(crate) torn: bool,
}

impl Segment {
    /// Makes a segment without records of `file`, whose old contents are ignored. Durable when it returns.
    pub(crate) fn begin(file: Arc<dyn VolumeFile>, head: SegmentHead, capacity: u32) -> io::Result<Self> {
        file.write_at(0, &head.to_bytes())?;
        file.write_at(START.into(), &[0; record::HEAD_BYTES])?;
        file.sync()?;
        let index = RwLock::new(Index::Memory(MemoryIndex::new(head.salt, START)));
        Ok(Self { head, file, capacity, index })
    }

    /// Opens a segment that ends at `end`, or where its last whole record ends. Uses its index file if that fits; otherwise reads
    /// the records.
    pub(crate) fn open(
        volume: &dyn Volume,
        name: &str,
        head: SegmentHead,
        end: Option<Before>,
    ) -> Result<(Self, Checked), Damage> {
        let file = volume.open(name)?;
        let capacity = u32::try_from(file.len()?).unwrap_or(u32::MAX);
        if let Some(before) = end {
            if let Ok(index) = volume.open(&index_name(head.chain, head.generation)) {
                if let Some(index) = FileIndex::open(index, head.salt)? {
                    let index = Index::File(index);
                    let Contents { end, last, entries, .. } = index.contents();
                    if (end, last) == (before.end, before.last) {
                        let checked = Checked { end, last, entries, torn: false };
                        return Ok((Self { head, file, capacity, index: RwLock::new(index) }, checked));
                    }
                }
            }
        }
        let checked = check(&*file, name, head, end)?;
        let mut index = MemoryIndex::new(head.salt, START);
        let mut span = Span::new(head, &*file, checked.end);
        let mut topics = SmallVec::new();
        let mut at = START;
        while at < checked.end {
            let record = span.record(at, SCAN_BYTES, head.salt).map_err(|_| damaged(name, at))?;
            let topics = record.shared_topics(&mut topics);
            let (extras, id) = record.extras().map_err(|_| newer(name))?;
            let Head { place, len, .. } = record.head;
            index.note(&Noted {
                at: Sample { sequence: place.sequence, time_ms: place.time_ms, offset: at },
                len,
                topics: own_topics(&topics, extras.as_deref()),
                publisher_id: id.as_deref(),
                mark: extras.as_deref().map(Extras::mark),
            });
            at += len;
        }
        Ok((Self { head, file, capacity, index: RwLock::new(Index::Memory(index)) }, checked))
    }

    pub(crate) fn contents(&self) -> Contents {
        self.index.read().contents()
    }

    /// The number of the last entry of the chain up to the segment's end.
    pub(crate) fn last(&self) -> u64 {
        self.contents().last.max(self.head.before.last)
    }

    /// The offset of the first record with a higher number than `cursor`.
    fn offset_after(&self, cursor: u64) -> io::Result<u32> {
        let sample = self.index.read().sample(|sample| sample.sequence <= cursor)?;
        self.first_offset(sample, |head| head.place.sequence > cursor)
    }

    /// The first record from `sample` on for which this is true. It is true for all later ones.
    fn first_offset(&self, sample: Option<Sample>, is_wanted: impl Fn(&Head) -> bool) -> io::Result<u32> {
        let end = self.contents().end;
        let mut span = Span::new(self.head, &*self.file, end);
        let mut at = sample.map_or(START, |sample| sample.offset);
        while at < end {
            let head = span.head(at)?;
            if is_wanted(&head) {
                break;
            }
            at += head.len;
        }
        Ok(at)
    }

    /// The number of the last entry before this time; 0 without one.
    pub(crate) fn last_before(&self, ms: u64) -> io::Result<u64> {
        let sample = self.index.read().sample(|sample| sample.time_ms < ms)?;
        let Some(sample) = sample else { return Ok(0) };
        let end = self.contents().end;
        let mut span = Span::new(self.head, &*self.file, end);
        let (mut at, mut last) = (sample.offset, sample.sequence);
        while at < end {
            let head = span.head(at)?;
            if head.place.time_ms >= ms {
                break;
            }
            last = head.place.sequence;
            at += head.len;
        }
        Ok(last)
    }

    /// The numbers of the newest entries, at most `max`.
    pub(crate) fn newest(&self, max: usize) -> io::Result<Vec<u64>> {
        let index = self.index.read();
        let Contents { entries, end, .. } = index.contents();
        let skipped = (entries as usize).saturating_sub(max) as u32;
        let Some(sample) = index.sample_of_number(skipped)? else { return Ok(Vec::new()) };
        drop(index);
        let mut span = Span::new(self.head, &*self.file, end);
        let (mut at, mut number, mut newest) = (sample.offset, skipped - skipped % SAMPLED_RECORDS, Vec::new());
        while at < end {
            let head = span.head(at)?;
            if number >= skipped {
                newest.push(head.place.sequence);
            }
            number += 1;
            at += head.len;
        }
        Ok(newest)
    }

    /// The number of the first entry that has this publisher's id.
    pub(crate) fn sequence_of_id(&self, id: &str) -> io::Result<Option<u64>> {
        let found = self.index.read().ids(id)?;
        let mut span = Span::new(self.head, &*self.file, self.contents().end);
        for at in found {
            let record = span.record(at, SPARSE_BYTES, self.head.salt).map_err(|_| self.damaged(at))?;
            let (_, own) = record.extras().map_err(|_| self.damaged(at))?;
            if own.is_some_and(|own| *own == *id) {
                return Ok(Some(record.head.place.sequence));
            }
        }
        Ok(None)
    }

    /// All publishers' ids, in log order.
    pub(crate) fn each_publisher_id(&self, mut each: impl FnMut(EventId)) -> io::Result<()> {
        let places = self.index.read().id_offsets()?;
        self.each_at(&places, |record| {
            let (_, own) = record.extras()?;
            own.into_iter().for_each(&mut each);
            Ok(())
        })
    }

    /// All topics with entries in it.
    pub(crate) fn topics(&self) -> io::Result<Vec<Topic>> {
        let mut topics = Vec::new();
        self.index.read().each_topic(|name, _| topics.push(Topic::known(name)))?;
        Ok(topics)
    }

    /// The numbers of the newest entries of a topic, at most `max`.
    pub(crate) fn newest_of(&self, topic: &Topic, max: usize) -> io::Result<Vec<u64>> {
        let index = self.index.read();
        let Some(run) = index.topic(topic)? else { return Ok(Vec::new()) };
        let positions = index.newest_positions(topic, run, max)?;
        let mut span = Span::new(self.head, &*self.file, index.contents().end);
        drop(index);
        positions.into_iter().map(|at| Ok(span.head(at)?.place.sequence)).collect()
    }

    /// Reads the matching entries after the page's cursor. True if the segment was read up to `last`.
    pub(crate) fn read(&self, page: &mut RecordPage<'_>, last: u64) -> io::Result<bool> {
        let from = self.offset_after(page.cursor)?;
        let index = self.index.read();
        let end = index.contents().end;
        if !page.matchers.is_exact() {
            drop(index);
            return self.read_run(page, from, end, last);
        }
        let mut offsets = Vec::new();
        let max = page.max.entries + 1;
        for topic in &page.matchers.exact {
            if let Some(run) = index.topic(topic)?.filter(|run| run.last > page.cursor) {
                offsets.extend(index.positions(topic, run, from, max)?);
            }
        }
        drop(index);
        if page.matchers.exact.len() > 1 {
            offsets.sort_unstable();
            offsets.dedup();
        }
        self.read_places(page, &offsets, end, last)
    }

    fn read_places(&self, page: &mut RecordPage<'_>, offsets: &[u32], end: u32, last: u64) -> io::Result<bool> {
        // adjacent entries are read together, distant ones one by one
        let distance = match (offsets.first(), offsets.last()) {
            (Some(first), Some(last)) => (last - first) as usize / offsets.len(),
            _ => 0,
        };
        let ahead = if distance < SPARSE_BYTES { SPAN_BYTES } else { SPARSE_BYTES };
        let mut span = Span::new(self.head, &*self.file, end);
        for at in offsets {
            let record = span.record(*at, ahead, self.head.salt).map_err(|_| self.damaged(*at))?;
            let sequence = record.head.place.sequence;
            if sequence > last {
                return Ok(true);
            }
            if page.is_full() {
                return Ok(false);
            }
            page.push(&record).map_err(|_| self.damaged(*at))?;
        }
        Ok(offsets.len() <= page.max.entries)
    }

    fn read_run(&self, page: &mut RecordPage<'_>, from: u32, end: u32, last: u64) -> io::Result<bool> {
        let mut span = Span::new(self.head, &*self.file, end);
        let (mut at, mut step) = (from, Step::long(page.matchers));
        while at < end {
            let record = span.record(at, SPAN_BYTES, self.head.salt).map_err(|_| self.damaged(at))?;
            if record.head.place.sequence > last {
                return Ok(true);
            }
            if page.is_full() || step.is_over() || (at - from) as usize > SCAN_BYTES {
                return Ok(false);
            }
            let topics = record.shared_topics(&mut page.topics);
            step.look_at(&topics);
            if page.matchers.is_all() || topics.iter().any(|topic| page.matchers.matches(topic)) {
                page.push(&record).map_err(|_| self.damaged(at))?;
            } else {
                page.cursor = record.head.place.sequence;
            }
            at += record.head.len;
        }
        Ok(true)
    }

    /// The newest entry without a key of each topic that matches. Scans backwards.
    pub(crate) fn newest_without_key(&self, matchers: &Matchers, epoch: Epoch) -> io::Result<Vec<Arc<Entry>>> {
        let index = self.index.read();
        let mut topics = Vec::new();
        index.each_topic(|name, run| {
            let topic = Topic::known(name);
            if matchers.matches(&topic) {
                topics.push((topic, run));
            }
        })?;
        let end = index.contents().end;
        let mut span = Span::new(self.head, &*self.file, end);
        let mut found = Vec::new();
        for (topic, run) in topics {
            for at in index.newest_positions(&topic, run, usize::MAX)?.into_iter().rev() {
                let record = span.record(at, SPARSE_BYTES, self.head.salt).map_err(|_| self.damaged(at))?;
                let (extras, _) = record.extras().map_err(|_| self.damaged(at))?;
                if extras.is_none_or(|extras| extras.key.is_none() && !extras.end) {
                    let mut page = RecordPage::new(epoch, matchers, 0, ONE);
                    page.push(&record).map_err(|_| self.damaged(at))?;
                    found.extend(page.finish());
                    break;
                }
            }
        }
        Ok(found)
    }

    /// The offsets of records with one of these marks, on which later entries depend.
    pub(crate) fn marked(&self, wanted: Mark) -> io::Result<Vec<u32>> {
        let marked = self.index.read().marked()?;
        Ok(marked.into_iter().filter(|(mark, _)| mark.is_any_of(wanted)).map(|(_, at)| at).collect())
    }

    /// The entries at these offsets, each in memory of its own size, because they may be held for long.
    pub(crate) fn entries_at(&self, places: &[u32], epoch: Epoch) -> io::Result<Vec<Arc<Entry>>> {
        let matchers = Matchers::default();
        let mut entries = Vec::with_capacity(places.len());
        self.each_at(places, |record| {
            let mut page = RecordPage::new(epoch, &matchers, 0, ONE);
            page.push(record)?;
            entries.extend(page.finish());
            Ok(())
        })?;
        Ok(entries)
    }

    /// Reads the records at these offsets.
    pub(crate) fn each_at(
        &self,
        places: &[u32],
        mut each: impl FnMut(&Record<'_>) -> Result<(), NotARecord>,
    ) -> io::Result<()> {
        let mut span = Span::new(self.head, &*self.file, self.contents().end);
        for at in places {
            let record = span.record(*at, SPAN_BYTES, self.head.salt).map_err(|_| self.damaged(*at))?;
            each(&record).map_err(|_| self.damaged(*at))?;
        }
        Ok(())
    }

    fn damaged(&self, at: u32) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, damaged(&self.head.name(), at))
    }
}

/// The topics of a record. A deletion is not an entry of its topic.
pub(crate) fn own_topics<'a>(topics: &'a [Topic], extras: Option<&Extras>) -> &'a [Topic] {
    if extras.is_some_and(|extras| extras.deletes.is_some()) { &[] } else { topics }
}

fn damaged(name: &str, at: u32) -> Damage {
    Damage::At { name: name.to_owned(), offset: at.into(), what: "a record whose checksum is wrong" }
}

fn newer(name: &str) -> Damage {
    Damage::Newer { name: name.to_owned(), format: FORMAT + 1 }
}

/// Finds out how far the records are whole. A fault before `end`, or before a later record that was written when this place was
/// already durable, is damage. Any other fault is a torn write.
pub(crate) fn check(
    file: &dyn VolumeFile,
    name: &str,
    head: SegmentHead,
    end: Option<Before>,
) -> Result<Checked, Damage> {
    let len = u32::try_from(file.len()?).unwrap_or(u32::MAX);
    let limit = end.map_or(len, |before| before.end);
    if limit > len || limit < START {
        return Err(Damage::At { name: name.to_owned(), offset: len.into(), what: "the file is too short" });
    }
    let mut span = Span::new(head, file, limit);
    let mut checked = Checked { end: START, last: head.before.last, entries: 0, torn: false };
    let (mut at, mut last, mut entries) = (START, checked.last, 0);
    let mut rest: Option<u16> = None;
    while at < limit {
        let record = match span.record(at, SCAN_BYTES, head.salt) {
            Ok(record) => record.head,
            Err(Unread::Io(error)) => return Err(error.into()),
            Err(Unread::NotARecord(NotARecord::Newer)) => return Err(newer(name)),
            Err(Unread::NotARecord(NotARecord::Other)) => break,
        };
        // numbers from an earlier use of the file, or a batch that continues with a record of another batch
        if record.place.sequence <= last || rest.is_some_and(|rest| rest != record.place.rest + 1) {
            break;
        }
        at += record.len;
        last = record.place.sequence;
        entries += 1;
        rest = Some(record.place.rest).filter(|rest| *rest > 0);
        if rest.is_none() {
            (checked.end, checked.last, checked.entries) = (at, last, entries);
        }
    }
    if let Some(before) = end {
        if (checked.end, checked.last) != (before.end, before.last) {
            return Err(damaged(name, checked.end.min(at)));
        }
        return Ok(checked);
    }
    if is_followed(file, head.salt, at, len, &checked)? {
        return Err(damaged(name, at));
    }
    checked.torn = at > checked.end || is_begun(file, at, len)?;
    Ok(checked)
}

/// Whether there is a record after `at` that was written when `at` was durable.
pub(super) fn is_followed(file: &dyn VolumeFile, salt: u64, at: u32, len: u32, checked: &Checked) -> io::Result<bool> {
    let mut piece = vec![0; SCAN_BYTES + record::HEAD_BYTES];
    let mut start = at;
    while start < len {
        let wanted = piece.len().min((len - start) as usize);
        let bytes = &mut piece[..wanted];
        file.read_at(start.into(), bytes)?;
        let mut next = 0;
        while let Some(offset) = record::may_begin(bytes, next) {
            next = offset + 1;
            // most contents of an earlier use are recognised by their numbers alone
            let number = bytes.get(offset + 8..offset + 16).and_then(|bytes| bytes.try_into().ok());
            if number.is_none_or(|number| u64::from_le_bytes(number) <= checked.last) {
                continue;
            }
            let Some(head) = bytes.get(offset..).and_then(Head::read) else { continue };
            let place = start + offset as u32;
            let is_later = head.place.sequence > checked.last
                && head.place.synced > checked.end.min(at)
                && head.place.synced <= place;
            if is_later && u64::from(place) + u64::from(head.len) <= u64::from(len) {
                let mut whole = vec![0; head.len as usize];
                file.read_at(place.into(), &mut whole)?;
                if Record::read(&whole, salt).is_ok() {
                    return Ok(true);
                }
            }
        }
        start += (wanted.saturating_sub(record::HEAD_BYTES - 1).max(1)) as u32;
        if wanted < piece.len() {
            break;
        }
    }
    Ok(false)
}

/// Each write ends with zeros at the place of the next record. Anything else there is the rest of a torn write.
pub(super) fn is_begun(file: &dyn VolumeFile, at: u32, len: u32) -> io::Result<bool> {
    let mut bytes = [0; record::HEAD_BYTES];
    let bytes = &mut bytes[..record::HEAD_BYTES.min((len - at) as usize)];
    file.read_at(at.into(), bytes)?;
    Ok(bytes.iter().any(|byte| *byte != 0))
}

/// Reads records in order, several at a time.
pub(super) struct Span<'a> {
    of: SegmentHead,
    file: &'a dyn VolumeFile,
    end: u32,
    bytes: Vec<u8>,
    start: u32,
}

pub(super) enum Unread {
    Io(io::Error),
    NotARecord(NotARecord),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl<'a> Span<'a> {
    pub(super) fn new(of: SegmentHead, file: &'a dyn VolumeFile, end: u32) -> Self {
        Self { of, file, end, bytes: Vec::new(), start: 0 }
    }

    /// At least `len` bytes from `at` on, fewer at the end. A read also fetches the bytes that follow.
    pub(super) fn bytes(&mut self, at: u32, len: usize, ahead: usize) -> io::Result<&[u8]> {
        let known = at
            .checked_sub(self.start)
            .map(|skipped| skipped as usize)
            .filter(|skipped| skipped + len <= self.bytes.len());
        let skipped = match known {
            Some(skipped) => skipped,
            None => {
                let wanted = len.max(ahead).min(self.end.saturating_sub(at) as usize);
                self.bytes.resize(wanted, 0);
                self.start = at;
                self.file.read_at(at.into(), &mut self.bytes)?;
                0
            }
        };
        Ok(self.bytes.get(skipped..).unwrap_or_default())
    }

    pub(super) fn record(&mut self, at: u32, ahead: usize, salt: u64) -> Result<Record<'_>, Unread> {
        let not = || Unread::NotARecord(NotARecord::Other);
        let head = Head::read(self.bytes(at, record::HEAD_BYTES, ahead)?).ok_or_else(not)?;
        if head.len > self.end - at {
            return Err(not());
        }
        Record::read(self.bytes(at, head.len as usize, ahead)?, salt).map_err(Unread::NotARecord)
    }

    /// The head of a record that is known to exist.
    fn head(&mut self, at: u32) -> io::Result<Head> {
        let head =
            Head::read(self.bytes(at, record::HEAD_BYTES, SPARSE_BYTES)?).filter(|head| head.len <= self.end - at);
        head.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, damaged(&self.of.name(), at)))
    }
}

/// Entries that are being read. Their frames share one piece of memory.
pub(crate) struct RecordPage<'a> {
    epoch: Epoch,
    pub(crate) matchers: &'a Matchers,
    /// Everything up to here was looked at.
    pub(crate) cursor: u64,
    max: Retained,
    bytes: Vec<u8>,
    entries: Vec<(Unframed, Placed)>,
    topics: SmallVec<[Topic; 1]>,
    large: Option<&'a Large>,
    /// Bytes of the entries with memory of their own.
    apart: usize,
}

/// The place of a frame, and the size of its chunk's head.
enum Placed {
    /// In the bytes of the page, up to this one.
    Here(usize, u8),
    /// A large frame, which other pages may share.
    Apart(Bytes, u8),
}

impl<'a> RecordPage<'a> {
    pub(crate) fn new(epoch: Epoch, matchers: &'a Matchers, cursor: u64, max: Retained) -> Self {
        let (bytes, entries, topics) = (Vec::new(), Vec::new(), SmallVec::new());
        Self { epoch, matchers, cursor, max, bytes, entries, topics, large: None, apart: 0 }
    }

    /// The same; large entries are shared with other pages.
    pub(crate) fn sharing(self, large: &'a Large) -> Self {
        Self { large: Some(large), ..self }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() >= self.max.entries || self.bytes.len() + self.apart >= self.max.bytes
    }

    pub(crate) fn push(&mut self, record: &Record<'_>) -> Result<(), NotARecord> {
        let (extras, publisher_id) = record.extras()?;
        let place = record.head.place;
        let topics = record.shared_topics(&mut self.topics);
        let (sequence, time_ms, private) = (place.sequence, place.time_ms, record.is_private());
        let stored = Unframed { sequence, time_ms, topics, publisher_id, private, extras };
        self.cursor = place.sequence;
        let placed = match self.large.filter(|_| Large::is_one(record.fields.len())) {
            Some(large) => self.place_apart(&stored, record.fields, large),
            None => self.place_here(&stored, record.fields),
        };
        self.entries.push((stored, placed));
        Ok(())
    }

    fn place_here(&mut self, stored: &Unframed, fields: &[u8]) -> Placed {
        if self.bytes.is_empty() {
            self.bytes.reserve(self.max.bytes.min(PAGE_BYTES_BELOW) + fields.len() + 64);
        }
        let head = stored.push_chunk(self.epoch, fields, &mut self.bytes);
        Placed::Here(self.bytes.len(), head)
    }

    fn place_apart(&mut self, stored: &Unframed, fields: &[u8], large: &Large) -> Placed {
        let chunk = large.find(stored.sequence).unwrap_or_else(|| {
            let mut chunk = Vec::with_capacity(fields.len() + LARGE_HEAD_BYTES);
            stored.push_chunk(self.epoch, fields, &mut chunk);
            large.share(stored.sequence, chunk.into())
        });
        self.apart += chunk.len();
        let head = memchr::memchr(b'\n', &chunk).map_or(0, |end| end + 1);
        Placed::Apart(chunk, head as u8)
    }

    pub(crate) fn finish(self) -> Vec<Arc<Entry>> {
        let bytes = Bytes::from(self.bytes);
        let mut start = 0;
        let entries = self.entries.into_iter().map(|(stored, placed)| {
            let (chunk, head) = match placed {
                Placed::Here(end, head) => (bytes.slice(std::mem::replace(&mut start, end)..end), head),
                Placed::Apart(chunk, head) => (chunk, head),
            };
            Arc::new(stored.with_frame(Frame::of_chunk(chunk, head)))
        });
        entries.collect()
    }
}

/// The most bytes of a chunk without its fields: the size, the id and three line ends.
const LARGE_HEAD_BYTES: usize = 512;

/// An entry in memory of its own size, because it may be held for long.
const ONE: Retained = Retained { entries: 1, bytes: 0 };

const MAGIC: &[u8] = b"oyezseg\n";
const HEAD_BYTES: usize = 8 + 4 + 4 + 32 + 4 + 4;
