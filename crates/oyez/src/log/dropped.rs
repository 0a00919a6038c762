//! What is still known of entries that are gone: enough to say whether a resume is complete.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::Topic;

/// Where a resume starts reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Sequence(u64),
    /// Milliseconds since 1970; entries of that time itself are still to be read.
    Time(u64),
}

impl After {
    /// Is an entry of this sequence number and time still to be read? There is none with the number 0.
    pub(crate) fn is_before(self, sequence: u64, time_ms: u64) -> bool {
        match self {
            Self::Sequence(after) => sequence > after,
            Self::Time(ms) => sequence > 0 && time_ms >= ms,
        }
    }
}

/// What a resume has missed, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missed {
    Nothing,
    Events(u64),
    /// Something may be missing; how much is not known.
    Unknown,
}

/// The entries of one topic that are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct DroppedRun {
    first: u64,
    last: u64,
    last_ms: u64,
    count: u64,
    /// There may have been others up to here: the topic had been forgotten when it came back.
    unknown: u64,
    unknown_ms: u64,
}

impl DroppedRun {
    pub(crate) fn add(&mut self, sequence: u64, time_ms: u64) {
        if self.count == 0 {
            self.first = sequence;
        }
        self.last = sequence;
        self.last_ms = time_ms;
        self.count += 1;
    }

    /// This run and the first `number` of `positions`, of which the last has this time.
    pub(crate) fn and(mut self, positions: &VecDeque<u64>, number: usize, last_ms: impl Fn(u64) -> u64) -> Self {
        let (Some(first), Some(last)) = (positions.front(), number.checked_sub(1).and_then(|at| positions.get(at)))
        else {
            return self;
        };
        if self.count == 0 {
            self.first = *first;
        }
        self.last = *last;
        self.last_ms = last_ms(*last);
        self.count += number as u64;
        self
    }

    /// What of it a reader behind `after` has missed.
    pub(crate) fn missed(&self, after: After) -> Missed {
        if after.is_before(self.unknown, self.unknown_ms) {
            return Missed::Unknown;
        }
        if !after.is_before(self.last, self.last_ms) {
            return Missed::Nothing;
        }
        match after {
            After::Sequence(after) if after < self.first => Missed::Events(self.count),
            After::Sequence(after) if self.last - self.first + 1 == self.count => Missed::Events(self.last - after),
            After::Sequence(_) | After::Time(_) => Missed::Unknown,
        }
    }
}

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
        let (runs, by_last, forgotten) = (HashMap::new(), BTreeSet::new(), DroppedRun::default());
        Self { runs, by_last, bytes: 0, bytes_max, forgotten }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps what is known of a topic whose last entry has gone.
    pub(crate) fn remember(&mut self, topic: Topic, run: DroppedRun) {
        self.bytes += cost(&topic);
        self.by_last.insert((run.last, topic.clone()));
        self.runs.insert(topic, run);
        while self.bytes > self.bytes_max {
            let Some((_, topic)) = self.by_last.pop_first() else { break };
            let Some(run) = self.runs.remove(&topic) else { break };
            self.bytes -= cost(&topic);
            self.forgotten.unknown = self.forgotten.unknown.max(run.last);
            self.forgotten.unknown_ms = self.forgotten.unknown_ms.max(run.last_ms);
        }
    }

    /// What is known of a topic that has no entry.
    pub(crate) fn run(&self, topic: &Topic) -> DroppedRun {
        self.runs.get(topic).copied().unwrap_or(self.forgotten)
    }

    /// Gives that back for a topic that has entries again.
    pub(crate) fn recall(&mut self, topic: &Topic) -> DroppedRun {
        let Some(run) = self.runs.remove(topic) else { return self.forgotten };
        self.by_last.remove(&(run.last, topic.clone()));
        self.bytes -= cost(topic);
        run
    }

    pub(crate) fn runs(&self) -> impl Iterator<Item = (&Topic, DroppedRun)> {
        self.runs.iter().map(|(topic, run)| (topic, *run))
    }

    /// What may have been missed of topics that are not known any more.
    pub(crate) fn missed_of_forgotten(&self, after: After) -> Missed {
        self.forgotten.missed(after)
    }
}

/// A name in two maps, with what they keep beside it.
fn cost(topic: &Topic) -> usize {
    topic.len() + 240
}
