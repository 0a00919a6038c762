//! The log as publishers and subscribers see it: a tail over something.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::clock::LogClock;
use crate::frame::Frame;
use crate::log::below::{Below, Figures, Nothing};
use crate::log::entry::Entry;
use crate::log::lines::Lines;
use crate::log::search::{Search, Searches};
use crate::log::snapshot::Snapshot;
use crate::log::tail::{Departure, Remains, Tail};
use crate::log::{Admission, Batch, Bounds, Published, Retained, Retention};
use crate::matcher::Matchers;
use crate::position::{Epoch, Position};
use crate::readable::Readable;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Mutex, RwLock};
use crate::{Error, ErrorKind, Topic};

/// The log of one hub. Appending takes the write lock only while sequence numbers are given out. Reading takes the read lock only
/// for a page of references or one step of a search.
pub(crate) struct Log {
    pub(crate) epoch: Epoch,
    pub(super) tail: RwLock<Tail>,
    /// The storage below the tail.
    pub(super) below: Arc<dyn Below>,
    pub(super) searches: Searches,
    /// Whether any entry expires.
    expiring: Arc<AtomicBool>,
    /// Whether there ever was a private entry.
    private: Arc<AtomicBool>,
    pub(crate) clock: Arc<LogClock>,
    lines: Lines,
    envelopes: Lines,
    /// The last keep-alive block that was made. Readers at the tail share one position.
    place_frame: Mutex<(u64, Bytes)>,
    /// The position of the newest deletion.
    newest_deletion: Arc<AtomicU64>,
}

impl Log {
    /// An empty log in memory that keeps the newest entry of each key of the topics that `compact` selects.
    pub(crate) fn new(epoch: Epoch, retention: Retention, bounds: Bounds, compact: Matchers) -> Self {
        Self::over(Arc::new(Nothing), epoch, Tail::new(retention, bounds, compact, false, Arc::default()))
    }

    /// A log with this tail over `below`.
    pub(crate) fn over(below: Arc<dyn Below>, epoch: Epoch, tail: Tail) -> Self {
        Self {
            epoch,
            below,
            searches: Searches::new(),
            expiring: Arc::clone(&tail.facts.expiring),
            private: Arc::clone(&tail.facts.private),
            clock: Arc::clone(tail.clock()),
            newest_deletion: tail.facts.deletions.newest(),
            tail: RwLock::new(tail),
            lines: Lines::default(),
            envelopes: Lines::default(),
            place_frame: Mutex::default(),
        }
    }

    /// Whether the batch may be appended.
    pub(crate) fn admit(&self, batch: &Batch, now_ms: u64) -> Result<Admission, Error> {
        self.tail.read().facts.admit(batch, now_ms)
    }

    /// Makes entries visible that are already stored below.
    pub(crate) fn show(&self, entries: Vec<Arc<Entry>>) {
        let mut tail = self.tail.write();
        entries.into_iter().for_each(|entry| tail.take(entry));
    }

    /// Drops what exceeds the retention.
    pub(crate) fn trim(&self, now_ms: u64) {
        self.tail.write().trim(now_ms);
    }

    /// Entries are dropped from below; see [`Tail::drop_below`].
    pub(crate) fn drop_below(&self, departure: &Departure) -> Remains {
        self.tail.write().drop_below(departure)
    }

    /// Nothing more will be written: releases what is held.
    pub(crate) fn release(&self) {
        self.below.release();
    }

    /// Continues after this number; the skipped ones name no entry.
    pub(crate) fn skip(&self, sequence: u64) {
        self.tail.write().skip(sequence);
    }

    /// Appends all of `batch`, in order and with no other entry in between, unless it was appended before.
    ///
    /// # Errors
    /// Why it may not be appended. Then nothing is appended.
    pub(crate) fn append(&self, batch: Batch, now_ms: u64) -> Result<Published, Error> {
        let mut entries: SmallVec<[_; 1]> = SmallVec::with_capacity(batch.0.len());
        let mut tail = self.tail.write();
        if let Admission::Replayed { first } = tail.facts.admit(&batch, now_ms)? {
            return Ok(Published { ids: batch.event_ids(self.epoch, first), replayed: true });
        }
        entries.extend(batch.0.into_iter().map(|draft| Arc::clone(tail.append(draft, self.epoch, now_ms))));
        tail.trim(now_ms);
        drop(tail);
        Ok(Published { ids: entries.iter().map(|entry| entry.event_id(self.epoch)).collect(), replayed: false })
    }

