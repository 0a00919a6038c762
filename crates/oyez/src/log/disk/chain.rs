//! The segments of one class of topics. The newest is written to; the oldest are dropped.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use super::damage::{Damage, refused, unreadable, unwritable};
use super::manifest::Manifest;
use super::segment::{Before, Checked, RecordPage, Segment, SegmentHead, index_name, parse_name, segment_name};
use super::volume::{Volume, VolumeFile};
use crate::Error;
use crate::extras::Mark;
use crate::limits::ONCE_WINDOW;
use crate::limits::PAGE_ENTRIES_BELOW;
use crate::limits::disk::SEGMENTS_OF_HISTORY;
use crate::log::below::Found;
use crate::log::entry::Entry;
use crate::log::gone::Gone;
use crate::log::large::Large;
use crate::log::{Retained, Retention};
use crate::matcher::{Matcher, Matchers};
use crate::position::Epoch;
use crate::sync::{Mutex, RwLock};

/// A retention class: the entries of the topics that `topics` selects, kept as `retention` says.
#[derive(Debug, Clone)]
pub(crate) struct Class {
    pub(crate) topics: Option<Matcher>,
    pub(crate) retention: Retention,
}

/// The segments of one class, oldest first.
pub(crate) struct Chain {
    pub(crate) id: u8,
    pub(crate) class: Class,
    pub(super) segment_bytes: (usize, usize),
    pub(crate) segments: RwLock<VecDeque<Arc<Segment>>>,
    /// A prepared file for the next segment.
    pub(super) spare: Mutex<Option<SpareFile>>,
}

/// A file that is prepared to be a segment.
pub(crate) struct SpareFile {
    pub(crate) name: String,
    pub(crate) file: Arc<dyn VolumeFile>,
    pub(crate) capacity: u32,
}

/// Figures found when a store was opened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Opened {
    /// The number of the newest entry, or of the last one that may have been lost in a crash.
    pub(crate) head: u64,
    /// When numbers were last reserved, in milliseconds since 1970; 0 if unknown.
    pub(crate) saved_ms: u64,
    pub(crate) newest_ms: u64,
    pub(crate) newest_generation: u64,
    /// Torn writes.
    pub(crate) torn: u64,
    pub(crate) entries: u64,
}

/// The result of one read.
pub(crate) struct StoredPage {
    pub(crate) entries: Vec<Arc<Entry>>,
    /// No entry that matches lies between the last entry read and this cursor, inclusive.
    pub(crate) cursor: u64,
    /// Whether there are more entries up to the requested number.
    pub(crate) more: bool,
}

impl StoredPage {
    pub(super) fn into_found(self) -> Found {
        let Self { entries, cursor, more } = self;
        Found::Page { entries, cursor, more }
    }
}

/// The marked entries of a chain, on which later ones depend, read a few at a time.
pub(super) struct Marked<'a> {
    segments: VecDeque<Arc<Segment>>,
    reading: Option<Reading>,
    entries: VecDeque<Arc<Entry>>,
    epoch: Epoch,
    newest_ms: u64,
    compact: &'a Matchers,
}

/// The part of a segment that is still to be read.
struct Reading {
    segment: Arc<Segment>,
    /// Offsets of marked records.
    places: VecDeque<u32>,
    /// The newest entries without a key, by topic.
    others: VecDeque<Arc<Entry>>,
}

impl<'a> Marked<'a> {
    /// `newest_ms` is the time of the newest entry of the log. Of the topics `compact`, the newest entry without a key is read too.
    pub(super) fn new(chain: &Chain, epoch: Epoch, newest_ms: u64, compact: &'a Matchers) -> Self {
        let segments = chain.after(0).into();
        Self { segments, reading: None, entries: VecDeque::new(), epoch, newest_ms, compact }
    }

    /// The number of the next entry.
    pub(super) fn peek(&mut self) -> io::Result<Option<u64>> {
        while self.entries.is_empty() {
            if !self.read()? {
                return Ok(None);
            }
        }
        Ok(self.entries.front().map(|entry| entry.sequence))
    }

