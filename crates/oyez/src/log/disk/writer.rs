//! The only writer of the log on disk. It gives out numbers, writes batches together, and makes them durable.

use std::io;
use std::sync::Arc;

use super::index::{Index, MemoryIndex, Noted, Sample};
use super::manifest::{ChainEnd, Clean};
use super::record::{self, Place};
use super::segment::{Before, START, Segment, SegmentHead};
use super::store::Store;
use super::syncs::Syncs;
use crate::clock::LogClock;
use crate::extras::Extras;
use crate::limits::disk::{NUMBER_MAX, RESERVED_NUMBERS, WRITE_BYTES_MAX};
use crate::log::draft::Draft;
use crate::log::entry::Entry;
use crate::position::Position;

/// When a publish is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// When the operating system has it. It survives the end of the process, but not of the machine.
    Flush,
    /// When the disk has confirmed it (`fdatasync`). Publishes that arrive meanwhile are synced together.
    #[default]
    Fsync,
}

/// Why nothing was written.
#[derive(Debug)]
pub(crate) enum Unwritten {
    /// No room or no descriptor. It works again when there is some.
    Full(io::Error),
    /// The state of the disk is unknown: nothing may be acknowledged any more.
    Failed(io::Error),
}

pub(crate) struct Writer {
    store: Arc<Store>,
    durability: Durability,
    /// The next number.
    next: u64,
    /// No number was given out since the start.
    is_new: bool,
    ceiling: u64,
    newest_ms: u64,
    generation: u64,
    chains: Vec<Written>,
    /// The entries to be written together, in order.
    waiting: Vec<Arc<Entry>>,
    /// The chain that last got room.
    room_in: usize,
    /// Whether a segment was begun, or is half full.
    news: bool,
}

/// The segment of a chain that is written to.
struct Written {
    segment: Option<Arc<Segment>>,
    /// The offset after the last record in the file.
    end: u32,
    synced: u32,
    /// Records to be written together.
    bytes: Vec<u8>,
    noted: Vec<Note>,
}

/// What the index gets when a record is durable.
struct Note {
    offset: u32,
    len: u32,
    /// Which of the waiting entries.
    entry: usize,
}

impl Writer {
    pub(crate) fn new(store: Arc<Store>, durability: Durability) -> Self {
        let opened = store.opened.clone();
        let chains = store.chains.iter().map(|chain| {
            let segment = chain.segments.read().back().cloned();
            let end = segment.as_ref().map_or(START, |segment| segment.contents().end);
            // writes of a killed process may not be durable yet
            Written { segment, end, ..Written::empty() }
        });
        let chains = chains.collect();
        Self {
            durability,
            next: opened.head + 1,
            is_new: true,
            // reserved numbers may have been given out before a crash, and the clean stop must first be removed from the manifest
            ceiling: 0,
            newest_ms: opened.newest_ms,
            generation: opened.newest_generation,
            chains,
            waiting: Vec::new(),
            room_in: 0,
            news: false,
            store,
        }
    }

    /// The clock that stamps entries.
    pub(super) fn clock(&self) -> Arc<LogClock> {
        Arc::clone(&self.store.clock)
    }

    /// The newest number that was given out.
    pub(crate) fn head(&self) -> u64 {
        self.next - 1
    }

    /// The time of the newest entry, in milliseconds since 1970.
    pub(super) fn newest_ms(&self) -> u64 {
        self.newest_ms
    }

    /// Whether anything waits to be written.
    pub(crate) fn is_empty(&self) -> bool {
        self.chains.iter().all(|chain| chain.bytes.is_empty())
    }

    /// Whether there is new work for the keeper.
    pub(crate) fn has_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// Makes room for a batch of at most 65,535 events. False if the waiting entries must be written first.
    pub(crate) fn make_room(&mut self, batch: &[Draft], wall_ms: u64) -> Result<bool, Unwritten> {
        let len: usize = batch.iter().map(record::len).sum();
        let at = self.store.chain_of(batch.iter().flat_map(|draft| draft.topics()));
        self.room_in = at;
        // a later start must know it, even if the entry was dropped by then
        let is_first_private = batch.iter().any(Draft::is_private) && !self.store.has_had_private();
        if self.is_new || is_first_private || self.next + batch.len() as u64 + 1 >= self.ceiling {
            if !self.is_empty() {
                return Ok(false);
            }
            if is_first_private {
                self.store.will_have_private();
            }
            self.reserve(batch.len() as u64, wall_ms)?;
        }
        let chain = &self.chains[at];
        let used = chain.end as usize + chain.bytes.len();
        if chain.segment.as_ref().is_some_and(|segment| used + len <= segment.capacity as usize) {
            return Ok(chain.bytes.is_empty() || chain.bytes.len() + len <= WRITE_BYTES_MAX);
        }
        if !self.is_empty() {
            return Ok(false);
        }
        self.begin_segment(at, len)?;
        Ok(true)
    }

