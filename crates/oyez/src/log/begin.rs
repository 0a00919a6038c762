//! Where a subscription begins.

use std::sync::Arc;

use oyez_proto::EventId;

use crate::gap::{Gap, Reason};
use crate::limits::{EVENT_ID_BYTES_MAX, LAST_STEPS};
use crate::log::below::{Found, Wanted};
use crate::log::deletions::Deleted;
use crate::log::entry::Entry;
use crate::log::gone::{After, Missed};
use crate::log::log::Log;
use crate::log::loss::Loss;
use crate::log::page::Lost;
use crate::log::read::PAGE_BELOW;
use crate::log::snapshot::Snapshot;
use crate::log::step::{Step, give_way};
use crate::matcher::Matchers;
use crate::position::Position;
use crate::readable::Readable;
use crate::{Error, ErrorKind};

/// Where a subscription wants to begin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Start {
    /// With the next published entry.
    #[default]
    Live,
    /// With the oldest retained entry.
    Earliest,
    /// With the newest entries that match, this many.
    Last(usize),
    /// With the newest entry of each key, then with the next published entry.
    Snapshot,
    /// After this id. An incomplete resume is announced.
    Id(String),
    /// At this time, in milliseconds since 1970; with the text of the request.
    Time(u64, String),
}

/// Where a subscription begins.
pub(crate) struct Begin {
    /// Everything after this sequence number is still to be read.
    pub(crate) cursor: u64,
    pub(crate) gap: Option<Gap>,
    /// First these values.
    pub(crate) values: Option<Snapshot>,
    /// The number of drops so far. Their entries are in the gap and are not reported again.
    pub(crate) drops: u64,
    /// Deletions up to here need not be reported to the reader.
    pub(crate) known: u64,
    /// Whether other deletions will be reported to it.
    pub(crate) deleted: bool,
}

impl Begin {
    pub(crate) fn at(cursor: u64) -> Self {
        Self { cursor, gap: None, values: None, drops: 0, known: 0, deleted: false }
    }

    /// Whether its reader resumes at a known position.
    fn resumes(&self, start: &Start) -> bool {
        let is_known = self.gap.as_ref().is_none_or(|gap| matches!(gap.reason, Reason::Expired | Reason::Deleted));
        matches!(start, Start::Id(_) | Start::Time(..)) && is_known
    }
}

impl Log {
    /// Finds the position at which `start` begins, and what a resume has missed. Gives way between its steps, and waits for the
    /// storage.
    ///
    /// # Errors
    /// [`Ended`](crate::ErrorKind::Ended) if all topics have ended and nothing is left to read,
    /// [`Gone`](crate::ErrorKind::Gone) if the last of their ends was dropped from the history,
    /// [`Internal`](crate::ErrorKind::Internal) when what lies below cannot be read.
    pub(crate) async fn begin(
        &self,
        start: &Start,
        matchers: &Arc<Matchers>,
        readable: &Readable,
        now_ms: u64,
    ) -> Result<Begin, Error> {
        let head = self.head();
        if self.tail.read().retention.age.is_some() {
            self.trim(now_ms);
        }
        let drops = self.below.drops();
        let mut begin = self.begin_open(start, matchers, readable).await?;
        begin.drops = drops;
        if let Some(gap) = begin.gap.as_mut().filter(|_| self.below.drops() != drops) {
            gap.missed = None; // more has gone since it was counted
        }
        begin.known = if begin.resumes(start) { 0 } else { head };
        begin.deleted = begin.gap.is_none() && self.is_hidden_after(begin.cursor, begin.known, matchers).await;
        // checked after the cursor is known: a later end lies after the cursor and will be read
        let Some(end) = self.tail.read().facts.finish(matchers) else { return Ok(begin) };
        let resumed = match start {
            Start::Id(id) => self.find(id).await?.ok(),
            Start::Live | Start::Earliest | Start::Last(_) | Start::Snapshot | Start::Time(..) => None,
        };
        let is_gone = end.is_gone || end.has_expired(now_ms);
        let finish = Finish { last: end.sequence, is_gone, oldest: self.earliest() };
        begin_finished(begin, start, resumed, finish)
    }

