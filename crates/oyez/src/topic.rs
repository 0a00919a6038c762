//! What an event is published to.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use crate::Error;
use crate::limits::TOPIC_BYTES_MAX;

/// The string an event is published to: 1 to 1,024 bytes of text without control characters and without `*`, which
/// is what patterns are made of. Cheap to clone.
///
/// ```
/// use oyez::Topic;
/// assert!(Topic::new("orders/42").is_ok());
/// assert!(Topic::new("orders/*").is_err());
/// ```
#[derive(Clone)]
pub struct Topic {
    name: Arc<str>,
    /// Made once: an entry's topic is looked up four times on its way through tail and index.
    hash: u64,
}

/// One for all tables of the process. Drawn at random, so that nobody can choose names that collide.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

impl Topic {
    /// Takes `name` if it can be a topic.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when it is empty, too long or holds a forbidden character.
    pub fn new(name: &str) -> Result<Self, Error> {
        check_text("topic", name, TOPIC_BYTES_MAX)?;
        if name.contains('*') {
            return Err(Error::invalid(format!(
                "topic {name:?} holds '*', which only a pattern of a subscription may"
            )));
        }
        Ok(Self::known(name))
    }

    /// A name that was a topic before.
    pub(crate) fn known(name: &str) -> Self {
        Self { name: name.into(), hash: HASHER.hash_one(name) }
    }

    /// For tables of topics; another one in each process.
    pub(crate) fn table_hash(&self) -> u64 {
        self.hash
    }
}

impl PartialEq for Topic {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && (Arc::ptr_eq(&self.name, &other.name) || self.name == other.name)
    }
}

impl Eq for Topic {}

impl PartialOrd for Topic {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Topic {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(&other.name)
    }
}

impl Hash for Topic {
    // as its name, because it can be borrowed as that
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

/// The rule that topics and patterns share.
pub(crate) fn check_text(what: &str, text: &str, bytes_max: usize) -> Result<(), Error> {
    if text.is_empty() {
        return Err(Error::invalid(format!("{what} is empty")));
    }
    if text.len() > bytes_max {
        return Err(Error::invalid(format!("{what} has {} bytes, at most {bytes_max} are allowed", text.len())));
    }
    match text.chars().find(|c| c.is_control()) {
        None => Ok(()),
        Some(c) => Err(Error::invalid(format!("{what} {text:?} holds the control character {c:?}"))),
    }
}

impl Deref for Topic {
    type Target = str;
    fn deref(&self) -> &str {
        &self.name
    }
}

impl std::borrow::Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.name
    }
}

impl AsRef<str> for Topic {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.name, f)
    }
}

impl TryFrom<&str> for Topic {
    type Error = Error;
    fn try_from(name: &str) -> Result<Self, Error> {
        Self::new(name)
    }
}

impl TryFrom<&String> for Topic {
    type Error = Error;
    fn try_from(name: &String) -> Result<Self, Error> {
        Self::new(name)
    }
}

impl TryFrom<std::borrow::Cow<'_, str>> for Topic {
    type Error = Error;
    fn try_from(name: std::borrow::Cow<'_, str>) -> Result<Self, Error> {
        Self::new(&name)
    }
}

impl From<&Self> for Topic {
    fn from(topic: &Self) -> Self {
        topic.clone()
    }
}

impl PartialEq<str> for Topic {
    fn eq(&self, other: &str) -> bool {
        *self.name == *other
    }
}

impl PartialEq<&str> for Topic {
    fn eq(&self, other: &&str) -> bool {
        *self.name == **other
    }
}

impl TryFrom<String> for Topic {
    type Error = Error;
    fn try_from(name: String) -> Result<Self, Error> {
        Self::new(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_text_of_bounded_length() {
        for good in ["a", "a/b/c", "/", "https://example.com/books/1", "新聞", "a{b}:c", " "] {
            assert!(Topic::new(good).is_ok(), "{good:?}");
        }
        assert!(Topic::new(&"x".repeat(1_024)).is_ok());
        assert!(Topic::new(&"x".repeat(1_025)).is_err());
        for bad in ["", "*", "a*b", "a\nb", "a\0", "\u{7f}", "\u{85}"] {
            assert!(Topic::new(bad).is_err(), "{bad:?}");
        }
    }
}
