//! The index from topic to positions, so that a quiet topic is read without passing the busy ones.

use std::collections::VecDeque;
use std::mem::size_of;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;

use crate::Topic;
use crate::log::gone::DroppedRun;

/// Every topic that has entries in the tail.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    /// Of pointers alone: a table under churn is mostly empty, and there twice when it grows.
    slots: HashTable<Box<Slot>>,
    history: Names,
    slack: Names,
}

/// How many topics there are, and what they cost: the names and their slots. Positions are counted with their entries.
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
    /// What has left the tail; apart, since most topics of a hub with many have lost nothing or everything.
    gone: Option<Box<DroppedRun>>,
}

impl Topics {
    /// Adds the newest entry of `topic` and tells the name that all its entries share. `recall` tells what is
    /// known of a topic that has no place yet.
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

    /// Notes that an entry of `topic` has left the history. It stays in the tail.
    pub(crate) fn leave_history(&mut self, topic: &Topic, sequence: u64) {
        let newest = self.positions(topic).and_then(|positions| positions.back());
        if newest == Some(&sequence) {
            self.history.remove(topic);
            self.slack.add(topic);
        }
    }

    /// Hides all entries of `topic` there are. Gives back which, and what is known of those that were gone before. `hidden` are
    /// others, from before, that are hidden with them.
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

    /// Removes an entry of `topic`, which has left the history before, unless it is hidden.
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
        // what a burst took is given back: room is counted by entries, not by what a list once held
        if slot.positions.capacity() > 4 * slot.positions.len().max(SHRINK_FROM) {
            slot.positions.shrink_to(2 * slot.positions.len());
        }
        Popped::OneOf
    }

    /// The positions of `topic`, ascending.
    pub(crate) fn positions(&self, topic: &Topic) -> Option<&VecDeque<u64>> {
        self.slot(topic).map(|slot| &slot.positions)
    }

    /// What `topic` has lost before `horizon`, if it has a place here. `time_of` tells an entry's time.
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

    /// How many topics there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Topics that have entries in the history.
    pub(crate) fn in_history(&self) -> Names {
        self.history
    }

    /// Topics that have none there any more.
    pub(crate) fn in_slack(&self) -> Names {
        self.slack
    }
}

/// An entry has left its topic.
pub(crate) enum Popped {
    /// It was deleted before.
    Hidden,
    /// There are others.
    OneOf,
    /// What is known of the topic, which has nothing more.
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

/// A name, a slot and a first list of positions, with what an allocation costs beside its bytes, and a place in the table,
/// which may be only a quarter full when topics come and go (`tests/it/memory.rs`).
fn cost(topic: &Topic) -> usize {
    topic.len() + size_of::<Slot>() + 96 + 4 * (size_of::<Box<Slot>>() + 1)
}

/// Lists shorter than this are left as they are.
const SHRINK_FROM: usize = 16;