    /// [`Log::begin`] without the ends of topics.
    async fn begin_open(&self, start: &Start, matchers: &Arc<Matchers>, readable: &Readable) -> Result<Begin, Error> {
        let (begun, requested) = match start {
            Start::Live => return Ok(Begin::at(self.head())),
            Start::Earliest => return Ok(Begin::at(self.earliest())),
            Start::Last(number) => return Ok(Begin::at(self.before_last(*number, matchers, readable).await?)),
            Start::Snapshot => (self.begin_with_snapshot(matchers).await, SNAPSHOT),
            Start::Id(id) => {
                let begun = match self.find(id).await? {
                    Ok(sequence) => self.resume(After::Sequence(sequence), sequence, matchers).await,
                    Err(reason) => Err(self.resume_nowhere(reason)),
                };
                (begun, &**id)
            }
            Start::Time(wall_ms, text) => {
                let ms = self.clock.of_wall(*wall_ms);
                let cursor = self.before_time(ms).await?;
                (self.resume(After::Time(ms), cursor, matchers).await, &**text)
            }
        };
        match begun {
            Ok(begin) => Ok(begin),
            Err(lost) => {
                let (mut gap, values) = self.gap(lost, requested.to_owned(), matchers).await;
                if gap.reason == Reason::Policy {
                    gap.reason = Reason::Expired; // it was dropped during the search
                }
                let cursor = gap.position.sequence;
                Ok(Begin { gap: Some(gap), values, ..Begin::at(cursor) })
            }
        }
    }

