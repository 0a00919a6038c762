//! The newest entry of each key: the contents of a snapshot, and the part of compacted topics that is never dropped by age.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;

use crate::Topic;
use crate::limits::DROPPED_SUMMARY_BYTES;
use crate::log::Retained;
use crate::log::entry::Entry;
use crate::log::gone::{After, Dropped, DroppedRun, Missed};
use crate::log::loss::Loss;
use crate::log::page::{Merge, PageBuilder, Read};
use crate::log::snapshot::Snapshot;
use crate::log::step::Step;
use crate::matcher::Matchers;

/// The *values* of a log: the newest entry of each topic and key. On a *compacted* topic every entry is a value; one without a key
/// is the value of the topic. A value stays until it is replaced, deleted or evicted by the bound. On other topics only entries
/// with a key are values, as long as the log holds them.
///
/// It is made from the entries in order and nothing else, so it can be rebuilt by reading a log once.
pub(crate) struct Latest {
    compact: Matchers,
    topics: HashMap<Topic, Values>,
    /// All values in the order of the log.
    by_sequence: BTreeMap<u64, Value>,
    hasher: RandomState,
    kept: Retained,
    max: Retained,
    /// Values that the bound has evicted.
    evicted: Dropped,
    evictions: u64,
}

struct Value {
    entry: Arc<Entry>,
    /// The number of topics of which it is the value.
    uses: usize,
    /// The log's memory no longer holds the entry, so its memory is counted here.
    alone: bool,
}

struct Values {
    compacted: bool,
    by_key: HashTable<Arc<Entry>>,
    /// The sequence numbers of the values, ascending, with some of replaced values.
    order: VecDeque<u64>,
}

impl Latest {
    pub(crate) fn new(compact: Matchers, max: Retained) -> Self {
        Self {
            compact,
            topics: HashMap::new(),
            by_sequence: BTreeMap::new(),
            hasher: RandomState::new(),
            kept: Retained::default(),
            max,
            evicted: Dropped::new(DROPPED_SUMMARY_BYTES),
            evictions: 0,
        }
    }

    /// Whether any topic is compacted.
    pub(crate) fn compacts_any(&self) -> bool {
        self.compact.len() > 0
    }

    pub(crate) fn compacts(&self, topic: &Topic) -> bool {
        self.compacts_any() && self.compact.matches(topic)
    }

    /// The number of values and their memory.
    pub(crate) fn kept(&self) -> Retained {
        self.kept
    }

    pub(crate) fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Notes the newest entry of the log. It replaces the values of its topics and key.
    pub(crate) fn note(&mut self, entry: &Arc<Entry>) {
        if entry.extras().is_some_and(|extras| extras.end || extras.deletes.is_some()) {
            return; // an end or a deletion, which is no value
        }
        for topic in &entry.topics {
            let compacted = self.compacts(topic);
            if compacted || entry.key().is_some() {
                self.set(topic, compacted, entry);
            }
        }
        self.keep_bound();
    }

    /// All values up to this sequence number.
    pub(crate) fn up_to(&self, sequence: u64) -> Vec<Arc<Entry>> {
        self.by_sequence.range(..=sequence).map(|(_, value)| Arc::clone(&value.entry)).collect()
    }

    /// Whether it is a value of a compacted topic.
    pub(crate) fn is_compacted(&self, entry: &Entry) -> bool {
        entry.topics.iter().any(|topic| self.compacts(topic) && self.is_value_of(topic, entry))
    }

    /// Whether it is the newest of its key in this topic.
    pub(crate) fn is_value_of(&self, topic: &Topic, entry: &Entry) -> bool {
        self.topics.get(topic).is_some_and(|values| values.has(entry, &self.hasher))
    }

    /// The log's memory no longer holds the entry, but it can still be read from disk. From now on its memory is counted here.
    pub(crate) fn leave_memory(&mut self, entry: &Entry) {
        let Some(value) = self.by_sequence.get_mut(&entry.sequence).filter(|value| !value.alone) else { return };
        value.alone = true;
        self.kept.bytes += value.entry.cost();
        self.keep_bound();
    }

