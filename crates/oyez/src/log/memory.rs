//! The newest part of the log: a ring of entries in memory, read by cursors.

#[cfg(unix)]
use std::collections::HashSet;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use oyez_proto::EventId;
use smallvec::SmallVec;

use crate::gap::Reason;
use crate::limits::{
    DROPPED_SUMMARY_BYTES, EVENT_ID_BYTES_MAX, LATEST_BYTES, LATEST_VALUES, MISSED_CHECKS, PAGE_ENTRIES, SCAN_ENTRIES,
    SLACK_BYTES, SLACK_ENTRIES,
};
#[cfg(unix)]
use crate::log::deletions::Outlived;
use crate::log::deletions::{Deletions, Hidden};
use crate::log::draft::Draft;
use crate::log::dropped::{After, Dropped, DroppedRun, Missed};
use crate::log::ends::{End, Ends};
use crate::log::entry::Entry;
use crate::log::latest::{Latest, Snapshot};
use crate::log::left_ids::LeftIds;
use crate::log::log::Begin;
use crate::log::once_table::{OnceBounds, OnceTable};
use crate::log::topics::Topics;
use crate::log::{Admission, Batch, Retained, Retention};
use crate::matcher::Matchers;
use crate::position::{Epoch, Position};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::{Error, Topic};

/// What the log keeps beside the history.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Entries that only open streams may still read.
    pub(crate) slack: Retained,
    /// The summary of topics whose entries are all gone, and as much for ends that are.
    pub(crate) summary_bytes: usize,
    /// The newest entry of each key.
    pub(crate) latest: Retained,
    /// What leaves the log's memory is not gone.
    pub(crate) is_tail: bool,
}

impl Bounds {
    /// Of the tail of a history that is on disk.
    #[cfg(unix)]
    pub(crate) fn of_a_tail() -> Self {
        Self { slack: Retained::default(), summary_bytes: 0, is_tail: true, ..Self::default() }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        let slack = Retained { entries: SLACK_ENTRIES, bytes: SLACK_BYTES };
        let latest = Retained { entries: LATEST_VALUES, bytes: LATEST_BYTES };
        Self { slack, summary_bytes: DROPPED_SUMMARY_BYTES, latest, is_tail: false }
    }
}

/// The log behind its lock. Sequence numbers follow each other without a hole:
///
/// ```text
/// 1 ………… front ………… history_start ………… head
///   gone          slack              history
/// ```
pub(crate) struct Ring {
    pub(crate) retention: Retention,
    slack_max: Retained,
    /// From `front` to `head`.
    entries: VecDeque<Arc<Entry>>,
    pub(crate) head: u64,
    newest_ms: u64,
    /// The first number that still belongs to the history; `head + 1` when nothing does. What the ring holds before it
    /// is slack: only streams that are open already may read it.
    pub(crate) history_start: u64,
    pub(crate) history: Retained,
    slack: Retained,
    pub(crate) topics: Topics,
    publisher_ids: HashMap<EventId, Uses>,
    left_ids: LeftIds,
    once: OnceTable,
    ends: Ends,
    dropped: Dropped,
    pub(crate) latest: Latest,
    /// Something in it has a time after which it is hidden: otherwise nobody has to ask.
    pub(crate) expiring: Arc<AtomicBool>,
    /// It has had a private entry: numbers of entries may count some that a reader may not know of.
    pub(crate) private: Arc<AtomicBool>,
    pub(crate) deletions: Deletions,
    /// The time of the newest entry that is gone.
    gone_ms: u64,
    /// What leaves the ring is still in the history, on disk.
    is_tail: bool,
    /// Of a tail: everything up to here has left the history, and so has perhaps some of what lies behind.
    gone_through: u64,
    /// Of a tail: how many values have left it with the disk, and the newest of them.
    departures: (u64, u64),
}

/// The entries that a publisher gave the same id. The id stands for the first of them even when that has left the
/// history, while another is in it: then a resume from it is told what it missed. When all have left it, it stands for none.
struct Uses {
    first: u64,
    last: u64,
}

/// What is kept of a history on disk when entries leave it.
#[cfg(unix)]
#[derive(Default)]
pub(crate) struct Remains {
    pub(crate) values: Vec<Arc<Entry>>,
    pub(crate) ends: Vec<(u64, Topic)>,
    pub(crate) deletions: Vec<Outlived>,
}

/// What leaves a history on disk: some of the entries up to a number.
#[cfg(unix)]
pub(crate) struct Departure {
    pub(crate) through: u64,
    /// The oldest entry that stays.
    pub(crate) oldest: u64,
    /// Those that mean something for what comes behind them: values, and ends of topics.
    pub(crate) marks: HashSet<u64>,
}

