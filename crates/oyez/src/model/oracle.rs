//! What the history is to hold, and what a reader of it may be told.
//!
//! The oracle keeps every entry that was acknowledged, for ever. It asks the engine which numbers have left each class, but not whom
//! they concern: what a stream has to say about them it works out by itself.

mod answer;
mod begin;
mod published;
mod reading;

use std::collections::{BTreeMap, HashMap, HashSet};

use super::deletions::{Deletion, Deletions};
use super::engine::{Appended, Extent, Knows, Settings};
use super::topics::{KEYS, TOPICS, bits_of_all, topic_bits, topic_bits_of};
use super::wish::is_even;
use crate::position::{Epoch, Position};
use crate::submission::Submission;

pub(super) use answer::Answer;
use answer::Once;
use published::Published;

pub(super) struct Oracle {
    pub(super) epoch: Epoch,
    pub(super) knows: Knows,
    /// Nothing known of what is gone is ever forgotten: a gap is announced only if something is missing.
    pub(super) remembers_all: bool,
    /// Topics that are compacted.
    pub(super) compacted: u16,
    pub(super) all: BTreeMap<u64, Published>,
    /// Publishers' ids, and which of them stand for none any more.
    ids: HashMap<String, Uses>,
    left_ids: HashSet<String>,
    /// Numbers that a crash may have taken.
    pub(super) skips: Vec<(u64, u64)>,
    /// The next write is the first one since a start.
    may_pass: bool,
    /// How often something has left.
    pub(super) drops: u64,
    pub(super) deletions: Deletions,
    /// The newest entry of each topic and key, in the history or not; of those without a key only where that is compacted.
    values: HashMap<(&'static str, Option<&'static str>), u64>,
    /// What was published once, by its key.
    once: HashMap<&'static str, Once>,
    /// Where topics ended.
    ends: HashMap<&'static str, u64>,
    newest_ms: u64,
    /// The newest number, and the first that is in memory as well.
    pub(super) head: u64,
    pub(super) front: u64,
    extent: Extent,
    /// The time of the newest entry that left when it was last looked.
    left_ms: Option<u64>,
}

/// The entries that have one id.
struct Uses {
    first: u64,
    last: u64,
    kept: usize,
}

impl Oracle {
    pub(super) fn new(settings: &Settings, knows: Knows, extent: Extent) -> Self {
        Self {
            epoch: settings.epoch,
            knows,
            remembers_all: settings.remembers_all,
            compacted: topic_bits(&settings.compact),
            all: BTreeMap::new(),
            ids: HashMap::new(),
            left_ids: HashSet::new(),
            skips: Vec::new(),
            may_pass: false,
            drops: 0,
            deletions: Deletions::default(),
            values: HashMap::new(),
            once: HashMap::new(),
            ends: HashMap::new(),
            newest_ms: 0,
            head: extent.head,
            front: extent.front,
            extent,
            left_ms: None,
        }
    }

    /// A batch is appended at this time.
    pub(super) fn publish(&mut self, batch: &[Submission], appended: &Appended, now_ms: u64) {
        self.follows(appended.first);
        assert_eq!(appended.ids.len(), batch.len());
        self.newest_ms = self.newest_ms.max(now_ms);
        for (sequence, (publish, id)) in (appended.first..).zip(batch.iter().zip(&appended.ids)) {
            self.publish_one(sequence, publish, id, appended.class);
        }
    }

    /// The next write is the first one since a start.
    pub(super) fn begin_to_write(&mut self) {
        self.may_pass = self.knows.passes_numbers;
    }

    /// Numbers follow each other, but for those that are passed by after a start.
    fn follows(&mut self, first: u64) {
        if std::mem::take(&mut self.may_pass) {
            self.pass(first - 1);
        }
        assert_eq!(first, self.newest().max(self.head) + 1, "numbers follow each other");
    }

    /// Numbers up to `place` were passed by, which is a place itself.
    pub(super) fn pass(&mut self, place: u64) {
        let first = self.newest().max(self.head) + 1;
        if place > first {
            self.skips.push((first, place - 1));
        }
        self.head = self.head.max(place);
    }

    fn publish_one(&mut self, sequence: u64, publish: &Submission, id: &str, class: usize) {
        match publish.event.event_id() {
            Some(own) => {
                assert_eq!(**own, *id);
                let uses = self.ids.entry(id.to_owned()).or_insert(Uses { first: sequence, last: 0, kept: 0 });
                (uses.last, uses.kept) = (sequence, uses.kept + 1);
            }
            None => assert_eq!(id, self.position(sequence)),
        }
        let topics: Vec<_> = publish.topics.iter().map(|topic| known(topic, &TOPICS)).collect();
        let key = publish.extras.as_ref().and_then(|extras| extras.key.as_deref()).map(|key| known(key, &KEYS));
        for topic in &topics {
            if publish.is_end() {
                self.ends.insert(topic, sequence);
            } else if key.is_some() || topic_bits_of(topic) & self.compacted != 0 {
                self.values.insert((topic, key), sequence);
            }
        }
        let even = publish.is_end() || is_even(&publish.event);
        self.put(sequence, Published { key, even, ..self.entry(topics, id, class) });
    }

    fn entry(&self, topics: Vec<&'static str>, id: &str, class: usize) -> Published {
        let bits = bits_of_all(&topics);
        Published {
            topics,
            topic_bits: bits,
            loss_bits: bits,
            id: id.to_owned(),
            time_ms: self.newest_ms,
            even: false,
            key: None,
            class,
            left_at: None,
            gone_at: None,
        }
    }

    fn put(&mut self, sequence: u64, entry: Published) {
        self.all.insert(sequence, entry);
    }