    /// The entry was dropped from the log. Compacted topics keep it as their value. True if it was a value of a topic that is not
    /// compacted.
    pub(crate) fn leave_history(&mut self, entry: &Entry) -> bool {
        self.leave_memory(entry);
        let mut was_value = false;
        for topic in &entry.topics {
            if self.topics.get(topic).is_some_and(|values| !values.compacted) {
                was_value |= self.unset(topic, entry);
            }
        }
        was_value
    }

    /// Drops all values of a deleted topic. Returns those from before `front`.
    pub(crate) fn forget_topic(&mut self, topic: &Topic, front: u64) -> DroppedRun {
        let mut forgotten = DroppedRun::default();
        let Some(values) = self.topics.remove(topic) else { return forgotten };
        self.kept.bytes -= topic_cost(topic);
        for sequence in values.order.iter().take_while(|sequence| **sequence < front) {
            if let Some(value) = self.by_sequence.get(sequence).filter(|value| values.has(&value.entry, &self.hasher)) {
                forgotten.add(*sequence, value.entry.time_ms);
            }
        }
        for entry in values.by_key {
            self.release(entry.sequence);
        }
        forgotten
    }

    /// Adds to `loss` the evicted values that a stream after `after` may have missed: of compacted topics, or with `all` of any
    /// topic.
    pub(crate) fn lost(&self, after: After, matchers: &Matchers, all: bool, loss: &mut Loss) {
        if self.evictions == 0 || !(all || self.compacts_any()) {
            return;
        }
        let counts = |topic: &&Topic| all || self.compacts(topic);
        if matchers.is_exact() {
            let mut runs = matchers.exact.iter().filter(counts).map(|topic| self.evicted.run(topic));
            if runs.any(|run| run.missed(after) != Missed::Nothing) {
                loss.add(Missed::Unknown);
            }
            return;
        }
        loss.add_topics(self.evicted.lost_after(after).filter(counts), usize::MAX);
        if self.evicted.missed_of_forgotten(after) != Missed::Nothing {
            loss.add(Missed::Unknown);
        }
    }

    /// The newest value of a topic; 0 without one.
    pub(crate) fn newest_of(&self, topic: &Topic) -> u64 {
        let values = self.topics.get(topic).map(|values| values.by_key.iter().map(|entry| entry.sequence));
        values.and_then(Iterator::max).unwrap_or_default()
    }

    /// Reads the matching values of `snapshot` after `cursor` into `page`, in log order. Returns the new cursor if the page is
    /// full, or the step is over, before the last value.
    pub(crate) fn read_into(
        &self,
        page: &mut PageBuilder,
        cursor: u64,
        snapshot: &Snapshot,
        matchers: &Matchers,
    ) -> Option<u64> {
        if cursor >= snapshot.upto {
            return None;
        }
        if matchers.is_exact() {
            let topics = matchers.exact.iter().filter_map(|topic| self.topics.get(topic));
            let mut merge = Merge::new(topics.map(|values| &values.order), cursor);
            while let Some(sequence) = merge.next().filter(|sequence| *sequence <= snapshot.upto) {
                if page.is_full() {
                    return Some(sequence - 1);
                }
                let value = self.by_sequence.get(&sequence);
                page.push(value.map(|value| &value.entry).filter(|entry| self.is_told(entry, snapshot, matchers)));
            }
            return None;
        }
        let mut step = Step::of(matchers);
        for (sequence, value) in self.by_sequence.range(cursor + 1..=snapshot.upto) {
            if page.is_full() || step.is_over() {
                return Some(sequence - 1);
            }
            step.look_at(&value.entry.topics);
            page.push(Some(&value.entry).filter(|entry| self.is_told(entry, snapshot, matchers)));
        }
        None
    }

