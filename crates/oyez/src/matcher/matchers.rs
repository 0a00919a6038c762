//! All matchers of one subscription.

use smallvec::SmallVec;

use super::matcher::{Kind, Matcher};
use super::pattern::Pattern;
use crate::Topic;

/// All matchers of one subscription, sorted by how they are looked up. Doubles are dropped, and with `*` among them
/// nothing else matters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Matchers {
    pub(crate) exact: SmallVec<[Topic; 1]>,
    pub(crate) patterns: SmallVec<[Pattern; 1]>,
}

impl Matchers {
    pub(crate) fn push(&mut self, matcher: Matcher) {
        match matcher.0 {
            Kind::Exact(topic) if !self.exact.contains(&topic) => self.exact.push(topic),
            Kind::Pattern(pattern) if !self.patterns.contains(&pattern) => self.patterns.push(pattern),
            Kind::Exact(_) | Kind::Pattern(_) => {}
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.exact.len() + self.patterns.len()
    }

    /// Bytes of all patterns: what it takes to try them.
    pub(crate) fn pattern_bytes(&self) -> usize {
        self.patterns.iter().map(|pattern| pattern.as_str().len()).sum()
    }

    /// Selects every topic.
    pub(crate) fn is_all(&self) -> bool {
        self.patterns.iter().any(Pattern::is_all)
    }

    /// Only exact names: then the log's index knows the positions and nothing has to be scanned.
    pub(crate) fn is_exact(&self) -> bool {
        self.patterns.is_empty()
    }

    pub(crate) fn matches(&self, topic: &Topic) -> bool {
        self.exact.contains(topic) || self.patterns.iter().any(|pattern| pattern.matches(topic))
    }

    /// Is one of `topics` selected?
    pub(crate) fn select<'a>(&self, mut topics: impl Iterator<Item = &'a Topic>) -> bool {
        topics.any(|topic| self.matches(topic))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Matcher> {
        let exact = self.exact.iter().map(|topic| Matcher(Kind::Exact(topic.clone())));
        exact.chain(self.patterns.iter().map(|pattern| Matcher(Kind::Pattern(pattern.clone()))))
    }
}
