//! Which topics have ended, and where.

use std::collections::{HashMap, VecDeque};

use crate::Topic;

/// The end of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) sequence: u64,
    /// From this time nothing of the topic can be read.
    pub(crate) expires_ms: Option<u64>,
    /// Whether it was dropped from the history.
    pub(crate) is_gone: bool,
}

impl End {
    pub(crate) fn has_expired(self, now_ms: u64) -> bool {
        self.expires_ms.is_some_and(|time| time <= now_ms)
    }
}

/// The ended topics: all whose end is in the history, and the newest of those whose end was dropped, bounded in bytes. A forgotten
/// topic can be published to again.
#[derive(Debug)]
pub(crate) struct Ends {
    by_topic: HashMap<Topic, End>,
    /// The dropped ends, in the order in which they were dropped.
    gone: VecDeque<(u64, Topic)>,
    gone_bytes: usize,
    gone_bytes_max: usize,
}

impl Ends {
    pub(crate) fn new(gone_bytes_max: usize) -> Self {
        Self { by_topic: HashMap::new(), gone: VecDeque::new(), gone_bytes: 0, gone_bytes_max }
    }

    /// Whether no topic has ended. Then nobody has to check.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_topic.is_empty()
    }

    /// The end of `topic`, if it has ended.
    pub(crate) fn end_of(&self, topic: &Topic) -> Option<End> {
        self.by_topic.get(topic).copied()
    }

    /// Notes the end of `topic`. A deleted topic may end several times; the newest end counts.
    pub(crate) fn note(&mut self, topic: Topic, end: End) {
        if self.end_of(&topic).is_none_or(|known| known.sequence < end.sequence) {
            self.by_topic.insert(topic, end);
        }
    }

    /// Forgets the end of a topic that was deleted at this position, if the end was earlier. The topic can be published to again.
    pub(crate) fn forget(&mut self, topic: &Topic, place: u64) {
        let Some(end) = self.end_of(topic).filter(|end| end.sequence < place) else { return };
        self.by_topic.remove(topic);
        if end.is_gone {
            self.gone.retain(|(_, gone)| gone != topic);
            self.gone_bytes = self.gone.iter().map(|(_, topic)| cost(topic)).sum();
        }
    }

    /// Notes that the end of `topic` with this sequence number was dropped.
    pub(crate) fn leave_history(&mut self, topic: &Topic, sequence: u64) {
        let Some(end) = self.by_topic.get_mut(topic).filter(|end| end.sequence == sequence && !end.is_gone) else {
            return;
        };
        end.is_gone = true;
        self.gone_bytes += cost(topic);
        self.gone.push_back((sequence, topic.clone()));
        while self.gone_bytes > self.gone_bytes_max {
            let Some((sequence, topic)) = self.gone.pop_front() else { return };
            self.gone_bytes -= cost(&topic);
            if self.end_of(&topic).is_some_and(|end| end.sequence == sequence) {
                self.by_topic.remove(&topic);
            }
        }
    }

    /// The retained ends up to this sequence number. Looks at all ended topics.
    pub(crate) fn up_to(&self, sequence: u64) -> Vec<(Topic, u64)> {
        let old = self.by_topic.iter().filter(|(_, end)| end.sequence <= sequence && !end.is_gone);
        old.map(|(topic, end)| (topic.clone(), end.sequence)).collect()
    }

    /// The dropped ends, oldest first.
    pub(crate) fn gone(&self) -> impl Iterator<Item = &(u64, Topic)> {
        self.gone.iter()
    }

    /// The memory of the dropped ends; the others are counted with their entries.
    pub(crate) fn gone_bytes(&self) -> usize {
        self.gone_bytes
    }
}

/// A name, and its slots in map and queue, both of which may be half empty.
pub(crate) fn cost(topic: &Topic) -> usize {
    topic.len() + 24 + 2 * (size_of::<(Topic, End)>() + size_of::<(u64, Topic)>() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_ends_that_have_left_the_history_the_oldest_are_forgotten_first() {
        let topic = |n: u64| Topic::new(&n.to_string()).unwrap();
        let mut ends = Ends::new(2 * cost(&topic(1)));
        (1..=5).for_each(|n| ends.note(topic(n), End { sequence: n, expires_ms: None, is_gone: false }));
        let known = |ends: &Ends| (1..=5).filter(|n| ends.end_of(&topic(*n)).is_some()).collect::<Vec<_>>();
        assert_eq!(known(&ends), [1, 2, 3, 4, 5]);
        (1..=2).for_each(|n| ends.leave_history(&topic(n), n));
        assert_eq!((known(&ends).len(), ends.gone_bytes()), (5, 2 * cost(&topic(1))));
        ends.leave_history(&topic(3), 3);
        assert_eq!(known(&ends), [2, 3, 4, 5]);
        (4..=5).for_each(|n| ends.leave_history(&topic(n), n));
        assert_eq!((known(&ends), ends.gone_bytes()), (vec![4, 5], 2 * cost(&topic(1))));
        // an end is dropped only once
        ends.leave_history(&topic(5), 5);
        assert_eq!(known(&ends), [4, 5]);
        // a deleted topic leaves nothing, unless it has ended again
        ends.forget(&topic(4), 4);
        assert_eq!(known(&ends), [4, 5]);
        ends.forget(&topic(4), 6);
        assert_eq!((known(&ends), ends.gone_bytes(), ends.gone.len()), (vec![5], cost(&topic(1)), 1));
    }
}
