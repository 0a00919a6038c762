//! The newest part of the log: entries in memory, read by cursors.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use oyez_proto::EventId;

use crate::Topic;
use crate::clock::LogClock;
use crate::limits::{
    DROPPED_SUMMARY_BYTES, LATEST_BYTES, LATEST_VALUES, MISSED_CHECKS, MISSED_WALK, SEARCH_ENTRIES, SLACK_BYTES,
    SLACK_ENTRIES,
};
use crate::log::deletions::Outlived;
use crate::log::draft::Draft;
use crate::log::ends::End;
use crate::log::entry::Entry;
use crate::log::facts::Facts;
use crate::log::gone::{After, Dropped, DroppedRun, Gone, GoneBounds, Missed};
use crate::log::latest::Latest;
use crate::log::loss::Loss;
use crate::log::page::{Behind, Merge, MergeBack, PageBuilder, Read};
use crate::log::snapshot::Snapshot;
use crate::log::step::Step;
use crate::log::topics::{Popped, Topics};
use crate::log::{Retained, Retention};
use crate::matcher::Matchers;
use crate::position::{Epoch, Position};

/// Bounds of what the log keeps in addition to the history.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Entries that only open streams may still read.
    pub(crate) slack: Retained,
    /// The summary of topics without an entry, and the same for dropped ends.
    pub(crate) summary_bytes: usize,
    /// The newest entry of each key.
    pub(crate) latest: Retained,
}

impl Bounds {
    /// The bounds of a tail over storage that keeps everything.
    pub(crate) fn over_what_keeps() -> Self {
        Self { slack: Retained::default(), ..Self::default() }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        let slack = Retained { entries: SLACK_ENTRIES, bytes: SLACK_BYTES };
        let latest = Retained { entries: LATEST_VALUES, bytes: LATEST_BYTES };
        Self { slack, summary_bytes: DROPPED_SUMMARY_BYTES, latest }
    }
}

/// The tail, which the log's lock guards. Its sequence numbers have no hole:
///
/// ```text
///    1 ………………… front ………… history_start ………… head
/// gone, or below        slack              history
/// ```
pub(crate) struct Tail {
    pub(crate) retention: Retention,
    slack_max: Retained,
    /// The first number of the tail. Every entry from this number on is among `entries`.
    front: u64,
    /// Their numbers follow each other; the last is `head`.
    entries: VecDeque<Arc<Entry>>,
    pub(crate) head: u64,
    newest_ms: u64,
    /// The first number of the history; `head + 1` if the history is empty. Earlier entries of the tail are slack: only streams
    /// that are already open may read them.
    pub(crate) history_start: u64,
    pub(crate) history: Retained,
    slack: Retained,
    pub(crate) topics: Topics,
    publisher_ids: HashMap<EventId, Uses>,
    pub(crate) facts: Facts,
    /// The summary of dropped entries. None over storage, which has its own.
    gone: Option<Gone>,
    departed: Departed,
}

/// What was dropped from the storage below the tail.
#[derive(Default)]
struct Departed {
    /// Everything up to this number was dropped, and perhaps some later entries.
    through: u64,
    /// The number of dropped values, and the newest of them.
    values: u64,
    newest_value: u64,
}

/// The entries with the same publisher's id. The id stands for the first of them. This stays so after the first one was dropped,
/// while another is retained: a resume from it is then told what it missed. When all were dropped, the id stands for none.
struct Uses {
    first: u64,
    last: u64,
}

/// What is kept of entries that are dropped from below the tail.
#[derive(Default)]
pub(crate) struct Remains {
    pub(crate) values: Vec<Arc<Entry>>,
    pub(crate) ends: Vec<(u64, Topic)>,
    pub(crate) deletions: Vec<Outlived>,
}

/// Entries that are dropped from below: some of those up to a number.
pub(crate) struct Departure {
    pub(crate) through: u64,
    /// The oldest retained entry.
    pub(crate) oldest: u64,
    /// The dropped entries that later ones depend on: values and ends of topics.
    pub(crate) marks: HashSet<u64>,
}

