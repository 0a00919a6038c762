//! The index of one segment: from a sequence number, a time, a topic or a publisher's id to records.
//!
//! The index of the segment that is written to is in memory. When the segment is full, the index becomes a file. Only the wanted
//! parts of it are read, so a large history costs little memory. A missing or damaged index file is made again from its segment.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use hashbrown::HashTable;
use smallvec::SmallVec;
use twox_hash::XxHash3_64;

use super::record::{self, Fields};
use super::volume::VolumeFile;
use crate::Topic;
use crate::extras::Mark;
use crate::limits::disk::SAMPLED_RECORDS;
use crate::log::gone::DroppedRun;

/// A summary of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Contents {
    pub(crate) entries: u32,
    /// The offset after the last record.
    pub(crate) end: u32,
    /// Sequence numbers; 0 without records.
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) first_ms: u64,
    pub(crate) last_ms: u64,
}

/// The offset of a record, with its number and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) sequence: u64,
    pub(crate) time_ms: u64,
    pub(crate) offset: u32,
}

/// What the index stores about one record.
pub(crate) struct Noted<'a> {
    pub(crate) at: Sample,
    pub(crate) len: u32,
    pub(crate) topics: &'a [Topic],
    pub(crate) publisher_id: Option<&'a str>,
    pub(crate) mark: Option<Mark>,
}

#[derive(Debug, Default)]
pub(crate) struct MemoryIndex {
    pub(crate) contents: Contents,
    /// One record of every few.
    samples: Vec<Sample>,
    topics: HashTable<(Topic, MemoryRun)>,
    /// Hashes of publishers' ids, with the offsets of their records.
    ids: HashMap<u64, SmallVec<[u32; 2]>>,
    marked: Vec<(Mark, u32)>,
    salt: u64,
}

#[derive(Debug, Default)]
struct MemoryRun {
    run: TopicRun,
    positions: Vec<u32>,
}

/// The records of one topic in one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TopicRun {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) last_ms: u64,
    pub(crate) count: u32,
    /// The offset of its positions in a file.
    at: u32,
}

impl TopicRun {
    pub(crate) fn as_dropped(&self) -> DroppedRun {
        DroppedRun::of(self.first, self.last, self.last_ms, self.count.into())
    }
}

impl MemoryIndex {
    pub(crate) fn new(salt: u64, start: u32) -> Self {
        Self { salt, contents: Contents { end: start, ..Contents::default() }, ..Self::default() }
    }

    pub(crate) fn note(&mut self, noted: &Noted<'_>) {
        let Sample { sequence, time_ms, offset } = noted.at;
        let contents = &mut self.contents;
        if contents.entries == 0 {
            (contents.first, contents.first_ms) = (sequence, time_ms);
        }
        if contents.entries % SAMPLED_RECORDS == 0 {
            self.samples.push(noted.at);
        }
        contents.entries += 1;
        (contents.last, contents.last_ms) = (sequence, time_ms);
        contents.end = offset + noted.len;
        for topic in noted.topics {
            let is_it = |(name, _): &(Topic, MemoryRun)| name == topic;
            let place = self.topics.entry(topic.table_hash(), is_it, |(name, _)| name.table_hash());
            let (_, known) = place.or_insert_with(|| (topic.clone(), MemoryRun::default())).into_mut();
            if known.run.count == 0 {
                known.run.first = sequence;
            }
            (known.run.last, known.run.last_ms) = (sequence, time_ms);
            known.run.count += 1;
            known.positions.push(offset);
        }
        if let Some(id) = noted.publisher_id {
            self.ids.entry(hash(self.salt, id)).or_default().push(offset);
        }
        if let Some(mark) = noted.mark {
            self.marked.push((mark, offset));
        }
    }

    fn run(&self, topic: &Topic) -> Option<&MemoryRun> {
        self.topics.find(topic.table_hash(), |(name, _)| name == topic).map(|(_, known)| known)
    }

