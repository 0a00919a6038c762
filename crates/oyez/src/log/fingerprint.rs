//! A fingerprint of a publish, to recognise a repeat.

use std::hash::Hasher;
use std::time::Duration;

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::once::{IdempotencyKey, Once};
use crate::submission::Submission;

/// The key and the fingerprint that the first entry of `batch` stores, if the batch is published once.
pub(crate) fn once_of(key: IdempotencyKey, batch: &[Submission]) -> Once {
    Once { key, hash: hash(batch), count: u32::try_from(batch.len()).unwrap_or(u32::MAX) }
}

/// The published events as 128 bits. It is made of the events and not of the request, so the same JSON with other white space is
/// the same publish. It is stored: neither the function nor the order of the fields may ever change. `SipHash` because its values
/// are fixed, unlike those of the standard library's hasher, and no collision is known. Whoever found one would only replay their
/// own publish.
fn hash(batch: &[Submission]) -> u128 {
    let mut hash = Fields(SipHasher24::new());
    for publish in batch {
        let event = &publish.event;
        hash.number(publish.topics.len() as u64);
        publish.topics.iter().for_each(|topic| hash.text(topic));
        hash.optional(event.event_type());
        hash.optional(event.event_id().map(|id| &**id));
        hash.duration(event.reconnection_time());
        hash.text(event.data_str());
        let extras = publish.extras();
        hash.optional(extras.and_then(|extras| extras.key.as_deref()));
        hash.duration(extras.and_then(|extras| extras.ttl_ms).map(Duration::from_millis));
        hash.number(u64::from(extras.is_some_and(|extras| extras.end)) | u64::from(publish.private) << 1);
    }
    hash.0.finish128().as_u128()
}

/// Fields in a row, each delimited from the next.
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

#[cfg(test)]
mod tests {
    use oyez_proto::Event;

    use super::*;
    use crate::Topic;
    use crate::extras::Extras;

    /// These values are stored on disks. A change here makes a retry after an upgrade a conflict.
    #[test]
    fn the_hash_of_a_publish_never_changes() {
        let topic = |name| Topic::new(name).unwrap();
        let plain = Submission::new(topic("a"), Event::data("x"));
        let event = Event::data("x").event("t").unwrap().id("i").unwrap().retry(Duration::from_secs(3));
        let full = Submission::new(topic("a"), event).topic(topic("b"));
        assert_eq!(hash(std::slice::from_ref(&plain)), 327_753_833_139_103_834_830_803_447_413_434_191_389);
        assert_eq!(hash(&[full, plain]), 256_401_570_799_292_444_040_723_375_232_614_233_162);
    }

    #[test]
    fn every_field_counts() {
        let topic = |name| Topic::new(name).unwrap();
        let of = |name, event| Submission::new(topic(name), event);
        let event = || Event::data("x");
        let with = |extras| Submission { extras: Some(Box::new(extras)), ..of("a", event()) };
        let batches = [
            vec![of("a", event())],
            vec![of("a", Event::data("y"))],
            vec![of("b", event())],
            vec![of("a", event()).topic(topic("b"))],
            vec![of("a", event().event("x").unwrap())],
            vec![of("a", event().id("x").unwrap())],
            vec![of("a", event().retry(Duration::ZERO))],
            vec![of("a", event().retry(Duration::from_millis(1)))],
            vec![with(Extras { key: Some("k".into()), ..Default::default() })],
            vec![with(Extras { key: Some("".into()), ..Default::default() })],
            vec![with(Extras { ttl_ms: Some(1), ..Default::default() })],
            vec![with(Extras { end: true, ..Default::default() })],
            vec![of("a", event()).private()],
            vec![Submission { private: true, ..with(Extras { end: true, ..Default::default() }) }],
            vec![of("a", event()), of("a", event())],
            vec![],
        ];
        let mut hashes: Vec<_> = batches.iter().map(|batch| hash(batch)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), batches.len());
    }
}
