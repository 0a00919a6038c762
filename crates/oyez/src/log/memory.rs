//! The log in memory: a ring of entries, read by cursors.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use oyez_proto::EventId;
use smallvec::SmallVec;

use crate::gap::{Gap, Reason};
use crate::limits::{EVENT_ID_BYTES_MAX, PAGE_BYTES, PAGE_ENTRIES, SCAN_ENTRIES, SLACK_BYTES, SLACK_ENTRIES};
use crate::log::dropped::{After, Dropped, Missed};
use crate::log::entry::{Draft, Entry};
use crate::log::topics::Topics;
use crate::log::{Retained, Retention};
use crate::matcher::Matchers;
use crate::position::{Epoch, Position};
use crate::publish::Publish;
use crate::sync::RwLock;

/// The log of one hub. Appending takes the write lock for as long as the places are given out; reading a page takes
/// the read lock for at most [`PAGE_ENTRIES`] references.
pub(crate) struct Log {
    pub(crate) epoch: Epoch,
    retention: Retention,
    ring: RwLock<Ring>,
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
    pub(crate) fn new(epoch: Epoch, retention: Retention) -> Self {
        Self { epoch, retention, ring: RwLock::new(Ring::default()) }
    }

    /// Appends all of `batch`, in order and without anything in between. Returns their ids.
    pub(crate) fn append(&self, batch: Vec<Publish>, now_ms: u64) -> Vec<EventId> {
        let drafts: Vec<_> = batch.into_iter().map(Draft::new).collect();
        let mut ids = Vec::with_capacity(drafts.len());
        let mut ring = self.ring.write();
        for draft in drafts {
            let entry = ring.append(draft, self.epoch, now_ms);
            ids.push(entry.event_id(self.epoch));
        }
        ring.trim(&self.retention, now_ms);
        ids
    }

    /// Finds the place where `start` begins, and says what a resume has missed.
    pub(crate) fn begin(&self, start: &Start, matchers: &Matchers, now_ms: u64) -> Begin {
        if self.retention.age.is_some() {
            self.ring.write().trim(&self.retention, now_ms);
        }
        self.ring.read().begin(start, matchers, self.epoch)
    }

    /// Reads the next entries behind `cursor` that match. At most a page of them, after looking at a bounded number.
    pub(crate) fn read(&self, cursor: u64, matchers: &Matchers) -> Page {
        self.ring.read().read(cursor, matchers, self.epoch)
    }

    /// Appends to `out` what follows `cursor`, whatever its topics; at most `max` entries.
    pub(crate) fn follow(&self, cursor: u64, max: usize, out: &mut Vec<Arc<Entry>>) {
        let ring = self.ring.read();
        let from = ring.index_of(cursor + 1);
        out.extend(ring.entries.iter().skip(from).take(max).cloned());
    }

    /// The newest entry that matches, if it is the only one of its first topic behind it: what `latest` keeps.
    pub(crate) fn is_newest_of_its_topic(&self, entry: &Entry) -> bool {
        let ring = self.ring.read();
        let newest = entry.topics.first().and_then(|topic| ring.topics.positions(topic)?.back().copied());
        newest.is_none_or(|newest| newest == entry.sequence)
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

    pub(crate) fn summary(&self) -> Summary {
        let ring = self.ring.read();
        let oldest = ring.entries.get(ring.index_of(ring.history_start)).map(|entry| entry.sequence);
        let kept = Retained { bytes: ring.bytes(), ..ring.history };
        Summary { kept, topics: ring.topics.len(), oldest, head: ring.head }
    }
}

/// Figures of the log at one moment.
pub(crate) struct Summary {
    pub(crate) kept: Retained,
    pub(crate) topics: usize,
    pub(crate) oldest: Option<u64>,
    pub(crate) head: u64,
}

#[derive(Default)]
struct Ring {
    /// Numbers follow each other without a hole, up to `head`.
    entries: VecDeque<Arc<Entry>>,
    head: u64,
    newest_ms: u64,
    /// The first number that still belongs to the history. What the ring holds before it is slack: only streams that
    /// are open already may read it.
    history_start: u64,
    history: Retained,
    slack: Retained,
    topics: Topics,
    publisher_ids: HashMap<EventId, u64>,
    dropped: Dropped,
}

impl Ring {
    fn append(&mut self, draft: Draft, epoch: Epoch, now_ms: u64) -> &Entry {
        // a clock that is set back must not put entries out of the order that `since=` searches
        self.newest_ms = self.newest_ms.max(now_ms);
        self.head += 1;
        if self.entries.is_empty() {
            self.history_start = self.head;
        }
        for topic in draft.topics() {
            self.topics.add(topic, self.head, |topic| self.dropped.recall(topic));
        }
        let entry = Arc::new(draft.place(Position { epoch, sequence: self.head }, self.newest_ms));
        if let Some(id) = &entry.publisher_id {
            // an id that is used again still names the earliest entry that has it
            self.publisher_ids.entry(id.clone()).or_insert(self.head);
        }
        self.history.entries += 1;
        self.history.bytes += entry.cost();
        self.entries.push_back(entry);
        self.entries.back().expect("it was just put there")
    }

