//! All of a log that is on disk: one chain of segments for each retention class, and what has to be known beside them.
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
    /// Of the smallest segment and the largest.
    pub(crate) segment_bytes: (usize, usize),
    /// The epoch, if the log is a new one.
    pub(crate) epoch: Epoch,
    /// Topics of which the newest value of each key is kept.
    pub(crate) compact: Matchers,
    /// How many numbers are passed by for each millisecond since the last one was reserved.
    pub(crate) numbers_per_ms: u64,
}

/// The log on disk as its readers see it. Only its [`Writer`](super::writer::Writer) changes what they see, and
/// [`Store::keep`] takes away what is not kept any more.
pub(crate) struct Store {
    pub(crate) volume: Arc<dyn Volume>,
    pub(crate) epoch: Epoch,
    pub(crate) chains: Vec<Chain>,
    /// Large entries that readers have.
    large: Large,
    /// What entries are stamped with.
    pub(crate) clock: Arc<LogClock>,
    gone: RwLock<Gone>,
    /// Numbers that were given out, perhaps, and lost: in a crash, or in a directory of which this one is a copy.
    skips: RwLock<Vec<(u64, u64)>>,
    numbers_per_ms: u64,
    /// There has been a private entry.
    private: AtomicBool,
    /// Files made for segments.
    spares: AtomicU64,
    /// What was found when it was opened.
    pub(crate) opened: Opened,
}

