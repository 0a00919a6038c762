//! [`model`](crate::model) over a log in memory.

mod oracle;
mod readers;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use oyez_proto::Event;

use super::deletions::{Deletion, Deletions};
use super::dice::{Dice, each_world, have_reached};
use super::topics::{TOPICS, bits_of_all, topic_bits, topic_bits_of};
use crate::Topic;
use crate::core::Core;
use crate::limits::Limits;
use crate::log::{Bounds, Log, Retained, Retention};
use crate::matcher::Matchers;
use crate::position::{Epoch, Position};
use crate::publish::Publish;
use crate::random::Random;
use readers::Reader;

#[test]
fn every_stream_is_the_log_in_order_and_every_hole_is_announced() {
    let mut seen = Seen::default();
    let Some(worlds) = each_world(2_500, 25_000, |seed| World::new(seed).run(&mut seen)) else { return };
    assert!(seen.begins > 30 * worlds && seen.entries > 30 * worlds, "{seen:?}");
    let numbers = [
        ("gaps", seen.gaps),
        ("exact", seen.exact),
        ("policy", seen.policy),
        ("behind", seen.behind),
        ("snapshots", seen.snapshots),
        ("left", seen.left),
        ("deleted, at once", seen.deleted[0]),
        ("deleted, in the stream", seen.deleted[1]),
    ];
    have_reached(worlds, &seen, &numbers);
}

#[derive(Debug, Default)]
struct Seen {
    begins: u64,
    entries: u64,
    /// Gaps at the begin of a stream.
    gaps: u64,
    /// Of those, the ones that said how many are missing.
    exact: u64,
    /// Streams that began with values.
    snapshots: u64,
    /// Streams that were told of a deletion: at their begin, and later.
    deleted: [u64; 2],
    /// Values that came though the log does not hold them any more.
    left: u64,
    /// Gaps in the middle of a stream.
    policy: u64,
    /// Streams that ended because their reader fell behind.
    behind: u64,
    complete: u64,
}

/// An entry as the oracle remembers it, for ever.
struct Published {
    topics: Vec<&'static str>,
    /// As which topics it can be read: not as those that were deleted.
    topic_bits: u16,
    id: String,
    time_ms: u64,
    even: bool,
    key: Option<&'static str>,
}

