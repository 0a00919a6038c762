//! What is still known of entries that are gone: enough to say whether a resume is complete.

use std::collections::{BTreeSet, HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::Topic;
use crate::limits::MISSED_CHECKS;
use crate::matcher::Matchers;

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

impl Missed {
    pub(crate) fn number(self) -> Option<u64> {
        match self {
            Self::Nothing => Some(0),
            Self::Events(number) => Some(number),
            Self::Unknown => None,
        }
    }
}

/// The entries of one topic that are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct DroppedRun {
    first: u64,
    last: u64,
    last_ms: u64,
    count: u64,
    /// There may have been others up to here: the topic had been forgotten when it came back.
    unknown: u64,
    unknown_ms: u64,
    /// The segment that was dropped last, counted from 1; 0 in memory.
    drop: u64,
}

impl DroppedRun {
    pub(crate) fn of(first: u64, last: u64, last_ms: u64, count: u64) -> Self {
        Self { first, last, last_ms, count, ..Self::default() }
    }

    /// The sequence number of the last of them; 0 when there is none.
    pub(crate) fn last(&self) -> u64 {
        self.last.max(self.unknown)
    }

    pub(crate) fn last_ms(&self) -> u64 {
        self.last_ms.max(self.unknown_ms)
    }

    /// There may be others as well, up to this one at least.
    pub(crate) fn and_unknown(&mut self, sequence: u64, time_ms: u64) {
        self.unknown = self.last().max(sequence);
        self.unknown_ms = if sequence > self.last { time_ms } else { self.last_ms() };
    }

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

    /// Nothing but that something is gone, up to where this or `run` ends.
    pub(crate) fn until(self, run: &Self) -> Self {
        Self { unknown: self.unknown.max(run.last), unknown_ms: self.unknown_ms.max(run.last_ms), ..Self::default() }
    }

    /// This run and what is gone behind it.
    fn join(&mut self, behind: &Self) {
        self.unknown = self.unknown.max(behind.unknown);
        self.unknown_ms = self.unknown_ms.max(behind.unknown_ms);
        if behind.count == 0 {
            return;
        }
        // of several chains, one may lose older entries than another has lost before
        self.first = if self.count == 0 { behind.first } else { self.first.min(behind.first) };
        self.last = self.last.max(behind.last);
        self.last_ms = self.last_ms.max(behind.last_ms);
        self.count += behind.count;
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
    /// All that is gone, whatever its topics; on disk only.
    all: DroppedRun,
    drops: u64,
    /// The newest generation of each chain that is gone.
    generations: Vec<(u8, u64)>,
    /// Where topics ended whose end is gone.
    pub(crate) ends: Vec<(u64, String)>,
    /// Everything up to here is gone, and perhaps some of what lies behind.
    through: u64,
    /// Of these topics nothing is ever missed.
    pub(crate) compact: Matchers,
}

/// The summary as a file holds it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    runs: Vec<(String, DroppedRun)>,
    forgotten: DroppedRun,
    all: DroppedRun,
    drops: u64,
    generations: Vec<(u8, u64)>,
    ends: Vec<(u64, String)>,
    through: u64,
}