    /// The index as a file.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut topics: Vec<_> = self.topics.iter().map(|(name, known)| (hash(self.salt, name), name, known)).collect();
        topics.sort_unstable_by_key(|(hash, name, _)| (*hash, (*name).clone()));
        let mut ids: Vec<_> = self.ids.iter().flat_map(|(hash, at)| at.iter().map(|at| (*hash, *at))).collect();
        ids.sort_unstable();
        let names_len: usize = topics.iter().map(|(_, name, _)| name.len()).sum();
        let positions: usize = topics.iter().map(|(_, _, known)| known.positions.len()).sum();
        let mut out = Vec::new();
        out.extend_from_slice(MAGIC);
        push(&mut out, &[FORMAT]);
        push64(&mut out, &[self.salt]);
        let Contents { entries, end, first, last, first_ms, last_ms } = self.contents;
        push(&mut out, &[entries, end]);
        push64(&mut out, &[first, last, first_ms, last_ms]);
        let numbers = [self.samples.len(), topics.len(), ids.len(), positions, self.marked.len(), names_len];
        push(&mut out, &numbers.map(|number| number as u32));
        for sample in &self.samples {
            push64(&mut out, &[sample.sequence, sample.time_ms, sample.offset.into()]);
        }
        let (mut name_at, mut at) = (0, 0);
        for (hash, name, MemoryRun { run, .. }) in &topics {
            push64(&mut out, &[*hash]);
            push(&mut out, &[name_at, name.len() as u32, at, run.count]);
            push64(&mut out, &[run.first, run.last, run.last_ms]);
            name_at += name.len() as u32;
            at += run.count;
        }
        ids.iter().for_each(|(hash, at)| push64(&mut out, &[*hash, u64::from(*at)]));
        topics.iter().for_each(|(_, _, known)| push(&mut out, &known.positions));
        self.marked.iter().for_each(|(mark, at)| push(&mut out, &[mark.0, *at]));
        topics.iter().for_each(|(_, name, _)| out.extend_from_slice(name.as_bytes()));
        let crc = record::checksum(self.salt, &out);
        push(&mut out, &[crc]);
        out
    }
}

fn push(out: &mut Vec<u8>, numbers: &[u32]) {
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
}

fn push64(out: &mut Vec<u8>, numbers: &[u64]) {
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
}

/// The hash of topics and ids. The salt differs in each segment, so that nobody can choose names that collide.
fn hash(salt: u64, name: &str) -> u64 {
    XxHash3_64::oneshot_with_seed(salt, name.as_bytes())
}

/// An index file. Only its head is in memory.
pub(crate) struct FileIndex {
    file: Arc<dyn VolumeFile>,
    salt: u64,
    contents: Contents,
    samples: Table,
    topics: Table,
    ids: Table,
    positions: Table,
    marked: Table,
    names: Table,
}

/// A table of rows of equal size in a file.
#[derive(Debug, Clone, Copy)]
struct Table {
    at: u64,
    rows: u32,
    row_bytes: u32,
}

impl FileIndex {
    /// Opens the index of the segment with this salt; `None` if it is damaged or belongs to another segment.
    pub(crate) fn open(file: Arc<dyn VolumeFile>, salt: u64) -> io::Result<Option<Self>> {
        let len = file.len()?;
        let Some(body) = len.checked_sub(4) else { return Ok(None) };
        let mut crc = crc32c::crc32c(&salt.to_le_bytes());
        let mut piece = vec![0; CHECKED_BYTES];
        let mut at = 0;
        while at < body {
            let part = &mut piece[..CHECKED_BYTES.min(usize::try_from(body - at).unwrap_or(CHECKED_BYTES))];
            file.read_at(at, part)?;
            crc = crc32c::crc32c_append(crc, part);
            at += part.len() as u64;
        }
        let mut stored = [0; 4];
        file.read_at(body, &mut stored)?;
        if u32::from_le_bytes(stored) != crc || body < HEAD_BYTES as u64 {
            return Ok(None);
        }
        let mut head = [0; HEAD_BYTES];
        file.read_at(0, &mut head)?;
        Ok(Self::read(file, salt, &head))
    }