impl Tail {
    /// The empty tail of a log in memory, or with `keeps`, of a log whose storage keeps everything.
    pub(crate) fn new(
        retention: Retention,
        bounds: Bounds,
        compact: Matchers,
        keeps: bool,
        clock: Arc<LogClock>,
    ) -> Self {
        // the summary of dropped entries must not crowd out a small history
        let summary_bytes = bounds.summary_bytes.min(retention.bytes / 16);
        let gone_bounds = GoneBounds { summary_bytes, history_bytes: retention.bytes };
        let gone_ends_bytes = if keeps { DROPPED_SUMMARY_BYTES } else { summary_bytes };
        Self {
            retention,
            slack_max: bounds.slack,
            front: 1,
            entries: VecDeque::new(),
            head: 0,
            newest_ms: 0,
            history_start: 1,
            history: Retained::default(),
            slack: Retained::default(),
            topics: Topics::default(),
            publisher_ids: HashMap::new(),
            facts: Facts::new(Latest::new(compact, bounds.latest), gone_ends_bytes, clock),
            gone: (!keeps).then(|| Gone::over_nothing(gone_bounds)),
            departed: Departed::default(),
        }
    }

    pub(crate) fn append(&mut self, mut draft: Draft, epoch: Epoch, now_ms: u64) -> &Arc<Entry> {
        // times must never go back, because `since=` searches by them
        self.newest_ms = self.newest_ms.max(now_ms);
        let sequence = self.head + 1;
        let deletes = draft.extras().is_some_and(|extras| extras.deletes.is_some());
        let Self { topics, facts, gone, .. } = self;
        for topic in draft.topics_mut().iter_mut().filter(|_| !deletes) {
            let recall = |topic: &Topic| match gone {
                // losses of compacted topics are not reported, so none is recorded
                Some(gone) if !facts.latest.compacts(topic) => gone.topics_over_nothing_mut().recall(topic),
                _ => DroppedRun::default(),
            };
            *topic = topics.add(topic, sequence, self.history_start, recall).clone();
        }
        self.push(Arc::new(draft.place(Position { epoch, sequence }, self.newest_ms)))
    }

    /// Adds the next entry, which is already stored below. Its number follows the head.
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

    fn learn(&mut self, entry: &Arc<Entry>) {
        if let Some(last_below) = entry.extras().and_then(|extras| extras.deletes) {
            entry.topics.iter().for_each(|topic| self.hide(topic, entry, last_below));
        }
        self.facts.learn(entry);
    }

    /// When the hub starts: learns from an entry that stays below only.
    pub(crate) fn recall(&mut self, entry: &Arc<Entry>) {
        self.learn(entry);
        self.facts.latest.leave_memory(entry);
        self.facts.hide_again(entry);
    }

    /// Entries are dropped from below. Returns what must be kept of all dropped entries: values of compacted topics, ends of
    /// topics, and deletions that still hide entries.
    pub(crate) fn drop_below(&mut self, departure: &Departure) -> Remains {
        let Departure { through, oldest, marks } = departure;
        let through = *through;
        self.departed.through = self.departed.through.max(through);
        // entries dropped below must not be read from memory either: their readers get a gap
        while let Some(oldest) = self.oldest().filter(|entry| entry.sequence <= through).cloned() {
            self.leave_history(&oldest);
        }
        // here not even the newest one stays
        while self.slack.entries > 0 {
            self.pop_oldest();
        }
        for entry in self.facts.latest.up_to(through) {
            if marks.contains(&entry.sequence) && self.facts.latest.leave_history(&entry) {
                self.departed.values += 1;
                self.departed.newest_value = self.departed.newest_value.max(entry.sequence);
            }
        }
        for (topic, sequence) in self.facts.ends.up_to(through) {
            if marks.contains(&sequence) {
                self.facts.ends.leave_history(&topic, sequence);
            }
        }
        let mut values = self.facts.latest.up_to(self.departed.through);
        values.retain(|entry| self.facts.latest.is_compacted(entry));
        // a value of one topic may also have been one of another topic, which was deleted
        let oldest = values.first().map_or(*oldest, |value| value.sequence.min(*oldest));
        Remains {
            values,
            ends: self.facts.ends.gone().cloned().collect(),
            deletions: self.facts.deletions.outlived(self.departed.through, oldest),
        }
    }

    /// When the hub starts: restores what [`drop_below`](Self::drop_below) returned when entries up to `gone_through` were dropped.
    /// Returns the values, which must be recalled at their positions among the stored entries.
    pub(crate) fn recall_remains(&mut self, remains: Remains, gone_through: u64) -> Vec<Arc<Entry>> {
        let Remains { values, ends, deletions } = remains;
        self.departed.through = gone_through;
        self.facts.deletions.recall(&deletions);
        for (sequence, topic) in ends {
            self.facts.ends.note(topic.clone(), End { sequence, expires_ms: None, is_gone: false });
            self.facts.ends.leave_history(&topic, sequence);
        }
        values
    }

