//! The index from topic to positions, so that a quiet topic is read without passing the busy ones.

use std::collections::VecDeque;
use std::mem::size_of;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;

use crate::Topic;
use crate::log::gone::DroppedRun;

/// All topics with entries in the tail.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    /// Pointers only: a table under churn is mostly empty, and exists twice while it grows.
    slots: HashTable<Box<Slot>>,
    history: Names,
    slack: Names,
}

/// The number of topics and the memory of their names and slots. Positions are counted with their entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Names {
    pub(crate) number: usize,
    pub(crate) bytes: usize,
}

#[derive(Debug)]
struct Slot {
    name: Topic,
    /// Sequence numbers of the topic's entries in the tail, ascending.
    positions: VecDeque<u64>,
    /// Entries that left the tail. In a box, because in a hub with many topics most have lost nothing or everything.
    gone: Option<Box<DroppedRun>>,
}

impl Topics {
    /// Adds the newest entry of `topic` and returns the name that all its entries share. `recall` returns the summary of a topic
    /// that has no slot yet.
    pub(crate) fn add(
        &mut self,
        topic: &Topic,
        sequence: u64,
        history_start: u64,
        recall: impl FnOnce(&Topic) -> DroppedRun,
    ) -> &Topic {
        match self.slots.entry(topic.table_hash(), |slot| slot.name == *topic, |slot| slot.name.table_hash()) {
            Place::Occupied(place) => {
                let Slot { name, positions, .. } = &mut **place.into_mut();
                if positions.back().is_some_and(|newest| *newest < history_start) {
                    self.slack.remove(name);
                    self.history.add(name);
                }
                positions.push_back(sequence);
                name
            }
            Place::Vacant(place) => {
                self.history.add(topic);
                let gone = Some(recall(topic)).filter(|run| *run != DroppedRun::default()).map(Box::new);
                let slot = Slot { name: topic.clone(), positions: VecDeque::from([sequence]), gone };
                &place.insert(Box::new(slot)).into_mut().name
            }
        }
    }

    fn slot(&self, topic: &Topic) -> Option<&Slot> {
        self.slots.find(topic.table_hash(), |slot| slot.name == *topic).map(|slot| &**slot)
    }

    /// Notes that an entry of `topic` moved from the history to the slack.
    pub(crate) fn leave_history(&mut self, topic: &Topic, sequence: u64) {
        let newest = self.positions(topic).and_then(|positions| positions.back());
        if newest == Some(&sequence) {
            self.history.remove(topic);
            self.slack.add(topic);
        }
    }

    /// Hides all entries of `topic`. Returns them, and the summary of entries that were gone before. `hidden` are earlier entries
    /// that are hidden with them.
    pub(crate) fn hide(
        &mut self,
        topic: &Topic,
        history_start: u64,
        hidden: DroppedRun,
        time_of: impl Fn(u64) -> u64,
    ) -> (DroppedRun, Option<DroppedRun>) {
        let Ok(place) = self.slots.find_entry(topic.table_hash(), |slot| slot.name == *topic) else {
            return (hidden, None);
        };
        let (slot, _) = place.remove();
        let Slot { positions, gone, .. } = *slot;
        let is_kept = positions.back().is_some_and(|newest| *newest >= history_start);
        if is_kept {
            self.history.remove(topic)
        } else {
            self.slack.remove(topic)
        }
        (hidden.and(&positions, positions.len(), time_of), gone.map(|gone| *gone))
    }

    /// Removes an entry of `topic` from the slack, unless it is hidden.
    pub(crate) fn pop(&mut self, topic: &Topic, sequence: u64, time_ms: u64) -> Popped {
        let Ok(mut place) = self.slots.find_entry(topic.table_hash(), |slot| slot.name == *topic) else {
            return Popped::Hidden;
        };
        let slot = place.get_mut();
        if slot.positions.front() != Some(&sequence) {
            return Popped::Hidden;
        }
        slot.positions.pop_front();
        slot.gone.get_or_insert_default().add(sequence, time_ms);
        if slot.positions.is_empty() {
            self.slack.remove(topic);
            let (slot, _) = place.remove();
            return Popped::Last(slot.name, slot.gone.map(|gone| *gone).unwrap_or_default());
        }
        // frees the memory of a burst: memory is counted by entries, not by the size that a list once had
        if slot.positions.capacity() > 4 * slot.positions.len().max(SHRINK_FROM) {
            slot.positions.shrink_to(2 * slot.positions.len());
        }
        Popped::OneOf
    }

    /// The positions of `topic`, ascending.
    pub(crate) fn positions(&self, topic: &Topic) -> Option<&VecDeque<u64>> {
        self.slot(topic).map(|slot| &slot.positions)
    }

    /// What `topic` has lost before `horizon`, if it has a slot here. `time_of` returns the time of an entry.
    pub(crate) fn run(&self, topic: &Topic, horizon: u64, time_of: impl Fn(u64) -> u64) -> Option<DroppedRun> {
        self.slot(topic).map(|slot| slot.run(horizon, time_of))
    }

    pub(crate) fn runs(
        &self,
        horizon: u64,
        time_of: impl Fn(u64) -> u64,
    ) -> impl Iterator<Item = (&Topic, DroppedRun)> {
        self.slots.iter().map(move |slot| (&slot.name, slot.run(horizon, &time_of)))
    }

    /// The number of topics.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Topics with entries in the history.
    pub(crate) fn in_history(&self) -> Names {
        self.history
    }

    /// Topics with entries in the slack only.
    pub(crate) fn in_slack(&self) -> Names {
        self.slack
    }
}

/// The result of removing an entry from its topic.
pub(crate) enum Popped {
    /// The entry had been deleted.
    Hidden,
    /// The topic has other entries.
    OneOf,
    /// It was the last one; the summary of the topic.
    Last(Topic, DroppedRun),
}

impl Slot {
    fn run(&self, horizon: u64, time_of: impl Fn(u64) -> u64) -> DroppedRun {
        let number = self.positions.partition_point(|sequence| *sequence < horizon);
        self.gone.as_deref().copied().unwrap_or_default().and(&self.positions, number, time_of)
    }
}

impl Names {
    fn add(&mut self, topic: &Topic) {
        self.number += 1;
        self.bytes += cost(topic);
    }

    fn remove(&mut self, topic: &Topic) {
        self.number -= 1;
        self.bytes -= cost(topic);
    }
}

/// A name, a slot and a first list of positions, with the overhead of allocations, and a slot in the table, which may be a quarter
/// full when topics come and go (`tests/it/memory.rs`).
fn cost(topic: &Topic) -> usize {
    topic.len() + size_of::<Slot>() + 96 + 4 * (size_of::<Box<Slot>>() + 1)
}

/// Lists shorter than this are not shrunk.
const SHRINK_FROM: usize = 16;
