//! The summary of dropped entries. It says whether a resume is complete, and it keeps facts whose entries were dropped. In a log in
//! memory it belongs to the tail and changes with each entry. On disk it is the file `dropped` and changes when a segment is
//! dropped.

use serde::{Deserialize, Serialize};

use super::ids::LeftIds;
use super::recent::RecentlyLost;
use super::run::{After, DroppedRun, Missed};
use super::topics::Dropped;
use crate::Topic;
use crate::limits::DROPPED_SUMMARY_BYTES;
use crate::log::deletions::Outlived;
use crate::matcher::Matchers;

/// The summary of dropped entries of a log.
#[derive(Debug)]
pub(crate) struct Gone {
    /// By class number.
    classes: Vec<GoneOfClass>,
    /// The number of dropped segments.
    drops: u64,
    /// The newest time of a dropped entry.
    newest_ms: u64,
    /// The positions of dropped ends, with their topics.
    pub(crate) ends: Vec<(u64, String)>,
    /// Dropped deletions that may still hide entries.
    pub(crate) deletions: Vec<Outlived>,
    pub(crate) ids: LeftIds,
    /// Only for a log in memory.
    pub(crate) recent: RecentlyLost,
    /// Compacted topics, whose losses are not reported.
    pub(crate) compact: Matchers,
    summary_bytes: usize,
}

/// Its bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GoneBounds {
    /// Bytes of the topic summary of a class.
    pub(crate) summary_bytes: usize,
    /// Bytes of the whole history.
    pub(crate) history_bytes: usize,
}

/// For a history without a hub.
impl Default for GoneBounds {
    fn default() -> Self {
        Self { summary_bytes: DROPPED_SUMMARY_BYTES, history_bytes: usize::MAX }
    }
}

/// The dropped entries of a class. Another class may retain earlier entries.
#[derive(Debug)]
struct GoneOfClass {
    topics: Dropped,
    all: DroppedRun,
    /// The newest dropped segment.
    generation: u64,
    /// The last sequence number of that segment.
    through: u64,
}

/// A segment that is about to be dropped.
pub(crate) struct DroppedSegment {
    pub(crate) chain: u8,
    pub(crate) generation: u64,
    /// The sequence number of its last entry.
    pub(crate) through: u64,
    /// The time of its last entry.
    pub(crate) last_ms: u64,
    pub(crate) entries: DroppedRun,
}

/// The file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    classes: Vec<SavedClass>,
    drops: u64,
    newest_ms: u64,
    ends: Vec<(u64, String)>,
    deletions: Vec<Outlived>,
    ids: (u64, Vec<u64>),
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedClass {
    topics: Vec<(String, DroppedRun)>,
    forgotten: DroppedRun,
    all: DroppedRun,
    generation: u64,
    through: u64,
}

impl Gone {
    /// Nothing was dropped yet.
    pub(crate) fn new(bounds: GoneBounds) -> Self {
        let GoneBounds { summary_bytes, history_bytes } = bounds;
        Self {
            classes: Vec::new(),
            drops: 0,
            newest_ms: 0,
            ends: Vec::new(),
            deletions: Vec::new(),
            ids: LeftIds::new(history_bytes),
            recent: RecentlyLost::default(),
            compact: Matchers::default(),
            summary_bytes,
        }
    }

    /// The same for a log in memory, whose entries are dropped one by one and are all of one class.
    pub(crate) fn over_nothing(bounds: GoneBounds) -> Self {
        Self { classes: vec![GoneOfClass::nothing(bounds.summary_bytes)], ..Self::new(bounds) }
    }

    /// For a log in memory: topics whose entries were all dropped.
    pub(crate) fn topics_over_nothing(&self) -> &Dropped {
        &self.classes[0].topics
    }

    /// See [`topics_over_nothing`](Self::topics_over_nothing).
    pub(crate) fn topics_over_nothing_mut(&mut self) -> &mut Dropped {
        &mut self.classes[0].topics
    }

    /// For a log in memory: the oldest entry, of this time, was dropped.
    pub(crate) fn note_time(&mut self, time_ms: u64) {
        self.newest_ms = time_ms;
    }

    pub(crate) fn from_saved(saved: Saved, bounds: GoneBounds) -> Self {
        let GoneBounds { summary_bytes, history_bytes } = bounds;
        let Saved { classes, drops, newest_ms, ends, deletions, ids } = saved;
        let classes = classes.into_iter().map(|class| {
            let SavedClass { topics, forgotten, all, generation, through } = class;
            let topics = topics.into_iter().map(|(topic, run)| (Topic::known(&topic), run));
            let topics = Dropped::of(summary_bytes, topics, forgotten);
            GoneOfClass { topics, all, generation, through }
        });
        let classes = classes.collect();
        let ids = LeftIds::of(history_bytes, ids);
        let (recent, compact) = (RecentlyLost::default(), Matchers::default());
        Self { classes, drops, newest_ms, ends, deletions, ids, recent, compact, summary_bytes }
    }

