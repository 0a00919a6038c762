//! The log as publishers and subscribers see it.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::gap::Gap;
use crate::limits::{PAGE_BYTES, PAGE_ENTRIES};
use crate::log::dropped::After;
use crate::log::entry::Entry;
use crate::log::lines::Lines;
use crate::log::memory::{Lost, Read, Ring};
use crate::log::{Admission, Batch, Bounds, Published, Retained, Retention};
use crate::matcher::Matchers;
use crate::position::{Epoch, Position};
use crate::sync::{Mutex, RwLock};
use crate::{Error, Topic};

/// The log of one hub. Appending takes the write lock for as long as the places are given out; reading takes the read
/// lock for a page of references or a bounded number of entries looked at, however much there is to read.
pub(crate) struct Log {
    pub(crate) epoch: Epoch,
    ring: RwLock<Ring>,
    lines: Lines,
    envelopes: Lines,
    /// The keep-alive of the place that was asked for last: readers at the tail all stand at one.
    place_frame: Mutex<(u64, Bytes)>,
}

/// Where a subscription wants to begin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Start {
    /// With what is published from now on.
    #[default]
    Live,
    /// With the oldest entry kept.
    Earliest,
    /// With the newest so many that match.
    Last(usize),
    /// Behind this id; incomplete resumes are announced.
    Id(String),
    /// At this time, in milliseconds since 1970; as `requested` it was written so.
    Time(u64, String),
}

/// Where a subscription does begin.
#[derive(Debug)]
pub(crate) struct Begin {
    /// Everything behind this sequence number is still to be read.
    pub(crate) cursor: u64,
    pub(crate) gap: Option<Gap>,
}

/// What one read found.
pub(crate) enum Page {
    Read {
        entries: Vec<Arc<Entry>>,
        /// Nothing that matches lies between the last entry read and this one's successor.
        cursor: u64,
        /// There is more to read at once.
        more: bool,
    },
    /// Entries that match were dropped before they were read. Reading can go on at the cursor of the gap.
    Lost(Gap),
}

impl Log {
    pub(crate) fn new(epoch: Epoch, retention: Retention, bounds: Bounds) -> Self {
        Self {
            epoch,
            ring: RwLock::new(Ring::new(retention, bounds)),
            lines: Lines::default(),
            envelopes: Lines::default(),
            place_frame: Mutex::default(),
        }
    }

    /// Appends all of `batch`, in order and without anything in between, unless it was before.
    ///
    /// # Errors
    /// Why it may not be appended; then nothing is.
    pub(crate) fn append(&self, batch: Batch, now_ms: u64) -> Result<Published, Error> {
        let mut entries: SmallVec<[_; 1]> = SmallVec::with_capacity(batch.0.len());
        let mut ring = self.ring.write();
        if let Admission::Replayed { first } = ring.admit(&batch, now_ms)? {
            return Ok(Published { ids: batch.event_ids(self.epoch, first), replayed: true });
        }
        entries.extend(batch.0.into_iter().map(|draft| Arc::clone(ring.append(draft, self.epoch, now_ms))));
        ring.trim(now_ms);
        drop(ring);
        Ok(Published { ids: entries.iter().map(|entry| entry.event_id(self.epoch)).collect(), replayed: false })
    }

    /// Finds the place where `start` begins, and says what a resume has missed.
    pub(crate) fn begin(&self, start: &Start, matchers: &Matchers, now_ms: u64) -> Begin {
        if self.ring.read().retention.age.is_some() {
            self.ring.write().trim(now_ms);
        }
        match start {
            Start::Live => Begin { cursor: self.head(), gap: None },
            Start::Earliest => Begin { cursor: self.ring.read().history_start - 1, gap: None },
            Start::Last(number) => Begin { cursor: self.before_last(*number, matchers), gap: None },
            Start::Id(requested) => {
                let ring = self.ring.read();
                let found = ring.find(requested, self.epoch);
                let begun = match found {
                    Ok(sequence) => ring.resume(After::Sequence(sequence), sequence, matchers),
                    Err(reason) => Err(Lost { reason, missed: None, cursor: ring.history_start - 1 }),
                };
                drop(ring);
                self.begun(begun, requested, matchers)
            }
            Start::Time(ms, requested) => {
                let begun = self.ring.read().resume_at(*ms, matchers);
                self.begun(begun, requested, matchers)
            }
        }
    }

    fn begun(&self, begun: Result<u64, Lost>, requested: &str, matchers: &Matchers) -> Begin {
        match begun {
            Ok(cursor) => Begin { cursor, gap: None },
            Err(lost) => {
                let gap = self.gap(lost, requested.to_owned(), matchers);
                Begin { cursor: gap.position.sequence, gap: Some(gap) }
            }
        }
    }

    /// Reads the next entries behind `cursor` that match. At most a page of them, after looking at a bounded number.
    pub(crate) fn read(&self, cursor: u64, matchers: &Matchers) -> Page {
        self.read_at_most(PAGE, cursor, matchers)
    }

