//! Idempotency keys that were used lately, and the publishes they stand for.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::Error;
use crate::clock::LogClock;
use crate::limits::{ONCE_BYTES, ONCE_KEYS, ONCE_WINDOW};
use crate::once::{IdempotencyKey, Once};

/// The keys of the last ten minutes. If there are too many, the oldest are dropped first.
#[derive(Debug)]
pub(crate) struct OnceTable {
    used: HashMap<IdempotencyKey, Used>,
    /// In log order. A key that was used again after its window is here twice; the first one has no effect.
    by_age: VecDeque<(IdempotencyKey, u64)>,
    bytes: usize,
    max: OnceBounds,
    clock: Arc<LogClock>,
}

/// The bounds of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OnceBounds {
    pub(crate) keys: usize,
    pub(crate) bytes: usize,
}

impl Default for OnceBounds {
    fn default() -> Self {
        Self { keys: ONCE_KEYS, bytes: ONCE_BYTES }
    }
}

#[derive(Debug)]
struct Used {
    hash: u128,
    first: u64,
    count: u32,
    time_ms: u64,
}

impl OnceTable {
    pub(crate) fn new(max: OnceBounds, clock: Arc<LogClock>) -> Self {
        Self { used: HashMap::new(), by_age: VecDeque::new(), bytes: 0, max, clock }
    }

    /// The clock by which a window ends.
    pub(crate) fn clock(&self) -> &Arc<LogClock> {
        &self.clock
    }

    /// The sequence number of the first entry of the publish with this key, if there was one within the window.
    ///
    /// # Errors
    /// [`Mismatch`](crate::ErrorKind::Mismatch) if that publish was a different one.
    pub(crate) fn find(&self, once: &Once, now_ms: u64) -> Result<Option<u64>, Error> {
        let Some(used) = self.used.get(&once.key).filter(|used| !self.is_over(used.time_ms, now_ms)) else {
            return Ok(None);
        };
        if (used.hash, used.count) == (once.hash, once.count) {
            return Ok(Some(used.first));
        }
        Err(Error::mismatch(format!(
            "idempotency key {:?} was used for another publish; use a new key, or repeat that publish unchanged",
            once.key.own()
        )))
    }

    /// Notes a publish with its key, the number of its first entry and its time.
    pub(crate) fn note(&mut self, once: &Once, first: u64, time_ms: u64) {
        self.forget(time_ms);
        let used = Used { hash: once.hash, first, count: once.count, time_ms };
        self.used.insert(once.key.clone(), used);
        self.by_age.push_back((once.key.clone(), first));
        self.bytes += cost(&once.key);
        while self.by_age.len() > self.max.keys || self.bytes > self.max.bytes {
            self.pop_oldest();
        }
    }

    /// Forgets the keys whose window is over.
    pub(crate) fn forget(&mut self, now_ms: u64) {
        while let Some((key, first)) = self.by_age.front() {
            let used = self.used.get(key).filter(|used| used.first == *first);
            if used.is_some_and(|used| !self.is_over(used.time_ms, now_ms)) {
                return;
            }
            self.pop_oldest();
        }
    }

    fn pop_oldest(&mut self) {
        let Some((key, first)) = self.by_age.pop_front() else { return };
        self.bytes -= cost(&key);
        if self.used.get(&key).is_some_and(|used| used.first == first) {
            self.used.remove(&key);
        }
        if self.by_age.is_empty() {
            // frees the memory of a busy time
            *self = Self::new(self.max, Arc::clone(&self.clock));
        }
    }

    fn is_over(&self, time_ms: u64, now_ms: u64) -> bool {
        self.clock.age_ms(time_ms, now_ms) >= ONCE_WINDOW.as_millis() as u64
    }
}

/// A key with its reference counts, and its slots in map and queue, both of which may be half empty.
fn cost(key: &IdempotencyKey) -> usize {
    key.len() + 24 + 2 * (size_of::<(IdempotencyKey, Used)>() + 1 + size_of::<(IdempotencyKey, u64)>())
}

#[cfg(test)]
mod tests {
    use oyez_proto::Event;

    use super::*;
    use crate::log::fingerprint::once_of;
    use crate::submission::Submission;
    use crate::{ErrorKind, Topic};

    const WINDOW_MS: u64 = ONCE_WINDOW.as_millis() as u64;

    fn once(key: &str, data: &str) -> Once {
        let publish = Submission::new(Topic::new("a").unwrap(), Event::data(data));
        once_of(IdempotencyKey::new(key).unwrap(), &[publish])
    }

    #[test]
    fn a_key_stands_for_its_first_publish_until_its_window_is_over() {
        let mut table = OnceTable::new(OnceBounds::default(), Arc::default());
        assert_eq!(table.find(&once("k", "x"), 1_000).unwrap(), None);
        table.note(&once("k", "x"), 7, 1_000);
        for now_ms in [1_000, 0, 1_000 + WINDOW_MS - 1] {
            assert_eq!(table.find(&once("k", "x"), now_ms).unwrap(), Some(7), "{now_ms}");
            let error = table.find(&once("k", "y"), now_ms).unwrap_err();
            assert!(error.kind() == ErrorKind::Mismatch && error.to_string().contains("\"k\""), "{error}");
        }
        assert_eq!(table.find(&once("k", "y"), 1_000 + WINDOW_MS).unwrap(), None);
        table.note(&once("k", "y"), 8, 1_000 + WINDOW_MS);
        assert_eq!(table.find(&once("k", "y"), 1_000 + WINDOW_MS).unwrap(), Some(8));
        assert_eq!(table.by_age.len(), 1, "the first use is forgotten");
        table.forget(1_000 + 2 * WINDOW_MS);
        assert_eq!((table.used.len(), table.by_age.len(), table.bytes), (0, 0, 0));
    }

    #[test]
    fn the_oldest_keys_go_first_when_there_are_too_many() {
        for max in
            [OnceBounds { keys: 3, bytes: 1 << 20 }, OnceBounds { keys: 100, bytes: 3 * cost(&once("k", "").key) }]
        {
            let mut table = OnceTable::new(max, Arc::default());
            for sequence in 1..=5 {
                table.note(&once(&sequence.to_string(), ""), sequence, 0);
            }
            let found: Vec<_> = (1..=5).map(|n| table.find(&once(&n.to_string(), ""), 0).unwrap()).collect();
            assert_eq!(found, [None, None, Some(3), Some(4), Some(5)], "{max:?}");
        }
    }

    #[test]
    fn publishers_do_not_share_keys() {
        let mut table = OnceTable::new(OnceBounds::default(), Arc::default());
        let of = |publisher, data| Once { key: IdempotencyKey::scoped(publisher, "k").unwrap(), ..once("k", data) };
        table.note(&of("ann", "x"), 1, 0);
        assert_eq!(table.find(&of("bob", "y"), 0).unwrap(), None);
        assert_eq!(table.find(&once("k", "y"), 0).unwrap(), None);
        let error = table.find(&of("ann", "y"), 0).unwrap_err().to_string();
        assert!(error.contains("\"k\"") && !error.contains("ann"), "{error}");
    }
}