    /// Gives the batch its numbers and adds it to the waiting entries. There must be room for it. Returns its entries.
    pub(crate) fn push(
        &mut self,
        batch: impl IntoIterator<Item = Draft, IntoIter: ExactSizeIterator>,
        now_ms: u64,
    ) -> &[Arc<Entry>] {
        // times must not go back
        self.newest_ms = self.newest_ms.max(now_ms);
        let batch = batch.into_iter();
        let chain = &mut self.chains[self.room_in];
        let salt = chain.segment.as_ref().map_or(0, |segment| segment.head.salt);
        let first = self.waiting.len();
        let mut rest = batch.len();
        self.waiting.reserve(rest);
        chain.noted.reserve(rest);
        for draft in batch {
            rest -= 1;
            let start = chain.bytes.len();
            let sequence = self.next;
            self.next += 1;
            let place = Place { sequence, time_ms: self.newest_ms, synced: chain.synced, rest: rest as u16 };
            record::write(&mut chain.bytes, &draft, place, salt);
            let len = (chain.bytes.len() - start) as u32;
            chain.noted.push(Note { offset: chain.end + start as u32, len, entry: self.waiting.len() });
            let position = Position { epoch: self.store.epoch, sequence };
            self.waiting.push(Arc::new(draft.place(position, self.newest_ms)));
        }
        &self.waiting[first..]
    }

    /// Makes this the next number, unless a later one was already given out.
    pub(super) fn skip_to(&mut self, next: u64) {
        self.next = self.next.max(next);
    }

    /// Writes the waiting entries, makes them as durable as configured, and returns them. After an error none of them is in the
    /// log.
    pub(crate) fn write(&mut self) -> Result<Vec<Arc<Entry>>, Unwritten> {
        let entries = std::mem::take(&mut self.waiting);
        let mut written = Ok(());
        for chain in self.chains.iter_mut().filter(|chain| !chain.bytes.is_empty()) {
            if written.is_ok() {
                written = chain.write(self.durability, &self.store.syncs);
            }
        }
        if written.is_err() {
            // a later start must not find a part of it in one chain and not in another
            self.chains.iter().for_each(Written::unwrite);
        }
        for chain in &mut self.chains {
            let half = chain.segment.as_ref().map_or(u32::MAX, |segment| segment.capacity / 2);
            let before = chain.end;
            chain.settle(&entries, written.is_ok());
            self.news |= before <= half && half < chain.end;
        }
        written.map(|()| entries)
    }

    /// Allows a segment to be dropped whose entries are all too old, although nothing more is written to it.
    pub(crate) fn leave_old_segments(&mut self, now_ms: u64, wall_ms: u64) -> Result<(), Unwritten> {
        for at in 0..self.chains.len() {
            let is_old = self.chains[at].segment.as_ref().is_some_and(|segment| {
                let contents = segment.contents();
                contents.entries > 0
                    && self.store.chains[at].is_too_old(self.store.clock.age_ms(contents.last_ms, now_ms))
            });
            if is_old && self.is_empty() {
                if self.ceiling == 0 {
                    self.reserve(0, wall_ms)?; // the ends recorded by a clean stop are no longer true
                }
                self.begin_segment(at, 0)?;
            }
        }
        Ok(())
    }

