//! The log on disk: a chain of segments for each retention class, and the facts about the whole log.
//!
//! | file | holds |
//! |---|---|
//! | `lock` | the process that has the directory |
//! | `store` | epoch, how far numbers are reserved, which were lost in crashes, and after a clean stop where everything ends |
//! | `dropped` | what is known of entries that are gone |
//! | `CC-GGGGGGGGGGGG.segment`, `.index` | entries of class CC, and what is where among them |
//! | `spare-N` | room that is ready for the next segment |
//!
//! `store` and `dropped` are replaced as a whole, under a checksum.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, info};

use super::chain::{Chain, Class, Marked, Opened, SpareFile, StoredPage, open_chain, read_chain};
use super::checked_file::{damaged_file, read_file, save};
use super::damage::{FORMAT, unreadable, unwritable};
use super::index::{Contents, FileIndex, Index};
use super::manifest::{Clean, MANIFEST, Manifest, read_manifest};
use super::segment::{Segment, SegmentHead, index_name, parse_name, segment_name};
use super::syncs::Syncs;
use super::values;
use super::volume::{Volume, replace};
use crate::clock::LogClock;
use crate::extras::Mark;
use crate::limits::disk::{NUMBERS_PASSED_MAX, SKIPS_KEPT};
use crate::log::appender::OnDrop;
use crate::log::below::{Found, Wanted};
use crate::log::entry::Entry;
use crate::log::gone::{After, DroppedRun, DroppedSegment, Gone, GoneBounds, Missed, Saved};
use crate::log::large::Large;
use crate::log::tail::{Departure, Remains};
use crate::log::{Retained, Retention};
use crate::matcher::Matchers;
use crate::position::{Epoch, Position};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use crate::sync::{Mutex, RwLock};
use crate::{Error, Topic};

/// What a store is opened with.
pub(crate) struct Settings {
    pub(crate) classes: Vec<Class>,
    pub(crate) summary_bytes: usize,
    /// The capacity of the smallest and the largest segment.
    pub(crate) segment_bytes: (usize, usize),
    /// The epoch of a new log.
    pub(crate) epoch: Epoch,
    /// The compacted topics.
    pub(crate) compact: Matchers,
    /// The numbers to skip for each millisecond since the last reservation.
    pub(crate) numbers_per_ms: u64,
}

/// The log on disk as its readers see it. Only its [`Writer`](super::writer::Writer) adds to it, and only [`Store::keep`] drops
/// from it.
pub(crate) struct Store {
    pub(crate) volume: Arc<dyn Volume>,
    pub(crate) epoch: Epoch,
    pub(crate) chains: Vec<Chain>,
    /// Large entries that readers hold.
    large: Large,
    /// The clock that stamps entries.
    pub(crate) clock: Arc<LogClock>,
    gone: RwLock<Gone>,
    /// Numbers that may have been given out and lost: in a crash, or by a hub whose directory this one is a copy of.
    skips: RwLock<Vec<(u64, u64)>>,
    numbers_per_ms: u64,
    /// Whether there ever was a private entry.
    private: AtomicBool,
    /// Files prepared for segments.
    spares: AtomicU64,
    pub(crate) syncs: Syncs,
    /// Figures found when it was opened.
    pub(crate) opened: Opened,
}

