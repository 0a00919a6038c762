//! The index from topic to positions, so that a quiet topic is read without passing the busy ones.

use std::collections::{HashMap, VecDeque};
use std::mem::size_of;

use crate::Topic;
use crate::log::dropped::DroppedRun;

/// Every topic that has entries in the ring.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    slots: HashMap<Topic, Slot>,
    bytes: usize,
}

#[derive(Debug)]
struct Slot {
    /// Sequence numbers of the topic's entries in the ring, ascending.
    positions: VecDeque<u64>,
    /// What has left the history; entries that open streams may still read are in `positions` as well.
    dropped: DroppedRun,
}

impl Topics {
    /// Adds the newest entry of `topic`. `recall` tells what is known of a topic that has no place yet.
    pub(crate) fn add(&mut self, topic: &Topic, sequence: u64, recall: impl FnOnce(&Topic) -> DroppedRun) {
        if let Some(slot) = self.slots.get_mut(topic) {
            slot.positions.push_back(sequence);
            return;
        }
        self.bytes += cost(topic);
        let slot = Slot { positions: VecDeque::from([sequence]), dropped: recall(topic) };
        self.slots.insert(topic.clone(), slot);
    }

    /// Notes that an entry of `topic` has left the history.
    pub(crate) fn leave_history(&mut self, topic: &Topic, sequence: u64, time_ms: u64) {
        if let Some(slot) = self.slots.get_mut(topic) {
            slot.dropped.add(sequence, time_ms);
        }
    }

    /// Removes the oldest entry of `topic`; what is known of the topic comes back with its last one.
    pub(crate) fn pop(&mut self, topic: &Topic) -> Option<(Topic, DroppedRun)> {
        let slot = self.slots.get_mut(topic)?;
        slot.positions.pop_front();
        if !slot.positions.is_empty() {
            return None;
        }
        self.bytes -= cost(topic);
        let (topic, slot) = self.slots.remove_entry(topic)?;
        Some((topic, slot.dropped))
    }

    /// The positions of `topic`, ascending.
    pub(crate) fn positions(&self, topic: &Topic) -> Option<&VecDeque<u64>> {
        self.slots.get(topic).map(|slot| &slot.positions)
    }

    pub(crate) fn dropped(&self, topic: &Topic) -> Option<DroppedRun> {
        self.slots.get(topic).map(|slot| slot.dropped)
    }

    pub(crate) fn all_dropped(&self) -> impl Iterator<Item = (&Topic, DroppedRun)> {
        self.slots.iter().map(|(topic, slot)| (topic, slot.dropped))
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Memory of the names and of their slots; the positions themselves are counted with their entries.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// A name, its counts and rounding, its slot in a table that may be less than half full, and a first list of positions.
fn cost(topic: &Topic) -> usize {
    topic.len() + 2 * (size_of::<Topic>() + size_of::<Slot>()) + 88
}