    /// When the hub starts: restores a value that was dropped from below.
    pub(crate) fn recall_value(&mut self, value: &Arc<Entry>) {
        self.facts.latest.note(value);
        self.facts.latest.leave_history(value);
        self.facts.hide_again(value); // it may be the value of only one of its topics
    }

    /// The values of compacted topics after `cursor` and up to `upto` that were dropped from below, if there may be any.
    pub(crate) fn remaining(&self, cursor: u64, upto: u64) -> Option<Snapshot> {
        let upto = upto.min(self.departed.through);
        let snapshot = Snapshot { upto, from: u64::MAX, evictions: 0, departures: 0, known: u64::MAX };
        (self.facts.latest.compacts_any() && cursor < upto).then_some(snapshot)
    }

    /// The cursor of a reader that wants everything from this time on; the stored entries of that time lie after `cursor`. The
    /// reader also gets values dropped from below, but only those of this time or later.
    pub(crate) fn before_values_of(&self, ms: u64, cursor: u64) -> u64 {
        if !self.facts.latest.compacts_any() {
            return cursor;
        }
        self.facts.latest.before_time(ms, cursor).max(self.facts.latest.last_before(ms))
    }

    /// Values before this number are sent only of compacted topics. Over storage, entries of other topics leave the values when
    /// they are dropped, class by class.
    fn values_from(&self, start: u64) -> u64 {
        if self.gone.is_some() { start } else { 0 }
    }

    /// Begins after this number: earlier entries are stored below.
    pub(crate) fn begin_after(&mut self, sequence: u64) {
        (self.head, self.front, self.history_start) = (sequence, sequence + 1, sequence + 1);
    }

    /// Continues after this number; the skipped ones name no entry. The tail's numbers must have no hole, so it forgets its
    /// entries, which are stored below.
    pub(crate) fn skip(&mut self, sequence: u64) {
        if sequence <= self.head {
            return;
        }
        while self.history.entries > 0 {
            let Some(oldest) = self.oldest().cloned() else { break };
            self.leave_history(&oldest);
        }
        while self.slack.entries > 0 {
            self.pop_oldest();
        }
        self.head = sequence;
        self.history_start = sequence + 1;
    }

    /// Hides all entries of `topic` before its deletion. Of the stored ones only the last is known.
    fn hide(&mut self, topic: &Topic, deletion: &Entry, last_below: u64) {
        let front = self.entries.front().map_or(deletion.sequence, |entry| entry.sequence);
        let Self { topics, entries, facts, gone, .. } = self;
        let values = facts.latest.forget_topic(topic, front);
        let time_of = |sequence: u64| {
            let entry = usize::try_from(sequence - front).ok().and_then(|at| entries.get(at));
            entry.map_or(deletion.time_ms, |entry| entry.time_ms)
        };
        let (mut hidden, run) = topics.hide(topic, self.history_start, values, time_of);
        match (gone, run) {
            (Some(gone), Some(run)) if !facts.latest.compacts(topic) => {
                gone.topics_over_nothing_mut().remember(topic.clone(), run);
            }
            (Some(_), _) => {}
            (None, _) => hidden.and_unknown(last_below, deletion.time_ms),
        }
        facts.ends.forget(topic, deletion.sequence);
        facts.deletions.note(topic, deletion.sequence, hidden);
    }

    /// Moves entries that exceed the retention from the history to the slack, and drops what exceeds the slack.
    pub(crate) fn trim(&mut self, now_ms: u64) {
        self.facts.once.forget(now_ms);
        loop {
            // before the check, because the summary of dropped entries counts too
            self.trim_slack();
            let Some(oldest) = self.oldest().cloned() else { return };
            let kept = Retained { bytes: self.bytes(), ..self.history };
            if !self.retention.is_exceeded(kept, || self.clock().age_ms(oldest.time_ms, now_ms)) {
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
                if let Some(gone) = &mut self.gone {
                    gone.ids.note(id);
                }
            }
        }
        if let (Some(topic), Some(_)) = (entry.ended_topic(), &self.gone) {
            self.facts.ends.leave_history(topic, entry.sequence);
        }
        let cost = entry.cost();
        self.history.entries -= 1;
        self.history.bytes -= cost;
        self.slack.entries += 1;
        self.slack.bytes += cost;
        self.history_start = entry.sequence + 1;
    }