impl Store {
    /// Opens the log in `volume`, or begins a new one.
    pub(crate) fn open(volume: Arc<dyn Volume>, settings: Settings) -> Result<Self, Error> {
        let Settings { classes, summary_bytes, segment_bytes, epoch, compact, numbers_per_ms } = settings;
        let names = volume.list().map_err(unreadable)?;
        let mut manifest = match read_manifest(&*volume, &names)? {
            Some(manifest) => manifest,
            None => {
                let (epoch, skips, clean) = (epoch.to_string(), Vec::new(), None);
                let new = Manifest { format: FORMAT, epoch, ceiling: 0, saved_ms: 0, skips, clean, private: false };
                save(&*volume, MANIFEST, &new).map_err(unwritable)?;
                new
            }
        };
        let epoch = Position::parse(&format!("{}:0", manifest.epoch)).map_err(|_| damaged_file(MANIFEST))?.epoch;
        let history_bytes = classes.iter().fold(0, |bytes: usize, class| bytes.saturating_add(class.retention.bytes));
        let mut gone = read_gone(&*volume, &names, GoneBounds { summary_bytes, history_bytes })?;
        gone.compact = compact;
        let mut opened = Opened { newest_ms: gone.newest_ms(), saved_ms: manifest.saved_ms, ..Opened::default() };
        let mut chains = Vec::new();
        for (id, class) in (0..).zip(classes) {
            let segments = open_chain(&*volume, &names, id, &manifest, &gone, &mut opened)?;
            chains.push(Chain { id, class, segment_bytes, segments: RwLock::new(segments), spare: Mutex::default() });
        }
        if let Some(name) = names
            .iter()
            .find(|name| parse_name(name, ".segment").is_some_and(|(chain, _)| chain as usize >= chains.len()))
        {
            return Err(Error::invalid(format!(
                "{name} belongs to a class of topics that is no longer configured; configure as many classes as before"
            )));
        }
        match &manifest.clean {
            Some(clean) => opened.head = clean.head,
            None if manifest.ceiling > 0 => {
                // numbers given out after the newest entry are lost and name nothing else
                // after an earlier crash, readers were sent the first number that was not lost: it is a valid position
                let told = manifest.skips.last().map_or(0, |(_, last)| last + 1);
                let last = opened.head.max(told);
                opened.head = last.max(manifest.ceiling - 1);
                if opened.head > last + 1 {
                    manifest.skips.push((last + 1, opened.head - 1));
                }
            }
            None => {}
        }
        let surplus = manifest.skips.len().saturating_sub(SKIPS_KEPT);
        manifest.skips.drain(..surplus);
        for name in names.iter().filter(|name| name.starts_with(SPARE) || name.ends_with(".new")) {
            // spares of an earlier run: their size may not fit, and they may be incomplete
            let _ = volume.remove(name);
        }
        let store = Self {
            volume,
            epoch,
            chains,
            large: Large::default(),
            clock: Arc::new(LogClock::after(opened.newest_ms)),
            gone: RwLock::new(gone),
            skips: RwLock::new(manifest.skips),
            numbers_per_ms,
            private: AtomicBool::new(manifest.private),
            spares: AtomicU64::new(0),
            syncs: Syncs::default(),
            opened,
        };
        info!(epoch = %store.epoch, head = store.opened.head, entries = store.opened.entries, "history is open");
        Ok(store)
    }

    /// The manifest at this time, if numbers below `ceiling` may be given out.
    pub(crate) fn manifest(&self, ceiling: u64, clean: Option<Clean>, saved_ms: u64) -> Manifest {
        let (epoch, skips, private) = (self.epoch.to_string(), self.skips.read().clone(), self.has_had_private());
        Manifest { format: FORMAT, epoch, ceiling, saved_ms, skips, clean, private }
    }

    /// How many numbers the first write after a start skips: as many as may have been given out since the last reservation, in case
    /// this directory is a copy and the original went on.
    pub(crate) fn numbers_to_pass(&self, now_ms: u64) -> u64 {
        let since = match self.opened.saved_ms {
            0 => 0,
            saved_ms => now_ms.saturating_sub(saved_ms),
        };
        since.saturating_mul(self.numbers_per_ms).min(NUMBERS_PASSED_MAX)
    }

    /// Skips these numbers. They name nothing here; entries that have them elsewhere count as lost.
    pub(crate) fn pass(&self, first: u64, last: u64) {
        self.skips.write().push((first, last));
    }

    /// Undoes the last [`pass`](Self::pass).
    pub(crate) fn unpass(&self) {
        self.skips.write().pop();
    }

    /// Whether there ever was a private entry.
    pub(crate) fn has_had_private(&self) -> bool {
        self.private.load(Relaxed)
    }

    /// Notes that there will be a private entry. The manifest says so from now on.
    pub(crate) fn will_have_private(&self) {
        self.private.store(true, Relaxed);
    }

    pub(crate) fn save(&self, manifest: &Manifest) -> io::Result<()> {
        save(&*self.volume, MANIFEST, manifest)
    }

