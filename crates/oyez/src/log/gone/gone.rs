//! What is known of entries that have left the log: enough to say whether a resume is complete, and what counts on though its
//! entry is gone. Over nothing it is the tail's and changes with each entry; on disk it is the file `dropped` and changes when a
//! segment is dropped.

use serde::{Deserialize, Serialize};

use super::ids::LeftIds;
use super::recent::RecentlyLost;
use super::run::{After, DroppedRun, Missed};
use super::topics::Dropped;
use crate::Topic;
use crate::limits::DROPPED_SUMMARY_BYTES;
use crate::log::deletions::Outlived;
use crate::matcher::Matchers;

/// What has left a log.
#[derive(Debug)]
pub(crate) struct Gone {
    /// By the number of the class.
    classes: Vec<GoneOfClass>,
    /// How many segments have been dropped.
    drops: u64,
    /// The newest time of an entry that is gone.
    newest_ms: u64,
    /// Where topics ended whose end is gone.
    pub(crate) ends: Vec<(u64, String)>,
    /// Deletions that are gone, while something that they hide may be left.
    pub(crate) deletions: Vec<Outlived>,
    pub(crate) ids: LeftIds,
    /// Of a log over nothing.
    pub(crate) recent: RecentlyLost,
    /// Of these topics nothing is ever missed.
    pub(crate) compact: Matchers,
    summary_bytes: usize,
}

/// What bounds it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GoneBounds {
    /// Of the summary of topics of a class.
    pub(crate) summary_bytes: usize,
    /// Of the whole history.
    pub(crate) history_bytes: usize,
}

/// Of a history that no hub has.
impl Default for GoneBounds {
    fn default() -> Self {
        Self { summary_bytes: DROPPED_SUMMARY_BYTES, history_bytes: usize::MAX }
    }
}

/// The oldest entries of a class, which are gone. Another class may have kept entries from before them.
#[derive(Debug)]
struct GoneOfClass {
    topics: Dropped,
    all: DroppedRun,
    /// The newest segment of them.
    generation: u64,
    /// The last number of that.
    through: u64,
}

/// A segment that is about to be dropped.
pub(crate) struct DroppedSegment {
    pub(crate) chain: u8,
    pub(crate) generation: u64,
    /// The number of its last entry.
    pub(crate) through: u64,
    /// And its time.
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
    /// Nothing is gone yet.
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

    /// The same of a log over nothing, whose entries leave one by one and are all of one class.
    pub(crate) fn over_nothing(bounds: GoneBounds) -> Self {
        Self { classes: vec![GoneOfClass::nothing(bounds.summary_bytes)], ..Self::new(bounds) }
    }

    /// Topics of which all entries are gone, of a log over nothing.
    pub(crate) fn topics_over_nothing(&self) -> &Dropped {
        &self.classes[0].topics
    }

    /// See [`topics_over_nothing`](Self::topics_over_nothing).
    pub(crate) fn topics_over_nothing_mut(&mut self) -> &mut Dropped {
        &mut self.classes[0].topics
    }

    /// The oldest entry of a log over nothing has left, which was of this time.
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

    /// Notes that a segment is dropped, which holds these entries of these topics.
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

    /// Entries are gone, the last with at most this number and time, and nobody knows of which topics.
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

    /// What a reader behind `after` has missed that was there when so many segments had been dropped. An entry is in one class:
    /// what is missed of one is not what is missed of another.
    pub(crate) fn missed_since(&self, after: After, matchers: &Matchers, drops: u64) -> Missed {
        let missed = self.classes.iter().map(|class| class.missed_since(after, matchers, drops, &self.compact));
        missed.fold(Missed::Nothing, Missed::and)
    }

    /// Is nothing of this topic ever missed?
    pub(crate) fn compacts(&self, topic: &Topic) -> bool {
        self.compact.len() > 0 && self.compact.matches(topic)
    }

    /// The newest time of an entry that is gone.
    pub(crate) fn newest_ms(&self) -> u64 {
        self.newest_ms
    }

    /// How many segments have been dropped.
    pub(crate) fn drops(&self) -> u64 {
        self.drops
    }

    /// Up to here all of some class is gone, and perhaps not of another.
    pub(crate) fn through(&self) -> u64 {
        self.classes.iter().map(|class| class.through).max().unwrap_or_default()
    }

    /// The newest generation of a chain that is gone; 0 before the first.
    pub(crate) fn through_generation(&self, chain: u8) -> u64 {
        self.classes.get(usize::from(chain)).map_or(0, |class| class.generation)
    }

    /// How many topics are known of which entries are gone.
    pub(crate) fn topics(&self) -> usize {
        self.classes.iter().map(|class| class.topics.runs().count()).sum()
    }

    /// How many entries are known to be gone, and the number of the last one that may be.
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
