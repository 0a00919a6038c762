//! What entries mean for later ones. It is the same for every log.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::Error;
use crate::clock::LogClock;
use crate::log::deletions::Deletions;
use crate::log::ends::{End, Ends};
use crate::log::entry::Entry;
use crate::log::latest::Latest;
use crate::log::once_table::{OnceBounds, OnceTable};
use crate::log::{Admission, Batch};
use crate::matcher::Matchers;
use crate::sync::atomic::{AtomicBool, Ordering};

/// Idempotency keys, ends of topics, latest values, deletions, and whether anything expires. They are learned from the entries in
/// order, so any log can rebuild them by reading itself once.
pub(crate) struct Facts {
    pub(crate) once: OnceTable,
    pub(crate) ends: Ends,
    pub(crate) latest: Latest,
    pub(crate) deletions: Deletions,
    /// Whether any entry expires. If not, nobody has to check.
    pub(crate) expiring: Arc<AtomicBool>,
    /// Whether there ever was a private entry. Then a count of entries may include some that a reader may not know of.
    pub(crate) private: Arc<AtomicBool>,
}

impl Facts {
    /// Knows nothing yet. `gone_ends_bytes` bounds the ends that were dropped from the history.
    pub(crate) fn new(latest: Latest, gone_ends_bytes: usize, clock: Arc<LogClock>) -> Self {
        Self {
            once: OnceTable::new(OnceBounds::default(), clock),
            ends: Ends::new(gone_ends_bytes),
            latest,
            deletions: Deletions::default(),
            expiring: Arc::default(),
            private: Arc::default(),
        }
    }

    /// Whether `batch` may be appended at this time. It changes nothing, so a log can ask before it writes. The answer holds until
    /// something is appended.
    ///
    /// # Errors
    /// Why it may not be appended.
    pub(crate) fn admit(&self, batch: &Batch, now_ms: u64) -> Result<Admission, Error> {
        if let Some(once) = batch.once() {
            if let Some(first) = self.once.find(once, now_ms)? {
                return Ok(Admission::Replayed { first });
            }
        }
        match batch.beyond_an_end(|topic| !self.ends.is_empty() && self.ends.end_of(topic).is_some()) {
            Some(topic) => {
                Err(Error::conflict(format!("topic {:?} has ended: nothing more can be published to it", &**topic)))
            }
            None => Ok(Admission::New),
        }
    }

    /// Learns from the newest entry, except what it deletes.
    pub(crate) fn learn(&mut self, entry: &Arc<Entry>) {
        self.latest.note(entry);
        if let Some(once) = entry.extras().and_then(|extras| extras.once.as_ref()) {
            self.once.note(once, entry.sequence, entry.time_ms);
        }
        if let Some(topic) = entry.ended_topic() {
            let (sequence, expires_ms) = (entry.sequence, entry.expires_ms());
            self.ends.note(topic.clone(), End { sequence, expires_ms, is_gone: false });
        }
        if entry.expires_ms().is_some() {
            self.expiring.store(true, Ordering::Release);
        }
        if entry.private {
            self.private.store(true, Ordering::Release);
        }
    }

    /// When the hub starts: hides the topics of an entry that a dropped deletion had hidden.
    pub(crate) fn hide_again(&mut self, entry: &Entry) {
        for topic in entry.topics.iter().filter(|topic| self.deletions.hides(topic, entry.sequence)) {
            self.latest.unset(topic, entry);
            self.ends.forget(topic, entry.sequence + 1);
        }
    }

    /// The oldest entry is dropped from a log in memory.
    pub(crate) fn leave(&mut self, entry: &Entry) {
        self.latest.leave_history(entry);
        if entry.deletes() {
            entry.topics.iter().for_each(|topic| self.deletions.leave(topic, entry.sequence));
        }
    }

    /// The end after which no entry can match: the last one, if all matchers are exact names and all their topics have ended.
    pub(crate) fn finish(&self, matchers: &Matchers) -> Option<End> {
        if self.ends.is_empty() || !matchers.is_exact() {
            return None;
        }
        let ends = matchers.exact.iter().map(|topic| self.ends.end_of(topic));
        ends.collect::<Option<SmallVec<[End; 1]>>>()?.into_iter().max_by_key(|end| end.sequence)
    }

    /// The time from which the entry is hidden from readers of these topics: its own, or the time at which the last of its topics
    /// that they read has ended and expired.
    pub(crate) fn expires_ms(&self, entry: &Entry, matchers: &Matchers) -> Option<u64> {
        let own = entry.expires_ms();
        let end_ms = |topic| self.ends.end_of(topic).and_then(|end| end.expires_ms);
        if self.ends.is_empty() || !entry.topics.iter().any(|topic| end_ms(topic).is_some()) {
            return own; // no pattern has to be tried
        }
        // a topic without an end, or whose end does not expire, lasts for ever
        let ends = entry.topics.iter().filter(|topic| matchers.matches(topic));
        let topics = ends.map(|topic| end_ms(topic).unwrap_or(u64::MAX)).max().filter(|time| *time != u64::MAX);
        [own, topics].into_iter().flatten().min()
    }

    pub(crate) fn has_expired(&self, entry: &Entry, matchers: &Matchers, now_ms: u64) -> bool {
        self.expires_ms(entry, matchers).is_some_and(|time| time <= now_ms)
    }

    /// Whether the entry matches by a topic that was not deleted since.
    pub(crate) fn is_match(&self, entry: &Entry, matchers: &Matchers) -> bool {
        let mut topics = entry.topics.iter().filter(|topic| !self.deletions.hides(topic, entry.sequence));
        topics.any(|topic| matchers.matches(topic)) && !entry.deletes()
    }
}