    /// Of the classes of these topics, the one that is kept longest.
    pub(crate) fn chain_of<'a>(&self, topics: impl Iterator<Item = &'a Topic>) -> usize {
        if self.chains.len() == 1 {
            return 0;
        }
        let class = |topic: &Topic| {
            let own = |chain: &Chain| chain.class.topics.as_ref().is_some_and(|matcher| matcher.matches(topic));
            self.chains.iter().skip(1).position(own).map_or(0, |at| at + 1)
        };
        let kept = |chain: &usize| {
            let Retention { age, bytes, events } = self.chains[*chain].class.retention;
            // without an age limit, entries are kept for ever
            (age.unwrap_or(Duration::MAX), bytes, events)
        };
        topics.map(class).max_by_key(kept).unwrap_or(0)
    }

    /// Reads the next matching entries after `cursor`, up to the number `last`. Entries that were already gone when `drops`
    /// segments had been dropped are not reported.
    pub(crate) fn read(&self, wanted: &Wanted) -> io::Result<Found> {
        let Wanted { max, cursor, matchers, last, drops } = wanted;
        let (cursor, last, drops) = (*cursor, *last, *drops);
        // first the segments, which stay readable, then the summary of dropped entries: so no entry is in neither
        let segments: Vec<Vec<Arc<Segment>>> = self.chains.iter().map(|chain| chain.after(cursor)).collect();
        let gone = self.gone.read();
        match gone.missed_since(After::Sequence(cursor), matchers, drops) {
            Missed::Nothing => {}
            lost => {
                // one of several chains may have dropped entries after the cursor before the stream began
                let missed = lost.number().filter(|_| drops == 0 || self.chains.len() == 1);
                return Ok(Found::Lost { missed, drops: gone.drops() });
            }
        }
        drop(gone);
        let read = |segments: &Vec<_>| read_chain(segments, self.epoch, *max, cursor, matchers, last, &self.large);
        let mut pages = segments.iter().map(read);
        if let [_] = &self.chains[..] {
            let page = pages.next().transpose()?.unwrap_or_else(|| StoredPage {
                entries: Vec::new(),
                cursor: last,
                more: false,
            });
            return Ok(page.into_found());
        }
        let mut merged = StoredPage { entries: Vec::new(), cursor: last, more: false };
        for page in pages {
            let page = page?;
            if page.more {
                merged.cursor = merged.cursor.min(page.cursor);
                merged.more = true;
            }
            merged.entries.extend(page.entries);
        }
        merged.entries.sort_unstable_by_key(|entry| entry.sequence);
        merged.entries.retain(|entry| entry.sequence <= merged.cursor);
        Ok(merged.into_found())
    }

    /// The first entry with this publisher's id, unless an earlier entry with it was dropped.
    pub(super) fn find_publisher_id(&self, id: &str) -> io::Result<Option<u64>> {
        if self.gone.read().ids.contains(id) {
            return Ok(None);
        }
        let mut first: Option<u64> = None;
        for chain in &self.chains {
            for segment in chain.after(0) {
                if let Some(sequence) = segment.sequence_of_id(id)? {
                    first = Some(first.map_or(sequence, |first| first.min(sequence)));
                    break;
                }
            }
        }
        Ok(first)
    }

    /// Whether this number may have been given out and lost: in a crash, or by a hub whose directory this one is a copy of.
    pub(crate) fn is_lost_in_a_crash(&self, sequence: u64) -> bool {
        self.skips.read().iter().any(|(first, last)| (*first..=*last).contains(&sequence))
    }

    /// The cursor after which all entries of this time or later lie.
    pub(crate) fn before_time(&self, ms: u64) -> io::Result<u64> {
        let mut cursor = 0;
        for chain in &self.chains {
            for segment in chain.after(0).iter().rev() {
                let contents = segment.contents();
                if contents.first_ms < ms && contents.entries > 0 {
                    cursor = cursor.max(segment.last_before(ms)?);
                    break;
                }
            }
        }
        Ok(cursor)
    }

    /// What a resume has missed.
    pub(crate) fn missed(&self, after: After, matchers: &Matchers) -> Missed {
        self.gone.read().missed_since(after, matchers, 0)
    }

    /// The number of dropped segments. A stream counts drops from the value at its beginning.
    pub(crate) fn drops(&self) -> u64 {
        self.gone.read().drops()
    }

    /// The number of the oldest entry, if there is one.
    pub(crate) fn oldest(&self) -> Option<u64> {
        let first = |chain: &Chain| {
            chain.segments.read().iter().map(|segment| segment.contents()).find(|contents| contents.entries > 0)
        };
        self.chains.iter().filter_map(first).map(|contents| contents.first).min()
    }

    /// The number of the oldest entry outside this segment.
    fn oldest_beside(&self, segment: &Segment) -> Option<u64> {
        let first = |chain: &Chain| {
            let segments = chain.segments.read();
            let others = segments.iter().filter(|other| other.head.generation != segment.head.generation);
            others.map(|other| other.contents()).find(|contents| contents.entries > 0)
        };
        self.chains.iter().filter_map(first).map(|contents| contents.first).min()
    }

    /// For each class, the first number that was not dropped from it.
    #[cfg(test)]
    pub(crate) fn firsts(&self) -> Vec<u64> {
        let first = |chain: &Chain| chain.segments.read().front().map_or(1, |segment| segment.head.before.last + 1);
        self.chains.iter().map(first).collect()
    }

    pub(crate) fn kept(&self) -> Retained {
        let mut kept = Retained::default();
        for chain in &self.chains {
            for segment in chain.segments.read().iter() {
                kept.entries += segment.contents().entries as usize;
                kept.bytes += segment.capacity as usize;
            }
        }
        kept
    }

    /// The number of topics of the segment with the most: a lower bound for the whole log.
    pub(crate) fn topics(&self) -> usize {
        let topics = |chain: &Chain| chain.segments.read().iter().map(|segment| segment.index.read().topics()).max();
        self.chains.iter().filter_map(topics).max().unwrap_or_default() as usize
    }

    /// Reads all marked entries, on which later ones depend, in order.
    pub(crate) fn each_marked(&self, mut each: impl FnMut(&Arc<Entry>)) -> io::Result<()> {
        let compact = self.gone.read().compact.clone();
        let mut chains: Vec<_> =
            self.chains.iter().map(|chain| Marked::new(chain, self.epoch, self.opened.newest_ms, &compact)).collect();
        loop {
            let mut next: Option<(u64, &mut Marked<'_>)> = None;
            for chain in &mut chains {
                if let Some(number) = chain.peek()? {
                    if next.as_ref().is_none_or(|(other, _)| number < *other) {
                        next = Some((number, chain));
                    }
                }
            }
            match next.and_then(|(_, chain)| chain.next()) {
                Some(entry) => each(&entry),
                None => return Ok(()),
            }
        }
    }

    /// Whether any entry expires.
    pub(crate) fn has_expiring(&self) -> io::Result<bool> {
        for segment in self.chains.iter().flat_map(|chain| chain.after(0)) {
            if !segment.marked(Mark::EXPIRING)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What is kept of dropped entries, and the number up to which entries were dropped.
    pub(crate) fn remains(&self) -> io::Result<(Remains, u64)> {
        let gone = self.gone.read();
        let ends = gone.ends.iter().map(|(sequence, topic)| (*sequence, Topic::known(topic))).collect();
        let (deletions, through) = (gone.deletions.clone(), gone.through());
        drop(gone);
        let values = values::read(&*self.volume, self.epoch)?;
        // later ones are also in their segments
        let values = values.into_iter().filter(|entry| entry.sequence <= through).collect();
        Ok((Remains { values, ends, deletions }, through))
    }

    /// Does the work that can wait: writes the indexes of full segments to files, and drops segments that exceed the retention.
    pub(crate) fn keep(&self, now_ms: u64, readers: &dyn OnDrop) -> io::Result<()> {
        for chain in &self.chains {
            for segment in chain.sealed() {
                save_index(&*self.volume, &segment)?;
            }
            while let Some(segment) = chain.is_too_much(|ms| self.clock.age_ms(ms, now_ms)) {
                self.drop_segment(chain, segment, readers)?;
            }
            // a writer that needs room meanwhile waits: otherwise both would make the same file
            let mut spare = chain.spare.lock();
            if spare.is_none() && chain.is_half_full() {
                *spare = Some(self.make_room(chain, 0)?);
            }
        }
        Ok(())
    }

    /// A file for a segment of at least `least` bytes.
    pub(crate) fn take_room(&self, chain: usize, least: usize) -> io::Result<SpareFile> {
        let chain = &self.chains[chain];
        let mut spare = chain.spare.lock();
        match spare.take() {
            Some(room) if room.capacity as usize >= least => return Ok(room),
            Some(room) => self.volume.remove(&room.name)?,
            None => {}
        }
        let room = self.make_room(chain, least);
        drop(spare);
        room
    }

    /// A name that no other file has. A spare that is already used may still have its old name.
    fn spare_name(&self) -> String {
        format!("{SPARE}{}", self.spares.fetch_add(1, Relaxed))
    }

    /// Checks that the path still leads to this directory.
    pub(crate) fn look_where_it_is(&self) -> io::Result<()> {
        self.volume.look_where_it_is()
    }

    /// A file of the size that the chain wants next, or of the size that there is room for.
    fn make_room(&self, chain: &Chain, least: usize) -> io::Result<SpareFile> {
        let least = least.max(chain.segment_bytes.0);
        let mut capacity = (chain.next_capacity() as usize).max(least);
        let name = self.spare_name();
        loop {
            match self.volume.create(&name, capacity as u64) {
                Ok(file) => {
                    file.sync()?;
                    return Ok(SpareFile { name, file, capacity: capacity as u32 });
                }
                Err(error) if capacity > least => {
                    debug!(%error, bytes = capacity, "no room for a segment; a smaller one is tried");
                    capacity = (capacity / 2).max(least);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Once `dropped` is written nobody reads the segment any more, even if its file still exists.
    fn drop_segment(&self, chain: &Chain, segment: Arc<Segment>, readers: &dyn OnDrop) -> io::Result<()> {
        let SegmentHead { chain: id, generation, .. } = segment.head;
        let (mut marks, mut deletes) = (HashSet::new(), false);
        segment.each_at(&segment.marked(Mark::LASTING)?, |record| {
            marks.insert(record.head.place.sequence);
            deletes |= record.extras()?.0.is_some_and(|extras| extras.deletes.is_some());
            Ok(())
        })?;
        let mut topics = Vec::new();
        segment.index.read().each_topic(|name, run| topics.push((Topic::known(name), run.as_dropped())))?;
        let mut ids = Vec::new();
        segment.each_publisher_id(|id| ids.push(id))?;

        let gone = self.gone.read();
        marks.extend(segment.newest_without_key(&gone.compact, self.epoch)?.iter().map(|entry| entry.sequence));
        let of_topics = topics.len();
        topics.retain(|(topic, _)| !gone.compacts(topic));
        let is_noted = gone.through_generation(id) >= generation;
        drop(gone);

        let Contents { first, last, last_ms, entries, .. } = segment.contents();
        let oldest = self.oldest_beside(&segment).unwrap_or(u64::MAX);
        let Remains { values, ends, deletions } = readers.drop_below(&Departure { through: last, oldest, marks });
        values::save(&*self.volume, &values)?;
        let saved = {
            let mut gone = self.gone.write();
            gone.ends = ends.into_iter().map(|(sequence, topic)| (sequence, topic.to_string())).collect();
            gone.deletions = deletions;
            // noted once, even if the disk failed after that and this is the second try
            if !is_noted {
                ids.iter().for_each(|id| gone.ids.note(id));
                // with values or deletions among them, the number of other entries is unknown
                let entries = if topics.len() < of_topics || deletes {
                    topics.iter().fold(DroppedRun::default(), |others, (_, run)| others.until(run))
                } else {
                    DroppedRun::of(first, last, last_ms, entries.into())
                };
                gone.add(
                    &DroppedSegment { chain: id, generation, through: last, last_ms, entries },
                    topics.into_iter(),
                );
            }
            gone.saved()
        };
        save(&*self.volume, DROPPED, &saved)?;
        chain.segments.write().pop_front();
        debug!(generation, entries = segment.contents().entries, "a segment leaves the history");
        let _ = self.volume.remove(&index_name(id, generation));
        let name = segment_name(id, generation);
        // its file is reused, unless a reader still reads from it
        let mut spare = chain.spare.lock();
        match Arc::try_unwrap(segment) {
            Ok(segment) if spare.is_none() && segment.capacity >= chain.next_capacity() => {
                let room = SpareFile { name: self.spare_name(), file: segment.file, capacity: segment.capacity };
                self.volume.rename(&name, &room.name)?;
                *spare = Some(room);
                Ok(())
            }
            _ => self.volume.remove(&name),
        }
    }
}

fn save_index(volume: &dyn Volume, segment: &Segment) -> io::Result<()> {
    let bytes = match &*segment.index.read() {
        Index::Memory(index) => index.to_bytes(),
        Index::File(_) => return Ok(()),
    };
    let name = index_name(segment.head.chain, segment.head.generation);
    replace(volume, &name, &bytes)?;
    if let Some(index) = FileIndex::open(volume.open(&name)?, segment.head.salt)? {
        *segment.index.write() = Index::File(index);
    }
    Ok(())
}

/// The summary of dropped entries.
pub(super) fn read_gone(volume: &dyn Volume, names: &[String], bounds: GoneBounds) -> Result<Gone, Error> {
    let saved = read_file::<Saved>(volume, names, DROPPED)?;
    Ok(saved.map_or_else(|| Gone::new(bounds), |saved| Gone::from_saved(saved, bounds)))
}

pub(super) const DROPPED: &str = "dropped";
const SPARE: &str = "spare-";
