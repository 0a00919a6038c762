//! What a reader has missed, as far as that can be said at once.

use crate::Topic;
use crate::log::gone::Missed;
use crate::log::step::Step;
use crate::matcher::Matchers;

/// It is found while the log is locked, and settled when it is not: to try patterns on many topics takes its time.
#[derive(Debug)]
pub(crate) struct Loss {
    /// This is missed whatever the topics are.
    missed: Missed,
    /// Something was lost of each of these; it is missed if one of them matches.
    topics: Vec<Topic>,
}

impl Loss {
    pub(crate) fn of(missed: Missed) -> Self {
        Self { missed, topics: Vec::new() }
    }

    /// Something else is missed. Nobody knows whether it is the same.
    pub(crate) fn add(&mut self, missed: Missed) {
        self.missed = match (self.missed, missed) {
            (Missed::Nothing, missed) | (missed, Missed::Nothing) => missed,
            _ => Missed::Unknown,
        };
    }

    /// Something was lost of each of `topics`. With more of them than may be tried, one of the others could match.
    pub(crate) fn add_topics<'a>(&mut self, topics: impl Iterator<Item = &'a Topic>, most: usize) {
        let mut topics = topics.cloned();
        self.topics.extend(topics.by_ref().take(most));
        if topics.next().is_some() {
            self.missed = Missed::Unknown;
        }
    }

    /// This and what else is missed.
    pub(crate) fn and(&mut self, other: Self) {
        self.add(other.missed);
        self.topics.extend(other.topics);
    }

    /// Is one of the topics selected?
    pub(crate) async fn settle(self, matchers: &Matchers) -> Missed {
        let Self { missed, topics } = self;
        if missed == Missed::Unknown {
            return missed;
        }
        let mut step = Step::of(matchers);
        for topic in &topics {
            step.give_way_when_over(matchers).await;
            step.look_at(std::slice::from_ref(topic));
            if matchers.matches(topic) {
                return Missed::Unknown;
            }
        }
        missed
    }
}