impl Dropped {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let (runs, by_last, forgotten) = (HashMap::new(), BTreeSet::new(), DroppedRun::default());
        let (all, drops, generations) = (DroppedRun::default(), 0, Vec::new());
        Self {
            runs,
            by_last,
            bytes: 0,
            bytes_max,
            forgotten,
            all,
            drops,
            generations,
            ends: Vec::new(),
            through: 0,
            compact: Matchers::default(),
        }
    }

    pub(crate) fn from_saved(saved: Saved, bytes_max: usize) -> Self {
        let Saved { runs, forgotten, all, drops, generations, ends, through } = saved;
        let mut dropped = Self { forgotten, all, drops, generations, ends, through, ..Self::new(bytes_max) };
        for (topic, run) in runs {
            dropped.remember(Topic::known(&topic), run);
        }
        dropped
    }

    pub(crate) fn saved(&self) -> Saved {
        let runs = self.runs.iter().map(|(topic, run)| (topic.to_string(), *run)).collect();
        let (forgotten, all, drops) = (self.forgotten, self.all, self.drops);
        Saved {
            runs,
            forgotten,
            all,
            drops,
            generations: self.generations.clone(),
            ends: self.ends.clone(),
            through: self.through,
        }
    }

    /// Notes the entries of a topic in a segment that is about to be dropped.
    pub(crate) fn add(&mut self, topic: Topic, run: DroppedRun) {
        let mut known = self.recall(&topic);
        known.join(&run);
        known.drop = self.drops + 1;
        self.remember(topic, known);
    }

    /// Is nothing of this topic ever missed?
    pub(crate) fn compacts(&self, topic: &Topic) -> bool {
        self.compact.len() > 0 && self.compact.matches(topic)
    }

    /// The segment of this generation, whose topics were noted, is dropped; it held these entries.
    pub(crate) fn has_dropped(&mut self, chain: u8, generation: u64, entries: DroppedRun, through: u64) {
        self.drops += 1;
        self.through = self.through.max(through);
        self.all.join(&entries);
        self.all.drop = self.drops;
        match self.generations.iter_mut().find(|(known, _)| *known == chain) {
            Some((_, known)) => *known = generation.max(*known),
            None => self.generations.push((chain, generation)),
        }
    }

    /// Everything up to here is gone, and perhaps some of what lies behind.
    pub(crate) fn through(&self) -> u64 {
        self.through
    }

    /// Entries are gone, the last with at most this number and time, and nobody knows of which topics.
    #[cfg(unix)]
    pub(crate) fn has_lost(&mut self, last: u64, last_ms: u64) {
        self.drops += 1;
        for run in self.runs.values_mut().chain([&mut self.forgotten, &mut self.all]) {
            run.unknown = run.unknown.max(last);
            run.unknown_ms = run.unknown_ms.max(last_ms);
            run.drop = self.drops;
        }
    }

    /// The segments of a chain up to this generation are gone, with the entries up to this number.
    #[cfg(unix)]
    pub(crate) fn has_lost_generation(&mut self, chain: u8, generation: u64, through: u64) {
        self.has_dropped(chain, generation, DroppedRun::default(), through);
    }

    /// How many topics are known of which entries are gone.
    #[cfg(unix)]
    pub(crate) fn topics(&self) -> usize {
        self.runs.len()
    }

    /// All that is gone: how many entries, and the number of the last one that may be among them.
    #[cfg(unix)]
    pub(crate) fn gone(&self) -> (u64, u64) {
        (self.all.count, self.all.last.max(self.all.unknown))
    }

    /// How many segments have been dropped.
    pub(crate) fn drops(&self) -> u64 {
        self.drops
    }

    /// The newest generation of a chain that is gone; 0 before the first.
    pub(crate) fn through_generation(&self, chain: u8) -> u64 {
        self.generations.iter().find(|(known, _)| *known == chain).map_or(0, |(_, generation)| *generation)
    }

    /// What a reader behind `after` has missed that was there when so many segments had been dropped.
    pub(crate) fn missed_since(&self, after: After, matchers: &Matchers, drops: u64) -> Missed {
        let missed = |run: &DroppedRun| if run.drop > drops { run.missed(after) } else { Missed::Nothing };
        if missed(&self.all) == Missed::Nothing {
            return Missed::Nothing;
        }
        if matchers.is_all() {
            return missed(&self.all);
        }
        if matchers.is_exact() {
            let lost =
                matchers.exact.iter().filter(|topic| !self.compacts(topic)).map(|topic| missed(&self.run(topic)));
            let mut lost = lost.filter(|missed| *missed != Missed::Nothing);
            return match (lost.next(), lost.next()) {
                (None, _) => Missed::Nothing,
                (Some(only), None) => only,
                // an entry of two topics would be counted twice
                (Some(_), Some(_)) => Missed::Unknown,
            };
        }
        let mut behind = self.runs.iter().filter(|(_, run)| missed(run) != Missed::Nothing).map(|(topic, _)| topic);
        let found = behind.by_ref().take(MISSED_CHECKS / matchers.len()).any(|topic| matchers.matches(topic));
        // with more topics than we may look at, one of the others could match
        if found || behind.next().is_some() { Missed::Unknown } else { missed(&self.forgotten) }
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
            self.forgotten.drop = self.forgotten.drop.max(run.drop);
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
