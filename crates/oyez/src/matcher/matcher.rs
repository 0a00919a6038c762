//! One expression that selects topics.

use super::pattern::Pattern;
use crate::{Error, Topic};

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
pub struct Matcher(pub(super) Kind);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Kind {
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

impl TryFrom<String> for Matcher {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}