    /// Moves what the retention does not keep from the history to the slack, and what the slack has no room for away.
    fn trim(&mut self, retention: &Retention, now_ms: u64) {
        while let Some(oldest) = self.entries.get(self.index_of(self.history_start)).cloned() {
            let kept = Retained { bytes: self.bytes(), ..self.history };
            if !retention.is_exceeded(kept, oldest.time_ms, now_ms) {
                break;
            }
            self.leave_history(&oldest);
            self.trim_slack();
        }
        self.trim_slack();
    }

    fn leave_history(&mut self, entry: &Entry) {
        self.dropped.add(entry.sequence, entry.time_ms);
        for topic in &entry.topics {
            self.topics.leave_history(topic, entry.sequence, entry.time_ms);
        }
        if let Some(id) = &entry.publisher_id {
            if self.publisher_ids.get(id) == Some(&entry.sequence) {
                self.publisher_ids.remove(id);
            }
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
        let needed = self.history.entries < SLACK_ENTRIES && self.history.bytes < SLACK_BYTES;
        while self.slack.entries > 0 {
            let fits = self.slack.entries <= SLACK_ENTRIES && self.slack.bytes <= SLACK_BYTES;
            if needed && fits {
                break;
            }
            self.pop_oldest();
        }
    }

    fn pop_oldest(&mut self) {
        let Some(entry) = self.entries.pop_front() else { return };
        for topic in &entry.topics {
            if let Some((topic, dropped)) = self.topics.pop(topic) {
                self.dropped.remember(topic, dropped);
            }
        }
        self.slack.entries -= 1;
        self.slack.bytes -= entry.cost();
    }

    /// All that the retention counts: entries of the history, topic names, summary.
    fn bytes(&self) -> usize {
        self.history.bytes + self.topics.bytes() + self.dropped.bytes()
    }

    /// The number of the oldest entry that can be read.
    fn front(&self) -> u64 {
        self.entries.front().map_or(self.head + 1, |entry| entry.sequence)
    }

    fn index_of(&self, sequence: u64) -> usize {
        usize::try_from(sequence.saturating_sub(self.front())).unwrap_or(usize::MAX)
    }

    fn begin(&self, start: &Start, matchers: &Matchers, epoch: Epoch) -> Begin {
        let history = self.history_start.saturating_sub(1).min(self.head);
        match start {
            Start::Live => Begin { cursor: self.head, gap: None },
            Start::Earliest => Begin { cursor: history, gap: None },
            Start::Last(number) => Begin { cursor: self.before_last(*number, matchers).max(history), gap: None },
            Start::Id(id) => match self.find(id, epoch) {
                Ok(sequence) => self.resume(After::Sequence(sequence), sequence, id, matchers, epoch),
                Err(reason) => self.begin_with_gap(reason, id, None, matchers, epoch),
            },
            Start::Time(ms, written) => {
                let index = self.entries.partition_point(|entry| entry.time_ms < *ms);
                let cursor = self.front() + index as u64 - 1;
                self.resume(After::Time(*ms), cursor, written, matchers, epoch)
            }
        }
    }

    /// The sequence number that an id stands for, or why none does.
    fn find(&self, id: &str, epoch: Epoch) -> Result<u64, Reason> {
        if id.len() > EVENT_ID_BYTES_MAX {
            return Err(Reason::Unknown);
        }
        match Position::parse(id) {
            Ok(position) if position.epoch != epoch => Err(Reason::Epoch),
            Ok(position) if position.sequence > self.head => Err(Reason::Unknown),
            Ok(position) => Ok(position.sequence),
            Err(_) => {
                let id = EventId::new(id).map_err(|_| Reason::Unknown)?;
                self.publisher_ids.get(&id).copied().ok_or(Reason::Unknown)
            }
        }
    }

    fn resume(&self, after: After, cursor: u64, requested: &str, matchers: &Matchers, epoch: Epoch) -> Begin {
        match self.missed(after, matchers) {
            Missed::Nothing => {
                Begin { cursor: cursor.max(self.history_start.saturating_sub(1)).min(self.head), gap: None }
            }
            Missed::Events(number) => self.begin_with_gap(Reason::Expired, requested, Some(number), matchers, epoch),
            Missed::Unknown => self.begin_with_gap(Reason::Expired, requested, None, matchers, epoch),
        }
    }

    fn begin_with_gap(
        &self,
        reason: Reason,
        requested: &str,
        missed: Option<u64>,
        matchers: &Matchers,
        epoch: Epoch,
    ) -> Begin {
        let gap = self.gap(reason, requested, missed, self.history_start.saturating_sub(1), matchers, epoch);
        Begin { cursor: gap.position.sequence, gap: Some(gap) }
    }

    /// A gap that ends before the first entry behind `cursor` that matches, or at the head.
    fn gap(
        &self,
        reason: Reason,
        requested: &str,
        missed: Option<u64>,
        cursor: u64,
        matchers: &Matchers,
        epoch: Epoch,
    ) -> Gap {
        let first = self.next_match(cursor, matchers);
        let oldest = first.and_then(|sequence| self.entries.get(self.index_of(sequence)));
        Gap {
            reason,
            requested: requested.to_owned(),
            oldest: oldest.map(|entry| entry.event_id(epoch)),
            missed,
            position: Position { epoch, sequence: first.map_or(self.head, |first| first - 1) },
        }
    }

    fn missed(&self, after: After, matchers: &Matchers) -> Missed {
        self.dropped.missed(after, matchers, |topic| self.topics.dropped(topic), self.topics.all_dropped())
    }

    fn next_match(&self, cursor: u64, matchers: &Matchers) -> Option<u64> {
        if matchers.is_exact() {
            return Merge::new(self, cursor, matchers).next();
        }
        let mut behind = self.entries.iter().skip(self.index_of(cursor + 1));
        behind.find(|entry| is_match(entry, matchers)).map(|entry| entry.sequence)
    }

    /// The cursor behind which the newest `number` entries that match lie.
    fn before_last(&self, number: usize, matchers: &Matchers) -> u64 {
        if number == 0 {
            return self.head;
        }
        let oldest_of_them = if matchers.is_exact() {
            let mut newest: Vec<u64> = Vec::new();
            for positions in matchers.exact.iter().filter_map(|topic| self.topics.positions(topic)) {
                newest.extend(positions.iter().rev().take(number));
            }
            newest.sort_unstable_by(|a, b| b.cmp(a));
            newest.dedup(); // an entry of two of the topics
            newest.get(number - 1).copied()
        } else {
            let mut newest_first = self.entries.iter().rev().filter(|entry| is_match(entry, matchers));
            newest_first.nth(number - 1).map(|entry| entry.sequence)
        };
        oldest_of_them.map_or(0, |sequence| sequence - 1)
    }

    fn read(&self, cursor: u64, matchers: &Matchers, epoch: Epoch) -> Page {
        let front = self.front();
        if cursor + 1 < front {
            let missed = match self.missed(After::Sequence(cursor), matchers) {
                Missed::Nothing => return self.read(front - 1, matchers, epoch),
                Missed::Events(number) => Some(number),
                Missed::Unknown => None,
            };
            let requested = Position { epoch, sequence: cursor }.to_string();
            // open streams may still read the slack, so less is missing than has left the history
            let missed = missed.filter(|_| self.slack.entries == 0);
            return Page::Lost(self.gap(Reason::Policy, &requested, missed, front - 1, matchers, epoch));
        }
        let mut page = PageBuilder::default();
        if matchers.is_exact() {
            let mut merge = Merge::new(self, cursor, matchers);
            while let Some(sequence) = merge.next() {
                if page.is_full() {
                    return page.finish(sequence - 1, true);
                }
                page.push(self.entries.get(self.index_of(sequence)));
            }
        } else {
            for (looked_at, entry) in self.entries.iter().skip(self.index_of(cursor + 1)).enumerate() {
                if page.is_full() || looked_at == SCAN_ENTRIES {
                    return page.finish(entry.sequence - 1, true);
                }
                if is_match(entry, matchers) {
                    page.push(Some(entry));
                }
            }
        }
        page.finish(self.head, false)
    }
}

fn is_match(entry: &Entry, matchers: &Matchers) -> bool {
    entry.topics.iter().any(|topic| matchers.matches(topic))
}

#[derive(Default)]
struct PageBuilder {
    entries: Vec<Arc<Entry>>,
    bytes: usize,
}

impl PageBuilder {
    fn is_full(&self) -> bool {
        self.entries.len() >= PAGE_ENTRIES || self.bytes >= PAGE_BYTES
    }

    fn push(&mut self, entry: Option<&Arc<Entry>>) {
        if let Some(entry) = entry {
            self.bytes += entry.frame().len();
            self.entries.push(Arc::clone(entry));
        }
    }

    fn finish(self, cursor: u64, more: bool) -> Page {
        Page::Read { entries: self.entries, cursor, more }
    }
}

/// The positions of several topics as one ascending run without doubles.
struct Merge<'a> {
    lists: SmallVec<[(&'a VecDeque<u64>, usize); 4]>,
}

impl<'a> Merge<'a> {
    fn new(ring: &'a Ring, cursor: u64, matchers: &Matchers) -> Self {
        let lists = matchers.exact.iter().filter_map(|topic| ring.topics.positions(topic));
        Self { lists: lists.map(|list| (list, list.partition_point(|sequence| *sequence <= cursor))).collect() }
    }

    fn next(&mut self) -> Option<u64> {
        let next = self.lists.iter().filter_map(|(list, at)| list.get(*at)).min().copied()?;
        for (list, at) in &mut self.lists {
            if list.get(*at) == Some(&next) {
                *at += 1;
            }
        }
        Some(next)
    }
}
