//! What is still known of entries that have left the history: enough to say whether a resume is complete.

use std::collections::{BTreeSet, HashMap};

use crate::Topic;
use crate::limits::DROPPED_SUMMARY_BYTES;
use crate::matcher::Matchers;

/// The entries of one topic that have left the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct DroppedRun {
    first: u64,
    last: u64,
    last_ms: u64,
    count: u64,
    /// Some of them are only known to be possible: the topic had been forgotten when it came back.
    inexact: bool,
}

impl DroppedRun {
    pub(crate) fn add(&mut self, sequence: u64, time_ms: u64) {
        if self.is_empty() {
            self.first = sequence;
        }
        self.last = sequence;
        self.last_ms = time_ms;
        self.count += 1;
    }

    fn is_empty(&self) -> bool {
        self.last == 0
    }

    /// How many were dropped behind `after`: `None` when that is not known any more.
    fn missed(&self, after: u64) -> Option<u64> {
        if self.inexact {
            None
        } else if after < self.first {
            Some(self.count)
        } else if self.last - self.first + 1 == self.count {
            Some(self.last.saturating_sub(after))
        } else {
            None
        }
    }
}

/// Where a resume starts reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Sequence(u64),
    /// Milliseconds since 1970; entries of that time itself are still to be read.
    Time(u64),
}

/// What a resume has missed, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missed {
    Nothing,
    Events(u64),
    /// Something may be missing; how much is not known.
    Unknown,
}

/// The summary of topics whose entries are all gone, bounded in bytes; of the topics beyond only the highest number is known.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    /// All entries up to here have left the history.
    all: DroppedRun,
    runs: HashMap<Topic, DroppedRun>,
    by_last: BTreeSet<(u64, Topic)>,
    bytes: usize,
    forgotten: DroppedRun,
}

impl Dropped {
    /// Counts an entry that leaves the history; its topics' own runs are the index's until they are gone.
    pub(crate) fn add(&mut self, sequence: u64, time_ms: u64) {
        self.all.add(sequence, time_ms);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps what is known of a topic whose last entry has gone.
    pub(crate) fn remember(&mut self, topic: Topic, run: DroppedRun) {
        if run.is_empty() {
            return;
        }
        self.bytes += cost(&topic);
        self.by_last.insert((run.last, topic.clone()));
        self.runs.insert(topic, run);
        while self.bytes > DROPPED_SUMMARY_BYTES {
            let Some((_, topic)) = self.by_last.pop_first() else { break };
            let Some(run) = self.runs.remove(&topic) else { break };
            self.bytes -= cost(&topic);
            self.forgotten.last = self.forgotten.last.max(run.last);
            self.forgotten.last_ms = self.forgotten.last_ms.max(run.last_ms);
        }
    }

    /// Gives back what is known of a topic that has entries again. One that is not known may be among the forgotten.
    pub(crate) fn recall(&mut self, topic: &Topic) -> DroppedRun {
        let Some(run) = self.runs.remove(topic) else {
            return DroppedRun { inexact: !self.forgotten.is_empty(), ..self.forgotten };
        };
        self.by_last.remove(&(run.last, topic.clone()));
        self.bytes -= cost(topic);
        run
    }

    /// What `matchers` would have selected behind `after`. `kept` are the runs of topics that still have entries.
    pub(crate) fn missed<'a>(
        &'a self,
        after: After,
        matchers: &Matchers,
        kept: impl Fn(&Topic) -> Option<DroppedRun>,
        all_kept: impl Iterator<Item = (&'a Topic, DroppedRun)>,
    ) -> Missed {
        let is_behind = |run: &DroppedRun| match after {
            After::Sequence(sequence) => run.last > sequence,
            After::Time(ms) => run.last_ms >= ms && run.last > 0,
        };
        if !is_behind(&self.all) {
            return Missed::Nothing;
        }
        let count = |run: &DroppedRun| match after {
            After::Sequence(sequence) => run.missed(sequence),
            After::Time(_) => None,
        };
        if matchers.is_all() {
            return count(&self.all).map_or(Missed::Unknown, Missed::Events);
        }
        if !matchers.is_exact() {
            let mut runs = all_kept.chain(self.runs.iter().map(|(topic, run)| (topic, *run)));
            let found = runs.any(|(topic, run)| is_behind(&run) && matchers.matches(topic));
            return if found || is_behind(&self.forgotten) { Missed::Unknown } else { Missed::Nothing };
        }
        let mut missed = Missed::Nothing;
        let single = matchers.exact.len() == 1; // an entry of two topics would be counted twice
        for topic in &matchers.exact {
            match kept(topic).or_else(|| self.runs.get(topic).copied()) {
                Some(run) if is_behind(&run) => {
                    missed = count(&run).filter(|_| single).map_or(Missed::Unknown, Missed::Events);
                }
                Some(_) => {}
                None if is_behind(&self.forgotten) => missed = Missed::Unknown,
                None => {}
            }
        }
        missed
    }
}

/// A name in two maps, with what they keep beside it.
fn cost(topic: &Topic) -> usize {
    topic.len() + 160
}
