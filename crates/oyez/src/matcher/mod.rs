//! Which topics a subscription selects.

mod pattern;

use smallvec::SmallVec;

use crate::{Error, Topic};

pub(crate) use pattern::Pattern;
#[cfg(test)]
pub(crate) use pattern::selects;

/// The expression that selects topics: an exact name, `*` for all, or a pattern in which each `*` stands for a run of
/// any characters but `/`. Braces and colons are literal.
///
/// ```
/// use oyez::{Matcher, Topic};
/// let rooms: Matcher = "rooms/*/messages".parse()?;
/// assert!(rooms.matches(&Topic::new("rooms/7/messages")?));
/// assert!(!rooms.matches(&Topic::new("rooms/7/8/messages")?));
/// # Ok::<(), oyez::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Matcher(Kind);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    Exact(Topic),
    Pattern(Pattern),
}

impl Matcher {
    /// The matcher that selects every topic: `*`.
    #[must_use]
    pub fn all() -> Self {
        Self(Kind::Pattern(Pattern::all()))
    }

    /// Does this select `topic`?
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        match &self.0 {
            Kind::Exact(name) => name == topic,
            Kind::Pattern(pattern) => pattern.matches(topic),
        }
    }

    /// The pattern, or the exact name in its place.
    pub(crate) fn into_pattern(self) -> Result<Pattern, Topic> {
        match self.0 {
            Kind::Pattern(pattern) => Ok(pattern),
            Kind::Exact(topic) => Err(topic),
        }
    }

    /// The one topic it selects, when it is an exact name.
    #[must_use]
    pub fn exact(&self) -> Option<&Topic> {
        match &self.0 {
            Kind::Exact(topic) => Some(topic),
            Kind::Pattern(_) => None,
        }
    }
}

impl std::fmt::Display for Matcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Kind::Exact(topic) => f.write_str(topic),
            Kind::Pattern(pattern) => f.write_str(pattern.as_str()),
        }
    }
}

impl From<Topic> for Matcher {
    fn from(topic: Topic) -> Self {
        Self(Kind::Exact(topic))
    }
}

impl std::str::FromStr for Matcher {
    type Err = Error;

    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when `text` is neither a topic nor a pattern of topics.
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.contains('*') {
            Ok(Self(Kind::Pattern(Pattern::new(text)?)))
        } else {
            Ok(Self(Kind::Exact(Topic::new(text)?)))
        }
    }
}

impl TryFrom<&String> for Matcher {
    type Error = Error;
    fn try_from(text: &String) -> Result<Self, Error> {
        text.parse()
    }
}

impl TryFrom<&str> for Matcher {
    type Error = Error;
    fn try_from(text: &str) -> Result<Self, Error> {
        text.parse()
    }
}

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

    pub(crate) fn iter(&self) -> impl Iterator<Item = Matcher> {
        let exact = self.exact.iter().map(|topic| Matcher(Kind::Exact(topic.clone())));
        exact.chain(self.patterns.iter().map(|pattern| Matcher(Kind::Pattern(pattern.clone()))))
    }
}
