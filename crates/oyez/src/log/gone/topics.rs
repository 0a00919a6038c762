//! The summary of topics whose entries were dropped: enough to say whether a resume is complete.

use std::collections::{BTreeSet, HashMap};

use super::run::{After, DroppedRun, Missed};
use crate::Topic;
use crate::limits::MISSED_CHECKS;
use crate::matcher::Matchers;

/// The summary of topics without entries, bounded in bytes. Of forgotten topics only the highest number is known.
#[derive(Debug)]
pub(crate) struct Dropped {
    runs: HashMap<Topic, DroppedRun>,
    by_last: BTreeSet<(u64, Topic)>,
    bytes: usize,
    bytes_max: usize,
    /// What a topic without a run may have lost: nothing, until a topic was forgotten.
    forgotten: DroppedRun,
}

impl Dropped {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { runs: HashMap::new(), by_last: BTreeSet::new(), bytes: 0, bytes_max, forgotten: DroppedRun::default() }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps the run of a topic whose last entry was dropped.
    pub(crate) fn remember(&mut self, topic: Topic, run: DroppedRun) {
        self.bytes += cost(&topic);
        self.by_last.insert((run.last(), topic.clone()));
        self.runs.insert(topic, run);
        while self.bytes > self.bytes_max {
            let Some((_, topic)) = self.by_last.pop_first() else { break };
            let Some(run) = self.runs.remove(&topic) else { break };
            self.bytes -= cost(&topic);
            self.forgotten.forget(&run);
        }
    }

    /// The run of a topic without entries.
    pub(crate) fn run(&self, topic: &Topic) -> DroppedRun {
        self.runs.get(topic).copied().unwrap_or(self.forgotten)
    }

    /// Removes and returns the run of a topic that has entries again.
    pub(crate) fn recall(&mut self, topic: &Topic) -> DroppedRun {
        let Some(run) = self.runs.remove(topic) else { return self.forgotten };
        self.by_last.remove(&(run.last(), topic.clone()));
        self.bytes -= cost(topic);
        run
    }

    pub(crate) fn runs(&self) -> impl Iterator<Item = (&Topic, DroppedRun)> {
        self.runs.iter().map(|(topic, run)| (topic, *run))
    }

    /// The number of topics.
    pub(crate) fn len(&self) -> usize {
        self.runs.len()
    }

    /// The topics that lost entries after `after`, for a caller that finds out which of them match.
    pub(crate) fn lost_after(&self, after: After) -> impl Iterator<Item = &Topic> {
        self.runs.iter().filter(move |(_, run)| run.missed(after) != Missed::Nothing).map(|(topic, _)| topic)
    }

    /// What may have been missed of forgotten topics.
    pub(crate) fn missed_of_forgotten(&self, after: After) -> Missed {
        self.forgotten.missed(after)
    }
}

/// For a history on disk, where segments are dropped.
impl Dropped {
    /// Restores a saved summary.
    pub(crate) fn of(bytes_max: usize, runs: impl Iterator<Item = (Topic, DroppedRun)>, forgotten: DroppedRun) -> Self {
        let mut dropped = Self { forgotten, ..Self::new(bytes_max) };
        runs.for_each(|(topic, run)| dropped.remember(topic, run));
        dropped
    }

    pub(crate) fn forgotten(&self) -> DroppedRun {
        self.forgotten
    }

    /// Adds dropped entries of this topic, after its earlier ones. They were dropped with the segment `drop`.
    pub(crate) fn add(&mut self, topic: Topic, run: &DroppedRun, drop: u64) {
        let mut known = self.recall(&topic);
        known.join(run, drop);
        self.remember(topic, known);
    }

    /// Entries of any topic may have been dropped.
    pub(crate) fn add_to_all(&mut self, run: &DroppedRun, drop: u64) {
        self.runs.values_mut().chain([&mut self.forgotten]).for_each(|known| known.join(run, drop));
    }

    /// What a reader after `after` has missed, counting only entries that were still there when `drops` segments had been dropped,
    /// and without compacted topics.
    pub(crate) fn missed_since(&self, after: After, matchers: &Matchers, drops: u64, compact: &Matchers) -> Missed {
        if matchers.is_exact() {
            let topics = matchers.exact.iter().filter(|topic| !(compact.len() > 0 && compact.matches(topic)));
            let missed = topics.map(|topic| self.run(topic).missed_since(after, drops));
            let mut missed = missed.filter(|missed| *missed != Missed::Nothing);
            return match (missed.next(), missed.next()) {
                (None, _) => Missed::Nothing,
                (Some(only), None) => only,
                // an entry of two topics would be counted twice
                (Some(_), Some(_)) => Missed::Unknown,
            };
        }
        let mut lost = self.runs.iter().filter(|(_, run)| run.missed_since(after, drops) != Missed::Nothing);
        let found = lost.by_ref().take(MISSED_CHECKS / matchers.len()).any(|(topic, _)| matchers.matches(topic));
        // if there are more topics than the bound, one of the others could match
        if found || lost.next().is_some() { Missed::Unknown } else { self.forgotten.missed_since(after, drops) }
    }
}

/// A name in two maps, with their overhead.
fn cost(topic: &Topic) -> usize {
    topic.len() + 240
}
