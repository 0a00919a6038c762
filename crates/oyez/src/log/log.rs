//! The log as publishers and subscribers see it.

#[cfg(unix)]
use std::io;
use std::sync::Arc;
#[cfg(unix)]
use std::task::Waker;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::clock::ExpiryClock;
use crate::gap::{Gap, Reason};
use crate::limits::{PAGE_BYTES, PAGE_ENTRIES};
use crate::log::deletions::Hidden;
#[cfg(unix)]
use crate::log::disk::{Fetch, History, Store, StoredPage, StoredRead, Wanted};
use crate::log::dropped::{After, Missed};
use crate::log::entry::Entry;
use crate::log::latest::Snapshot;
use crate::log::lines::Lines;
use crate::log::memory::{Behind, Lost, Read, Ring};
#[cfg(unix)]
use crate::log::memory::{Departure, Remains};
use crate::log::{Admission, Batch, Bounds, Published, Retained, Retention};
use crate::matcher::Matchers;
use crate::position::{Epoch, Position};
use crate::readable::Readable;
#[cfg(any(feature = "serve", shuttle))]
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, RwLock};
use crate::{Error, ErrorKind, Topic};

/// The log of one hub. Appending takes the write lock for as long as the places are given out; reading takes the read
/// lock for a page of references or a bounded number of entries looked at, however much there is to read.
pub(crate) struct Log {
    pub(crate) epoch: Epoch,
    ring: RwLock<Ring>,
    /// Something in the log has a time after which it is hidden.
    expiring: Arc<AtomicBool>,
    /// It has had a private entry.
    private: Arc<AtomicBool>,
    pub(crate) expiry_clock: ExpiryClock,
    lines: Lines,
    envelopes: Lines,
    /// The keep-alive of the place that was asked for last: readers at the tail all stand at one.
    place_frame: Mutex<(u64, Bytes)>,
    /// All of it, when the ring is only its tail.
    #[cfg(unix)]
    history: Option<History>,
    /// Where a topic was deleted last.
    #[cfg(any(feature = "serve", shuttle))]
    newest_deletion: Arc<AtomicU64>,
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
    /// With the newest entry of each key, then with what is published from now on.
    Snapshot,
    /// Behind this id; incomplete resumes are announced.
    Id(String),
    /// At this time, in milliseconds since 1970; as `requested` it was written so.
    Time(u64, String),
}

/// Where a subscription does begin.
pub(crate) struct Begin {
    /// Everything behind this sequence number is still to be read.
    pub(crate) cursor: u64,
    pub(crate) gap: Option<Gap>,
    /// First these values.
    pub(crate) values: Option<Snapshot>,
    /// How many segments had been dropped: what was gone before is in the gap, and not lost again.
    pub(crate) drops: u64,
    /// Of deletions up to here its reader need not be told.
    pub(crate) known: u64,
    /// It will be told of others.
    pub(crate) deleted: bool,
}

impl Begin {
    pub(crate) fn at(cursor: u64) -> Self {
        Self { cursor, gap: None, values: None, drops: 0, known: 0, deleted: false }
    }

    /// Does a reader come back with it to a place that is known?
    fn resumes(&self, start: &Start) -> bool {
        let is_known = self.gap.as_ref().is_none_or(|gap| matches!(gap.reason, Reason::Expired | Reason::Deleted));
        matches!(start, Start::Id(_) | Start::Time(..)) && is_known
    }
}

/// What one read found.
pub(crate) enum Page {
    Read {
        entries: Vec<Arc<Entry>>,
        /// Nothing that matches lies between the last entry read and this one's successor.
        cursor: u64,
        /// There is more to read at once.
        more: bool,
        /// Behind the entries others were, that are hidden now; the cursor is this gap's.
        gap: Option<Gap>,
    },
    /// Entries that match were dropped before they were read. Reading can go on at the cursor of the gap, with these values
    /// first; what is gone now, after so many drops, is told with it.
    Lost { gap: Gap, values: Option<Snapshot>, drops: u64 },
    /// It is on disk, and has to be fetched from there.
    #[cfg(unix)]
    Stored,
    /// It is on disk, and cannot be read.
    Failed(Error),
}

