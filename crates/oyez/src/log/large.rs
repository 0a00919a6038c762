//! Large frames that a reader still holds, for other readers.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use bytes::Bytes;

use crate::limits::{LARGE_BYTES, LARGE_KNOWN};
use crate::sync::Mutex;

/// Encoded entries by sequence number, as long as a reader holds them. Readers that stop at the same entry share one copy. Bytes
/// that no reader holds are not kept.
#[derive(Debug, Default)]
pub(crate) struct Large(Mutex<HashMap<u64, Weak<Held>>>);

/// Bytes that are freed with the last [`Bytes`] that refers to them.
#[derive(Debug)]
struct Held(Bytes);

#[derive(Debug)]
struct Owner(Arc<Held>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0.0
    }
}

impl Large {
    /// Whether so many bytes are worth sharing.
    pub(crate) fn is_one(bytes: usize) -> bool {
        bytes >= LARGE_BYTES
    }

    /// The bytes that a reader holds of the entry with this number.
    pub(crate) fn find(&self, sequence: u64) -> Option<Bytes> {
        let held = self.0.lock().get(&sequence)?.upgrade()?;
        Some(Bytes::from_owner(Owner(held)))
    }

    /// Lets other readers find the bytes.
    pub(crate) fn share(&self, sequence: u64, bytes: Bytes) -> Bytes {
        let held = Arc::new(Held(bytes));
        let mut known = self.0.lock();
        if known.len() >= LARGE_KNOWN {
            known.retain(|_, held| held.strong_count() > 0);
        }
        // the table is full: further bytes are not shared
        if known.len() < LARGE_KNOWN {
            known.insert(sequence, Arc::downgrade(&held));
        }
        drop(known);
        Bytes::from_owner(Owner(held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_holds_is_found_and_what_nobody_holds_is_gone() {
        let large = Large::default();
        assert_eq!(large.find(1), None);
        let first = large.share(1, Bytes::from(vec![b'x'; LARGE_BYTES]));
        let second = large.find(1).unwrap();
        assert_eq!(first.as_ptr(), second.as_ptr(), "one copy");
        drop(first);
        let part = second.slice(5..9);
        drop(second);
        assert_eq!(large.find(1).map(|bytes| bytes.len()), Some(LARGE_BYTES), "a part holds all of it");
        drop(part);
        assert_eq!(large.find(1), None);
    }

    #[test]
    fn it_knows_no_more_than_its_bound() {
        let large = Large::default();
        let held: Vec<_> = (0..LARGE_KNOWN as u64 + 10).map(|number| large.share(number, Bytes::from("x"))).collect();
        assert_eq!(large.0.lock().len(), LARGE_KNOWN);
        drop(held);
        let _one = large.share(7, Bytes::from("x"));
        assert_eq!(large.0.lock().len(), 1);
    }
}