    pub(super) fn next(&mut self) -> Option<Arc<Entry>> {
        self.entries.pop_front()
    }

    /// Reads more entries. False at the end.
    fn read(&mut self) -> io::Result<bool> {
        let Reading { segment, mut places, mut others } = match self.reading.take() {
            Some(reading) => reading,
            None => match self.segments.pop_front() {
                Some(segment) => self.begin(segment)?,
                None => return Ok(false),
            },
        };
        let some: Vec<u32> = places.drain(..places.len().min(PAGE_ENTRIES_BELOW)).collect();
        let mut entries = segment.entries_at(&some, self.epoch)?;
        let is_last = places.is_empty();
        let end = entries.last().map_or(0, |entry| entry.sequence);
        let due = others.partition_point(|other| is_last || other.sequence <= end);
        entries.extend(others.drain(..due));
        entries.sort_unstable_by_key(|entry| entry.sequence);
        entries.dedup_by_key(|entry| entry.sequence);
        self.entries = entries.into();
        self.reading = Some(Reading { segment, places, others }).filter(|_| !is_last);
        Ok(true)
    }

    fn begin(&self, segment: Arc<Segment>) -> io::Result<Reading> {
        let is_recent = segment.contents().last_ms + ONCE_WINDOW.as_millis() as u64 > self.newest_ms;
        let wanted = if is_recent { Mark::LASTING.or(Mark::ONCE) } else { Mark::LASTING };
        let places = segment.marked(wanted)?.into();
        let mut others = Vec::new();
        if self.compact.len() > 0 {
            others = segment.newest_without_key(self.compact, self.epoch)?;
            others.sort_unstable_by_key(|entry| entry.sequence);
        }
        Ok(Reading { segment, places, others: others.into() })
    }
}

impl Chain {
    /// The segments with entries after `cursor`.
    pub(super) fn after(&self, cursor: u64) -> Vec<Arc<Segment>> {
        let segments = self.segments.read();
        let first = segments.partition_point(|segment| segment.last() <= cursor);
        segments.iter().skip(first).cloned().collect()
    }

    /// All segments except the one that is written to.
    pub(super) fn sealed(&self) -> Vec<Arc<Segment>> {
        let segments = self.segments.read();
        segments.iter().take(segments.len().saturating_sub(1)).cloned().collect()
    }

    /// The oldest segment, if it exceeds the retention. The one that is written to stays. `age_ms` turns a time into an age.
    pub(super) fn is_too_much(&self, age_ms: impl Fn(u64) -> u64) -> Option<Arc<Segment>> {
        let segments = self.segments.read();
        let oldest = segments.front().filter(|_| segments.len() > 1)?;
        let Retention { events, bytes, age } = self.class.retention;
        let others = segments.iter().skip(1).map(|segment| segment.contents().entries as usize).sum::<usize>();
        let all: usize = segments.iter().map(|segment| segment.capacity as usize).sum();
        let spare = self.spare.lock().as_ref().map_or(0, |room| room.capacity as usize);
        let is_old = age.is_some() && self.is_too_old(age_ms(oldest.contents().last_ms));
        (others >= events || all + spare > bytes || is_old).then(|| Arc::clone(oldest))
    }

    pub(crate) fn is_too_old(&self, age_ms: u64) -> bool {
        let is_beyond = |age: Duration| u128::from(age_ms) > age.as_millis();
        self.class.retention.age.is_some_and(is_beyond)
    }

    pub(super) fn is_half_full(&self) -> bool {
        self.segments.read().back().is_some_and(|segment| segment.contents().end > segment.capacity / 2)
    }

    /// The size of the next segment: small at first, so that a small history takes little disk.
    pub(crate) fn next_capacity(&self) -> u32 {
        let segments = self.segments.read();
        let (smallest, largest) = self.segment_bytes;
        let largest = (self.class.retention.bytes / SEGMENTS_OF_HISTORY).clamp(smallest, largest);
        let grown = segments.back().map_or(smallest, |segment| 2 * segment.capacity as usize);
        grown.clamp(smallest, largest) as u32
    }
}