    fn trim_slack(&mut self) {
        // an ordinary history needs no slack
        let max = self.slack_max;
        let needed = self.history.entries < max.entries && self.history.bytes < max.bytes;
        // the newest entry always stays, so that open streams get it
        while self.slack.entries > 0 && self.entries.len() > 1 {
            let bytes = self.slack.bytes + self.topics.in_slack().bytes;
            if needed && self.slack.entries <= max.entries && bytes <= max.bytes {
                break;
            }
            self.pop_oldest();
        }
    }

    /// Removes the oldest entry from the tail. In a log in memory that drops it.
    fn pop_oldest(&mut self) {
        let Some(entry) = self.entries.pop_front() else { return };
        self.front = entry.sequence + 1;
        let Self { topics, facts, gone, .. } = self;
        for topic in &entry.topics {
            let popped = topics.pop(topic, entry.sequence, entry.time_ms);
            let Some(gone) = gone.as_mut().filter(|_| !matches!(popped, Popped::Hidden)) else { continue };
            gone.recent.note(entry.sequence, topic);
            if let Popped::Last(topic, run) = popped {
                if !facts.latest.compacts(&topic) {
                    gone.topics_over_nothing_mut().remember(topic, run);
                }
            }
        }
        match gone {
            Some(gone) => {
                gone.note_time(entry.time_ms);
                facts.leave(&entry);
            }
            None => facts.latest.leave_memory(&entry),
        }
        self.slack.entries -= 1;
        self.slack.bytes -= entry.cost();
    }

    pub(crate) fn clock(&self) -> &Arc<LogClock> {
        self.facts.once.clock()
    }

    /// The bytes that the retention counts: entries of the history, topic names, summary.
    pub(crate) fn bytes(&self) -> usize {
        let summary = self.dropped().map_or(0, Dropped::bytes);
        self.history.bytes + self.topics.in_history().bytes + summary + self.facts.ends.gone_bytes()
    }

    /// The summary of topics without an entry in the tail.
    fn dropped(&self) -> Option<&Dropped> {
        self.gone.as_ref().map(Gone::topics_over_nothing)
    }

    /// The first number of the tail.
    pub(crate) fn front(&self) -> u64 {
        self.front
    }

    fn index_of(&self, sequence: u64) -> usize {
        let first = self.head + 1 - self.entries.len() as u64;
        usize::try_from(sequence.saturating_sub(first)).unwrap_or(usize::MAX).min(self.entries.len())
    }

    /// The oldest entry of the history.
    pub(crate) fn oldest(&self) -> Option<&Arc<Entry>> {
        self.entries.get(self.index_of(self.history_start))
    }

