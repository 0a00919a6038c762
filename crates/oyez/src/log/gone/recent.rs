//! The topics of the entries that were dropped last.

use std::collections::{HashSet, VecDeque};

use super::run::After;
use crate::Topic;
use crate::limits::RECENTLY_LOST;

/// The topics of the newest dropped entries. With them, a reader that was passed by only a few drops need not check all topics.
#[derive(Debug, Default)]
pub(crate) struct RecentlyLost {
    /// Ascending by sequence number; without topics in which the entry was hidden.
    topics: VecDeque<(u64, Topic)>,
    /// Entries up to here may have been forgotten.
    forgotten: u64,
}

impl RecentlyLost {
    /// An entry of `topic` is dropped.
    pub(crate) fn note(&mut self, sequence: u64, topic: &Topic) {
        if self.topics.len() == RECENTLY_LOST {
            self.forgotten = self.topics.pop_front().map_or(self.forgotten, |(sequence, _)| sequence);
        }
        self.topics.push_back((sequence, topic.clone()));
    }

    /// The topics of entries that were dropped after `after`, if all of them are still known.
    pub(crate) fn after(&self, after: After) -> Option<HashSet<&Topic>> {
        let After::Sequence(after) = after else { return None };
        let newest_first = self.topics.iter().rev().take_while(|(sequence, _)| *sequence > after);
        (after >= self.forgotten).then(|| newest_first.map(|(_, topic)| topic).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_left_last_is_known_and_nothing_from_before() {
        let name = |sequence: u64| Topic::new(&format!("t{sequence}")).unwrap();
        let mut recent = RecentlyLost::default();
        assert_eq!(recent.after(After::Sequence(0)), Some(HashSet::new()));
        let newest = RECENTLY_LOST as u64 + 2;
        (1..=newest).for_each(|sequence| recent.note(sequence, &name(sequence)));
        for after in 0..=newest {
            let left: Vec<_> = (after + 1..=newest).map(name).collect();
            let known = (after >= 2).then(|| left.iter().collect());
            assert_eq!(recent.after(After::Sequence(after)), known, "after {after}");
        }
        assert_eq!(recent.after(After::Time(0)), None);
    }

    #[test]
    fn an_entry_of_two_topics_is_known_with_both_or_not_at_all() {
        let name = |at: usize| Topic::new(&format!("t{at}")).unwrap();
        let mut recent = RecentlyLost::default();
        recent.note(1, &name(0));
        (1..=RECENTLY_LOST).for_each(|at| recent.note(2, &name(at)));
        assert_eq!(recent.after(After::Sequence(1)).map(|topics| topics.len()), Some(RECENTLY_LOST));
        recent.note(3, &name(0));
        assert_eq!(recent.after(After::Sequence(1)), None);
    }
}