    /// The salt in its head; nothing else is checked.
    pub(super) fn salt(file: &dyn VolumeFile) -> io::Result<Option<u64>> {
        if file.len()? < HEAD_BYTES as u64 {
            return Ok(None);
        }
        let mut head = [0; HEAD_BYTES];
        file.read_at(0, &mut head)?;
        let mut fields = Fields(&head);
        Ok(fields
            .take(MAGIC.len())
            .filter(|magic| *magic == MAGIC)
            .and_then(|_| fields.u32())
            .and_then(|_| fields.u64()))
    }

    fn read(file: Arc<dyn VolumeFile>, salt: u64, head: &[u8]) -> Option<Self> {
        let mut fields = Fields(head);
        if fields.take(MAGIC.len())? != MAGIC || fields.u32()? != FORMAT || fields.u64()? != salt {
            return None;
        }
        let contents = Contents {
            entries: fields.u32()?,
            end: fields.u32()?,
            first: fields.u64()?,
            last: fields.u64()?,
            first_ms: fields.u64()?,
            last_ms: fields.u64()?,
        };
        let mut at = HEAD_BYTES as u64;
        let mut numbers = [0; 6];
        for number in &mut numbers {
            *number = fields.u32()?;
        }
        let [samples, topics, ids, positions, marked, names] = numbers;
        let mut table = |rows: u32, row_bytes: u32| {
            let table = Table { at, rows, row_bytes };
            at += u64::from(rows) * u64::from(row_bytes);
            table
        };
        Some(Self {
            samples: table(samples, 24),
            topics: table(topics, TOPIC_BYTES),
            ids: table(ids, 16),
            positions: table(positions, 4),
            marked: table(marked, 8),
            names: table(names, 1),
            file,
            salt,
            contents,
        })
    }