/// What one read of the ring found; see [`Page`].
pub(crate) struct Read {
    pub(crate) entries: Vec<Arc<Entry>>,
    pub(crate) cursor: u64,
    pub(crate) more: bool,
    /// What came next is hidden: the reader is to be told, and goes on behind it.
    pub(crate) hidden: Option<Hidden>,
}

/// Entries that match are missing.
#[derive(Clone, Copy)]
pub(crate) struct Lost {
    pub(crate) reason: Reason,
    pub(crate) missed: Option<u64>,
    /// Behind it lies all that is left of the log.
    pub(crate) cursor: u64,
    /// What is left of compacted topics before that lies behind this cursor.
    pub(crate) values: Option<(u64, Snapshot)>,
}

/// Behind what a reader reads.
#[derive(Clone, Copy)]
pub(crate) struct Behind {
    pub(crate) cursor: u64,
    /// Of deletions up to here it has been told, or need not be.
    pub(crate) known: u64,
}

impl Lost {
    /// The reader's place in the log is not known.
    #[cfg(unix)]
    pub(crate) fn is_nowhere(&self) -> bool {
        matches!(self.reason, Reason::Unknown | Reason::Epoch)
    }
}

impl Ring {
    pub(crate) fn new(retention: Retention, bounds: Bounds, compact: Matchers) -> Self {
        // a small history is not to be pushed out by the summary of what it has lost
        let summary_bytes = bounds.summary_bytes.min(retention.bytes / 16);
        // of a tail the store keeps the summary of what is gone, but not the ends
        let ends_bytes = if bounds.is_tail { DROPPED_SUMMARY_BYTES } else { summary_bytes };
        Self {
            retention,
            slack_max: bounds.slack,
            entries: VecDeque::new(),
            head: 0,
            newest_ms: 0,
            history_start: 1,
            history: Retained::default(),
            slack: Retained::default(),
            topics: Topics::default(),
            publisher_ids: HashMap::new(),
            left_ids: LeftIds::new(retention.bytes),
            once: OnceTable::new(OnceBounds::default()),
            ends: Ends::new(ends_bytes),
            dropped: Dropped::new(summary_bytes),
            latest: Latest::new(compact, bounds.latest),
            expiring: Arc::default(),
            private: Arc::default(),
            deletions: Deletions::default(),
            gone_ms: 0,
            is_tail: bounds.is_tail,
            gone_through: 0,
            departures: (0, 0),
        }
    }