    /// Syncs what was written without a sync.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        for chain in &mut self.chains {
            if let Some(segment) = chain.segment.as_ref().filter(|_| chain.synced < chain.end) {
                self.store.syncs.sync(&*segment.file)?;
                chain.synced = chain.end;
            }
        }
        Ok(())
    }

    /// Checks that the path still leads to the directory.
    pub(super) fn look_where_it_is(&self) -> io::Result<()> {
        self.store.look_where_it_is()
    }

    /// Records where every chain ends, so that the next start knows that nothing is missing.
    pub(crate) fn stop(&mut self, wall_ms: u64) -> io::Result<()> {
        self.sync()?;
        if self.ceiling == 0 {
            return Ok(()); // nothing was written since the start
        }
        let ends = self.store.chains.iter().zip(&self.chains).filter_map(|(chain, written)| {
            let segment = written.segment.as_ref()?;
            Some(ChainEnd {
                chain: chain.id,
                generation: segment.head.generation,
                end: written.end,
                last: segment.last(),
            })
        });
        let clean = Clean { head: self.head(), ends: ends.collect() };
        self.store.save(&self.store.manifest(self.next + 1, Some(clean), wall_ms))
    }

    /// Reserves numbers on the disk before they are given out, so that a crash never makes a number be given out twice.
    fn reserve(&mut self, number: u64, wall_ms: u64) -> Result<(), Unwritten> {
        // the first time since the start: the directory may be a copy, and the original may have gone on
        let passed = if self.is_new && number > 0 { self.store.numbers_to_pass(wall_ms) } else { 0 };
        let next = self.next + passed;
        // readers are sent the last number before the next one as a position; it names no entry anywhere
        let lost = (passed > 1).then(|| (self.next, next - 2));
        let ceiling = next + number + RESERVED_NUMBERS;
        if ceiling > NUMBER_MAX {
            return Err(Unwritten::Full(io::Error::other("the log has no numbers left; begin a new history")));
        }
        if let Some((first, last)) = lost {
            self.store.pass(first, last);
        }
        if let Err(error) = self.store.save(&self.store.manifest(ceiling, None, wall_ms)) {
            if lost.is_some() {
                self.store.unpass();
            }
            return Err(full_or_failed(error));
        }
        (self.next, self.ceiling) = (next, ceiling);
        self.is_new &= number == 0;
        Ok(())
    }

    fn begin_segment(&mut self, at: usize, len: usize) -> Result<(), Unwritten> {
        let chain = &mut self.chains[at];
        if let Some(segment) = chain.segment.as_ref().filter(|_| chain.synced < chain.end) {
            self.store.syncs.sync(&*segment.file).map_err(Unwritten::Failed)?;
            chain.synced = chain.end;
        }
        let before = chain.segment.as_ref().map(|segment| Before {
            generation: segment.head.generation,
            end: chain.end,
            last: segment.last(),
        });
        let generation = self.generation + 1;
        let salt = getrandom::u64().map_err(|error| Unwritten::Full(io::Error::other(error)))?;
        let head = SegmentHead { chain: at as u8, generation, salt, before: before.unwrap_or_default() };
        let room = self.store.take_room(at, START as usize + len).map_err(full_or_failed)?;
        let segment = Segment::begin(room.file, head, room.capacity).map_err(Unwritten::Failed)?;
        let named = self.store.volume.rename(&room.name, &head.name()).and_then(|()| self.store.volume.sync());
        named.map_err(Unwritten::Failed)?;
        let segment = Arc::new(segment);
        self.store.chains[at].segments.write().push_back(Arc::clone(&segment));
        self.generation = generation;
        self.news = true;
        self.chains[at] = Written { segment: Some(segment), end: START, synced: START, ..Written::empty() };
        Ok(())
    }
}

impl Written {
    fn empty() -> Self {
        Self { segment: None, end: START, synced: START, bytes: Vec::new(), noted: Vec::new() }
    }

    fn write(&mut self, durability: Durability, syncs: &Syncs) -> Result<(), Unwritten> {
        let Some(segment) = &self.segment else { return Ok(()) };
        let len = self.bytes.len();
        // zeros at the place of the next record distinguish the end from a torn write
        let room = segment.capacity as usize - self.end as usize;
        self.bytes.resize(room.min(len + record::HEAD_BYTES), 0);
        let written = segment.file.write_at(self.end.into(), &self.bytes);
        self.bytes.truncate(len);
        if let Err(error) = written {
            return Err(full_or_failed(error));
        }
        if durability == Durability::Fsync {
            syncs.sync(&*segment.file).map_err(Unwritten::Failed)?;
            self.synced = self.end + self.bytes.len() as u32;
        }
        Ok(())
    }

    /// Overwrites the beginning of what may have been written, if possible.
    fn unwrite(&self) {
        if let Some(segment) = self.segment.as_ref().filter(|_| !self.bytes.is_empty()) {
            let _ = segment.file.write_at(self.end.into(), &[0; record::HEAD_BYTES]);
        }
    }

    /// Either everything that was written counts, or nothing.
    fn settle(&mut self, entries: &[Arc<Entry>], written: bool) {
        let notes = self.noted.drain(..);
        if let Some(segment) = self.segment.as_ref().filter(|_| written) {
            if let Index::Memory(index) = &mut *segment.index.write() {
                notes.for_each(|note| note.tell(entries, index));
            }
            self.end += self.bytes.len() as u32;
        }
        self.bytes.clear();
    }
}

impl Note {
    fn tell(self, entries: &[Arc<Entry>], index: &mut MemoryIndex) {
        let Self { offset, len, entry } = self;
        let Some(entry) = entries.get(entry) else { return };
        let at = Sample { sequence: entry.sequence, time_ms: entry.time_ms, offset };
        let topics = if entry.deletes() { &[][..] } else { &entry.topics[..] };
        let publisher_id = entry.publisher_id.as_deref();
        index.note(&Noted { at, len, topics, publisher_id, mark: entry.extras().map(Extras::mark) });
    }
}

fn full_or_failed(error: io::Error) -> Unwritten {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, ResourceBusy, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge | ResourceBusy => Unwritten::Full(error),
        _ => Unwritten::Failed(error),
    }
}
