//! The index from topic to positions, so that a quiet topic is read without passing the busy ones.

use std::collections::hash_map::Entry as Place;
use std::collections::{HashMap, VecDeque};
use std::mem::size_of;

use crate::Topic;
use crate::log::dropped::DroppedRun;

/// Every topic that has entries in the ring.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    slots: HashMap<Topic, Slot>,
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
    /// Sequence numbers of the topic's entries in the ring, ascending.
    positions: VecDeque<u64>,
    /// What has left the ring.
    gone: DroppedRun,
}

impl Topics {
    /// Adds the newest entry of `topic` and gives back the name that all its entries share. `recall` tells what is
    /// known of a topic that has no place yet.
    pub(crate) fn add(
        &mut self,
        topic: Topic,
        sequence: u64,
        history_start: u64,
        recall: impl FnOnce(&Topic) -> DroppedRun,
    ) -> Topic {
        match self.slots.entry(topic) {
            Place::Occupied(mut place) => {
                let name = place.key().clone();
                let positions = &mut place.get_mut().positions;
                if positions.back().is_some_and(|newest| *newest < history_start) {
                    self.slack.remove(&name);
                    self.history.add(&name);
                }
                positions.push_back(sequence);
                name
            }
            Place::Vacant(place) => {
                let name = place.key().clone();
                self.history.add(&name);
                place.insert(Slot { positions: VecDeque::from([sequence]), gone: recall(&name) });
                name
            }
        }
    }

    /// Notes that an entry of `topic` has left the history. It stays in the ring.
    pub(crate) fn leave_history(&mut self, topic: &Topic, sequence: u64) {
        let newest = self.positions(topic).and_then(|positions| positions.back());
        if newest == Some(&sequence) {
            self.history.remove(topic);
            self.slack.add(topic);
        }
    }

    /// Removes the oldest entry of `topic`, which has left the history before; what is known of the topic comes back
    /// with its last one.
    pub(crate) fn pop(&mut self, topic: &Topic, time_ms: u64) -> Option<(Topic, DroppedRun)> {
        let slot = self.slots.get_mut(topic)?;
        let sequence = slot.positions.pop_front()?;
        slot.gone.add(sequence, time_ms);
        if slot.positions.is_empty() {
            self.slack.remove(topic);
            let (topic, slot) = self.slots.remove_entry(topic)?;
            return Some((topic, slot.gone));
        }
        // what a burst took is given back: room is counted by entries, not by what a list once held
        if slot.positions.capacity() > 4 * slot.positions.len().max(SHRINK_FROM) {
            slot.positions.shrink_to(2 * slot.positions.len());
        }
        None
    }

    /// The positions of `topic`, ascending.
    pub(crate) fn positions(&self, topic: &Topic) -> Option<&VecDeque<u64>> {
        self.slots.get(topic).map(|slot| &slot.positions)
    }

    /// What `topic` has lost before `horizon`, if it has a place here. `time_of` tells an entry's time.
    pub(crate) fn run(&self, topic: &Topic, horizon: u64, time_of: impl Fn(u64) -> u64) -> Option<DroppedRun> {
        self.slots.get(topic).map(|slot| slot.run(horizon, time_of))
    }

    pub(crate) fn runs(
        &self,
        horizon: u64,
        time_of: impl Fn(u64) -> u64,
    ) -> impl Iterator<Item = (&Topic, DroppedRun)> {
        self.slots.iter().map(move |(topic, slot)| (topic, slot.run(horizon, &time_of)))
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

impl Slot {
    fn run(&self, horizon: u64, time_of: impl Fn(u64) -> u64) -> DroppedRun {
        let number = self.positions.partition_point(|sequence| *sequence < horizon);
        self.gone.and(&self.positions, number, time_of)
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

/// A name, its counts and rounding, its slot in a table that may be less than half full, and a first list of positions.
fn cost(topic: &Topic) -> usize {
    topic.len() + 2 * (size_of::<Topic>() + size_of::<Slot>()) + 88
}

/// Lists shorter than this are left as they are.
const SHRINK_FROM: usize = 16;