    /// Whether `batch` is to be appended at this time. It looks only, so that a log can ask before it writes anything; the answer
    /// holds until something is appended.
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
                Err(Error::conflict(format!("topic {:?} has ended: nothing can be appended to it any more", &**topic)))
            }
            None => Ok(Admission::New),
        }
    }

    pub(crate) fn append(&mut self, mut draft: Draft, epoch: Epoch, now_ms: u64) -> &Arc<Entry> {
        // a clock that is set back must not put entries out of the order that `since=` searches
        self.newest_ms = self.newest_ms.max(now_ms);
        let sequence = self.head + 1;
        let deletes = draft.extras().is_some_and(|extras| extras.deletes.is_some());
        for topic in draft.topics_mut().iter_mut().filter(|_| !deletes) {
            let recall = |topic: &Topic| {
                // of what compacted topics lose nothing is missed, so nothing is known
                if self.latest.compacts(topic) { DroppedRun::default() } else { self.dropped.recall(topic) }
            };
            *topic = self.topics.add(topic, sequence, self.history_start, recall).clone();
        }
        self.push(Arc::new(draft.place(Position { epoch, sequence }, self.newest_ms)))
    }

    /// Takes over the next entry, which is on disk already. Its numbers are those that follow the head.
    pub(crate) fn take(&mut self, entry: Arc<Entry>) {
        self.newest_ms = self.newest_ms.max(entry.time_ms);
        for topic in entry.topics.iter().filter(|_| !entry.deletes()) {
            self.topics.add(topic, entry.sequence, self.history_start, |_| DroppedRun::default());
        }
        self.push(entry);
    }

    fn push(&mut self, entry: Arc<Entry>) -> &Arc<Entry> {
        debug_assert_eq!(entry.sequence, self.head + 1, "numbers follow each other");
        self.head = entry.sequence;
        if let Some(id) = &entry.publisher_id {
            let uses = self.publisher_ids.entry(id.clone()).or_insert(Uses { first: self.head, last: self.head });
            uses.last = self.head;
        }
        self.learn(&entry);
        self.history.entries += 1;
        self.history.bytes += entry.cost();
        self.entries.push_back(entry);
        self.entries.back().expect("it was just put there")
    }

    /// Notes what the entry means for those behind it: also of one that is on disk only, when the hub starts.
    pub(crate) fn learn(&mut self, entry: &Arc<Entry>) {
        if let Some(last_on_disk) = entry.extras().and_then(|extras| extras.deletes) {
            entry.topics.iter().for_each(|topic| self.hide(topic, entry, last_on_disk));
        }
        self.latest.note(entry);
        if let Some(once) = entry.extras().and_then(|extras| extras.once.as_ref()) {
            self.once.note(once, entry.sequence, entry.time_ms);
        }
        if let Some(topic) = entry.ended_topic() {
            self.ends
                .note(topic.clone(), End { sequence: entry.sequence, expires_ms: entry.expires_ms(), is_gone: false });
        }
        if entry.expires_ms().is_some() {
            self.expiring.store(true, Ordering::Release);
        }
        if entry.private {
            self.private.store(true, Ordering::Release);
        }
    }

    /// Notes what an entry that is on disk only means, when the hub starts.
    #[cfg(unix)]
    pub(crate) fn recall(&mut self, entry: &Arc<Entry>) {
        self.learn(entry);
        self.latest.leave_memory(entry);
        self.hide_again(entry);
    }

    /// A deletion whose place has left the history before the entry, when the hub starts.
    #[cfg(unix)]
    fn hide_again(&mut self, entry: &Entry) {
        for topic in entry.topics.iter().filter(|topic| self.deletions.hides(topic, entry.sequence)) {
            self.latest.unset(topic, entry);
            self.ends.forget(topic, entry.sequence + 1);
        }
    }

    /// Entries leave the history on disk. Gives back what is to be kept of all that have: values of compacted topics, where
    /// topics ended, and which deletions hide something still.
    #[cfg(unix)]
    pub(crate) fn leave_disk(&mut self, departure: &Departure) -> Remains {
        let Departure { through, oldest, marks } = departure;
        let through = *through;
        self.gone_through = self.gone_through.max(through);
        // what is gone on disk is not to be read from memory either: its readers are told that it is
        while let Some(oldest) = self.oldest().filter(|entry| entry.sequence <= through).cloned() {
            self.leave_history(&oldest);
        }
        // not even the newest one stays, as it does elsewhere
        while self.slack.entries > 0 {
            self.pop_oldest();
        }
        for entry in self.latest.up_to(through) {
            if marks.contains(&entry.sequence) && self.latest.leave_history(&entry) {
                self.departures = (self.departures.0 + 1, self.departures.1.max(entry.sequence));
            }
        }
        for (topic, sequence) in self.ends.up_to(through) {
            if marks.contains(&sequence) {
                self.ends.leave_history(&topic, sequence);
            }
        }
        let mut values = self.latest.up_to(self.gone_through);
        values.retain(|entry| self.latest.is_compacted(entry));
        // a value of one topic may have been another's as well, which was deleted
        let oldest = values.first().map_or(*oldest, |value| value.sequence.min(*oldest));
        Remains {
            values,
            ends: self.ends.gone().cloned().collect(),
            deletions: self.deletions.outlived(self.gone_through, oldest),
        }
    }

    /// Takes back what [`leave_disk`](Self::leave_disk) kept when entries up to `gone_through` left, when the hub starts. The values, which
    /// it gives back, are to be recalled each at its place among the entries that are on disk.
    #[cfg(unix)]
    pub(crate) fn recall_remains(&mut self, remains: Remains, gone_through: u64) -> Vec<Arc<Entry>> {
        let Remains { values, ends, deletions } = remains;
        self.gone_through = gone_through;
        self.deletions.recall(&deletions);
        for (sequence, topic) in ends {
            self.ends.note(topic.clone(), End { sequence, expires_ms: None, is_gone: false });
            self.ends.leave_history(&topic, sequence);
        }
        values
    }

    /// Takes back a value that has left the disk, when the hub starts.
    #[cfg(unix)]
    pub(crate) fn recall_value(&mut self, value: &Arc<Entry>) {
        self.latest.note(value);
        self.latest.leave_history(value);
        self.hide_again(value); // it may be that of one of its topics only
    }

    /// The values of compacted topics that have left the disk and match, behind `cursor` and up to `upto`.
    #[cfg(unix)]
    pub(crate) fn remaining_values(&self, cursor: u64, upto: u64, matchers: &Matchers) -> Vec<Arc<Entry>> {
        let Some(snapshot) = self.remaining(cursor, upto) else { return Vec::new() };
        self.latest.read(Retained { entries: usize::MAX, bytes: usize::MAX }, cursor, &snapshot, matchers).entries
    }

    /// Those values, if there may be any.
    #[cfg(unix)]
    pub(crate) fn remaining(&self, cursor: u64, upto: u64) -> Option<Snapshot> {
        let upto = upto.min(self.gone_through);
        let snapshot = Snapshot { upto, from: u64::MAX, evictions: 0, departures: 0, known: u64::MAX };
        (self.latest.compacts_any() && cursor < upto).then_some(snapshot)
    }

    /// Where a reader begins that wants everything from this time on and finds that behind `cursor` on disk: of the values that have
    /// left it those of this time come as well, and those from before do not.
    #[cfg(unix)]
    pub(crate) fn before_values_of(&self, ms: u64, cursor: u64) -> u64 {
        if !self.latest.compacts_any() {
            return cursor;
        }
        self.latest.before_time(ms, cursor).max(self.latest.last_before(ms))
    }

    /// Values from before this number are only told of compacted topics. Of a tail, whatever has left the history has left the
    /// values as well, class by class.
    fn values_from(&self, start: u64) -> u64 {
        if self.is_tail { 0 } else { start }
    }

    /// Forgets all entries, which are on disk, and goes on behind this number.
    pub(crate) fn skip(&mut self, sequence: u64) {
        while self.history.entries > 0 {
            let Some(oldest) = self.oldest().cloned() else { break };
            self.leave_history(&oldest);
        }
        while self.slack.entries > 0 {
            self.pop_oldest();
        }
        self.head = sequence.max(self.head);
        self.history_start = self.head + 1;
    }

    /// Hides all that `topic` has before its deletion. Of what is on disk only the last one is known.
    fn hide(&mut self, topic: &Topic, deletion: &Entry, last_on_disk: u64) {
        let front = self.entries.front().map_or(deletion.sequence, |entry| entry.sequence);
        let values = self.latest.forget_topic(topic, front);
        let Self { topics, entries, .. } = self;
        let time_of = |sequence: u64| {
            let entry = usize::try_from(sequence - front).ok().and_then(|at| entries.get(at));
            entry.map_or(deletion.time_ms, |entry| entry.time_ms)
        };
        let (mut hidden, gone) = topics.hide(topic, self.history_start, values, time_of);
        if self.is_tail {
            hidden.and_unknown(last_on_disk, deletion.time_ms);
        } else if let Some(gone) = gone.filter(|_| !self.latest.compacts(topic)) {
            self.dropped.remember(topic.clone(), gone);
        }
        self.ends.forget(topic, deletion.sequence);
        self.deletions.note(topic, deletion.sequence, hidden);
    }

    /// Moves what the retention does not keep from the history to the slack, and what the slack has no room for away.
    pub(crate) fn trim(&mut self, now_ms: u64) {
        self.once.forget(now_ms);
        loop {
            // before the check: the summary of what goes is counted as well
            self.trim_slack();
            let Some(oldest) = self.oldest().cloned() else { return };
            let kept = Retained { bytes: self.bytes(), ..self.history };
            if !self.retention.is_exceeded(kept, oldest.time_ms, now_ms) {
                return;
            }
            self.leave_history(&oldest);
        }
    }

    fn leave_history(&mut self, entry: &Entry) {
        for topic in &entry.topics {
            self.topics.leave_history(topic, entry.sequence);
        }
        if let Some(id) = &entry.publisher_id {
            if self.publisher_ids.get(id).is_some_and(|uses| uses.last == entry.sequence) {
                self.publisher_ids.remove(id);
                if !self.is_tail {
                    self.left_ids.note(id);
                }
            }
        }
        if let Some(topic) = entry.ended_topic().filter(|_| !self.is_tail) {
            self.ends.leave_history(topic, entry.sequence);
        }
        let cost = entry.cost();
        self.history.entries -= 1;
        self.history.bytes -= cost;
        self.slack.entries += 1;
        self.slack.bytes += cost;
        self.history_start = entry.sequence + 1;
    }

    fn trim_slack(&mut self) {
        // an ordinary history is slack enough: then nothing is kept behind it
        let max = self.slack_max;
        let needed = self.history.entries < max.entries && self.history.bytes < max.bytes;
        // the newest entry stays whatever it takes: streams that are open are to get it
        while self.slack.entries > 0 && self.entries.len() > 1 {
            let bytes = self.slack.bytes + self.topics.in_slack().bytes;
            if needed && self.slack.entries <= max.entries && bytes <= max.bytes {
                break;
            }
            self.pop_oldest();
        }
    }

    fn pop_oldest(&mut self) {
        let Some(entry) = self.entries.pop_front() else { return };
        self.gone_ms = entry.time_ms;
        for topic in &entry.topics {
            if let Some((topic, run)) = self.topics.pop(topic, entry.sequence, entry.time_ms) {
                if !self.is_tail && !self.latest.compacts(&topic) {
                    self.dropped.remember(topic, run);
                }
            }
        }
        if self.is_tail {
            self.latest.leave_memory(&entry);
        } else {
            self.latest.leave_history(&entry);
        }
        // what is on disk stays hidden there
        if entry.deletes() && !self.is_tail {
            entry.topics.iter().for_each(|topic| self.deletions.leave(topic, entry.sequence));
        }
        self.slack.entries -= 1;
        self.slack.bytes -= entry.cost();
    }

    /// The end behind which nothing can come that matches: the last one, when all matchers are exact names and all those
    /// topics have ended.
    pub(crate) fn finish(&self, matchers: &Matchers) -> Option<End> {
        if self.ends.is_empty() || !matchers.is_exact() {
            return None;
        }
        let ends = matchers.exact.iter().map(|topic| self.ends.end_of(topic));
        ends.collect::<Option<SmallVec<[End; 1]>>>()?.into_iter().max_by_key(|end| end.sequence)
    }

    /// The time from which on the entry is hidden from those who read these topics: its own, or when each of its topics that
    /// they read has ended and expired.
    pub(crate) fn expires_ms(&self, entry: &Entry, matchers: &Matchers) -> Option<u64> {
        let own = entry.expires_ms();
        if self.ends.is_empty() {
            return own;
        }
        let ends = entry.topics.iter().filter(|topic| matchers.matches(topic)).map(|topic| self.ends.end_of(topic));
        // one that has no end, or whose end does not expire, goes on for ever
        let times = ends.map(|end| end.and_then(|end| end.expires_ms).unwrap_or(u64::MAX));
        let topics = times.max().filter(|time| *time != u64::MAX);
        [own, topics].into_iter().flatten().min()
    }

    pub(crate) fn has_expired(&self, entry: &Entry, matchers: &Matchers, now_ms: u64) -> bool {
        self.expires_ms(entry, matchers).is_some_and(|time| time <= now_ms)
    }

    /// All that the retention counts: entries of the history, topic names, summary.
    pub(crate) fn bytes(&self) -> usize {
        self.history.bytes + self.topics.in_history().bytes + self.dropped.bytes() + self.ends.gone_bytes()
    }

    /// The number of the oldest entry that can be read.
    pub(crate) fn front(&self) -> u64 {
        self.entries.front().map_or(self.head + 1, |entry| entry.sequence)
    }

    fn index_of(&self, sequence: u64) -> usize {
        usize::try_from(sequence.saturating_sub(self.front())).unwrap_or(usize::MAX).min(self.entries.len())
    }

    /// The oldest entry of the history.
    pub(crate) fn oldest(&self) -> Option<&Arc<Entry>> {
        self.entries.get(self.index_of(self.history_start))
    }

    /// The entries with higher numbers than `cursor`.
    pub(crate) fn behind(&self, cursor: u64) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.range(self.index_of(cursor + 1)..)
    }

    /// The time of an entry, or for those that are gone a time at which all of them were there.
    fn time_of(&self, sequence: u64) -> u64 {
        if sequence < self.front() {
            return self.gone_ms;
        }
        self.entries.get(self.index_of(sequence)).map_or(self.newest_ms, |entry| entry.time_ms)
    }

    /// The sequence number that an id stands for, or why none does.
    pub(crate) fn find(&self, id: &str, epoch: Epoch) -> Result<u64, Reason> {
        if id.len() > EVENT_ID_BYTES_MAX {
            return Err(Reason::Unknown);
        }
        match Position::parse(id) {
            Ok(position) if position.epoch != epoch => Err(Reason::Epoch),
            Ok(position) if position.sequence > self.head => Err(Reason::Unknown),
            Ok(position) => Ok(position.sequence),
            Err(_) => {
                let id = EventId::new(id).map_err(|_| Reason::Unknown)?;
                self.publisher_ids
                    .get(&id)
                    .filter(|_| !self.left_ids.contains(&id))
                    .map(|uses| uses.first)
                    .ok_or(Reason::Unknown)
            }
        }
    }

    pub(crate) fn resume_at(&self, ms: u64, matchers: &Matchers) -> Result<Begin, Lost> {
        let earlier = self.entries.partition_point(|entry| entry.time_ms < ms);
        let mut cursor = self.front() + earlier as u64 - 1;
        if cursor < self.history_start {
            cursor = self.latest.before_time(ms, cursor);
        }
        self.resume(After::Time(ms), cursor, matchers)
    }

    /// Where a resume reads on: at `cursor`, if all that it asks for is still in the history.
    pub(crate) fn resume(&self, after: After, cursor: u64, matchers: &Matchers) -> Result<Begin, Lost> {
        let oldest = self.history_start - 1;
        let values = self.values_behind(cursor, oldest);
        let lost = |reason, missed: Missed| Lost { reason, missed: missed.number(), cursor: oldest, values };
        let missed = self.missed(after, matchers, self.history_start);
        if missed != Missed::Nothing {
            return Err(lost(Reason::Expired, missed));
        }
        if let Some(missed) = self.deletions.missed(after, oldest, matchers) {
            return Err(lost(Reason::Deleted, missed));
        }
        let values = values.map(|(_, snapshot)| snapshot);
        let cursor = if values.is_none() { cursor.max(oldest) } else { cursor };
        Ok(Begin { values, ..Begin::at(cursor) })
    }

    /// The resume of a reader whose place in the log is not known: it gets all that there is.
    pub(crate) fn resume_nowhere(&self, reason: Reason) -> Lost {
        let oldest = self.history_start - 1;
        Lost { reason, missed: None, cursor: oldest, values: self.values_behind(0, oldest) }
    }

    /// What compacted topics have beside the log up to `upto`, for a reader behind `cursor`.
    fn values_behind(&self, cursor: u64, upto: u64) -> Option<(u64, Snapshot)> {
        let (evictions, departures) = (self.latest.evictions(), self.departures.0);
        let snapshot = Snapshot { upto, from: upto + 1, evictions, departures, known: self.head };
        (self.latest.compacts_any() && cursor < upto).then_some((cursor, snapshot))
    }

    /// What a snapshot is taken of now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let (evictions, departures) = (self.latest.evictions(), self.departures.0);
        let from = self.values_from(self.history_start);
        Snapshot { upto: self.head, from, evictions, departures, known: self.head }
    }

    /// The values of `snapshot` behind `cursor`; nothing of the log behind them.
    pub(crate) fn read_values(
        &self,
        page: Retained,
        cursor: u64,
        snapshot: &Snapshot,
        matchers: &Matchers,
    ) -> Result<Read, Lost> {
        if self.has_lost_values(cursor, snapshot, matchers) {
            let (from, departures) = (self.values_from(self.front()), self.departures.0);
            let snapshot = Snapshot { from, evictions: u64::MAX, departures, known: self.head, ..*snapshot };
            let values = Some((cursor, snapshot));
            return Err(Lost { reason: Reason::Policy, missed: None, cursor: snapshot.upto, values });
        }
        match self.deletions.next(cursor, snapshot.known, matchers).filter(|hidden| hidden.last <= snapshot.upto) {
            Some(_) => {
                let values = Some((cursor, Snapshot { known: self.head, ..*snapshot }));
                Err(Lost { reason: Reason::Deleted, missed: None, cursor: snapshot.upto, values })
            }
            None => Ok(self.latest.read(page, cursor, snapshot, matchers)),
        }
    }

    /// Have values that a reader of `snapshot` should have had left the log, or been pushed out, since it began?
    fn has_lost_values(&self, cursor: u64, snapshot: &Snapshot, matchers: &Matchers) -> bool {
        let gone = (self.front() - 1).min(snapshot.upto);
        let known = cursor.max(snapshot.from.saturating_sub(1));
        let behind = |cursor| After::Sequence(cursor);
        let (departures, last) = self.departures;
        // of values that have left the disk it is not known which topics they were of
        (self.is_tail && snapshot.departures < departures && cursor < last)
            || (!self.is_tail && known < gone && self.missed(behind(known), matchers, gone + 1) != Missed::Nothing)
            || (snapshot.evictions < self.latest.evictions()
                && self.latest.missed(behind(cursor), matchers, true) != Missed::Nothing)
    }

    /// What of the entries before `horizon` a reader behind `after` should have had.
    fn missed(&self, after: After, matchers: &Matchers, horizon: u64) -> Missed {
        let newest = horizon - 1;
        if !after.is_before(newest, self.time_of(newest)) {
            return Missed::Nothing;
        }
        // places of deletions are nothing that is missed
        let from = match after {
            After::Sequence(sequence) => sequence,
            After::Time(_) => 0,
        };
        if self.latest.compacts_any() || (matchers.is_all() && self.deletions.any_behind(from)) {
            return self.missed_beside_values(after, matchers, horizon);
        }
        if matchers.is_all() {
            return match after {
                After::Sequence(sequence) => Missed::Events(newest - sequence),
                After::Time(_) => Missed::Unknown,
            };
        }
        let time_of = |sequence| self.time_of(sequence);
        if matchers.is_exact() {
            let run = |topic| self.topics.run(topic, horizon, time_of).unwrap_or_else(|| self.dropped.run(topic));
            let missed = matchers.exact.iter().map(|topic| run(topic).missed(after));
            let mut missed = missed.filter(|missed| *missed != Missed::Nothing);
            return match (missed.next(), missed.next()) {
                (None, _) => Missed::Nothing,
                (Some(only), None) => only,
                // an entry of two topics would be counted twice
                (Some(_), Some(_)) => Missed::Unknown,
            };
        }
        let runs = self.topics.runs(horizon, time_of).chain(self.dropped.runs());
        let mut behind = runs.filter(|(_, run)| run.missed(after) != Missed::Nothing).map(|(topic, _)| topic);
        let checks = MISSED_CHECKS / matchers.len();
        let found = behind.by_ref().take(checks).any(|topic| matchers.matches(topic));
        // with more topics than we may look at, one of the others could match
        if found || behind.next().is_some() { Missed::Unknown } else { self.dropped.missed_of_forgotten(after) }
    }

    /// [`Ring::missed`] where topics are compacted: of those only what was pushed out counts. What is not missed of one topic
    /// may be counted with another, so a number is known only where all topics are exact and none is compacted.
    fn missed_beside_values(&self, after: After, matchers: &Matchers, horizon: u64) -> Missed {
        let pushed_out = self.latest.missed(after, matchers, false);
        if pushed_out != Missed::Nothing {
            return pushed_out;
        }
        let time_of = |sequence| self.time_of(sequence);
        if matchers.is_exact() {
            let run = |topic| self.topics.run(topic, horizon, time_of).unwrap_or_else(|| self.dropped.run(topic));
            let topics = matchers.exact.iter().filter(|topic| !self.latest.compacts(topic));
            let mut missed = topics.map(|topic| run(topic).missed(after)).filter(|missed| *missed != Missed::Nothing);
            return match (missed.next(), matchers.len()) {
                (None, _) => Missed::Nothing,
                (Some(only), 1) => only,
                (Some(_), _) => Missed::Unknown,
            };
        }
        let runs = self.topics.runs(horizon, time_of).chain(self.dropped.runs());
        let behind = runs.filter(|(_, run)| run.missed(after) != Missed::Nothing).map(|(topic, _)| topic);
        let mut behind = behind.filter(|topic| !self.latest.compacts(topic));
        let checks = MISSED_CHECKS / matchers.len();
        let found = behind.by_ref().take(checks).any(|topic| matchers.matches(topic));
        if found || behind.next().is_some() { Missed::Unknown } else { self.dropped.missed_of_forgotten(after) }
    }

    /// The cursor behind which the newest `number` entries of exact names lie; 0 if there are not as many. With a time, those
    /// that have expired by then do not count.
    pub(crate) fn before_last_exact(&self, number: usize, matchers: &Matchers, now_ms: Option<u64>) -> u64 {
        let mut newest: Vec<u64> = Vec::new();
        let counts = |sequence: &u64| match (now_ms, self.entries.get(self.index_of(*sequence))) {
            (Some(now_ms), Some(entry)) => !self.has_expired(entry, matchers, now_ms),
            _ => true,
        };
        for positions in matchers.exact.iter().filter_map(|topic| self.topics.positions(topic)) {
            newest.extend(positions.iter().rev().copied().filter(counts).take(number));
        }
        newest.sort_unstable_by(|a, b| b.cmp(a));
        newest.dedup(); // an entry of two of the topics
        newest.get(number - 1).map_or(0, |sequence| sequence - 1)
    }

    /// Looks back from `end` for entries that match until `left` of them are found, one step at a time. Gives back the
    /// cursor before the last one looked at.
    pub(crate) fn scan_back(&self, end: u64, left: &mut usize, matchers: &Matchers, now_ms: Option<u64>) -> u64 {
        let steps = scan_entries(matchers);
        let mut cursor = end;
        for entry in self.entries.range(..self.index_of(end + 1)).rev().take(steps) {
            cursor = entry.sequence - 1;
            if self.is_match(entry, matchers) && now_ms.is_none_or(|now_ms| !self.has_expired(entry, matchers, now_ms))
            {
                *left -= 1;
                if *left == 0 {
                    return cursor;
                }
            }
        }
        if cursor < self.front() { 0 } else { cursor }
    }

    pub(crate) fn read(&self, page: Retained, behind: Behind, matchers: &Matchers) -> Result<Read, Lost> {
        let Behind { mut cursor, known } = behind;
        let hidden = self.deletions.next(cursor, known, matchers);
        let gone = self.front() - 1;
        let mut page = PageBuilder::new(page);
        if cursor < gone {
            let values = self.values_behind(cursor, gone);
            let lost = |reason, missed: Missed| Lost { reason, missed: missed.number(), cursor: gone, values };
            let missed = self.missed(After::Sequence(cursor), matchers, gone + 1);
            if missed != Missed::Nothing {
                return Err(lost(Reason::Policy, missed));
            }
            if let Some(hidden) = hidden.filter(|hidden| hidden.last <= gone) {
                return Err(lost(Reason::Deleted, hidden.missed));
            }
            if let Some((_, snapshot)) = values {
                if let Some(cursor) = self.latest.read_into(&mut page, cursor, &snapshot, matchers) {
                    return Ok(page.finish(cursor, true));
                }
            }
            cursor = gone;
        }
        // at the last entry that is hidden the page ends
        let end = hidden.map_or(self.head, |hidden| hidden.last);
        if matchers.is_exact() {
            let lists = matchers.exact.iter().filter_map(|topic| self.topics.positions(topic));
            let mut merge = Merge::new(lists, cursor);
            while let Some(sequence) = merge.next().filter(|sequence| *sequence <= end) {
                if page.is_full() {
                    return Ok(page.finish(sequence - 1, true));
                }
                page.push(self.entries.get(self.index_of(sequence)));
            }
        } else {
            let steps = scan_entries(matchers);
            for (looked_at, entry) in self.behind(cursor).take_while(|entry| entry.sequence <= end).enumerate() {
                if page.is_full() || looked_at == steps {
                    return Ok(page.finish(entry.sequence - 1, true));
                }
                if self.is_match(entry, matchers) {
                    page.push(Some(entry));
                }
            }
        }
        Ok(Read { hidden, ..page.finish(end, hidden.is_some()) })
    }

    /// Does it come as one of these topics, and not only as one that was deleted since?
    pub(crate) fn is_match(&self, entry: &Entry, matchers: &Matchers) -> bool {
        let mut topics = entry.topics.iter().filter(|topic| !self.deletions.hides(topic, entry.sequence));
        topics.any(|topic| matchers.matches(topic)) && !entry.deletes()
    }
}