struct World {
    dice: Dice,
    core: Arc<Core>,
    retention: Retention,
    /// Nothing known of what is gone is ever forgotten: a gap is announced only if something is missing.
    remembers_all: bool,
    now: Instant,
    now_ms: u64,
    newest_ms: u64,
    /// The entry with the number n stands at n - 1.
    all: Vec<Published>,
    /// What an id of a publisher stands for, while an entry that has it is in the history.
    publisher_ids: HashMap<String, u64>,
    /// Ids of which the history has held no entry for a while.
    left_ids: HashSet<String>,
    history_start: u64,
    /// Topics that are compacted, as bits.
    compacted: u16,
    /// The newest entry of each topic and key; of those without a key only where it is compacted.
    values: HashMap<(&'static str, Option<&'static str>), u64>,
    deletions: Deletions,
    readers: Vec<Reader>,
    /// Every id that any stream has told.
    ids: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let retention = Retention {
            events: dice.pick(&[0, 1, 2, 5, 20, 100, usize::MAX]),
            bytes: dice.pick(&[2_000, 8_000, 40_000, 64 << 20, 64 << 20]),
            age: dice.pick(&[None, None, Some(5), Some(50)]).map(Duration::from_millis),
        };
        let bounds = Bounds {
            slack: Retained { entries: dice.pick(&[0, 3, 10, 1_024]), bytes: dice.pick(&[1_000, 4 << 20]) },
            summary_bytes: dice.pick(&[0, 600, 1 << 20, 1 << 20]),
            // what is pushed out of it has tests of its own
            ..Bounds::default()
        };
        // twelve short names need less than this
        let remembers_all = bounds.summary_bytes.min(retention.bytes / 16) > 3_000;
        let mut compact = Matchers::default();
        let mut compacted = 0;
        while dice.one_in(2) {
            let matcher = dice.pick(&["a", "a/b", "b", "x1", "a/*", "x*", "*/*/d", "*"]);
            compact.push(matcher.parse().unwrap());
            compacted |= topic_bits(&[matcher]);
        }
        let log = Log::new(Epoch::from_bits(seed), retention, bounds, compact);
        let core = Core::new(log, Limits::default(), Random::from_seed(seed));
        Self {
            dice,
            core: Arc::new(core),
            retention,
            remembers_all,
            now: crate::clock::now(),
            now_ms: 1_000_000,
            newest_ms: 0,
            all: Vec::new(),
            publisher_ids: HashMap::new(),
            left_ids: HashSet::new(),
            history_start: 1,
            compacted,
            values: HashMap::new(),
            deletions: Deletions::default(),
            readers: Vec::new(),
            ids: Vec::new(),
        }
    }

    fn run(&mut self, seen: &mut Seen) {
        for _ in 0..100 {
            match self.dice.below(10) {
                0 if self.dice.one_in(3) => self.delete(),
                0 | 1 => self.publish(),
                2 => self.pass_time(),
                3..=5 => self.begin(None, seen),
                6 => self.reconnect(seen),
                _ => self.read(seen),
            }
        }
    }

    fn head(&self) -> u64 {
        self.all.len() as u64
    }

    fn pass_time(&mut self) {
        let ms = self.dice.pick(&[1, 3, 10, 60]);
        self.now += Duration::from_millis(ms);
        // the wall clock may be set back meanwhile
        self.now_ms = if self.dice.one_in(10) { self.now_ms - 20 } else { self.now_ms + ms };
    }

    fn publish(&mut self) {
        let number = if self.dice.one_in(20) { 150 } else { 1 + self.dice.below(4) };
        let topics: &[&str] = if self.dice.one_in(3) { &TOPICS[..2] } else { &TOPICS };
        let mut batch = Vec::new();
        for _ in 0..number {
            let mut names = vec![self.dice.pick(topics)];
            if self.dice.one_in(4) {
                names.push(self.dice.pick(topics));
                names.dedup();
            }
            let even = self.dice.one_in(2);
            let data = format!("{even}{}", "x".repeat(self.dice.pick(&[0, 10, 500])));
            let mut event = Event::data(data);
            let mut id = Position { epoch: self.core.log.epoch, sequence: self.head() + 1 }.to_string();
            if self.dice.one_in(6) {
                id = if self.dice.one_in(3) {
                    format!("again-{}", self.dice.below(3))
                } else {
                    format!("p{}", self.head() + 1)
                };
                event = event.id(id.as_str()).unwrap();
                let first = self.head() + 1;
                self.publisher_ids.entry(id.clone()).or_insert(first);
            }
            let key = self.dice.pick(&[None, None, Some("k1"), Some("k2")]);
            let mut publish = Publish::new(Topic::new(names[0]).unwrap(), event);
            if let Some(key) = key {
                publish = publish.key(key).unwrap();
            }
            for name in &names[1..] {
                publish = publish.topic(Topic::new(name).unwrap());
            }
            batch.push(publish);
            self.newest_ms = self.newest_ms.max(self.now_ms);
            let topic_bits = bits_of_all(&names);
            for name in &names {
                if key.is_some() || topic_bits_of(name) & self.compacted != 0 {
                    self.values.insert((name, key), self.head() + 1);
                }
            }
            self.all.push(Published { topics: names, topic_bits, id, time_ms: self.newest_ms, even, key });
        }
        let first = self.all.len() - batch.len();
        let ids = self.core.append(batch, self.now_ms).unwrap();
        assert!(ids.iter().map(|id| &**id).eq(self.all[first..].iter().map(|entry| &*entry.id)));
        self.history_has_moved();
    }

    fn delete(&mut self) {
        let topic = self.dice.pick(&TOPICS);
        let (bit, front, at) = (topic_bits_of(topic), self.core.log.front(), self.head() + 1);
        let kept = self.values.iter().filter(|((name, _), _)| *name == topic).map(|(_, sequence)| *sequence);
        let in_log = (front..at).filter(|sequence| self.entry(*sequence).topic_bits & bit != 0);
        // values of other topics leave with their entries
        let kept = kept.filter(|sequence| *sequence >= front || bit & self.compacted != 0);
        if let Some(last) = kept.chain(in_log).max() {
            self.deletions.push(Deletion { topic_bits: bit, last, at, is_forgotten: false });
        }
        self.values.retain(|(name, _), _| *name != topic);
        for entry in &mut self.all[front as usize - 1..] {
            entry.topic_bits &= !bit;
        }
        let id = self.core.delete_in_memory(Topic::new(topic).unwrap(), self.now_ms).unwrap();
        self.newest_ms = self.newest_ms.max(self.now_ms);
        let (topics, time_ms, even) = (Vec::new(), self.newest_ms, false);
        self.all.push(Published { topics, topic_bits: 0, id: id.to_string(), time_ms, even, key: None });
        self.history_has_moved();
    }

    /// Compares what is kept with the retention.
    fn history_has_moved(&mut self) {
        let summary = self.core.log.summary();
        assert_eq!(summary.head, self.head());
        let start = summary.oldest.unwrap_or(summary.head + 1);
        let Retention { events, bytes, age } = self.retention;
        let is_old = |entry: &Published| {
            age.is_some_and(|age| self.now_ms.saturating_sub(entry.time_ms) > age.as_millis() as u64)
        };
        let kept = &self.all[start as usize - 1..];
        assert!(start >= self.history_start && kept.len() == summary.kept.entries && kept.len() <= events);
        assert!(summary.kept.bytes <= bytes || kept.is_empty());
        assert!(!kept.first().is_some_and(is_old));
        if start > self.history_start && bytes > 1 << 20 {
            let dropped = &self.all[start as usize - 2];
            assert!(kept.len() == events || is_old(dropped), "{start} was dropped without need");
        }
        for dropped in &self.all[self.history_start as usize - 1..start as usize - 1] {
            if self.publisher_ids.contains_key(&dropped.id) && !kept.iter().any(|entry| entry.id == dropped.id) {
                self.publisher_ids.remove(&dropped.id);
                self.left_ids.insert(dropped.id.clone());
            }
        }
        let topics = kept.iter().fold(0, |all, entry| all | entry.topic_bits);
        assert_eq!(summary.topics, topics.count_ones() as usize);
        self.history_start = start;
    }
}
