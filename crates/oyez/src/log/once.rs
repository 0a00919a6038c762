//! Idempotent publishes: which keys were used lately, for what, and where it stands.

use std::collections::{HashMap, VecDeque};
use std::hash::Hasher;
use std::sync::Arc;
use std::time::Duration;

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::Error;
use crate::clock;
use crate::limits::{ONCE_BYTES, ONCE_KEY_BYTES_MAX, ONCE_KEYS, ONCE_SCOPE_BYTES_MAX, ONCE_WINDOW};
use crate::publish::{Publish, at_most};

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

    /// The key as its publisher knows it.
    fn own(&self) -> &str {
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
    pub(crate) fn new(key: IdempotencyKey, batch: &[Publish]) -> Self {
        Self { key, hash: hash(batch), count: u32::try_from(batch.len()).unwrap_or(u32::MAX) }
    }

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
    #[cfg(unix)]
    pub(crate) fn as_parts(&self) -> (&str, u128, u32) {
        (&self.key.0, self.hash, self.count)
    }

    /// What [`as_parts`](Self::as_parts) gave.
    #[cfg(unix)]
    pub(crate) fn of_parts(key: &str, hash: u128, count: u32) -> Self {
        Self { key: IdempotencyKey(key.into()), hash, count }
    }

    /// Bytes that it takes beside an entry.
    pub(crate) fn cost(&self) -> usize {
        self.key.0.len()
    }
}

/// The keys of the last ten minutes; with too many of them the oldest go first.
#[derive(Debug)]
pub(crate) struct OnceTable {
    used: HashMap<IdempotencyKey, Used>,
    /// In the order of the log. A key that was used again behind its window is here twice, the first time in vain.
    by_age: VecDeque<(IdempotencyKey, u64)>,
    bytes: usize,
    max: OnceBounds,
}

/// How much the table may hold.
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
    pub(crate) fn new(max: OnceBounds) -> Self {
        Self { used: HashMap::new(), by_age: VecDeque::new(), bytes: 0, max }
    }

    /// The sequence number of the first entry that was published under this key in the window, if one was.
    ///
    /// # Errors
    /// [`Mismatch`](crate::ErrorKind::Mismatch) when something else was.
    pub(crate) fn find(&self, once: &Once, now_ms: u64) -> Result<Option<u64>, Error> {
        let Some(used) = self.used.get(&once.key).filter(|used| !is_over(used.time_ms, now_ms)) else {
            return Ok(None);
        };
        if (used.hash, used.count) == (once.hash, once.count) {
            return Ok(Some(used.first));
        }
        Err(Error::mismatch(format!(
            "idempotency key {:?} stands for another publish; send that again unchanged, or take a new key",
            once.key.own()
        )))
    }

    /// Notes that `once` was published: its first entry has this number and this time.
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

    /// Lets go of the keys whose window is over.
    pub(crate) fn forget(&mut self, now_ms: u64) {
        while let Some((key, first)) = self.by_age.front() {
            let used = self.used.get(key).filter(|used| used.first == *first);
            if used.is_some_and(|used| !is_over(used.time_ms, now_ms)) {
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
            // what a busy time took is given back
            *self = Self::new(self.max);
        }
    }
}

/// A clock that was set ahead or back leaves a key in its window.
fn is_over(time_ms: u64, now_ms: u64) -> bool {
    clock::age_ms(time_ms, now_ms, ONCE_WINDOW) >= ONCE_WINDOW.as_millis() as u64
}

/// A key with its counts, and its places in map and queue, both of which may be half empty.
fn cost(key: &IdempotencyKey) -> usize {
    key.0.len() + 24 + 2 * (size_of::<(IdempotencyKey, Used)>() + 1 + size_of::<(IdempotencyKey, u64)>())
}

/// What is published, as 128 bits: the events, not the bytes that described them, so that the same event as JSON with other
/// white space is the same. It is stored, so neither the function nor the order of the fields may ever change. `SipHash`
/// because its values are defined once and for all, unlike those of the standard library's hasher, and since nobody is known to
/// find two texts of one value; who did would replay their own publish.
fn hash(batch: &[Publish]) -> u128 {
    let mut hash = Fields(SipHasher24::new());
    for publish in batch {
        let event = &publish.event;
        hash.number(publish.topics.len() as u64);
        publish.topics.iter().for_each(|topic| hash.text(topic));
        hash.optional(event.event_type().map(|event_type| &**event_type));
        hash.optional(event.event_id().map(|id| &**id));
        hash.duration(event.reconnection_time());
        hash.text(event.data_str());
        let extras = publish.extras();
        hash.optional(extras.and_then(|extras| extras.key.as_deref()));
        hash.duration(extras.and_then(|extras| extras.ttl_ms).map(Duration::from_millis));
        hash.number(u64::from(extras.is_some_and(|extras| extras.end)));
    }
    hash.0.finish128().as_u128()
}