impl Log {
    /// An empty log that keeps the newest entry of each key of the topics that `compact` selects.
    pub(crate) fn new(epoch: Epoch, retention: Retention, bounds: Bounds, compact: Matchers) -> Self {
        let ring = Ring::new(retention, bounds, compact);
        Self {
            epoch,
            expiring: Arc::clone(&ring.expiring),
            private: Arc::clone(&ring.private),
            expiry_clock: ExpiryClock::default(),
            #[cfg(any(feature = "serve", shuttle))]
            newest_deletion: ring.deletions.newest(),
            ring: RwLock::new(ring),
            lines: Lines::default(),
            envelopes: Lines::default(),
            place_frame: Mutex::default(),
            #[cfg(unix)]
            history: None,
        }
    }

    /// The log of a store: its ring is the tail, in so many bytes, and begins where the store ended when it was opened.
    #[cfg(unix)]
    pub(crate) fn on_disk(store: Arc<Store>, compact: Matchers, tail_bytes: usize) -> Result<Self, Error> {
        let unreadable = |error: io::Error| Error::storage(format!("the history cannot be read: {error}"), error);
        let mut log = Self::new(store.epoch, Retention::default().bytes(tail_bytes), Bounds::of_a_tail(), compact);
        let mut ring = log.ring.write();
        let (remains, gone_through) = store.remains().map_err(unreadable)?;
        // in the order of the log: a class that keeps longer may still have older values than those that have left another
        let mut values = ring.recall_remains(remains, gone_through).into_iter().peekable();
        let recalled = store.each_marked(|entry| {
            while let Some(value) = values.next_if(|value| value.sequence < entry.sequence) {
                ring.recall_value(&value);
            }
            let _both = values.next_if(|value| value.sequence == entry.sequence);
            ring.recall(entry);
        });
        recalled.map_err(unreadable)?;
        values.for_each(|value| ring.recall_value(&value));
        ring.expiring.fetch_or(store.has_expiring().map_err(unreadable)?, Ordering::AcqRel);
        ring.private.fetch_or(store.has_had_private(), Ordering::AcqRel);
        ring.skip(store.opened.head);
        drop(ring);
        log.history = Some(History::new(store).map_err(unreadable)?);
        Ok(log)
    }

    /// Whether the batch is to be appended.
    #[cfg(unix)]
    pub(crate) fn admit(&self, batch: &Batch, now_ms: u64) -> Result<Admission, Error> {
        self.ring.read().admit(batch, now_ms)
    }

    /// Shows entries that are on disk.
    #[cfg(unix)]
    pub(crate) fn show(&self, entries: Vec<Arc<Entry>>) {
        let mut ring = self.ring.write();
        entries.into_iter().for_each(|entry| ring.take(entry));
    }

    /// Lets go of what is beyond the retention.
    #[cfg(unix)]
    pub(crate) fn trim(&self, now_ms: u64) {
        self.ring.write().trim(now_ms);
    }

    /// Entries leave the disk; see [`Ring::leave_disk`].
    #[cfg(unix)]
    pub(crate) fn leave_disk(&self, departure: &Departure) -> Remains {
        self.ring.write().leave_disk(departure)
    }

    /// Nothing is written any more: the disk is given free.
    #[cfg(unix)]
    pub(crate) fn release(&self) {
        if let Some(history) = &self.history {
            history.store.volume.release();
        }
    }