    /// The cursor before the oldest retained entry.
    pub(super) fn earliest(&self) -> u64 {
        let tail = self.tail.read();
        if self.below.keeps() {
            return self.below.oldest().map_or(tail.head, |oldest| oldest - 1);
        }
        tail.before_history()
    }

    /// The newest entry of a topic that is not hidden, as stored below. A deletion hides everything up to it. A log in memory finds
    /// its entries itself.
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorKind::Internal) when that cannot be read.
    pub(crate) async fn newest_of(&self, topic: &Topic) -> Result<u64, Error> {
        if !self.below.keeps() {
            return Ok(self.head());
        }
        let newest = self.tail.read().topics.positions(topic).and_then(|positions| positions.back().copied());
        if let Some(newest) = newest {
            return Ok(newest);
        }
        let mut matchers = Matchers::default();
        matchers.push(topic.clone().into());
        let newest = self.below.newest(1, &Arc::new(matchers)).await?.first().copied().unwrap_or_default();
        let facts = &self.tail.read().facts;
        let newest = if facts.deletions.hides(topic, newest) { 0 } else { newest };
        // a value may have been dropped below
        Ok(newest.max(facts.latest.newest_of(topic)))
    }

    /// May `topic` be deleted? Forgets deletions whose hidden entries were dropped.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when the names of all that were deleted are too many.
    pub(crate) fn admit_deletion(&self, topic: &Topic) -> Result<(), Error> {
        let earliest = self.earliest();
        let mut tail = self.tail.write();
        tail.facts.deletions.forget_before(earliest);
        if tail.facts.deletions.has_room_for(topic) {
            return Ok(());
        }
        let message =
            "too many topics were deleted in this history: their names are held until what was before has left it";
        Err(Error::new(ErrorKind::Unavailable, message))
    }

    /// The newest entry that the deletion with this id hides; 0 without one. Forgets deletions whose hidden entries were dropped.
    pub(crate) fn newest_hidden(&self, deletion: &str) -> u64 {
        let earliest = self.earliest();
        let at = Position::parse(deletion).map_or(0, |position| position.sequence);
        let mut tail = self.tail.write();
        tail.facts.deletions.forget_before(earliest);
        tail.facts.deletions.newest_hidden_at(at)
    }

    /// The position of the newest deletion; 0 without one.
    pub(crate) fn newest_deletion(&self) -> u64 {
        self.newest_deletion.load(Ordering::Acquire)
    }

    /// Appends to `out` at most `max` entries after `cursor`, of any topic. Entries up to the returned number are no longer in the
    /// tail.
    pub(crate) fn follow(&self, cursor: u64, max: usize, out: &mut Vec<Arc<Entry>>) -> u64 {
        let tail = self.tail.read();
        out.extend(tail.after(cursor).take(max).cloned());
        tail.front() - 1
    }

    /// The sequence number after which no entry can match, if all topics have ended.
    pub(crate) fn finish(&self, matchers: &Matchers) -> Option<u64> {
        self.tail.read().facts.finish(matchers).map(|end| end.sequence)
    }

    /// Which of these entries are expired for readers of these topics. Empty if none is.
    pub(crate) fn expired(&self, entries: &[Arc<Entry>], matchers: &Matchers) -> Vec<bool> {
        let Some(now_ms) = self.expiry_ms() else { return Vec::new() };
        let facts = &self.tail.read().facts;
        entries.iter().map(|entry| facts.has_expired(entry, matchers, now_ms)).collect()
    }

    /// The earliest time at which one of these entries expires for readers of these topics; the largest number for never.
    #[cfg(feature = "serve")]
    pub(crate) fn first_expiry_ms(&self, entries: &[Arc<Entry>], matchers: &Matchers) -> u64 {
        if !self.expiring.load(Ordering::Acquire) {
            return u64::MAX;
        }
        let facts = &self.tail.read().facts;
        entries.iter().filter_map(|entry| facts.expires_ms(entry, matchers)).min().unwrap_or(u64::MAX)
    }

    /// The time that expiry is checked against, if anything can expire.
    pub(super) fn expiry_ms(&self) -> Option<u64> {
        self.expiring.load(Ordering::Acquire).then(|| self.clock.ms())
    }

    /// Whether the entry is the newest of its key, or without a key the newest at all, in one of its topics that match. These are
    /// the entries that `latest` sends.
    pub(crate) fn is_newest(&self, entry: &Entry, matchers: &Matchers) -> bool {
        let tail = self.tail.read();
        let newest = |topic: &Topic| tail.topics.positions(topic).and_then(|positions| positions.back().copied());
        let is_newest = |topic: &Topic| {
            tail.facts.latest.is_value_of(topic, entry)
                || (entry.key().is_none() && newest(topic).is_none_or(|newest| newest == entry.sequence))
        };
        entry.topics.iter().any(|topic| is_newest(topic) && matchers.matches(topic))
    }

    /// The sequence number of the newest entry, 0 before the first.
    pub(crate) fn head(&self) -> u64 {
        self.tail.read().head
    }

    pub(crate) fn position(&self, sequence: u64) -> Position {
        Position { epoch: self.epoch, sequence }
    }

    /// The entry as a frame whose data has topics and time as well. Near the tail it is made once for all readers that may know all
    /// of its topics.
    pub(crate) fn envelope(&self, entry: &Entry, readable: &Readable) -> Frame {
        match entry.topics_for(readable) {
            Some(part) => entry.envelope(self.epoch, &part),
            None => self.envelopes.get(entry, |entry| entry.envelope(self.epoch, &entry.topics)),
        }
    }

    /// The entry as a line of `application/x-ndjson`, also made once.
    pub(crate) fn line(&self, entry: &Entry, readable: &Readable) -> Frame {
        match entry.topics_for(readable) {
            Some(part) => entry.line(self.epoch, &part),
            None => self.lines.get(entry, |entry| entry.line(self.epoch, &entry.topics)),
        }
    }

    /// Whether there are or were private entries that such a reader may not have. Then it may not be told a count of entries.
    pub(crate) fn hides_from(&self, readable: &Readable) -> bool {
        self.private.load(Ordering::Acquire) && !readable.is_all()
    }

    /// The block with the id of a position, shared by all readers at that position.
    pub(crate) fn place_frame(&self, sequence: u64) -> Bytes {
        let mut shared = self.place_frame.lock();
        if shared.0 != sequence || shared.1.is_empty() {
            *shared = (sequence, self.position(sequence).frame(None));
        }
        shared.1.clone()
    }

    /// The oldest sequence number that is in the tail.
    #[cfg(test)]
    pub(crate) fn front(&self) -> u64 {
        self.tail.read().front()
    }

    pub(crate) fn summary(&self) -> Summary {
        let tail = self.tail.read();
        let (head, latest, topics) = (tail.head, tail.facts.latest.kept(), tail.topics.in_history().number);
        if self.below.keeps() {
            let below = self.below.figures();
            let (kept, topics) = (below.kept, topics.max(below.topics));
            return Summary { kept, topics, oldest: self.below.oldest(), head, latest, below };
        }
        let oldest = tail.oldest().map(|entry| entry.sequence);
        let kept = Retained { bytes: tail.bytes(), ..tail.history };
        Summary { kept, topics, oldest, head, latest, below: Figures::default() }
    }

    /// Starts a search. If its first step does not finish it, a search thread does the rest.
    pub(crate) fn search<T: Send + 'static>(&self, search: impl Future<Output = T> + Send + 'static) -> Search<T> {
        self.searches.begin(search)
    }

    /// Runs all searches. After the first call no thread runs them, so call it once before any search.
    #[cfg(test)]
    pub(crate) fn run_searches(&self) {
        self.searches.run_by_hand();
    }

    /// A snapshot of the current values.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.tail.read().snapshot()
    }
}

/// Figures of the log at one moment.
pub(crate) struct Summary {
    pub(crate) kept: Retained,
    pub(crate) topics: usize,
    pub(crate) oldest: Option<u64>,
    pub(crate) head: u64,
    pub(crate) latest: Retained,
    /// As the storage has it; zeros without one.
    pub(crate) below: Figures,
}