    /// The entries with higher numbers than `cursor`.
    pub(crate) fn after(&self, cursor: u64) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.range(self.index_of(cursor + 1)..)
    }

    /// The time of an entry. For dropped entries, a time at which all of them were there.
    fn time_of(&self, sequence: u64) -> u64 {
        if sequence < self.front() {
            return self.gone.as_ref().map_or(0, Gone::newest_ms);
        }
        self.entries.get(self.index_of(sequence)).map_or(self.newest_ms, |entry| entry.time_ms)
    }

    /// The first entry with this publisher's id: a retained one, or a dropped one while another is retained.
    pub(crate) fn find_publisher_id(&self, id: &EventId) -> Option<u64> {
        let has_left = self.gone.as_ref().is_some_and(|gone| gone.ids.contains(id));
        self.publisher_ids.get(id).filter(|_| !has_left).map(|uses| uses.first)
    }

    /// For a log in memory: the cursor after which all entries of this time or later lie.
    pub(crate) fn before_time(&self, ms: u64) -> u64 {
        let earlier = self.entries.partition_point(|entry| entry.time_ms < ms);
        let cursor = self.front() + earlier as u64 - 1;
        if cursor < self.history_start { self.facts.latest.before_time(ms, cursor) } else { cursor }
    }

    /// For a log in memory: the cursor before the history.
    pub(crate) fn before_history(&self) -> u64 {
        self.history_start - 1
    }

    /// The values of compacted topics that are no longer in the log, up to `upto`, for a reader after `cursor`. Over storage they
    /// are read together with its entries.
    pub(crate) fn values_after(&self, cursor: u64, upto: u64) -> Option<(u64, Snapshot)> {
        let snapshot = Snapshot { upto, from: upto + 1, ..self.snapshot() };
        let is_due = self.gone.is_some() && self.facts.latest.compacts_any() && cursor < upto;
        is_due.then_some((cursor, snapshot))
    }

    /// A snapshot of the current values.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let (evictions, departures) = (self.facts.latest.evictions(), self.departed.values);
        let from = self.values_from(self.history_start);
        Snapshot { upto: self.head, from, evictions, departures, known: self.head }
    }

    /// The same snapshot, for a reader that is now told that it missed some values.
    pub(crate) fn snapshot_again(&self, snapshot: &Snapshot) -> Snapshot {
        let (from, departures) = (self.values_from(self.front()), self.departed.values);
        Snapshot { from, evictions: u64::MAX, departures, known: self.head, ..*snapshot }
    }

    /// The values of `snapshot` after `cursor`, without the log that follows. `None` if some may have been lost, which takes longer
    /// to find out.
    pub(crate) fn read_values(
        &self,
        page: Retained,
        cursor: u64,
        snapshot: &Snapshot,
        matchers: &Matchers,
    ) -> Option<Read> {
        let Snapshot { upto, evictions, departures, known, .. } = *snapshot;
        let may_have_lost = (self.gone.is_some() && snapshot.told(cursor) < (self.front() - 1).min(upto))
            || departures < self.departed.values
            || evictions < self.facts.latest.evictions()
            || self.facts.deletions.any_after(known.max(cursor));
        (!may_have_lost).then(|| self.facts.latest.read(page, cursor, snapshot, matchers))
    }

    /// The values that a reader of `snapshot` should have got, but that were dropped or evicted since it began.
    pub(crate) fn lost_values(&self, cursor: u64, snapshot: &Snapshot, matchers: &Matchers) -> Loss {
        // the topics of values that were dropped from below are unknown
        if snapshot.departures < self.departed.values && cursor < self.departed.newest_value {
            return Loss::of(Missed::Unknown);
        }
        let mut loss = Loss::of(Missed::Nothing);
        if snapshot.evictions < self.facts.latest.evictions() {
            self.facts.latest.lost(After::Sequence(cursor), matchers, true, &mut loss);
        }
        let gone = (self.front() - 1).min(snapshot.upto);
        let told = snapshot.told(cursor);
        if self.gone.is_some() && told < gone {
            loss.and(self.missed(After::Sequence(told), matchers, gone + 1));
        }
        loss
    }

    /// The entries before `horizon` that a reader after `after` has missed. Losses of compacted topics do not count, except evicted
    /// values.
    pub(crate) fn missed(&self, after: After, matchers: &Matchers, horizon: u64) -> Loss {
        let newest = horizon - 1;
        let Some(dropped) = self.dropped().filter(|_| after.is_before(newest, self.time_of(newest))) else {
            return Loss::of(Missed::Nothing);
        };
        let mut loss = Loss::of(Missed::Nothing);
        self.facts.latest.lost(after, matchers, false, &mut loss);
        if let (true, Some(counted)) = (matchers.is_all(), self.count_all(after, newest)) {
            loss.add(counted);
        } else if matchers.is_exact() {
            loss.add(self.missed_of_names(after, matchers, horizon, dropped));
        } else {
            self.missed_of_patterns(after, matchers, horizon, dropped, &mut loss);
        }
        loss
    }

    /// The loss of all entries after `after` and up to `newest`, if each of them counts.
    fn count_all(&self, after: After, newest: u64) -> Option<Missed> {
        // deletions are not missed
        let from = match after {
            After::Sequence(sequence) => sequence,
            After::Time(_) => 0,
        };
        if self.facts.latest.compacts_any() || self.facts.deletions.any_after(from) {
            return None;
        }
        Some(match after {
            After::Sequence(sequence) => Missed::Events(newest - sequence),
            After::Time(_) => Missed::Unknown,
        })
    }

    fn missed_of_names(&self, after: After, matchers: &Matchers, horizon: u64, dropped: &Dropped) -> Missed {
        let time_of = |sequence| self.time_of(sequence);
        let run = |topic| self.topics.run(topic, horizon, time_of).unwrap_or_else(|| dropped.run(topic));
        let topics = matchers.exact.iter().filter(|topic| !self.facts.latest.compacts(topic));
        let mut missed = topics.map(|topic| run(topic).missed(after)).filter(|missed| *missed != Missed::Nothing);
        let only = missed.next();
        // an entry of two topics would be counted twice, and a loss that does not count in one topic may count in another
        let is_known = missed.next().is_none() && (matchers.len() == 1 || !self.facts.latest.compacts_any());
        only.map_or(Missed::Nothing, |only| if is_known { only } else { Missed::Unknown })
    }

    fn missed_of_patterns(&self, after: After, matchers: &Matchers, horizon: u64, dropped: &Dropped, loss: &mut Loss) {
        let most = MISSED_CHECKS / matchers.len();
        loss.add(dropped.missed_of_forgotten(after));
        let recent = self.gone.as_ref().filter(|_| horizon <= self.front()).and_then(|gone| gone.recent.after(after));
        if let Some(recent) = recent {
            loss.add_topics(recent.into_iter().filter(|topic| !self.facts.latest.compacts(topic)), most);
            return;
        }
        if self.topics.len() + dropped.len() > MISSED_WALK {
            loss.add(Missed::Unknown); // any of them may match, and may have lost entries
            return;
        }
        let runs = self.topics.runs(horizon, |sequence| self.time_of(sequence));
        let lost = runs.filter(|(_, run)| run.missed(after) != Missed::Nothing).map(|(topic, _)| topic);
        let lost = lost.chain(dropped.lost_after(after)).filter(|topic| !self.facts.latest.compacts(topic));
        loss.add_topics(lost, most);
    }

    /// A few of the entries up to the number `end` that may match, newest first. With patterns every entry may match.
    pub(crate) fn some_before(&self, end: u64, matchers: &Matchers) -> Vec<Arc<Entry>> {
        if !matchers.is_exact() {
            return self.entries.range(..self.index_of(end + 1)).rev().take(SEARCH_ENTRIES).cloned().collect();
        }
        let mut names = MergeBack::new(self.lists_of(matchers), end);
        let numbers = std::iter::from_fn(|| names.next()).take(SEARCH_ENTRIES);
        numbers.filter_map(|sequence| self.entries.get(self.index_of(sequence)).cloned()).collect()
    }

    /// A few of the entries after `cursor` and up to the number `end`.
    pub(crate) fn some_after(&self, cursor: u64, end: u64) -> Vec<Arc<Entry>> {
        self.after(cursor).take_while(|entry| entry.sequence <= end).take(SEARCH_ENTRIES).cloned().collect()
    }

    /// The positions of each name that is selected.
    fn lists_of(&self, matchers: &Matchers) -> impl Iterator<Item = &VecDeque<u64>> {
        matchers.exact.iter().filter_map(|topic| self.topics.positions(topic))
    }

    /// Reads the next entries after a place that match. `None` if the tail alone cannot tell what comes next: the tail begins
    /// later, or something was deleted.
    pub(crate) fn read(&self, page: Retained, from: Behind, matchers: &Matchers) -> Option<Read> {
        let Behind { cursor, known } = from;
        let is_all = cursor + 1 >= self.front() && !self.facts.deletions.any_after(known.max(cursor));
        is_all.then(|| self.read_up_to(page, cursor, self.head, matchers))
    }

    /// Reads the next matching entries of the tail after `cursor` and up to the number `end`: a page, or one step.
    pub(crate) fn read_up_to(&self, page: Retained, cursor: u64, end: u64, matchers: &Matchers) -> Read {
        let mut page = PageBuilder::new(page);
        if matchers.is_exact() {
            let mut merge = Merge::new(self.lists_of(matchers), cursor);
            while let Some(sequence) = merge.next().filter(|sequence| *sequence <= end) {
                if page.is_full() {
                    return page.finish(sequence - 1, true);
                }
                page.push(self.entries.get(self.index_of(sequence)));
            }
            return page.finish(end, false);
        }
        let mut step = Step::of(matchers);
        for entry in self.after(cursor).take_while(|entry| entry.sequence <= end) {
            if page.is_full() || step.is_over() {
                return page.finish(entry.sequence - 1, true);
            }
            step.look_at(&entry.topics);
            page.push(Some(entry).filter(|entry| self.facts.is_match(entry, matchers)));
        }
        page.finish(end, false)
    }
}