    /// A page of the values of `snapshot`.
    pub(crate) fn read(&self, page: Retained, cursor: u64, snapshot: &Snapshot, matchers: &Matchers) -> Read {
        let mut page = PageBuilder::new(page);
        let stopped = self.read_into(&mut page, cursor, snapshot, matchers);
        page.finish(stopped.unwrap_or(snapshot.upto), stopped.is_some())
    }

    /// The cursor after which the values of this time or later lie; at most `upto`.
    pub(crate) fn before_time(&self, ms: u64, upto: u64) -> u64 {
        // times never go back along the log, so a binary search finds the first value that is not older
        let (mut low, mut high) = (1, upto + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.by_sequence.range(middle..=upto).next() {
                Some((sequence, value)) if value.entry.time_ms < ms => low = sequence + 1,
                Some(_) | None => high = middle,
            }
        }
        self.by_sequence.range(low..).next().map_or(upto, |(sequence, _)| (sequence - 1).min(upto))
    }

    /// The newest value that is older than this time; 0 without one.
    pub(crate) fn last_before(&self, ms: u64) -> u64 {
        let end = self.before_time(ms, u64::MAX - 1);
        self.by_sequence.range(..=end).next_back().map_or(0, |(sequence, _)| *sequence)
    }

    fn is_told(&self, entry: &Entry, snapshot: &Snapshot, matchers: &Matchers) -> bool {
        entry.topics.iter().filter(|topic| matchers.matches(topic)).any(|topic| {
            let values = self.topics.get(topic).filter(|values| values.has(entry, &self.hasher));
            values.is_some_and(|values| values.compacted || entry.sequence >= snapshot.from)
        })
    }

    fn set(&mut self, topic: &Topic, compacted: bool, entry: &Arc<Entry>) {
        let (kept, hasher) = (&mut self.kept, &self.hasher);
        let values = self.topics.entry(topic.clone()).or_insert_with(|| {
            kept.bytes += topic_cost(topic);
            Values { compacted, by_key: HashTable::new(), order: VecDeque::new() }
        });
        let key = key_of(entry);
        let hash_of = |entry: &Arc<Entry>| hasher.hash_one(key_of(entry));
        let before = match values.by_key.entry(hasher.hash_one(key), |entry| key_of(entry) == key, hash_of) {
            Place::Occupied(mut place) => Some(std::mem::replace(place.get_mut(), Arc::clone(entry)).sequence),
            Place::Vacant(place) => {
                place.insert(Arc::clone(entry));
                None
            }
        };
        values.order.push_back(entry.sequence);
        self.kept.entries += 1;
        self.kept.bytes += VALUE_BYTES;
        let value = || Value { entry: Arc::clone(entry), uses: 0, alone: false };
        self.by_sequence.entry(entry.sequence).or_insert_with(value).uses += 1;
        if let Some(before) = before {
            self.release(before);
        }
        self.tidy(topic);
    }

    /// Removes replaced values from the order of a topic, when there are many.
    fn tidy(&mut self, topic: &Topic) {
        let Self { topics, by_sequence, hasher, .. } = self;
        let Some(Values { by_key, order, .. }) = topics.get_mut(topic) else { return };
        if order.len() <= 2 * by_key.len() + TIDY_FROM {
            return;
        }
        order.retain(|sequence| by_sequence.get(sequence).is_some_and(|value| has(by_key, &value.entry, hasher)));
    }

    /// Removes the entry as a value of this topic; true if it was one.
    pub(crate) fn unset(&mut self, topic: &Topic, entry: &Entry) -> bool {
        let Some(values) = self.topics.get_mut(topic) else { return false };
        let hash = self.hasher.hash_one(key_of(entry));
        let Ok(place) = values.by_key.find_entry(hash, |value| value.sequence == entry.sequence) else { return false };
        place.remove();
        if values.by_key.is_empty() {
            self.topics.remove(topic);
            self.kept.bytes -= topic_cost(topic);
        } else {
            self.tidy(topic);
        }
        self.release(entry.sequence);
        true
    }