/// How many entries one step may look at: fewer with many patterns, so that a step takes about as long.
pub(crate) fn scan_entries(matchers: &Matchers) -> usize {
    (SCAN_ENTRIES / matchers.patterns.len().max(1)).max(PAGE_ENTRIES)
}

/// A page that fills up.
pub(crate) struct PageBuilder {
    max: Retained,
    entries: Vec<Arc<Entry>>,
    bytes: usize,
}

impl PageBuilder {
    pub(crate) fn new(max: Retained) -> Self {
        Self { max, entries: Vec::new(), bytes: 0 }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() >= self.max.entries || self.bytes >= self.max.bytes
    }

    pub(crate) fn push(&mut self, entry: Option<&Arc<Entry>>) {
        if let Some(entry) = entry {
            self.bytes += entry.frame().chunk().len();
            self.entries.push(Arc::clone(entry));
        }
    }

    pub(crate) fn finish(self, cursor: u64, more: bool) -> Read {
        Read { entries: self.entries, cursor, more, hidden: None }
    }
}

/// The positions of several topics as one ascending run without doubles.
pub(crate) struct Merge<'a> {
    lists: SmallVec<[(&'a VecDeque<u64>, usize); 4]>,
}

impl<'a> Merge<'a> {
    pub(crate) fn new(lists: impl Iterator<Item = &'a VecDeque<u64>>, cursor: u64) -> Self {
        Self { lists: lists.map(|list| (list, list.partition_point(|sequence| *sequence <= cursor))).collect() }
    }

    pub(crate) fn next(&mut self) -> Option<u64> {
        let next = self.lists.iter().filter_map(|(list, at)| list.get(*at)).min().copied()?;
        for (list, at) in &mut self.lists {
            if list.get(*at) == Some(&next) {
                *at += 1;
            }
        }
        Some(next)
    }
}
