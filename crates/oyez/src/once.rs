//! The name of a publish, by which sending it again publishes nothing twice.

use std::sync::Arc;

use crate::Error;
use crate::limits::{ONCE_KEY_BYTES_MAX, ONCE_SCOPE_BYTES_MAX, at_most};

/// The name that a publisher gives a publish, so that sending it again publishes nothing twice: see
/// [`Hub::publish_once`](crate::Hub::publish_once).
///
/// ```
/// let key = oyez::IdempotencyKey::new("order-7/paid")?;
/// assert!(oyez::IdempotencyKey::new("two\nlines").is_err());
/// # Ok::<(), oyez::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Arc<str>);

impl IdempotencyKey {
    /// 1 to 128 bytes of printable ASCII. Draw it at random, or derive it from what is published and its place.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) names a key that is none.
    pub fn new(key: &str) -> Result<Self, Error> {
        Self::scoped("", key)
    }

    /// The same key in the hands of this publisher: publishers that do not know of each other may use the same.
    /// `publisher` is at most 256 bytes of anything.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) names a key that is none, or a publisher's name that is too long.
    pub fn scoped(publisher: &str, key: &str) -> Result<Self, Error> {
        at_most("bytes of the publisher's name", publisher.len(), ONCE_SCOPE_BYTES_MAX)?;
        let printable = key.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if key.is_empty() || key.len() > ONCE_KEY_BYTES_MAX || !printable {
            let shown: String = key.chars().take(ONCE_KEY_BYTES_MAX).collect();
            let message =
                format!("idempotency key {shown:?} is not 1 to {ONCE_KEY_BYTES_MAX} bytes of printable ASCII");
            return Err(Error::invalid(message));
        }
        Ok(Self(if publisher.is_empty() { key.into() } else { format!("{publisher}{SEPARATOR}{key}").into() }))
    }

    /// Bytes of the key and its publisher's name.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The key as its publisher knows it.
    pub(crate) fn own(&self) -> &str {
        self.0.rsplit_once(SEPARATOR).map_or(&self.0, |(_, key)| key)
    }
}

/// What the first entry of a batch that is to be published once says of it. It is stored with the entry: the table is
/// made anew from these when the hub starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Once {
    pub(crate) key: IdempotencyKey,
    pub(crate) hash: u128,
    /// Entries of the batch.
    pub(crate) count: u32,
}

impl Once {
    /// As it is stored with the entry.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.hash.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.count.to_le_bytes());
        bytes.extend_from_slice(self.key.0.as_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (hash, rest) = bytes.split_first_chunk()?;
        let (count, key) = rest.split_first_chunk()?;
        let key = IdempotencyKey(std::str::from_utf8(key).ok()?.into());
        Some(Self { key, hash: u128::from_le_bytes(*hash), count: u32::from_le_bytes(*count) })
    }

    /// As an export has it: key, hash, entries of the batch.
    pub(crate) fn as_parts(&self) -> (&str, u128, u32) {
        (&self.key.0, self.hash, self.count)
    }

    /// What [`as_parts`](Self::as_parts) gave.
    pub(crate) fn of_parts(key: &str, hash: u128, count: u32) -> Self {
        Self { key: IdempotencyKey(key.into()), hash, count }
    }

    /// Bytes that it takes beside an entry.
    pub(crate) fn cost(&self) -> usize {
        self.key.0.len()
    }
}

/// In no key, so that no scope and key can be taken for others.
const SEPARATOR: char = '\0';

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn a_key_is_printable_and_short() {
        for good in ["k", "a b", "~", &"x".repeat(128)] {
            assert!(IdempotencyKey::new(good).is_ok(), "{good}");
        }
        for bad in ["", "a\nb", "\0", "é", &"x".repeat(129)] {
            let error = IdempotencyKey::new(bad).unwrap_err();
            assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("idempotency key"), "{bad:?}");
        }
        assert!(IdempotencyKey::scoped(&"x".repeat(257), "k").is_err());
    }
}