    /// One topic fewer has this entry as its value.
    fn release(&mut self, sequence: u64) {
        let Some(value) = self.by_sequence.get_mut(&sequence) else { return };
        value.uses -= 1;
        self.kept.entries -= 1;
        self.kept.bytes -= VALUE_BYTES;
        if value.uses == 0 {
            self.kept.bytes -= if value.alone { value.entry.cost() } else { 0 };
            self.by_sequence.remove(&sequence);
        }
    }

    /// Evicts the oldest values while there are too many.
    fn keep_bound(&mut self) {
        while self.kept.entries > self.max.entries || self.kept.bytes > self.max.bytes {
            let Some((_, oldest)) = self.by_sequence.first_key_value() else { return };
            let entry = Arc::clone(&oldest.entry);
            for topic in &entry.topics {
                if self.unset(topic, &entry) {
                    let mut run = self.evicted.recall(topic);
                    run.add(entry.sequence, entry.time_ms);
                    self.evicted.remember(topic.clone(), run);
                }
            }
            self.evictions += 1;
        }
    }
}

impl Values {
    fn has(&self, entry: &Entry, hasher: &RandomState) -> bool {
        has(&self.by_key, entry, hasher)
    }
}

fn has(by_key: &HashTable<Arc<Entry>>, entry: &Entry, hasher: &RandomState) -> bool {
    by_key.find(hasher.hash_one(key_of(entry)), |value| value.sequence == entry.sequence).is_some()
}

/// An entry without a key is the value of its topic.
fn key_of(entry: &Entry) -> &str {
    entry.key().unwrap_or_default()
}

/// A slot in a table that may be half full, a slot in the order and one in the map, with their overhead.
const VALUE_BYTES: usize = 128;

/// A name, its slot, its table and its order.
fn topic_cost(topic: &Topic) -> usize {
    topic.len() + 320
}

/// An order shorter than this is not tidied.
const TIDY_FROM: usize = 16;

#[cfg(test)]
mod tests {
    use oyez_proto::Event;

    use super::*;
    use crate::log::draft::Draft;
    use crate::log::search::now;
    use crate::position::{Epoch, Position};
    use crate::submission::Submission;

    fn latest(compact: &[&str], max: Retained) -> Latest {
        let mut matchers = Matchers::default();
        compact.iter().for_each(|matcher| matchers.push(matcher.parse().unwrap()));
        Latest::new(matchers, max)
    }

    fn topic(name: &str) -> Topic {
        Topic::new(name).unwrap()
    }

    fn entry(sequence: u64, name: &str, key: &str) -> Arc<Entry> {
        let mut publish = Submission::new(topic(name), Event::data("x".repeat(1_000)));
        if !key.is_empty() {
            publish = publish.key(key).unwrap();
        }
        Arc::new(Draft::new(publish).place(Position { epoch: Epoch::from_bits(1), sequence }, sequence))
    }

    fn all(latest: &Latest, matcher: &str, from: u64) -> Vec<u64> {
        let mut matchers = Matchers::default();
        matchers.push(matcher.parse().unwrap());
        let snapshot = Snapshot { upto: u64::MAX - 1, from, evictions: 0, departures: 0, known: 0 };
        let page = Retained { entries: 3, bytes: usize::MAX };
        let (mut cursor, mut found) = (0, Vec::new());
        loop {
            let read = latest.read(page, cursor, &snapshot, &matchers);
            found.extend(read.entries.iter().map(|entry| entry.sequence));
            cursor = read.cursor;
            if !read.more {
                return found;
            }
        }
    }

    fn missed(latest: &Latest, after: u64, matchers: &Matchers, all: bool) -> Missed {
        let mut loss = Loss::of(Missed::Nothing);
        latest.lost(After::Sequence(after), matchers, all, &mut loss);
        now(loss.settle(matchers))
    }