    /// The sequence number that an id stands for, or the reason why there is none.
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorKind::Internal) when what lies below cannot be read.
    pub(crate) async fn find(&self, id: &str) -> Result<Result<u64, Reason>, Error> {
        if id.len() > EVENT_ID_BYTES_MAX {
            return Ok(Err(Reason::Unknown));
        }
        match Position::parse(id) {
            Ok(position) if position.epoch != self.epoch => return Ok(Err(Reason::Epoch)),
            Ok(position) if position.sequence > self.head() => return Ok(Err(Reason::Unknown)),
            Ok(position) => return Ok(Ok(position.sequence)),
            Err(_) => {}
        }
        let Ok(event_id) = EventId::new(id) else { return Ok(Err(Reason::Unknown)) };
        let found =
            if self.below.keeps() { self.below.find(id).await? } else { self.tail.read().find_publisher_id(&event_id) };
        Ok(found.ok_or(Reason::Unknown))
    }

    /// The cursor after which all entries of this time or later lie.
    async fn before_time(&self, ms: u64) -> Result<u64, Error> {
        if !self.below.keeps() {
            return Ok(self.tail.read().before_time(ms));
        }
        let cursor = self.below.before_time(ms).await?.max(self.earliest());
        Ok(self.tail.read().before_values_of(ms, cursor))
    }

    /// Where a resume continues: at `cursor`, if everything after it is still in the history.
    async fn resume(&self, after: After, cursor: u64, matchers: &Matchers) -> Result<Begin, Lost> {
        if self.below.keeps() {
            return self.resume_below(after, cursor, matchers).await;
        }
        let (oldest, values, missed, deleted) = {
            let tail = self.tail.read();
            let oldest = tail.before_history();
            let missed = tail.missed(after, matchers, oldest + 1);
            (oldest, tail.values_after(cursor, oldest), missed, tail.facts.deletions.missed(after, oldest))
        };
        let lost = |reason, missed: Missed| Lost { reason, missed: missed.number(), cursor: oldest, values };
        let missed = missed.settle(matchers).await;
        if missed != Missed::Nothing {
            return Err(lost(Reason::Expired, missed));
        }
        if let Some((hidden, has_more)) = Deleted::first(deleted, matchers).await {
            return Err(lost(Reason::Deleted, if has_more { Missed::Unknown } else { hidden.missed }));
        }
        let values = values.map(|(_, snapshot)| snapshot);
        let cursor = if values.is_none() { cursor.max(oldest) } else { cursor };
        Ok(Begin { values, ..Begin::at(cursor) })
    }

    /// The same over storage. Deletions are reported at the position of the hidden entries.
    async fn resume_below(&self, after: After, cursor: u64, matchers: &Matchers) -> Result<Begin, Lost> {
        let lost = |reason, missed| Lost { reason, missed, cursor, values: None };
        if let After::Sequence(sequence) = after {
            if self.below.is_lost_in_a_crash(sequence) {
                return Err(lost(Reason::Crash, None));
            }
        }
        if !matchers.is_exact() {
            give_way().await; // there may be many topics to try
        }
        match self.below.missed(after, matchers) {
            Missed::Nothing => Ok(Begin::at(cursor)),
            missed => Err(lost(Reason::Expired, missed.number())),
        }
    }

    /// The resume of a reader whose position is unknown: it gets everything.
    fn resume_nowhere(&self, reason: Reason) -> Lost {
        let earliest = self.earliest();
        let tail = self.tail.read();
        // values of dropped entries are retained; over storage they are read together with its entries
        let is_all = self.below.keeps() && tail.facts.latest.compacts_any();
        let cursor = if is_all { 0 } else { earliest };
        Lost { reason, missed: None, cursor, values: tail.values_after(0, earliest) }
    }

    /// All current values, then the entries after the current head. Evicted values are announced.
    async fn begin_with_snapshot(&self, matchers: &Matchers) -> Result<Begin, Lost> {
        let snapshot = self.snapshot();
        let mut loss = Loss::of(Missed::Nothing);
        self.tail.read().facts.latest.lost(After::Sequence(0), matchers, true, &mut loss);
        if loss.settle(matchers).await != Missed::Nothing {
            let values = Some((0, Snapshot { evictions: u64::MAX, ..snapshot }));
            return Err(Lost { reason: Reason::Expired, missed: None, cursor: snapshot.upto, values });
        }
        Ok(match self.first_value(0, &snapshot, matchers).await {
            Some(first) => Begin { values: Some(snapshot), ..Begin::at(first.sequence - 1) },
            None => Begin::at(snapshot.upto),
        })
    }

    /// The cursor after which the newest `number` matching entries lie.
    async fn before_last(&self, number: usize, matchers: &Arc<Matchers>, readable: &Readable) -> Result<u64, Error> {
        if number == 0 {
            return Ok(self.head());
        }
        if self.below.keeps() {
            return self.before_last_below(number, matchers, readable).await;
        }
        let now_ms = self.expiry_ms();
        let (oldest, mut end) = {
            let tail = self.tail.read();
            let (oldest, head) = (tail.before_history(), tail.head);
            let counts_all = now_ms.is_none() && !self.hides_from(readable);
            if matchers.is_all() && counts_all && !tail.facts.deletions.any_after(oldest) {
                return Ok(head.saturating_sub(number as u64).max(oldest));
            }
            (oldest, head)
        };
        let (mut left, mut step) = (number, Step::of(matchers));
        while end > oldest {
            let some = self.tail.read().some_before(end, matchers);
            end = if some.is_empty() { oldest } else { end };
            for entry in some.iter().take_while(|entry| entry.sequence > oldest) {
                step.give_way_when_over(matchers).await;
                step.look_at(&entry.topics);
                end = entry.sequence - 1;
                // `counts` locks the log, so it comes last
                if matchers.select(entry.topics.iter()) && self.counts(entry, matchers, readable, now_ms) {
                    left -= 1;
                }
                if left == 0 {
                    return Ok(end);
                }
            }
            end = if some.last().is_some_and(|last| last.sequence <= oldest) { oldest } else { end };
        }
        Ok(oldest)
    }

    /// Whether a reader with these topics and rights may have the entry now.
    fn counts(&self, entry: &Entry, matchers: &Matchers, readable: &Readable, now_ms: Option<u64>) -> bool {
        let facts = &self.tail.read().facts;
        let has_expired = || now_ms.is_some_and(|now_ms| facts.has_expired(entry, matchers, now_ms));
        facts.is_match(entry, matchers) && entry.is_for(readable) && !has_expired()
    }

    /// The same over storage, which does not know hidden or private entries. If there are many of those, fewer entries may lie
    /// after the cursor.
    async fn before_last_below(
        &self,
        number: usize,
        matchers: &Arc<Matchers>,
        readable: &Readable,
    ) -> Result<u64, Error> {
        let (head, now_ms) = (self.head(), self.expiry_ms());
        let (hides_any, floor) = {
            let deletions = &self.tail.read().facts.deletions;
            (deletions.hides_any(), deletions.floor(matchers))
        };
        if now_ms.is_none() && !hides_any && !self.hides_from(readable) {
            return self.before_newest(number, matchers).await;
        }
        let floor = floor.max(self.earliest());
        let (mut asked, mut cursor) = (number, head);
        for _ in 0..LAST_STEPS {
            cursor = self.before_newest(asked, matchers).await?.max(floor);
            let found = self.numbers(cursor, matchers, readable, head, now_ms).await?;
            if let Some(first) = found.len().checked_sub(number).and_then(|surplus| found.get(surplus)) {
                return Ok(first - 1);
            }
            if cursor == floor {
                break;
            }
            asked = asked.saturating_mul(4);
        }
        Ok(cursor)
    }

    /// The cursor after which the newest `number` matching entries of the storage lie, hidden or not; or all, if there are fewer.
    async fn before_newest(&self, number: usize, matchers: &Arc<Matchers>) -> Result<u64, Error> {
        let newest = self.below.newest(number, matchers).await?;
        let first = newest.last().filter(|_| newest.len() == number);
        Ok(first.map_or_else(|| self.earliest(), |first| first - 1))
    }

    /// The numbers of the entries after `cursor` and up to `last` that match, are not hidden and are for this reader.
    async fn numbers(
        &self,
        mut cursor: u64,
        matchers: &Arc<Matchers>,
        readable: &Readable,
        last: u64,
        now_ms: Option<u64>,
    ) -> Result<Vec<u64>, Error> {
        let mut numbers = Vec::new();
        loop {
            // a loss meanwhile is found when the entries are read
            let wanted = Wanted { max: PAGE_BELOW, cursor, matchers: Arc::clone(matchers), last, drops: u64::MAX };
            let Found::Page { entries, cursor: end, more } = self.below.read(wanted).await? else { return Ok(numbers) };
            let (mut entries, mut step) = (entries, Step::of(matchers));
            self.retain_matching(&mut entries, matchers, &mut step).await;
            let facts = &self.tail.read().facts;
            let has_expired = |entry: &Entry| now_ms.is_some_and(|now_ms| facts.has_expired(entry, matchers, now_ms));
            let counts = |entry: &&Arc<Entry>| entry.is_for(readable) && !has_expired(entry);
            numbers.extend(entries.iter().filter(counts).map(|entry| entry.sequence));
            if !more {
                return Ok(numbers);
            }
            cursor = end;
        }
    }
}