    /// Goes on behind this number: those before name nothing.
    #[cfg(unix)]
    pub(crate) fn skip(&self, sequence: u64) {
        self.ring.write().skip(sequence);
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
    ///
    /// # Errors
    /// [`Ended`](crate::ErrorKind::Ended) when all topics have ended and nothing is left to read,
    /// [`Gone`](crate::ErrorKind::Gone) when the last of their ends has left the history,
    /// [`Internal`](crate::ErrorKind::Internal) when the disk cannot be read.
    pub(crate) fn begin(&self, start: &Start, matchers: &Matchers, now_ms: u64) -> Result<Begin, Error> {
        let head = self.head();
        let mut begin = self.begin_open(start, matchers, now_ms)?;
        begin.known = if begin.resumes(start) { 0 } else { head };
        begin.deleted = begin.gap.is_none() && self.is_hidden_behind(begin.cursor, begin.known, matchers);
        // asked for behind the place: an end that comes later is behind it as well, and will be read
        let Some(end) = self.ring.read().finish(matchers) else { return Ok(begin) };
        let resumed = match start {
            Start::Id(id) => self.sequence_of(id),
            Start::Live | Start::Earliest | Start::Last(_) | Start::Snapshot | Start::Time(..) => None,
        };
        let oldest = self.earliest();
        let is_gone = end.is_gone || end.has_expired(now_ms);
        begin_finished(begin, start, resumed, Finish { last: end.sequence, is_gone, oldest })
    }

    /// The cursor before the oldest entry of the history.
    fn earliest(&self) -> u64 {
        let ring = self.ring.read();
        #[cfg(unix)]
        if let Some(history) = &self.history {
            return history.earliest(ring.head);
        }
        ring.history_start - 1
    }

    /// [`Log::begin`] but for the ends of topics.
    fn begin_open(&self, start: &Start, matchers: &Matchers, now_ms: u64) -> Result<Begin, Error> {
        #[cfg(unix)]
        if let Some(history) = &self.history {
            return self.begin_stored(history, start, matchers);
        }
        Ok(self.begin_in_memory(start, matchers, now_ms))
    }

    #[cfg(unix)]
    fn begin_stored(&self, history: &History, start: &Start, matchers: &Matchers) -> Result<Begin, Error> {
        let unreadable = |error: io::Error| Error::storage(format!("the history cannot be read: {error}"), error);
        let compacts_any = self.ring.read().latest.compacts_any();
        let (head, drops) = (self.head(), history.store.drops());
        let (begun, requested) = match start {
            Start::Live => (Ok(head), ""),
            Start::Earliest => (Ok(history.earliest(head)), ""),
            Start::Last(number) => {
                (Ok(self.before_last_stored(history, *number, matchers, head).map_err(unreadable)?), "")
            }
            Start::Snapshot => return Ok(Begin { drops, ..self.begin_with_snapshot(matchers) }),
            Start::Id(id) => {
                let resumed = history.resume(id, head, matchers).map_err(unreadable)?;
                // whose place is not known gets all there is, the values that have left the disk as well
                let all =
                    |lost: Lost| if lost.is_nowhere() && compacts_any { Lost { cursor: 0, ..lost } } else { lost };
                (resumed.map_err(all), &**id)
            }
            Start::Time(ms, text) => {
                let begun = history.resume_at(*ms, head, matchers).map_err(unreadable)?;
                let before_values = |cursor| self.ring.read().before_values_of(*ms, cursor);
                let lost = |lost: Lost| Lost { cursor: before_values(lost.cursor), ..lost };
                (begun.map(before_values).map_err(lost), &**text)
            }
        };
        let mut begin = Begin { drops, ..self.begun(begun.map(Begin::at), requested, matchers) };
        if let Some(gap) = begin.gap.as_mut().filter(|_| history.store.drops() != drops) {
            gap.missed = None; // more has gone since it was counted
        }
        Ok(begin)
    }

    fn begin_in_memory(&self, start: &Start, matchers: &Matchers, now_ms: u64) -> Begin {
        if self.ring.read().retention.age.is_some() {
            self.ring.write().trim(now_ms);
        }
        match start {
            Start::Live => Begin::at(self.head()),
            Start::Earliest => Begin::at(self.ring.read().history_start - 1),
            Start::Last(number) => Begin::at(self.before_last(*number, matchers)),
            Start::Snapshot => self.begin_with_snapshot(matchers),
            Start::Id(requested) => {
                let ring = self.ring.read();
                let found = ring.find(requested, self.epoch);
                let begun = match found {
                    Ok(sequence) => ring.resume(After::Sequence(sequence), sequence, matchers),
                    Err(reason) => Err(ring.resume_nowhere(reason)),
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

    fn begun(&self, begun: Result<Begin, Lost>, requested: &str, matchers: &Matchers) -> Begin {
        match begun {
            Ok(begin) => begin,
            Err(lost) => {
                let (gap, values) = self.gap(lost, requested.to_owned(), matchers);
                Begin { gap: Some(gap.clone()), values, ..Begin::at(gap.position.sequence) }
            }
        }
    }

    /// All values there are now, then what comes behind the head of now. Values that were pushed out are announced.
    fn begin_with_snapshot(&self, matchers: &Matchers) -> Begin {
        let ring = self.ring.read();
        let snapshot = ring.snapshot();
        let missed = ring.latest.missed(After::Sequence(0), matchers, true);
        drop(ring);
        if missed != Missed::Nothing {
            let values = Some((0, Snapshot { evictions: u64::MAX, ..snapshot }));
            let lost = Lost { reason: Reason::Expired, missed: None, cursor: snapshot.upto, values };
            return self.begun(Err(lost), SNAPSHOT, matchers);
        }
        match self.first_value(0, &snapshot, matchers) {
            Some(first) => Begin { values: Some(snapshot), ..Begin::at(first.sequence - 1) },
            None => Begin::at(snapshot.upto),
        }
    }

    /// Reads the next values of `snapshot` behind `cursor` that match: as [`Log::read`] reads the log.
    pub(crate) fn read_values(&self, cursor: u64, snapshot: &Snapshot, matchers: &Matchers) -> Page {
        let read = self.ring.read().read_values(PAGE, cursor, snapshot, matchers);
        self.page(read, cursor, matchers)
    }

    /// The first value of `snapshot` behind `cursor` that matches; looked for in steps, as in [`Log::gap`].
    fn first_value(&self, cursor: u64, snapshot: &Snapshot, matchers: &Matchers) -> Option<Arc<Entry>> {
        let mut cursor = cursor;
        loop {
            // what is lost meanwhile is found out when they are told
            let read = self.ring.read().latest.read(ONE, cursor, snapshot, matchers);
            match (read.entries.into_iter().next(), read.more) {
                (None, true) => cursor = read.cursor,
                (found, _) => return found,
            }
        }
    }

    /// Reads the next entries behind `cursor` that match. At most a page of them, after looking at a bounded number.
    pub(crate) fn read(&self, behind: Behind, matchers: &Matchers) -> Page {
        self.read_at_most(PAGE, behind, matchers)
    }

    /// [`Log::read`] with a page of another size.
    pub(crate) fn read_at_most(&self, page: Retained, behind: Behind, matchers: &Matchers) -> Page {
        let ring = self.ring.read();
        #[cfg(unix)]
        if self.is_on_disk() && behind.cursor + 1 < ring.front() {
            return Page::Stored;
        }
        let read = ring.read(page, behind, matchers);
        drop(ring);
        self.page(read, behind.cursor, matchers)
    }

    fn page(&self, read: Result<Read, Lost>, cursor: u64, matchers: &Matchers) -> Page {
        match read {
            Ok(Read { entries, cursor, more, hidden: None }) => Page::Read { entries, cursor, more, gap: None },
            Ok(Read { entries, hidden: Some(Hidden { last, missed }), .. }) => {
                let lost = Lost { reason: Reason::Deleted, missed: missed.number(), cursor: last, values: None };
                let requested = entries.last().map_or(cursor, |entry| entry.sequence);
                let (mut gap, _) = self.gap(lost, self.position(requested).to_string(), matchers);
                if self
                    .ring
                    .read()
                    .deletions
                    .next(last, 0, matchers)
                    .is_some_and(|next| next.last <= gap.position.sequence)
                {
                    gap.missed = None; // it tells of both
                }
                #[cfg(unix)]
                if let Some(History { store, .. }) = &self.history {
                    // something may have left the disk since this was read
                    gap.missed =
                        gap.missed.filter(|_| store.missed(After::Sequence(last), matchers) == Missed::Nothing);
                }
                Page::Read { entries, cursor: gap.position.sequence, more: true, gap: Some(gap) }
            }
            Err(lost) => {
                let (gap, values) = self.gap(lost, self.position(cursor).to_string(), matchers);
                Page::Lost { gap, values, drops: 0 }
            }
        }
    }

    pub(crate) fn is_on_disk(&self) -> bool {
        #[cfg(unix)]
        return self.history.is_some();
        #[cfg(not(unix))]
        false
    }

    /// Asks for what [`Page::Stored`] says is on disk. `drops` is what the stream knows to be gone.
    #[cfg(unix)]
    pub(crate) fn fetch(&self, cursor: u64, matchers: &Arc<Matchers>, drops: u64, waker: &Waker) -> Option<Fetch> {
        let history = self.history.as_ref()?;
        let last = self.ring.read().front() - 1;
        if cursor >= last {
            return None;
        }
        Some(history.fetch(Wanted { cursor, matchers: Arc::clone(matchers), last, drops }, waker))
    }

    /// What was fetched for a stream that stands there.
    #[cfg(unix)]
    pub(crate) fn fetched(&self, read: io::Result<StoredRead>, behind: Behind, matchers: &Matchers) -> Page {
        let Behind { cursor, known } = behind;
        match read {
            // behind it comes the tail
            Ok(StoredRead::Page(StoredPage { mut entries, cursor: end, more: _ })) => {
                let ring = self.ring.read();
                let hidden = ring.deletions.next(cursor, known, matchers).filter(|hidden| hidden.last <= end);
                let end = hidden.map_or(end, |hidden| hidden.last);
                entries.retain(|entry| entry.sequence <= end && ring.is_match(entry, matchers));
                let values = ring.remaining_values(cursor, end, matchers);
                drop(ring);
                if !values.is_empty() {
                    entries.extend(values);
                    entries.sort_unstable_by_key(|entry| entry.sequence);
                    entries.dedup_by_key(|entry| entry.sequence);
                }
                self.page(Ok(Read { entries, cursor: end, more: true, hidden }), cursor, matchers)
            }
            Ok(StoredRead::Lost { missed, drops }) => {
                let lost = Lost { reason: Reason::Policy, missed, cursor, values: None };
                let (mut gap, values) = self.gap(lost, self.position(cursor).to_string(), matchers);
                if self.drops() != drops {
                    gap.missed = None; // more has gone since it was counted
                }
                Page::Lost { gap, values, drops }
            }
            Err(error) => Page::Failed(Error::storage(format!("the history cannot be read: {error}"), error)),
        }
    }

    /// How many segments have been dropped.
    #[cfg(unix)]
    fn drops(&self) -> u64 {
        self.history.as_ref().map_or(0, |history| history.store.drops())
    }

    /// The gap that ends before the first entry that matches, or at the head, and the values that come first. Looks for it
    /// in steps, so that a search through all of the history holds nobody up.
    fn gap(&self, lost: Lost, requested: String, matchers: &Matchers) -> (Gap, Option<Snapshot>) {
        let Lost { reason, mut missed, mut cursor, mut values } = lost;
        loop {
            if let Some((after, snapshot)) = values.take() {
                if let Some(first) = self.first_value(after, &snapshot, matchers) {
                    let position = self.position(first.sequence - 1);
                    let oldest = Some(first.event_id(self.epoch));
                    return (Gap { reason, requested, oldest, missed, position }, Some(snapshot));
                }
            }
            #[cfg(unix)]
            if let Some(history) = &self.history {
                let gap = |oldest, end| Gap {
                    reason,
                    requested: requested.clone(),
                    oldest,
                    missed,
                    position: self.position(end),
                };
                match self.first_stored(history, cursor, matchers) {
                    Ok((Some(first), end)) => return (gap(Some(first.event_id(self.epoch)), end), None),
                    // it was not looked for to the end
                    Ok((None, end)) if end + 1 < self.ring.read().front() => return (gap(None, end), None),
                    Ok((None, end)) => cursor = end,
                    // whoever reads on meets the error as well
                    Err(_) => return (gap(None, cursor), None),
                }
            }
            let read = self.ring.read().read(PAGE, Behind { cursor, known: u64::MAX }, matchers);
            let (oldest, sequence) = match read {
                Ok(Read { entries, cursor: end, more, .. }) => {
                    // what is hidden by now is missed as well
                    let expired = self.expired(&entries, matchers);
                    let hidden = expired.iter().take_while(|expired| **expired).count();
                    missed = missed.map(|missed| missed + hidden as u64);
                    match entries.get(hidden) {
                        Some(entry) => (Some(entry.event_id(self.epoch)), entry.sequence - 1),
                        None if more => {
                            cursor = end;
                            continue;
                        }
                        None => (None, end),
                    }
                }
                Err(lost) => {
                    // more has gone while we looked
                    (missed, cursor, values) = (None, lost.cursor, lost.values);
                    continue;
                }
            };
            return (Gap { reason, requested, oldest, missed, position: self.position(sequence) }, None);
        }
    }

    /// The first entry behind `cursor` that matches and is on disk, or a value that has left it, but not in memory, and the cursor before
    /// it; without one the cursor up to which there is none, as far as was looked.
    #[cfg(unix)]
    fn first_stored(
        &self,
        history: &History,
        cursor: u64,
        matchers: &Matchers,
    ) -> io::Result<(Option<Arc<Entry>>, u64)> {
        let last = self.ring.read().front() - 1;
        let is_match = |entry: &Entry| self.ring.read().is_match(entry, matchers);
        let (first, end) = history.first_behind(cursor, matchers, last, is_match)?;
        let remaining = self.ring.read().remaining(cursor, end);
        match remaining.and_then(|remaining| self.first_value(cursor, &remaining, matchers)) {
            Some(value) => Ok((Some(Arc::clone(&value)), value.sequence - 1)),
            None => Ok((first, end)),
        }
    }

    /// The cursor behind which the newest `number` entries that match lie.
    fn before_last(&self, number: usize, matchers: &Matchers) -> u64 {
        let ring = self.ring.read();
        let (head, oldest) = (ring.head, ring.history_start - 1);
        let now_ms = self.expiry_ms();
        let cursor = if number == 0 {
            head
        } else if matchers.is_all() && now_ms.is_none() && !ring.deletions.any_behind(oldest) {
            head.saturating_sub(number as u64)
        } else if matchers.is_exact() {
            ring.before_last_exact(number, matchers, now_ms)
        } else {
            drop(ring);
            let (mut left, mut end) = (number, head);
            while left > 0 && end > oldest {
                end = self.ring.read().scan_back(end, &mut left, matchers, now_ms);
            }
            end
        };
        cursor.max(oldest)
    }

    /// The same of a history on disk, which knows nothing of what is hidden.
    #[cfg(unix)]
    fn before_last_stored(&self, history: &History, number: usize, matchers: &Matchers, head: u64) -> io::Result<u64> {
        let now_ms = self.expiry_ms();
        let ring = self.ring.read();
        let (hides_any, floor) = (ring.deletions.hides_any(), ring.deletions.floor(matchers));
        drop(ring);
        if number == 0 || (now_ms.is_none() && !hides_any) {
            return history.before_last(number, matchers, head);
        }
        history.before_last_of(number, matchers, (floor, head), |entry| {
            let ring = self.ring.read();
            let has_expired = now_ms.is_some_and(|now_ms| ring.has_expired(entry, matchers, now_ms));
            ring.is_match(entry, matchers) && !has_expired
        })
    }

    /// Is a reader behind this place to be told of a deletion?
    fn is_hidden_behind(&self, cursor: u64, known: u64, matchers: &Matchers) -> bool {
        self.ring.read().deletions.next(cursor, known, matchers).is_some()
    }

    /// The newest entry of a topic that is not hidden, as far as the log on disk knows; 0 when there is none.
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorKind::Internal) when the disk cannot be read.
    #[cfg(unix)]
    pub(crate) fn newest_of(&self, topic: &Topic) -> Result<u64, Error> {
        let ring = self.ring.read();
        let newest = ring.topics.positions(topic).and_then(|positions| positions.back().copied());
        drop(ring);
        match (newest, &self.history) {
            (Some(newest), _) => Ok(newest),
            (None, Some(history)) => {
                let newest = history.newest_of(topic);
                let newest =
                    newest.map_err(|error| Error::storage(format!("the history cannot be read: {error}"), error))?;
                let ring = self.ring.read();
                let newest = if ring.deletions.hides(topic, newest) { 0 } else { newest };
                // a value may have left the disk
                Ok(newest.max(ring.latest.newest_of(topic)))
            }
            (None, None) => Ok(0),
        }
    }

    /// The newest entry that is hidden by the deletion which has this id; 0 when there is none. Forgets deletions of what is
    /// not in the history any more.
    #[cfg(unix)]
    pub(crate) fn newest_hidden(&self, deletion: &str) -> u64 {
        let earliest = self.earliest();
        let at = self.sequence_of(deletion).unwrap_or_default();
        let mut ring = self.ring.write();
        ring.deletions.forget_before(earliest);
        ring.deletions.newest_hidden_at(at)
    }

    /// Where a topic was deleted last; 0 when none was.
    #[cfg(any(feature = "serve", shuttle))]
    pub(crate) fn newest_deletion(&self) -> u64 {
        self.newest_deletion.load(Ordering::Acquire)
    }

    /// Appends to `out` what follows `cursor`, whatever its topics; at most `max` entries. Everything up to the number
    /// that is given back is gone.
    pub(crate) fn follow(&self, cursor: u64, max: usize, out: &mut Vec<Arc<Entry>>) -> u64 {
        let ring = self.ring.read();
        out.extend(ring.behind(cursor).take(max).cloned());
        ring.front() - 1
    }

    /// The sequence number behind which nothing can come that matches, if there is one: all topics have ended.
    pub(crate) fn finish(&self, matchers: &Matchers) -> Option<u64> {
        self.ring.read().finish(matchers).map(|end| end.sequence)
    }

    /// Which of these entries are hidden by now from those who read these topics; none at all when it is empty.
    pub(crate) fn expired(&self, entries: &[Arc<Entry>], matchers: &Matchers) -> Vec<bool> {
        let Some(now_ms) = self.expiry_ms() else { return Vec::new() };
        let ring = self.ring.read();
        entries.iter().map(|entry| ring.has_expired(entry, matchers, now_ms)).collect()
    }

    /// When the first of these entries is hidden from those who read these topics; never is the largest number.
    #[cfg(feature = "serve")]
    pub(crate) fn first_expiry_ms(&self, entries: &[Arc<Entry>], matchers: &Matchers) -> u64 {
        if !self.expiring.load(Ordering::Acquire) {
            return u64::MAX;
        }
        let ring = self.ring.read();
        entries.iter().filter_map(|entry| ring.expires_ms(entry, matchers)).min().unwrap_or(u64::MAX)
    }

    /// May there be private entries, or have been, that such a reader may not have? Then what is counted over entries is not
    /// for it.
    pub(crate) fn hides_from(&self, readable: &Readable) -> bool {
        self.private.load(Ordering::Acquire) && !readable.is_all()
    }

    /// The time by which things expire, if anything can.
    fn expiry_ms(&self) -> Option<u64> {
        self.expiring.load(Ordering::Acquire).then(|| self.expiry_clock.ms())
    }

    /// Is the entry the newest of its key in one of its topics that match, or has it no key and is the newest of such a
    /// topic? Those are what `latest` keeps.
    pub(crate) fn is_newest(&self, entry: &Entry, matchers: &Matchers) -> bool {
        let ring = self.ring.read();
        let newest = |topic: &Topic| ring.topics.positions(topic).and_then(|positions| positions.back().copied());
        let is_newest = |topic: &Topic| {
            ring.latest.is_value_of(topic, entry)
                || (entry.key().is_none() && newest(topic).is_none_or(|newest| newest == entry.sequence))
        };
        entry.topics.iter().any(|topic| matchers.matches(topic) && is_newest(topic))
    }

    /// The sequence number of the newest entry, 0 before the first.
    pub(crate) fn head(&self) -> u64 {
        self.ring.read().head
    }

    /// The sequence number that an id stands for, if it can be told.
    pub(crate) fn sequence_of(&self, id: &str) -> Option<u64> {
        #[cfg(unix)]
        if let Some(history) = &self.history {
            return history.store.find(id, self.head()).ok().and_then(Result::ok);
        }
        self.ring.read().find(id, self.epoch).ok()
    }

    pub(crate) fn position(&self, sequence: u64) -> Position {
        Position { epoch: self.epoch, sequence }
    }

    /// The entry as a frame whose data tells topics and time as well. Near the tail it is made once for all who may know all of
    /// its topics.
    pub(crate) fn envelope(&self, entry: &Entry, readable: &Readable) -> Bytes {
        match entry.topics_for(readable) {
            Some(part) => entry.envelope(self.epoch, &part),
            None => self.envelopes.get(entry, |entry| entry.envelope(self.epoch, &entry.topics)),
        }
    }

    /// The entry as a line of `application/x-ndjson`, made once as well.
    pub(crate) fn line(&self, entry: &Entry, readable: &Readable) -> Bytes {
        match entry.topics_for(readable) {
            Some(part) => entry.line(self.epoch, &part),
            None => self.lines.get(entry, |entry| entry.line(self.epoch, &entry.topics)),
        }
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
        #[cfg(unix)]
        if let Some(History { store, .. }) = &self.history {
            let topics = store.topics().max(ring.topics.in_history().number);
            return Summary {
                kept: store.kept(),
                topics,
                oldest: store.oldest(),
                head: ring.head,
                latest: ring.latest.kept(),
                torn: store.opened.torn,
            };
        }
        let oldest = ring.oldest().map(|entry| entry.sequence);
        let kept = Retained { bytes: ring.bytes(), ..ring.history };
        let latest = ring.latest.kept();
        Summary { kept, topics: ring.topics.in_history().number, oldest, head: ring.head, latest, torn: 0 }
    }
}

/// The topics of a subscription have all ended.
#[derive(Clone, Copy)]
struct Finish {
    /// The last of their ends.
    last: u64,
    /// That cannot be read any more.
    is_gone: bool,
    /// The history begins behind it.
    oldest: u64,
}

/// Where a subscription begins whose topics have all ended; `resumed` is what the id stands for that it resumes from.
fn begin_finished(begin: Begin, start: &Start, resumed: Option<u64>, finish: Finish) -> Result<Begin, Error> {
    let Finish { last, is_gone, oldest } = finish;
    let has_all = match start {
        Start::Id(_) => resumed.is_some_and(|after| after >= last),
        Start::Time(..) | Start::Last(0) => begin.gap.is_none() && begin.values.is_none() && begin.cursor >= last,
        Start::Live | Start::Earliest | Start::Last(_) | Start::Snapshot => false,
    };
    if has_all {
        return Err(Error::new(ErrorKind::Ended, "the topics have ended and everything has been read"));
    }
    if is_gone {
        let message = "the topics have ended, and their end has left the history or has expired";
        return Err(Error::new(ErrorKind::Gone, message));
    }
    Ok(match start {
        // who comes without an id wants the whole of it
        Start::Live if begin.cursor >= last => Begin { drops: begin.drops, known: begin.known, ..Begin::at(oldest) },
        Start::Snapshot => snapshot_before(last, begin),
        _ => begin,
    })
}

/// A snapshot behind which the stream goes on with the end, which is no value.
fn snapshot_before(end: u64, mut begin: Begin) -> Begin {
    begin.cursor = begin.cursor.min(end - 1);
    if let Some(values) = &mut begin.values {
        values.upto = values.upto.min(end - 1);
    }
    if let Some(gap) = &mut begin.gap {
        gap.position.sequence = gap.position.sequence.min(end - 1);
    }
    begin
}

/// Figures of the log at one moment.
pub(crate) struct Summary {
    pub(crate) kept: Retained,
    pub(crate) topics: usize,
    pub(crate) oldest: Option<u64>,
    pub(crate) head: u64,
    pub(crate) latest: Retained,
    /// Writes that had been cut off when it was opened.
    pub(crate) torn: u64,
}

/// What a turn of a stream takes.
const PAGE: Retained = Retained { entries: PAGE_ENTRIES, bytes: PAGE_BYTES };
/// What a snapshot's gap names in place of an id.
const SNAPSHOT: &str = "snapshot";
/// What a look for the first entry takes.
const ONE: Retained = Retained { entries: 1, bytes: PAGE_BYTES };