    const UNBOUNDED: Retained = Retained { entries: usize::MAX, bytes: usize::MAX };

    #[test]
    fn values_come_page_by_page_and_those_of_other_topics_only_from_the_history() {
        let mut latest = latest(&["kept"], UNBOUNDED);
        let entries: Vec<_> =
            (1..=40).map(|n| entry(n, ["kept", "other"][n as usize % 2], &format!("k{}", n % 10))).collect();
        entries.iter().for_each(|entry| latest.note(entry));
        assert_eq!(all(&latest, "*", 1), (31..=40).collect::<Vec<_>>());
        assert_eq!(all(&latest, "kept", 1), [32, 34, 36, 38, 40]);
        assert_eq!(all(&latest, "*", 36), [32, 34, 36, 37, 38, 39, 40]);
        let is_value = |at: usize| latest.by_sequence.contains_key(&entries[at].sequence);
        assert!(is_value(30) && !is_value(29));
        for entry in &entries {
            latest.leave_history(entry);
        }
        assert_eq!(all(&latest, "*", 1), [32, 34, 36, 38, 40]);
        let forgotten = latest.forget_topic(&topic("kept"), 37);
        assert_eq!((forgotten.missed(After::Sequence(0)), forgotten.last()), (Missed::Events(3), 36));
        assert_eq!((all(&latest, "*", 1), latest.kept()), (vec![], Retained::default()));
    }

    #[test]
    fn what_was_replaced_takes_no_room() {
        let mut latest = latest(&["*"], UNBOUNDED);
        for n in 1..=10_000 {
            let entry = entry(n, "a", &format!("k{}", n % 7));
            latest.note(&entry);
            latest.leave_history(&entry);
            assert_eq!(latest.kept().entries as u64, n.min(7));
        }
        assert!(latest.kept().bytes < 7 * 2_000, "{:?}", latest.kept());
        assert!(latest.topics["a"].order.len() < 50, "{:?}", latest.topics["a"].order);
        assert_eq!(missed(&latest, 0, &Matchers::default(), true), Missed::Nothing);
    }

    #[test]
    fn beyond_the_bound_the_oldest_go_and_are_missed() {
        for max in [Retained { entries: 10, ..UNBOUNDED }, Retained { bytes: 15_000, ..UNBOUNDED }] {
            let mut latest = latest(&["a", "b"], max);
            for n in 1..=30 {
                let entry = entry(n, ["a", "b"][n as usize % 2], &n.to_string());
                latest.note(&entry);
                latest.leave_history(&entry);
            }
            let kept = latest.kept();
            assert!(kept.entries <= max.entries && kept.bytes <= max.bytes && kept.entries > 5, "{kept:?}");
            let first = 31 - kept.entries as u64;
            assert_eq!(all(&latest, "*", 31), (first..=30).collect::<Vec<_>>());
            for matcher in ["a", "*"] {
                let mut matchers = Matchers::default();
                matchers.push(matcher.parse().unwrap());
                let missed = |after| missed(&latest, after, &matchers, false);
                assert_eq!((missed(first - 3), missed(first)), (Missed::Unknown, Missed::Nothing), "{matcher}");
            }
            let mut never = Matchers::default();
            never.push("c".parse().unwrap());
            assert_eq!(super::tests::missed(&latest, 0, &never, true), Missed::Nothing);
        }
    }

    #[test]
    fn a_time_is_found_among_values() {
        let mut latest = latest(&["*"], UNBOUNDED);
        assert_eq!(latest.before_time(5, 10), 10);
        for n in [3, 7, 8, 20] {
            latest.note(&entry(n, "a", &n.to_string()));
        }
        for (ms, upto, cursor) in
            [(0, 30, 2), (3, 30, 2), (4, 30, 6), (8, 30, 7), (9, 30, 19), (9, 10, 10), (21, 30, 30)]
        {
            assert_eq!(latest.before_time(ms, upto), cursor, "{ms} {upto}");
        }
    }
}
