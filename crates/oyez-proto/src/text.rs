//! The two strings of an event that share a line with their field name, and so could inject one.

use std::fmt;
use std::ops::Deref;

use memchr::memchr;

use crate::Error;

/// A last event id as it stands in an `id:` field, and comes back in the header `Last-Event-ID`: visible ASCII, with blanks inside
/// only. The empty id resets the last event id of whoever reads it. One that comes from a [`Decoder`](crate::Decoder) may be any text
/// without NUL, CR and LF, as the standard has it; [`comes_back`](EventId::comes_back) tells.
///
/// The standard lets an id be any text, which clients then cannot send: some fail each time they connect again after a control
/// character or a character beyond Latin-1, and what they do send beyond ASCII comes as another text. Blanks at the ends are not part of
/// a header's value.
///
/// Source: HTML Standard, "Interpreting an event stream", field `id`; RFC 9110, 5.5.
#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(String);

/// An event type as it stands in an `event:` field: any text without NUL, CR and LF that is not empty (an empty
/// type is the default type `message`, which an [`Event`](crate::Event) says by having none). One that comes from a
/// [`Decoder`](crate::Decoder) may hold NUL, which the standard lets pass in a type.
///
/// Source: HTML Standard, "Interpreting an event stream", field `event`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventType(Box<str>);

impl EventId {
    /// Takes `id` if an `id:` field can carry it there, and a `Last-Event-ID` back.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when it holds anything but visible ASCII, or a blank at an end.
    pub fn new(id: impl Into<Box<str>>) -> Result<Self, Error> {
        let id = id.into();
        match does_not_come_back(&id) {
            None => Ok(Self(id.into())),
            Some(at) => Err(Error::invalid(format!(
                "event id {id:?} cannot come back in a Last-Event-ID because of byte {at}: visible ASCII does, with blanks inside only"
            ))),
        }
    }

    /// Can real clients send it back in a `Last-Event-ID`? Each that [`new`](EventId::new) takes can; one of another server may not.
    #[must_use]
    pub fn comes_back(&self) -> bool {
        does_not_come_back(&self.0).is_none()
    }

    /// The value of an `id:` field, which cannot hold a line end. With NUL in it the field is ignored.
    pub(crate) fn from_field(value: &str) -> Option<Self> {
        memchr(b'\0', value.as_bytes()).is_none().then(|| Self(value.into()))
    }
}

impl Clone for EventId {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }

    // per event of a stream: a decoder keeps its last event id in the memory of the one before
    fn clone_from(&mut self, source: &Self) {
        self.0.clone_from(&source.0);
    }
}

impl EventType {
    /// Takes `event_type` if an `event:` field can carry it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when it is empty or holds NUL, CR or LF.
    pub fn new(event_type: impl Into<Box<str>>) -> Result<Self, Error> {
        let event_type = event_type.into();
        if event_type.is_empty() {
            return Err(Error::invalid("event type is empty"));
        }
        refuse_line_breaks("event type", &event_type)?;
        Ok(Self(event_type))
    }

    /// The value of an `event:` field, which cannot hold a line end. The empty one is the default type.
    pub(crate) fn from_field(value: &str) -> Option<Self> {
        (!value.is_empty()).then(|| Self(value.into()))
    }
}

/// The first byte of `id` that is not visible ASCII, nor a blank between such bytes.
fn does_not_come_back(id: &str) -> Option<usize> {
    let bytes = id.as_bytes();
    let last = bytes.len().saturating_sub(1);
    bytes.iter().enumerate().find_map(|(at, byte)| {
        let may = byte.is_ascii_graphic() || *byte == b' ' && at != 0 && at != last;
        (!may).then_some(at)
    })
}

fn refuse_line_breaks(what: &str, value: &str) -> Result<(), Error> {
    match value.bytes().position(|b| matches!(b, b'\0' | b'\r' | b'\n')) {
        None => Ok(()),
        Some(at) => Err(Error::invalid(format!("{what} holds NUL, CR or LF at byte {at}: {value:?}"))),
    }
}

macro_rules! text {
    ($name:ident) => {
        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }
        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                **self == *other
            }
        }
        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                **self == **other
            }
        }
        impl PartialEq<String> for $name {
            fn eq(&self, other: &String) -> bool {
                **self == **other
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<Self, Error> {
                Self::new(text)
            }
        }
        impl TryFrom<&str> for $name {
            type Error = Error;
            fn try_from(text: &str) -> Result<Self, Error> {
                Self::new(text)
            }
        }
        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0.into()
            }
        }
    };
}

text!(EventId);
text!(EventType);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_and_nul_are_refused_and_named() {
        for bad in ["a\nb", "a\rb", "a\0b", "\n", "\r\n"] {
            assert!(EventId::new(bad).is_err(), "{bad:?}");
            assert!(EventId::from_field(bad).is_none_or(|id| !id.comes_back()), "{bad:?}");
            let error = EventType::new(bad).expect_err(bad);
            assert!(error.to_string().contains(&format!("{bad:?}")), "{error}");
        }
    }

    #[test]
    fn an_id_is_what_a_last_event_id_brings_back() {
        for good in ["", "1", "~", "a b", "a  b c", "k4f9zq71:7", "\"'\\,;%"] {
            assert!(EventId::new(good).is_ok_and(|id| id.comes_back()), "{good:?}");
        }
        for bad in ["\u{1}", "a\u{1b}", "a\u{7f}b", "a\tb", " a", "a ", " ", "é", "\u{80}", "新", "a\u{feff}"] {
            let error = EventId::new(bad).expect_err(bad);
            assert!(error.to_string().contains(&format!("{bad:?}")), "{error}");
            assert!(EventId::from_field(bad).is_some_and(|id| !id.comes_back()), "a decoder takes it: {bad:?}");
        }
        assert!(EventId::new("ab\u{e9}").unwrap_err().to_string().contains("byte 2"));
    }

    #[test]
    fn an_empty_id_resets_and_an_empty_type_is_refused() {
        assert_eq!(&*EventId::new("").unwrap(), "");
        assert!(EventType::new("").is_err());
    }
}
