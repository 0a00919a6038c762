//! What is still known of topics whose entries are gone: enough to say whether a resume is complete.

use std::collections::{BTreeSet, HashMap};

use super::run::{After, DroppedRun, Missed};
use crate::Topic;
use crate::limits::MISSED_CHECKS;
use crate::matcher::Matchers;

/// The summary of topics whose entries are all gone, bounded in bytes; of the topics beyond only the highest number is known.
#[derive(Debug)]
pub(crate) struct Dropped {
    runs: HashMap<Topic, DroppedRun>,
    by_last: BTreeSet<(u64, Topic)>,
    bytes: usize,
    bytes_max: usize,
    /// What any topic that has no run may have lost: nothing, until one had to be forgotten.
    forgotten: DroppedRun,
}

impl Dropped {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { runs: HashMap::new(), by_last: BTreeSet::new(), bytes: 0, bytes_max, forgotten: DroppedRun::default() }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps what is known of a topic whose last entry has gone.
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

    /// What is known of a topic that has no entry.
    pub(crate) fn run(&self, topic: &Topic) -> DroppedRun {
        self.runs.get(topic).copied().unwrap_or(self.forgotten)
    }

    /// Gives that back for a topic that has entries again.
    pub(crate) fn recall(&mut self, topic: &Topic) -> DroppedRun {
        let Some(run) = self.runs.remove(topic) else { return self.forgotten };
        self.by_last.remove(&(run.last(), topic.clone()));
        self.bytes -= cost(topic);
        run
    }

    pub(crate) fn runs(&self) -> impl Iterator<Item = (&Topic, DroppedRun)> {
        self.runs.iter().map(|(topic, run)| (topic, *run))
    }

    /// How many topics are known.
    pub(crate) fn len(&self) -> usize {
        self.runs.len()
    }

    /// The topics of which something was lost behind `after`, at most so many and one more: for whoever has to find out which of
    /// them match.
    pub(crate) fn lost_behind(&self, after: After) -> impl Iterator<Item = &Topic> {
        self.runs.iter().filter(move |(_, run)| run.missed(after) != Missed::Nothing).map(|(topic, _)| topic)
    }

    /// What may have been missed of topics that are not known any more.
    pub(crate) fn missed_of_forgotten(&self, after: After) -> Missed {
        self.forgotten.missed(after)
    }
}

/// Of a history on disk, where segments are dropped.
impl Dropped {
    /// Goes on with what was known of topics before.
    pub(crate) fn of(bytes_max: usize, runs: impl Iterator<Item = (Topic, DroppedRun)>, forgotten: DroppedRun) -> Self {
        let mut dropped = Self { forgotten, ..Self::new(bytes_max) };
        runs.for_each(|(topic, run)| dropped.remember(topic, run));
        dropped
    }

    pub(crate) fn forgotten(&self) -> DroppedRun {
        self.forgotten
    }

    /// Entries of this topic are gone, behind those that were before, with the segment that was dropped as this one.
    pub(crate) fn add(&mut self, topic: Topic, run: &DroppedRun, drop: u64) {
        let mut known = self.recall(&topic);
        known.join(run, drop);
        self.remember(topic, known);
    }

    /// Of any topic something may be gone.
    pub(crate) fn add_to_all(&mut self, run: &DroppedRun, drop: u64) {
        self.runs.values_mut().chain([&mut self.forgotten]).for_each(|known| known.join(run, drop));
    }

    /// What a reader behind `after` has missed that was there when so many segments had been dropped, but for topics of which
    /// nothing is ever missed.
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
        let mut behind = self.runs.iter().filter(|(_, run)| run.missed_since(after, drops) != Missed::Nothing);
        let found = behind.by_ref().take(MISSED_CHECKS / matchers.len()).any(|(topic, _)| matchers.matches(topic));
        // with more topics than we may look at, one of the others could match
        if found || behind.next().is_some() { Missed::Unknown } else { self.forgotten.missed_since(after, drops) }
    }
}

/// A name in two maps, with what they keep beside it.
fn cost(topic: &Topic) -> usize {
    topic.len() + 240
}
