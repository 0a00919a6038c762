//! The topics of what has left last.

use std::collections::{HashSet, VecDeque};

use super::run::After;
use crate::Topic;
use crate::limits::RECENTLY_LOST;

/// What the newest entries that have left the tail were of, so that a reader who was passed by a few of them need not ask all
/// topics.
#[derive(Debug, Default)]
pub(crate) struct RecentlyLost {
    /// Ascending; without topics of which the entry was hidden.
    topics: VecDeque<(u64, Topic)>,
    /// What left up to here may have been forgotten.
    forgotten: u64,
}

impl RecentlyLost {
    /// An entry of `topic` leaves.
    pub(crate) fn note(&mut self, sequence: u64, topic: &Topic) {
        if self.topics.len() == RECENTLY_LOST {
            self.forgotten = self.topics.pop_front().map_or(self.forgotten, |(sequence, _)| sequence);
        }
        self.topics.push_back((sequence, topic.clone()));
    }

    /// Of which topics something has left behind `after`, if that is still known.
    pub(crate) fn behind(&self, after: After) -> Option<HashSet<&Topic>> {
        let After::Sequence(after) = after else { return None };
        let newest_first = self.topics.iter().rev().take_while(|(sequence, _)| *sequence > after);
        (after >= self.forgotten).then(|| newest_first.map(|(_, topic)| topic).collect())
    }
}