    pub(crate) fn saved(&self) -> Saved {
        let classes = self.classes.iter().map(|class| SavedClass {
            topics: class.topics.runs().map(|(topic, run)| (topic.to_string(), run)).collect(),
            forgotten: class.topics.forgotten(),
            all: class.all,
            generation: class.generation,
            through: class.through,
        });
        Saved {
            classes: classes.collect(),
            drops: self.drops,
            newest_ms: self.newest_ms,
            ends: self.ends.clone(),
            deletions: self.deletions.clone(),
            ids: self.ids.saved(),
        }
    }

    /// Notes that a segment is dropped, with its entries by topic.
    pub(crate) fn add(&mut self, leaving: &DroppedSegment, topics: impl Iterator<Item = (Topic, DroppedRun)>) {
        self.drops += 1;
        let drop = self.drops;
        self.newest_ms = self.newest_ms.max(leaving.last_ms);
        let class = self.class_mut(leaving.chain);
        class.generation = class.generation.max(leaving.generation);
        class.through = class.through.max(leaving.through);
        class.all.join(&leaving.entries, drop);
        topics.for_each(|(topic, run)| class.topics.add(topic, &run, drop));
    }

    /// Entries of unknown topics were lost; the last had at most this number and time.
    pub(crate) fn has_lost(&mut self, last: u64, last_ms: u64) {
        self.drops += 1;
        let drop = self.drops;
        let lost = DroppedRun::unknown(last, last_ms);
        let class = self.class_mut(0);
        class.all.join(&lost, drop);
        class.topics.add_to_all(&lost, drop);
    }

    fn class_mut(&mut self, chain: u8) -> &mut GoneOfClass {
        let at = usize::from(chain);
        if self.classes.len() <= at {
            self.classes.resize_with(at + 1, || GoneOfClass::nothing(self.summary_bytes));
        }
        &mut self.classes[at]
    }

    /// What a reader after `after` has missed, counting only entries that were still there when `drops` segments had been dropped.
    /// An entry is in one class only, so losses of classes add up.
    pub(crate) fn missed_since(&self, after: After, matchers: &Matchers, drops: u64) -> Missed {
        let missed = self.classes.iter().map(|class| class.missed_since(after, matchers, drops, &self.compact));
        missed.fold(Missed::Nothing, Missed::and)
    }

    /// Whether this topic is compacted, so that losses are not reported.
    pub(crate) fn compacts(&self, topic: &Topic) -> bool {
        self.compact.len() > 0 && self.compact.matches(topic)
    }

    /// The newest time of a dropped entry.
    pub(crate) fn newest_ms(&self) -> u64 {
        self.newest_ms
    }

    /// The number of dropped segments.
    pub(crate) fn drops(&self) -> u64 {
        self.drops
    }

    /// The highest sequence number up to which some class is fully dropped.
    pub(crate) fn through(&self) -> u64 {
        self.classes.iter().map(|class| class.through).max().unwrap_or_default()
    }

    /// The newest dropped generation of a chain; 0 before the first.
    pub(crate) fn through_generation(&self, chain: u8) -> u64 {
        self.classes.get(usize::from(chain)).map_or(0, |class| class.generation)
    }

    /// The number of topics in the summary.
    pub(crate) fn topics(&self) -> usize {
        self.classes.iter().map(|class| class.topics.runs().count()).sum()
    }

    /// The number of entries known to be dropped, and the last sequence number that may be.
    pub(crate) fn entries(&self) -> (u64, u64) {
        let runs = self.classes.iter().map(|class| class.all);
        runs.fold((0, 0), |(entries, last), run| (entries + run.count(), last.max(run.last())))
    }
}

impl GoneOfClass {
    fn nothing(summary_bytes: usize) -> Self {
        Self { topics: Dropped::new(summary_bytes), all: DroppedRun::default(), generation: 0, through: 0 }
    }

    fn missed_since(&self, after: After, matchers: &Matchers, drops: u64, compact: &Matchers) -> Missed {
        let all = self.all.missed_since(after, drops);
        if all == Missed::Nothing || matchers.is_all() {
            return all;
        }
        self.topics.missed_since(after, matchers, drops, compact)
    }
}
