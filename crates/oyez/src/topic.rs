//! What an event is published to.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

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
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

impl Topic {
    /// Takes `name` if it can be a topic.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when it is empty, too long or holds a forbidden character.
    pub fn new(name: &str) -> Result<Self, Error> {
        check_text("topic", name, TOPIC_BYTES_MAX)?;
        if name.contains('*') {
            return Err(Error::invalid(format!(
                "topic {name:?} holds '*', which only a subscription may (it is a pattern there)"
            )));
        }
        Ok(Self(name.into()))
    }

    /// A name that was a topic before.
    pub(crate) fn known(name: &str) -> Self {
        Self(name.into())
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
        &self.0
    }
}

impl std::borrow::Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Topic {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl TryFrom<&str> for Topic {
    type Error = Error;
    fn try_from(name: &str) -> Result<Self, Error> {
        Self::new(name)
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