/// A subscription whose topics have all ended.
#[derive(Clone, Copy)]
struct Finish {
    /// The last of the ends.
    last: u64,
    /// Whether that end can no longer be read.
    is_gone: bool,
    /// The history begins after this number.
    oldest: u64,
}

/// Where a subscription begins whose topics have all ended. `resumed` is the sequence number of the id that it resumes from.
fn begin_finished(begin: Begin, start: &Start, resumed: Option<u64>, finish: Finish) -> Result<Begin, Error> {
    let Finish { last, is_gone, oldest } = finish;
    let has_all = match start {
        Start::Id(_) => resumed.is_some_and(|after| after >= last),
        Start::Time(..) | Start::Last(0) => begin.gap.is_none() && begin.values.is_none() && begin.cursor >= last,
        Start::Live | Start::Earliest | Start::Last(_) | Start::Snapshot => false,
    };
    if has_all {
        return Err(Error::new(ErrorKind::Ended, "the topics have ended, and the reader has everything"));
    }
    if is_gone {
        let message = "the topics have ended, and their end was dropped from the history or has expired";
        return Err(Error::new(ErrorKind::Gone, message));
    }
    Ok(match start {
        // a reader without an id gets the whole topic
        Start::Live if begin.cursor >= last => Begin { drops: begin.drops, known: begin.known, ..Begin::at(oldest) },
        Start::Snapshot => snapshot_before(last, begin),
        _ => begin,
    })
}

/// Moves a snapshot back so that the stream still reads the end, which is no value.
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

/// The `requested` of a snapshot's gap.
const SNAPSHOT: &str = "snapshot";