    /// The first row for which `is_before` is false.
    fn partition(
        &self,
        table: Table,
        mut low: u32,
        mut high: u32,
        is_before: impl Fn(Fields<'_>) -> bool,
    ) -> io::Result<u32> {
        let mut row = [0; TOPIC_BYTES as usize];
        let row = &mut row[..table.row_bytes as usize];
        while low < high {
            let middle = low + (high - low) / 2;
            self.file.read_at(table.row_at(middle), row)?;
            if is_before(Fields(row)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    fn rows(&self, table: Table, from: u32, number: u32) -> io::Result<Vec<u8>> {
        let number = number.min(table.rows.saturating_sub(from));
        let mut bytes = vec![0; number as usize * table.row_bytes as usize];
        self.file.read_at(table.row_at(from), &mut bytes)?;
        Ok(bytes)
    }

    fn topic(&self, name: &str) -> io::Result<Option<TopicRun>> {
        let wanted = hash(self.salt, name);
        let mut row =
            self.partition(self.topics, 0, self.topics.rows, |mut row| row.u64().is_some_and(|hash| hash < wanted))?;
        while row < self.topics.rows {
            let bytes = self.rows(self.topics, row, 1)?;
            let Some((hash, name_at, name_len, run)) = topic_row(&mut Fields(&bytes)) else { break };
            if hash != wanted {
                break;
            }
            if name_len as usize == name.len() && self.rows(self.names, name_at, name_len)? == name.as_bytes() {
                return Ok(Some(run));
            }
            row += 1;
        }
        Ok(None)
    }

    fn each_topic(&self, mut each: impl FnMut(&str, TopicRun)) -> io::Result<()> {
        let topics = self.rows(self.topics, 0, self.topics.rows)?;
        let names = self.rows(self.names, 0, self.names.rows)?;
        let mut rows = Fields(&topics);
        while let Some((_, at, len, run)) = topic_row(&mut rows) {
            let name = names.get(at as usize..(at + len) as usize).and_then(|name| std::str::from_utf8(name).ok());
            each(name.ok_or_else(damaged)?, run);
        }
        Ok(())
    }

    fn ids(&self, id: &str) -> io::Result<SmallVec<[u32; 2]>> {
        let wanted = hash(self.salt, id);
        let first =
            self.partition(self.ids, 0, self.ids.rows, |mut row| row.u64().is_some_and(|hash| hash < wanted))?;
        let mut found = SmallVec::new();
        for row in first..self.ids.rows {
            let bytes = self.rows(self.ids, row, 1)?;
            let mut fields = Fields(&bytes);
            match (fields.u64(), fields.u64()) {
                (Some(hash), Some(at)) if hash == wanted => found.push(at as u32),
                _ => break,
            }
        }
        Ok(found)
    }

    fn marked(&self) -> io::Result<Vec<(Mark, u32)>> {
        let bytes = self.rows(self.marked, 0, self.marked.rows)?;
        let mut rows = Fields(&bytes);
        let rows = std::iter::from_fn(|| rows.u32().zip(rows.u32()));
        Ok(rows.map(|(mark, at)| (Mark(mark), at)).collect())
    }

    fn id_offsets(&self) -> io::Result<Vec<u32>> {
        let bytes = self.rows(self.ids, 0, self.ids.rows)?;
        let mut rows = Fields(&bytes);
        Ok(std::iter::from_fn(|| rows.u64().zip(rows.u64())).map(|(_, at)| at as u32).collect())
    }

    fn sample(&self, is_before: impl Fn(&Sample) -> bool) -> io::Result<Option<Sample>> {
        let after = self.partition(self.samples, 0, self.samples.rows, |mut row| {
            sample_row(&mut row).is_some_and(|sample| is_before(&sample))
        })?;
        let Some(row) = after.checked_sub(1) else { return Ok(None) };
        Ok(sample_row(&mut Fields(&self.rows(self.samples, row, 1)?)))
    }
}

impl Table {
    fn row_at(self, row: u32) -> u64 {
        self.at + u64::from(row) * u64::from(self.row_bytes)
    }
}

fn topic_row(fields: &mut Fields<'_>) -> Option<(u64, u32, u32, TopicRun)> {
    let (hash, name_at, name_len, at, count) =
        (fields.u64()?, fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?);
    let run = TopicRun { first: fields.u64()?, last: fields.u64()?, last_ms: fields.u64()?, count, at };
    Some((hash, name_at, name_len, run))
}

fn sample_row(fields: &mut Fields<'_>) -> Option<Sample> {
    let (sequence, time_ms, offset) = (fields.u64()?, fields.u64()?, fields.u64()?);
    Some(Sample { sequence, time_ms, offset: offset as u32 })
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an index file is damaged")
}

/// The index of a segment, in memory or in a file.
pub(crate) enum Index {
    Memory(MemoryIndex),
    File(FileIndex),
}

impl Index {
    pub(crate) fn contents(&self) -> Contents {
        match self {
            Self::Memory(index) => index.contents,
            Self::File(index) => index.contents,
        }
    }

    /// The number of topics.
    pub(crate) fn topics(&self) -> u32 {
        match self {
            Self::Memory(index) => index.topics.len() as u32,
            Self::File(index) => index.topics.rows,
        }
    }

    /// The last sampled record for which `is_before` is true; it is true for all earlier ones.
    pub(crate) fn sample(&self, is_before: impl Fn(&Sample) -> bool) -> io::Result<Option<Sample>> {
        match self {
            Self::Memory(index) => {
                let after = index.samples.partition_point(is_before);
                Ok(after.checked_sub(1).and_then(|at| index.samples.get(at)).copied())
            }
            Self::File(index) => index.sample(is_before),
        }
    }

    /// The sampled record at or before the record with `number` records before it.
    pub(crate) fn sample_of_number(&self, number: u32) -> io::Result<Option<Sample>> {
        let at = number / SAMPLED_RECORDS;
        match self {
            Self::Memory(index) => Ok(index.samples.get(at as usize).copied()),
            Self::File(index) if at < index.samples.rows => {
                Ok(sample_row(&mut Fields(&index.rows(index.samples, at, 1)?)))
            }
            Self::File(_) => Ok(None),
        }
    }

    pub(crate) fn topic(&self, name: &Topic) -> io::Result<Option<TopicRun>> {
        match self {
            Self::Memory(index) => Ok(index.run(name).map(|known| known.run)),
            Self::File(index) => index.topic(name),
        }
    }

    pub(crate) fn each_topic(&self, mut each: impl FnMut(&str, TopicRun)) -> io::Result<()> {
        match self {
            Self::Memory(index) => {
                index.topics.iter().for_each(|(name, known)| each(name, known.run));
                Ok(())
            }
            Self::File(index) => index.each_topic(each),
        }
    }

    /// The offsets of a topic's records from `from` on, at most `max`.
    pub(crate) fn positions(&self, name: &Topic, run: TopicRun, from: u32, max: usize) -> io::Result<Vec<u32>> {
        match self {
            Self::Memory(index) => {
                let Some(known) = index.run(name) else { return Ok(Vec::new()) };
                let first = known.positions.partition_point(|at| *at < from);
                Ok(known.positions.iter().skip(first).take(max).copied().collect())
            }
            Self::File(index) => {
                let end = run.at + run.count;
                let is_before = |mut row: Fields<'_>| row.u32().is_some_and(|at| at < from);
                let first = index.partition(index.positions, run.at, end, is_before)?;
                offsets(&index.rows(
                    index.positions,
                    first,
                    (end - first).min(u32::try_from(max).unwrap_or(u32::MAX)),
                )?)
            }
        }
    }

    /// The offsets of a topic's newest records, at most `max`, ascending.
    pub(crate) fn newest_positions(&self, name: &Topic, run: TopicRun, max: usize) -> io::Result<Vec<u32>> {
        let skipped = (run.count as usize).saturating_sub(max);
        match self {
            Self::Memory(index) => {
                let known = index.run(name);
                Ok(known.map(|known| known.positions.iter().skip(skipped).copied().collect()).unwrap_or_default())
            }
            Self::File(index) => {
                offsets(&index.rows(index.positions, run.at + skipped as u32, run.count - skipped as u32)?)
            }
        }
    }

    /// The offsets of records with this publisher's id, or one with the same hash, ascending.
    pub(crate) fn ids(&self, id: &str) -> io::Result<SmallVec<[u32; 2]>> {
        match self {
            Self::Memory(index) => Ok(index.ids.get(&hash(index.salt, id)).cloned().unwrap_or_default()),
            Self::File(index) => index.ids(id),
        }
    }

    /// The offsets of all records with a publisher's id, ascending.
    pub(crate) fn id_offsets(&self) -> io::Result<Vec<u32>> {
        let mut offsets = match self {
            Self::Memory(index) => index.ids.values().flatten().copied().collect(),
            Self::File(index) => index.id_offsets()?,
        };
        offsets.sort_unstable();
        Ok(offsets)
    }

    /// The offsets of marked records, on which later entries depend.
    pub(crate) fn marked(&self) -> io::Result<Vec<(Mark, u32)>> {
        match self {
            Self::Memory(index) => Ok(index.marked.clone()),
            Self::File(index) => index.marked(),
        }
    }
}

fn offsets(bytes: &[u8]) -> io::Result<Vec<u32>> {
    let mut fields = Fields(bytes);
    let offsets: Vec<_> = std::iter::from_fn(|| fields.u32()).collect();
    if fields.0.is_empty() { Ok(offsets) } else { Err(damaged()) }
}

const MAGIC: &[u8] = b"oyezidx\n";
const FORMAT: u32 = 2;
const HEAD_BYTES: usize = 8 + 4 + 8 + 8 + 32 + 24;
const TOPIC_BYTES: u32 = 8 + 16 + 24;
/// Bytes to read at a time when a file is checked.
const CHECKED_BYTES: usize = 1 << 18;
