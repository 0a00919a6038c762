//! What a reader has missed, before patterns are tried.

use crate::Topic;
use crate::log::gone::Missed;
use crate::log::step::Step;
use crate::matcher::Matchers;

/// It is found while the log is locked and settled without the lock, because patterns on many topics take time.
#[derive(Debug)]
pub(crate) struct Loss {
    /// Missed in any case.
    missed: Missed,
    /// Entries of each of these topics were lost. They are missed if a matcher selects the topic.
    topics: Vec<Topic>,
}

impl Loss {
    pub(crate) fn of(missed: Missed) -> Self {
        Self { missed, topics: Vec::new() }
    }

    /// Adds another loss. The two may overlap, so the number becomes unknown.
    pub(crate) fn add(&mut self, missed: Missed) {
        self.missed = match (self.missed, missed) {
            (Missed::Nothing, missed) | (missed, Missed::Nothing) => missed,
            _ => Missed::Unknown,
        };
    }

    /// Adds topics that lost entries. If there are more than `most`, the result is unknown, because one of the others could match.
    pub(crate) fn add_topics<'a>(&mut self, topics: impl Iterator<Item = &'a Topic>, most: usize) {
        let mut topics = topics.cloned();
        self.topics.extend(topics.by_ref().take(most));
        if topics.next().is_some() {
            self.missed = Missed::Unknown;
        }
    }

    /// Adds the loss of `other`.
    pub(crate) fn and(&mut self, other: Self) {
        self.add(other.missed);
        self.topics.extend(other.topics);
    }

    /// Tries the matchers on the topics.
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