/// Fields one behind the other, none of which can be taken for a part of its neighbour.
struct Fields(SipHasher24);

impl Fields {
    fn number(&mut self, number: u64) {
        self.0.write(&number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.write(text.as_bytes());
    }

    fn optional(&mut self, text: Option<&str>) {
        self.number(u64::from(text.is_some()));
        self.text(text.unwrap_or_default());
    }

    fn duration(&mut self, duration: Option<Duration>) {
        self.number(u64::from(duration.is_some()));
        self.number(duration.map_or(0, |duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)));
    }
}

/// In no key, so that no scope and key can be taken for others.
const SEPARATOR: char = '\0';

#[cfg(test)]
mod tests {
    use oyez_proto::Event;

    use super::*;
    use crate::{ErrorKind, Topic};

    const WINDOW_MS: u64 = ONCE_WINDOW.as_millis() as u64;

    fn once(key: &str, data: &str) -> Once {
        let publish = Publish::new(Topic::new("a").unwrap(), Event::data(data));
        Once::new(IdempotencyKey::new(key).unwrap(), &[publish])
    }

    #[test]
    fn a_key_stands_for_its_first_publish_until_its_window_is_over() {
        let mut table = OnceTable::new(OnceBounds::default());
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
            let mut table = OnceTable::new(max);
            for sequence in 1..=5 {
                table.note(&once(&sequence.to_string(), ""), sequence, 0);
            }
            let found: Vec<_> = (1..=5).map(|n| table.find(&once(&n.to_string(), ""), 0).unwrap()).collect();
            assert_eq!(found, [None, None, Some(3), Some(4), Some(5)], "{max:?}");
        }
    }

    #[test]
    fn publishers_do_not_share_keys() {
        let mut table = OnceTable::new(OnceBounds::default());
        let of = |publisher, data| Once { key: IdempotencyKey::scoped(publisher, "k").unwrap(), ..once("k", data) };
        table.note(&of("ann", "x"), 1, 0);
        assert_eq!(table.find(&of("bob", "y"), 0).unwrap(), None);
        assert_eq!(table.find(&once("k", "y"), 0).unwrap(), None);
        let error = table.find(&of("ann", "y"), 0).unwrap_err().to_string();
        assert!(error.contains("\"k\"") && !error.contains("ann"), "{error}");
    }

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

    /// Values that are stored on disks: a change here makes a retry behind an upgrade a conflict.
    #[test]
    fn the_hash_of_a_publish_never_changes() {
        let topic = |name| Topic::new(name).unwrap();
        let plain = Publish::new(topic("a"), Event::data("x"));
        let event = Event::data("x").event("t").unwrap().id("i").unwrap().retry(Duration::from_secs(3));
        let full = Publish::new(topic("a"), event).topic(topic("b"));
        assert_eq!(hash(std::slice::from_ref(&plain)), 327_753_833_139_103_834_830_803_447_413_434_191_389);
        assert_eq!(hash(&[full, plain]), 256_401_570_799_292_444_040_723_375_232_614_233_162);
    }

    #[test]
    fn every_field_counts() {
        let topic = |name| Topic::new(name).unwrap();
        let of = |name, event| Publish::new(topic(name), event);
        let event = || Event::data("x");
        let with = |extras| Publish { extras: Some(Box::new(extras)), ..of("a", event()) };
        let batches = [
            vec![of("a", event())],
            vec![of("a", Event::data("y"))],
            vec![of("b", event())],
            vec![of("a", event()).topic(topic("b"))],
            vec![of("a", event().event("x").unwrap())],
            vec![of("a", event().id("x").unwrap())],
            vec![of("a", event().retry(Duration::ZERO))],
            vec![of("a", event().retry(Duration::from_millis(1)))],
            vec![with(crate::log::Extras { key: Some("k".into()), ..Default::default() })],
            vec![with(crate::log::Extras { key: Some("".into()), ..Default::default() })],
            vec![with(crate::log::Extras { ttl_ms: Some(1), ..Default::default() })],
            vec![with(crate::log::Extras { end: true, ..Default::default() })],
            vec![of("a", event()), of("a", event())],
            vec![],
        ];
        let mut hashes: Vec<_> = batches.iter().map(|batch| hash(batch)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), batches.len());
    }
}