    /// A topic is deleted at this place.
    pub(super) fn delete(&mut self, topic: &str, appended: &Appended, now_ms: u64) {
        self.follows(appended.first);
        let bits = topic_bits_of(topic);
        let readable = |(at, entry): (&u64, &Published)| {
            (entry.topic_bits & bits != 0 && self.is_readable(*at, None, self.drops, bits)).then_some(*at)
        };
        let last = self.all.iter().filter_map(readable).next_back();
        for entry in self.all.values_mut() {
            // what is gone may be in a page that was read before
            entry.topic_bits &= !bits;
            if self.knows.deleted_apart && !entry.is_gone() {
                entry.loss_bits &= !bits;
            }
        }
        self.values.retain(|(name, _), _| *name != topic);
        self.ends.remove(topic);
        if let Some(last) = last {
            self.deletions.push(Deletion { topic_bits: bits, last, at: appended.first, is_forgotten: false });
        }
        self.newest_ms = self.newest_ms.max(now_ms);
        let place = self.entry(Vec::new(), &appended.ids[0], appended.class);
        self.put(appended.first, place);
    }

    /// Looks how far the log reaches.
    pub(super) fn look(&mut self, extent: Extent) {
        self.left_ms = None;
        (self.head, self.front) = (extent.head, extent.front);
        let came_back = |new: &[u64], old: &[u64]| new.iter().zip(old).any(|(new, old)| new < old);
        assert!(!came_back(&extent.history, &self.extent.history) && !came_back(&extent.reach, &self.extent.reach));
        if (&extent.history, &extent.reach) != (&self.extent.history, &self.extent.reach) {
            self.drops += 1;
            self.leave(&extent);
        }
        self.extent = extent;
    }

    fn leave(&mut self, extent: &Extent) {
        let before = self.extent.reach.iter().min().copied().unwrap_or_default();
        let end = extent.history.iter().max().copied().unwrap_or_default();
        let mut left = Vec::new();
        for (sequence, entry) in self.all.range_mut(before.min(end)..end) {
            let has_left = *sequence < extent.history[entry.class];
            if has_left && !entry.has_left() {
                entry.left_at = Some(self.drops);
                self.left_ms = Some(entry.time_ms);
                left.push(entry.id.clone());
            }
            if *sequence < extent.reach[entry.class] {
                entry.gone_at.get_or_insert(self.drops);
            }
        }
        for id in left {
            let Some(uses) = self.ids.get_mut(&id) else { continue };
            uses.kept -= 1;
            // which of the entries its reader has seen, nobody can tell then
            if uses.kept == 0 || !self.knows.ids_until_all_left {
                self.left_ids.insert(id);
            }
        }
    }

    /// After a stop that was not clean the log goes on after `head`: what was not acknowledged names nothing.
    pub(super) fn crash(&mut self, head: u64) {
        let newest = self.newest();
        if head > newest + 1 {
            self.skips.push((newest.max(self.head) + 1, head - 1));
        }
    }

    /// The log is opened again: of a key the newest entry counts that is kept. Another class may have had a newer one that is gone.
    pub(super) fn open_again(&mut self) {
        self.deletions.forget(|place| self.all[&place].has_left());
        // a key is stored with the first entry of its batch
        self.once.retain(|_, once| !self.all[&once.first].has_left());
        self.values.retain(|(topic, _), _| topic_bits_of(topic) & self.compacted != 0);
        for (sequence, entry) in self.all.iter().filter(|(_, entry)| !entry.has_left() && entry.key.is_some()) {
            for topic in
                entry.topics.iter().filter(|topic| topic_bits_of(topic) & entry.topic_bits & !self.compacted != 0)
            {
                self.values.insert((topic, entry.key), *sequence);
            }
        }
    }

    pub(super) fn newest(&self) -> u64 {
        self.all.last_key_value().map_or(0, |(newest, _)| *newest)
    }

    fn in_history(&self) -> impl DoubleEndedIterator<Item = (&u64, &Published)> {
        let first = self.extent.history.iter().min().copied().unwrap_or_default();
        self.all.range(first..).filter(|(_, entry)| !entry.has_left())
    }

    /// What has left of what lies after this place.
    fn dropped_after(&self, after: u64) -> impl Iterator<Item = (&u64, &Published)> + Clone {
        let end = self.extent.history.iter().max().copied().unwrap_or_default();
        self.all.range(after + 1..end.max(after + 1)).filter(|(_, entry)| entry.has_left())
    }

    /// How many entries can be read.
    pub(super) fn kept(&self) -> usize {
        self.in_history().count()
    }

    /// How many topics have one of them.
    pub(super) fn topics_kept(&self) -> usize {
        self.in_history().fold(0, |bits, (_, entry)| bits | entry.topic_bits).count_ones() as usize
    }

    /// The time of the oldest.
    pub(super) fn oldest_ms(&self) -> Option<u64> {
        self.in_history().next().map(|(_, entry)| entry.time_ms)
    }

    /// The time of the newest entry that has left since it was looked before.
    pub(super) fn left_just_now(&self) -> Option<u64> {
        self.left_ms
    }

    pub(super) fn has_ended(&self, topic: &str) -> bool {
        self.ends.contains_key(topic)
    }

    /// The last end of topics that have all ended, after which nothing can come.
    pub(super) fn finish(&self, matchers: &[&str]) -> Option<u64> {
        let ends: Option<Vec<u64>> = matchers.iter().map(|matcher| self.ends.get(matcher).copied()).collect();
        ends?.into_iter().max()
    }

    pub(super) fn position(&self, sequence: u64) -> String {
        Position { epoch: self.epoch, sequence }.to_string()
    }
}

/// The name in the table.
fn known(name: &str, table: &[&'static str]) -> &'static str {
    table.iter().find(|known| **known == name).expect("it is one of the world's")
}