/// Opens the segments of a chain, and finishes what the process had begun when it stopped.
pub(super) fn open_chain(
    volume: &dyn Volume,
    names: &[String],
    id: u8,
    manifest: &Manifest,
    gone: &Gone,
    opened: &mut Opened,
) -> Result<VecDeque<Arc<Segment>>, Error> {
    let mut generations: Vec<u64> = names
        .iter()
        .filter_map(|name| parse_name(name, ".segment"))
        .filter(|(chain, _)| *chain == id)
        .map(|(_, generation)| generation)
        .collect();
    generations.sort_unstable();
    let gone = gone.through_generation(id);
    for generation in generations.iter().filter(|generation| **generation <= gone) {
        volume.remove(&segment_name(id, *generation)).map_err(unwritable)?;
        let _ = volume.remove(&index_name(id, *generation));
    }
    generations.retain(|generation| *generation > gone);
    let mut heads = Vec::with_capacity(generations.len());
    for generation in &generations {
        let name = segment_name(id, *generation);
        let file = volume.open(&name).map_err(unreadable)?;
        let head = SegmentHead::read(&name, &*file).map_err(refused)?;
        if (head.chain, head.generation) != (id, *generation) {
            return Err(refused(Damage::At { name, offset: 0, what: "its head belongs to another segment" }));
        }
        heads.push(head);
    }
    let clean = manifest.clean.as_ref().and_then(|clean| clean.ends.iter().find(|end| end.chain == id));
    let clean = clean.map(|end| Before { generation: end.generation, end: end.end, last: end.last });
    let ends = heads.iter().skip(1).map(|head| Some(head.before)).chain([clean]);
    let mut segments = VecDeque::new();
    let mut expected = heads.first().map_or(gone, |head| head.before.generation);
    if expected > gone {
        return Err(refused(Damage::At {
            name: segment_name(id, expected),
            offset: 0,
            what: "the segment is missing",
        }));
    }
    for (head, end) in heads.iter().zip(ends) {
        let name = head.name();
        if head.before.generation != expected && !segments.is_empty() {
            return Err(refused(Damage::At {
                name: segment_name(id, head.before.generation),
                offset: 0,
                what: "the segment is missing",
            }));
        }
        expected = head.generation;
        let end = end.filter(|end| end.generation == head.generation);
        let (segment, Checked { torn, entries, last, .. }) =
            Segment::open(volume, &name, *head, end).map_err(refused)?;
        if torn {
            warn!(
                file = name,
                byte = segment.contents().end,
                "a torn write was truncated; its events are not in the history"
            );
            opened.torn += 1;
        }
        opened.entries += u64::from(entries);
        opened.head = opened.head.max(last);
        opened.newest_ms = opened.newest_ms.max(segment.contents().last_ms);
        opened.newest_generation = opened.newest_generation.max(head.generation);
        segments.push_back(Arc::new(segment));
    }
    if clean.is_some_and(|clean| heads.last().is_none_or(|head| head.generation != clean.generation)) {
        return Err(refused(Damage::At {
            name: segment_name(id, clean.map_or(0, |clean| clean.generation)),
            offset: 0,
            what: "the segment is missing",
        }));
    }
    opened.newest_generation = opened.newest_generation.max(gone);
    Ok(segments)
}

/// Reads the next matching entries after `cursor` in these segments, up to the number `last`.
pub(super) fn read_chain(
    segments: &[Arc<Segment>],
    epoch: Epoch,
    max: Retained,
    cursor: u64,
    matchers: &Matchers,
    last: u64,
    large: &Large,
) -> io::Result<StoredPage> {
    let mut page = RecordPage::new(epoch, matchers, cursor, max).sharing(large);
    for segment in segments {
        if segment.contents().first > last || page.is_full() {
            break;
        }
        if !segment.read(&mut page, last)? {
            let cursor = page.cursor;
            return Ok(StoredPage { entries: page.finish(), cursor, more: true });
        }
        page.cursor = page.cursor.max(segment.contents().last.min(last));
    }
    let more = page.is_full() && page.cursor < last;
    let cursor = if more { page.cursor } else { last.max(cursor) };
    Ok(StoredPage { entries: page.finish(), cursor, more })
}