impl Store {
    /// Opens the log in `volume`, or begins one.
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
                // whatever was given out behind the newest entry found is lost, and its number names nothing else
                // behind an earlier crash readers were told the first number that was not: as a place it is good
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
            // made for the segments of another run: their size may not fit, and nobody knows whether they are whole
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
            opened,
        };
        info!(epoch = %store.epoch, head = store.opened.head, entries = store.opened.entries, "history is open");
        Ok(store)
    }

    /// What `store` says, at this time, while numbers below `ceiling` may be given out.
    pub(crate) fn manifest(&self, ceiling: u64, clean: Option<Clean>, saved_ms: u64) -> Manifest {
        let (epoch, skips, private) = (self.epoch.to_string(), self.skips.read().clone(), self.has_had_private());
        Manifest { format: FORMAT, epoch, ceiling, saved_ms, skips, clean, private }
    }

    /// How many numbers the first write after a start passes by: as many as may have been given out since the last one was
    /// reserved, if this directory is a copy of one that went on.
    pub(crate) fn numbers_to_pass(&self, now_ms: u64) -> u64 {
        let since = match self.opened.saved_ms {
            0 => 0,
            saved_ms => now_ms.saturating_sub(saved_ms),
        };
        since.saturating_mul(self.numbers_per_ms).min(NUMBERS_PASSED_MAX)
    }

    /// These numbers name nothing here, and what they may name elsewhere is lost.
    pub(crate) fn pass(&self, first: u64, last: u64) {
        self.skips.write().push((first, last));
    }

    /// Takes back the last [`pass`](Self::pass).
    pub(crate) fn unpass(&self) {
        self.skips.write().pop();
    }

    /// Has there ever been a private entry?
    pub(crate) fn has_had_private(&self) -> bool {
        self.private.load(Relaxed)
    }

    /// There will be one: what is saved from now on says so.
    pub(crate) fn will_have_private(&self) {
        self.private.store(true, Relaxed);
    }

    pub(crate) fn save(&self, manifest: &Manifest) -> io::Result<()> {
        save(&*self.volume, MANIFEST, manifest)
    }

    /// The class in which an entry of these topics is kept longest.
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
            // no age is for ever
            (age.unwrap_or(Duration::MAX), bytes, events)
        };
        topics.map(class).max_by_key(kept).unwrap_or(0)
    }

    /// Reads the next entries behind `cursor` that match, up to the number `last`. What was gone when `drops` segments had
    /// been dropped is nobody's loss now.
    pub(crate) fn read(&self, wanted: &Wanted) -> io::Result<Found> {
        let Wanted { max, cursor, matchers, last, drops } = wanted;
        let (cursor, last, drops) = (*cursor, *last, *drops);
        // first the segments, which stay readable, then what is gone: nothing falls between
        let segments: Vec<Vec<Arc<Segment>>> = self.chains.iter().map(|chain| chain.behind(cursor)).collect();
        let gone = self.gone.read();
        match gone.missed_since(After::Sequence(cursor), matchers, drops) {
            Missed::Nothing => {}
            lost => {
                // one of several chains may have lost something behind the cursor before the stream began
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

    /// The first entry that has it, unless there was another before.
    pub(super) fn find_publisher_id(&self, id: &str) -> io::Result<Option<u64>> {
        if self.gone.read().ids.contains(id) {
            return Ok(None);
        }
        let mut first: Option<u64> = None;
        for chain in &self.chains {
            for segment in chain.behind(0) {
                if let Some(sequence) = segment.sequence_of_id(id)? {
                    first = Some(first.map_or(sequence, |first| first.min(sequence)));
                    break;
                }
            }
        }
        Ok(first)
    }

    /// Was this number given out, perhaps, and lost in a crash, or in a directory of which this one is a copy?
    pub(crate) fn is_lost_in_a_crash(&self, sequence: u64) -> bool {
        self.skips.read().iter().any(|(first, last)| (*first..=*last).contains(&sequence))
    }

    /// The cursor behind which everything of this time or later lies.
    pub(crate) fn before_time(&self, ms: u64) -> io::Result<u64> {
        let mut cursor = 0;
        for chain in &self.chains {
            for segment in chain.behind(0).iter().rev() {
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

    /// How many segments have been dropped: what a stream that begins now counts from.
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

    /// The number of the oldest entry that is not in this segment.
    fn oldest_beside(&self, segment: &Segment) -> Option<u64> {
        let first = |chain: &Chain| {
            let segments = chain.segments.read();
            let others = segments.iter().filter(|other| other.head.generation != segment.head.generation);
            others.map(|other| other.contents()).find(|contents| contents.entries > 0)
        };
        self.chains.iter().filter_map(first).map(|contents| contents.first).min()
    }

    /// Of each class the first number that has not left it.
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

    /// The most topics that a segment has: a lower bound of all.
    pub(crate) fn topics(&self) -> usize {
        let topics = |chain: &Chain| chain.segments.read().iter().map(|segment| segment.index.read().topics()).max();
        self.chains.iter().filter_map(topics).max().unwrap_or_default() as usize
    }

    /// Reads all entries that mean something for what comes behind them, in order.
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

    /// Has any entry a time after which it is hidden?
    pub(crate) fn has_expiring(&self) -> io::Result<bool> {
        for segment in self.chains.iter().flat_map(|chain| chain.behind(0)) {
            if !segment.marked(Mark::EXPIRING)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What is kept of entries that have left the history, and up to which number some have.
    pub(crate) fn remains(&self) -> io::Result<(Remains, u64)> {
        let gone = self.gone.read();
        let ends = gone.ends.iter().map(|(sequence, topic)| (*sequence, Topic::known(topic))).collect();
        let (deletions, through) = (gone.deletions.clone(), gone.through());
        drop(gone);
        let values = values::read(&*self.volume, self.epoch)?;
        // those behind it are in their segments as well
        let values = values.into_iter().filter(|entry| entry.sequence <= through).collect();
        Ok((Remains { values, ends, deletions }, through))
    }

    /// Does what need not be done while somebody waits: puts the indexes of full segments into files and drops segments
    /// that are not kept any more.
    pub(crate) fn keep(&self, now_ms: u64, readers: &dyn OnDrop) -> io::Result<()> {
        for chain in &self.chains {
            for segment in chain.sealed() {
                save_index(&*self.volume, &segment)?;
            }
            while let Some(segment) = chain.is_too_much(|ms| self.clock.age_ms(ms, now_ms)) {
                self.drop_segment(chain, segment, readers)?;
            }
            // whoever needs room meanwhile waits for it: two would make the same file
            let mut spare = chain.spare.lock();
            if spare.is_none() && chain.is_half_full() {
                *spare = Some(self.make_room(chain, 0)?);
            }
        }
        Ok(())
    }

    /// Room for a segment that holds at least so many bytes.
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

    /// A name that no other file has: one that was taken may still have its own.
    fn spare_name(&self) -> String {
        format!("{SPARE}{}", self.spares.fetch_add(1, Relaxed))
    }

    /// Whoever looks for the history where it was opened has to find it.
    pub(crate) fn look_where_it_is(&self) -> io::Result<()> {
        self.volume.look_where_it_is()
    }

    /// As much room as the chain is due, or as there is.
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

    /// Behind `dropped` nobody reads the segment any more, whether or not its file has gone yet.
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
            // noted once, also when the disk has failed behind it and this is the second try
            if !is_noted {
                ids.iter().for_each(|id| gone.ids.note(id));
                // with values or deletions among them nobody knows how many of the others there are
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
        // its room is used again, unless somebody still reads what was in it
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

/// What is known of entries that are gone.
pub(super) fn read_gone(volume: &dyn Volume, names: &[String], bounds: GoneBounds) -> Result<Gone, Error> {
    let saved = read_file::<Saved>(volume, names, DROPPED)?;
    Ok(saved.map_or_else(|| Gone::new(bounds), |saved| Gone::from_saved(saved, bounds)))
}

pub(super) const DROPPED: &str = "dropped";
const SPARE: &str = "spare-";