    /// [`Log::read`] with a page of another size.
    pub(crate) fn read_at_most(&self, page: Retained, cursor: u64, matchers: &Matchers) -> Page {
        let read = self.ring.read().read(page, cursor, matchers);
        match read {
            Ok(Read { entries, cursor, more }) => Page::Read { entries, cursor, more },
            Err(lost) => Page::Lost(self.gap(lost, self.position(cursor).to_string(), matchers)),
        }
    }

    /// The gap that ends before the first entry that matches, or at the head. Looks for it in steps, so that a search
    /// through all of the history holds nobody up.
    fn gap(&self, lost: Lost, requested: String, matchers: &Matchers) -> Gap {
        let Lost { reason, mut missed, mut cursor } = lost;
        loop {
            let read = self.ring.read().read(PAGE, cursor, matchers);
            let (oldest, sequence) = match read {
                Ok(Read { entries, cursor: end, more }) => match entries.first() {
                    Some(entry) => (Some(entry.event_id(self.epoch)), entry.sequence - 1),
                    None if more => {
                        cursor = end;
                        continue;
                    }
                    None => (None, end),
                },
                Err(lost) => {
                    // more has gone while we looked
                    missed = None;
                    cursor = lost.cursor;
                    continue;
                }
            };
            return Gap { reason, requested, oldest, missed, position: self.position(sequence) };
        }
    }

    /// The cursor behind which the newest `number` entries that match lie.
    fn before_last(&self, number: usize, matchers: &Matchers) -> u64 {
        let ring = self.ring.read();
        let (head, oldest) = (ring.head, ring.history_start - 1);
        let cursor = if number == 0 {
            head
        } else if matchers.is_all() {
            head.saturating_sub(number as u64)
        } else if matchers.is_exact() {
            ring.before_last_exact(number, matchers)
        } else {
            drop(ring);
            let (mut left, mut end) = (number, head);
            while left > 0 && end > oldest {
                end = self.ring.read().scan_back(end, &mut left, matchers);
            }
            end
        };
        cursor.max(oldest)
    }

    /// Appends to `out` what follows `cursor`, whatever its topics; at most `max` entries. Everything up to the number
    /// that is given back is gone.
    pub(crate) fn follow(&self, cursor: u64, max: usize, out: &mut Vec<Arc<Entry>>) -> u64 {
        let ring = self.ring.read();
        out.extend(ring.behind(cursor).take(max).cloned());
        ring.front() - 1
    }

    /// Is the entry the newest of one of its topics that match? Those are what `latest` keeps.
    pub(crate) fn is_newest_of_a_topic(&self, entry: &Entry, matchers: &Matchers) -> bool {
        let ring = self.ring.read();
        let newest = |topic: &Topic| ring.topics.positions(topic).and_then(|positions| positions.back().copied());
        let is_newest = |topic: &Topic| newest(topic).is_none_or(|newest| newest == entry.sequence);
        entry.topics.iter().any(|topic| matchers.matches(topic) && is_newest(topic))
    }

    /// The sequence number of the newest entry, 0 before the first.
    pub(crate) fn head(&self) -> u64 {
        self.ring.read().head
    }

    /// The sequence number that an id stands for, if it can be told.
    pub(crate) fn sequence_of(&self, id: &str) -> Option<u64> {
        self.ring.read().find(id, self.epoch).ok()
    }

    pub(crate) fn position(&self, sequence: u64) -> Position {
        Position { epoch: self.epoch, sequence }
    }

    /// The entry as a frame whose data tells topics and time as well. Near the tail it is made once for all who read it.
    pub(crate) fn envelope(&self, entry: &Entry) -> Bytes {
        self.envelopes.get(entry, |entry| entry.envelope(self.epoch))
    }

    /// The entry as a line of `application/x-ndjson`, made once as well.
    pub(crate) fn line(&self, entry: &Entry) -> Bytes {
        self.lines.get(entry, |entry| entry.line(self.epoch))
    }

    /// The block that tells a reader its place, shared by all who stand there.
    pub(crate) fn place_frame(&self, sequence: u64) -> Bytes {
        let mut shared = self.place_frame.lock();
        if shared.0 != sequence || shared.1.is_empty() {
            *shared = (sequence, self.position(sequence).frame(None));
        }
        shared.1.clone()
    }

    /// The oldest sequence number that an open stream can still read.
    #[cfg(test)]
    pub(crate) fn front(&self) -> u64 {
        self.ring.read().front()
    }

    pub(crate) fn summary(&self) -> Summary {
        let ring = self.ring.read();
        let oldest = ring.oldest().map(|entry| entry.sequence);
        let kept = Retained { bytes: ring.bytes(), ..ring.history };
        Summary { kept, topics: ring.topics.in_history().number, oldest, head: ring.head }
    }
}

/// Figures of the log at one moment.
pub(crate) struct Summary {
    pub(crate) kept: Retained,
    pub(crate) topics: usize,
    pub(crate) oldest: Option<u64>,
    pub(crate) head: u64,
}

/// What a turn of a stream takes.
const PAGE: Retained = Retained { entries: PAGE_ENTRIES, bytes: PAGE_BYTES };
