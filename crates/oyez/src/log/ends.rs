//! Which topics have ended, and where.

use std::collections::{HashMap, VecDeque};

use crate::Topic;

/// The end of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) sequence: u64,
    /// From then on nothing of the topic can be read.
    pub(crate) expires_ms: Option<u64>,
}

impl End {
    pub(crate) fn has_expired(self, now_ms: u64) -> bool {
        self.expires_ms.is_some_and(|time| time <= now_ms)
    }
}

/// The topics that have ended: all whose end is in the history, and of those whose end has left it the newest, bounded in
/// bytes. A topic that is forgotten can be published to again.
#[derive(Debug)]
pub(crate) struct Ends {
    by_topic: HashMap<Topic, End>,
    /// In the order of the log.
    by_age: VecDeque<(u64, Topic)>,
    /// How many of them have left the history, and what those take.
    gone: usize,
    gone_bytes: usize,
    gone_bytes_max: usize,
}

impl Ends {
    pub(crate) fn new(gone_bytes_max: usize) -> Self {
        Self { by_topic: HashMap::new(), by_age: VecDeque::new(), gone: 0, gone_bytes: 0, gone_bytes_max }
    }

    /// There is none: then nobody has to ask.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_topic.is_empty()
    }

    /// The end of `topic`, if it has ended.
    pub(crate) fn end_of(&self, topic: &Topic) -> Option<End> {
        self.by_topic.get(topic).copied()
    }

    /// Notes that `topic` has ended.
    pub(crate) fn note(&mut self, topic: Topic, end: End) {
        self.by_topic.insert(topic.clone(), end);
        self.by_age.push_back((end.sequence, topic));
    }

    /// The topic was deleted, and its end with it: it can be published to again.
    pub(crate) fn forget(&mut self, topic: &Topic) {
        self.by_topic.remove(topic);
    }

    /// Notes that the history begins with this sequence number.
    pub(crate) fn history_begins(&mut self, sequence: u64) {
        while let Some((_, topic)) = self.by_age.get(self.gone).filter(|(end, _)| *end < sequence) {
            self.gone_bytes += cost(topic);
            self.gone += 1;
        }
        while self.gone_bytes > self.gone_bytes_max {
            let Some((sequence, topic)) = self.by_age.pop_front() else { return };
            self.gone -= 1;
            self.gone_bytes -= cost(&topic);
            if self.end_of(&topic).is_some_and(|end| end.sequence == sequence) {
                self.by_topic.remove(&topic);
            }
        }
    }

    /// What those take whose end has left the history; the others are counted with their entries.
    pub(crate) fn gone_bytes(&self) -> usize {
        self.gone_bytes
    }
}

/// A name, and its places in map and queue, both of which may be half empty.
pub(crate) fn cost(topic: &Topic) -> usize {
    topic.len() + 24 + 2 * (size_of::<(Topic, End)>() + 1 + size_of::<(Topic, u64)>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_ends_that_have_left_the_history_the_oldest_are_forgotten_first() {
        let topic = |n: u64| Topic::new(&n.to_string()).unwrap();
        let mut ends = Ends::new(2 * cost(&topic(1)));
        let end = |sequence| End { sequence, expires_ms: None };
        (1..=5).for_each(|n| ends.note(topic(n), end(n)));
        let known = |ends: &Ends| (1..=5).filter(|n| ends.end_of(&topic(*n)) == Some(end(*n))).collect::<Vec<_>>();
        assert_eq!(known(&ends), [1, 2, 3, 4, 5]);
        ends.history_begins(3);
        assert_eq!((known(&ends).len(), ends.gone_bytes()), (5, 2 * cost(&topic(1))));
        ends.history_begins(4);
        assert_eq!(known(&ends), [2, 3, 4, 5]);
        ends.history_begins(9);
        assert_eq!((known(&ends), ends.gone_bytes()), (vec![4, 5], 2 * cost(&topic(1))));
    }
}
