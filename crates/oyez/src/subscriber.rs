//! One stream: a cursor into the log and a matcher, as a state machine without I/O.
#![deny(clippy::disallowed_methods)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tracing::error;

use crate::checks::Verdict;
use crate::control::StreamControl;
use crate::core::{Core, Ticket};
use crate::gap::{Gap, Reason};
use crate::hole::Hole;
use crate::index::SlotKey;
use crate::limits::TURN_ROUNDS;
use crate::log::{Behind, Entry, Later, Log, Page, Search, Snapshot};
use crate::options::{Options, SlowPolicy, Until};
use crate::output::{Opening, Output, Turn};
use crate::readable::Readable;
use crate::shard::SleepOutcome;
use crate::stats::EndReason;
use crate::sync::atomic::Ordering::Relaxed;

/// One stream. Dropping it leaves the hub.
pub(crate) struct Subscriber {
    hub: Arc<Core>,
    options: Options,
    control: StreamControl,
    ticket: Option<Ticket>,
    state: State,
    key: Option<SlotKey>,
    /// Everything up to here has been sent or does not concern the reader.
    cursor: u64,
    /// What the reader knows of the cursor: the sequence number of the last id sent.
    told: u64,
    sent: u64,
    /// `latest`: up to here only the newest entry of each topic or key is sent.
    conflate_until: u64,
    /// Of topics that were deleted up to here it says nothing.
    deletions_known: u64,
    keep_alive_at: Option<Instant>,
    ends_at: Option<Instant>,
    /// It does not read by itself and does not sleep in the shard: its driver sends what matches, and tells it.
    fed: bool,
    /// Entries are gone or have expired that its driver should have sent: it reads once by itself, and learns what to do about it.
    lost: bool,
    /// It gets what there is and has missed nothing yet: what has expired is not announced until it has come to the tail.
    replaying: bool,
    /// It has ended where something follows that cannot be read.
    broken: bool,
    /// Segments that had been dropped when it last knew of all that is gone. With 64 MiB each, these are 256 PiB.
    drops: u32,
}

/// What the driver of a stream that it feeds at the tail has sent to its reader.
#[cfg(feature = "serve")]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fed {
    /// Everything up to here has been sent or does not concern the reader.
    pub(crate) cursor: u64,
    /// The last entry sent.
    pub(crate) told: u64,
    /// Entries sent, since the stream began.
    pub(crate) sent: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Opening(Box<Opening>),
    /// There may be values after the cursor, which come before the log is read on.
    Values(Box<Snapshot>),
    /// There may be entries after the cursor.
    Reading,
    /// As well, and before it some have expired, of which the reader is told when it is known how many.
    Passing(Box<Hole>),
    /// As well; what comes next is on its way.
    Awaiting(Box<Awaited>),
    /// Everything has been read; the shard wakes us.
    AtTail,
    Ended,
}

/// A page that is on its way, and what has expired before it.
#[derive(Debug, PartialEq, Eq)]
struct Awaited {
    page: Search<Later>,
    hole: Hole,
    /// It is one of these values.
    values: Option<Snapshot>,
}

/// Where the entries of a page end.
#[derive(Clone, Copy)]
struct PageEnd {
    cursor: u64,
    /// There is more to read at once.
    more: bool,
}

impl Subscriber {
    /// A stream that begins after `cursor`.
    pub(crate) fn new(
        hub: Arc<Core>,
        options: Options,
        opening: Opening,
        control: StreamControl,
        (cursor, drops): (u64, u64),
        ticket: Ticket,
    ) -> Self {
        control.note(cursor, 0, false);
        let replaying = opening.replaying;
        Self {
            hub,
            options,
            control,
            ticket: Some(ticket),
            deletions_known: opening.deletions_known,
            state: State::Opening(Box::new(opening)),
            key: None,
            cursor,
            told: cursor,
            sent: 0,
            conflate_until: 0,
            keep_alive_at: None,
            ends_at: None,
            fed: false,
            lost: false,
            replaying,
            broken: false,
            drops: u32::try_from(drops).unwrap_or(u32::MAX),
        }
    }

    /// Did it end where something follows that cannot be read? Then its response must not look complete: who asked for what
    /// there is would take it for all.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Have all its topics ended, and is it so far without an event?
    pub(crate) fn has_ended_silently(&self) -> bool {
        self.state == State::Ended && self.sent == 0 && !self.broken && self.is_finished(self.cursor)
    }

    /// Why something is missing before the first event of a bare stream: the head of the response says it.
    pub(crate) fn take_missing(&mut self) -> Option<Reason> {
        self.options.bare_mut()?.missing.take()
    }

    /// Does its first event still come, which tells when to come back?
    #[cfg(feature = "serve")]
    pub(crate) fn owes_retry(&self) -> bool {
        self.options.bare().is_some_and(|bare| bare.retry_ms.is_some())
    }

    /// What stands before its first event, which its driver sends.
    pub(crate) fn take_retry(&mut self) -> Option<u32> {
        self.options.bare_mut()?.retry_ms.take()
    }

    #[cfg(feature = "serve")]
    pub(crate) fn control(&self) -> &StreamControl {
        &self.control
    }

    pub(crate) fn log(&self) -> &Log {
        &self.hub.log
    }

    /// Does its reader take events with data and nothing else?
    pub(crate) fn is_bare(&self) -> bool {
        self.options.bare().is_some()
    }

    /// Which private entries its reader may have.
    pub(crate) fn readable(&self) -> &Readable {
        &self.options.readable
    }

    /// Lets the driver feed the stream, where that is only sending what matches.
    #[cfg(feature = "serve")]
    pub(crate) fn let_feed(&mut self, matchers: &Arc<crate::matcher::Matchers>) {
        self.fed = self.options.checks().is_none() && !self.is_bounded();
        self.options.matchers = Arc::clone(matchers);
    }

    /// Does the stream end by itself, so that the connection can have another request?
    #[cfg(feature = "serve")]
    pub(crate) fn is_bounded(&self) -> bool {
        self.options.until().is_some()
    }

    #[cfg(feature = "serve")]
    pub(crate) fn hub(&self) -> &Arc<Core> {
        &self.hub
    }

    #[cfg(feature = "serve")]
    pub(crate) fn matchers(&self) -> &Arc<crate::matcher::Matchers> {
        &self.options.matchers
    }

    /// Does it wait for a page that takes longer?
    #[cfg(test)]
    pub(crate) fn is_fetching(&self) -> bool {
        matches!(self.state, State::Awaiting(_))
    }

    /// Has a page come that is to be taken before anything changes: what it says of gaps is true now?
    #[cfg(test)]
    pub(crate) fn has_page_of_now(&self) -> bool {
        let is_page = |later: &Later| matches!(later, Later::Page(..));
        matches!(&self.state, State::Awaiting(awaited) if awaited.page.peek(is_page) == Some(true))
    }

    /// Has that page come?
    #[cfg(test)]
    pub(crate) fn has_fetched(&self) -> bool {
        matches!(&self.state, State::Awaiting(awaited) if awaited.page.is_there())
    }

    /// Is its driver to bring it what comes after its cursor? Otherwise it sleeps in the shard.
    #[cfg(feature = "serve")]
    pub(crate) fn is_to_be_fed(&self) -> bool {
        self.fed && self.state == State::AtTail
    }

    /// What its driver should send is gone, or some of it has expired.
    #[cfg(feature = "serve")]
    pub(crate) fn has_lost(&mut self) {
        self.lost = true;
        self.state = State::Reading;
    }

    /// Its driver has brought it to the tail.
    #[cfg(feature = "serve")]
    pub(crate) fn has_caught_up(&mut self) {
        self.replaying = false;
    }

    /// Its driver has brought it all that there will ever be.
    #[cfg(feature = "serve")]
    pub(crate) fn has_finished(&mut self) {
        self.state = State::Ended;
    }

    /// How far the stream has come.
    #[cfg(feature = "serve")]
    pub(crate) fn place(&self) -> Fed {
        Fed { cursor: self.cursor, told: self.told, sent: self.sent }
    }

    /// Takes over how far its driver has brought it since it was last polled, before it is polled again. `at` is when those
    /// who are fed with it were written to last, which may have been before it was one of them.
    #[cfg(feature = "serve")]
    pub(crate) fn was_fed(&mut self, fed: Fed, at: Option<Instant>) {
        self.cursor = fed.cursor;
        self.told = self.told.max(fed.told);
        self.sent = fed.sent;
        self.keep_alive_at = self.keep_alive_at.max(at.and_then(|at| self.keep_alive_after(at)));
    }

    /// Goes on as far as one turn may. What is to be sent is appended to `out`; `waker` is kept for when there is more.
    pub(crate) fn poll(&mut self, now: Instant, waker: &Waker, out: &mut Vec<Output>) -> Turn {
        if let Some(end) = self.is_over(now, waker) {
            let had_its_turn = self.ends_at.is_some_and(|time| time <= now);
            if end != EndReason::Drain || had_its_turn {
                return self.end(end);
            }
            // what was acknowledged just before a drain goes out before the end, as far as one turn brings it
            self.ends_at = Some(now);
        }
        if let Some(bare) = self.options.bare_mut() {
            bare.looks_ahead = false;
            if bare.missing.is_some() {
                return self.end(EndReason::Gap); // there was no head to say it in
            }
        }
        for _ in 0..TURN_ROUNDS {
            match self.step(now, waker, out) {
                Some(turn) if !matches!(turn, Turn::Deliver | Turn::End) && self.is_silent(now) => {
                    return self.keep_alive(now, out);
                }
                Some(turn) => return turn,
                None => {}
            }
        }
        // entries come as fast as the filter turns them down
        if self.is_silent(now) { self.keep_alive(now, out) } else { Turn::Yield }
    }

    /// Opens a bare stream before the head of its response is written, and goes on to its first event or to the tail: what is
    /// missing before that is for the head. Ready when it has come there, or has ended.
    pub(crate) fn look_ahead(&mut self, now: Instant, cx: &Context<'_>, out: &mut Vec<Output>) -> Poll<()> {
        self.set_looks_ahead(true);
        let mut came = self.is_over(now, cx.waker()).is_some();
        for _ in 0..TURN_ROUNDS {
            came |= !out.is_empty() || matches!(self.state, State::AtTail | State::Ended);
            if came {
                break;
            }
            if let Some(Turn::Wait(_)) = self.step(now, cx.waker(), out) {
                return Poll::Pending;
            }
        }
        if !came {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.set_looks_ahead(false);
        Poll::Ready(())
    }

    fn set_looks_ahead(&mut self, looks_ahead: bool) {
        if let Some(bare) = self.options.bare_mut() {
            bare.looks_ahead = looks_ahead;
        }
    }

    fn looks_ahead(&self) -> bool {
        self.options.bare().is_some_and(|bare| bare.looks_ahead)
    }

    /// Does what is next; `None` when there is more to do at once.
    fn step(&mut self, now: Instant, waker: &Waker, out: &mut Vec<Output>) -> Option<Turn> {
        match std::mem::replace(&mut self.state, State::Reading) {
            State::Opening(opening) => self.open(*opening, now, out),
            State::Values(snapshot) => self.read_values(*snapshot, now, out),
            State::Passing(hole) => self.read(*hole, now, out),
            State::Awaiting(awaited) => self.go_on(*awaited, now, waker, out),
            State::Reading if !self.fed || self.lost || self.cursor < self.conflate_until => {
                self.read(Hole::default(), now, out)
            }
            State::Reading | State::AtTail if self.fed => {
                self.state = State::AtTail;
                Some(Turn::Wait(self.next_time(waker)))
            }
            State::Reading | State::AtTail => self.wait(now, waker),
            State::Ended => Some(self.end(EndReason::Complete)),
        }
    }

    fn is_over(&self, now: Instant, waker: &Waker) -> Option<EndReason> {
        if self.state == State::Ended {
            return None;
        }
        let told = self.control.watch(waker);
        let life = self.ends_at.map(|time| (time, EndReason::Life));
        [told, life].into_iter().flatten().find(|(time, _)| *time <= now).map(|(_, why)| why)
    }

    fn open(&mut self, opening: Opening, now: Instant, out: &mut Vec<Output>) -> Option<Turn> {
        let Opening { gap, values, is_snapshot, retry, life, said, reader, .. } = opening;
        if let Some(values) = values {
            self.state = State::Values(Box::new(values));
        }
        self.key = Some(self.hub.shard.join(Arc::clone(&self.options.matchers), self.control.clone(), reader));
        if self.hub.is_draining() {
            self.control.drain_at(now); // it was not among those that the drain has told
        }
        self.ends_at = life.and_then(|life| now.checked_add(life));
        if let Some(bare) = self.options.bare_mut() {
            bare.retry_ms = Some(u32::try_from(retry.as_millis()).unwrap_or(u32::MAX));
            self.has_sent(now);
            if let Some(gap) = gap {
                self.tell_gap(gap, out);
            }
            return None;
        }
        // a reader that has the id of the gap's end without the gap would never hear of it, and one that has the head's
        // without the snapshot would not ask for it again
        let cursor = (gap.is_none() && !is_snapshot).then_some(self.cursor);
        out.push(Output::Open { cursor, retry, said });
        if let Some(gap) = gap {
            self.tell_gap(gap, out);
        }
        self.has_sent(now);
        Some(Turn::Deliver)
    }

    /// Goes on when the page that was asked for is there.
    fn go_on(&mut self, awaited: Awaited, now: Instant, waker: &Waker, out: &mut Vec<Output>) -> Option<Turn> {
        let Some(later) = awaited.page.take(waker) else {
            self.state = State::Awaiting(Box::new(awaited));
            return Some(Turn::Wait(self.next_time(waker)));
        };
        let Awaited { hole, values, .. } = awaited;
        // it goes on reading by itself until it comes to what its driver has
        self.lost = true;
        let page = self.hub.log.take(later, self.read_place(), &self.options.matchers);
        match (page, values) {
            (Some(page), Some(snapshot)) => self.take_values(page, snapshot, now, out),
            (Some(page), None) => self.take_ahead(page, hole, now, waker, out),
            (None, Some(snapshot)) => {
                self.state = State::Values(Box::new(snapshot));
                None
            }
            (None, None) => {
                self.state = State::Passing(Box::new(hole));
                None
            }
        }
    }

    /// Takes a page that took longer; while its reader takes it, the next one is read.
    fn take_ahead(
        &mut self,
        page: Page,
        hole: Hole,
        now: Instant,
        waker: &Waker,
        out: &mut Vec<Output>,
    ) -> Option<Turn> {
        // whoever stops reading is not to hold another page of large events
        let reads_ahead = !page.is_large();
        let turn = self.take(page, hole, now, out);
        if self.state == State::Reading && self.is_finished(self.cursor) {
            // the end has left what lies below, and of a compacted topic nothing is missed that has
            self.state = State::Ended;
        }
        if self.state == State::Reading && reads_ahead {
            let page = self.hub.log.read_ahead(self.cursor, &self.options.matchers, self.drops.into());
            if let Some(page) = page {
                page.wake_when_found(waker);
                self.wait_for(page, Hole::default(), None);
            }
        }
        turn
    }

    fn wait_for(&mut self, page: Search<Later>, hole: Hole, values: Option<Snapshot>) {
        self.state = State::Awaiting(Box::new(Awaited { page, hole, values }));
    }

    /// Reads after the cursor, and after a hole that has not been told.
    fn read(&mut self, hole: Hole, now: Instant, out: &mut Vec<Output>) -> Option<Turn> {
        self.lost = false;
        let page = self.hub.log.read(self.read_place(), &self.options.matchers, self.drops.into());
        self.take(page, hole, now, out)
    }

    fn read_place(&self) -> Behind {
        Behind { cursor: self.cursor, known: self.deletions_known }
    }

    fn take(&mut self, page: Page, mut hole: Hole, now: Instant, out: &mut Vec<Output>) -> Option<Turn> {
        let (entries, cursor, more, gap) = match page {
            Page::Read { entries, cursor, more, gap } => (entries, cursor, more, gap),
            Page::Lost { gap, values, drops } => {
                self.tell_hole(&mut hole, self.cursor, None, out);
                if self.state == State::Ended {
                    return Some(Turn::End);
                }
                self.drops = u32::try_from(drops).unwrap_or(u32::MAX);
                return Some(self.lag_too_far(gap, values, now, out));
            }
            Page::Later(page) => {
                self.wait_for(page, hole, None);
                return None;
            }
            Page::Failed(error) => {
                error!(%error, "a stream breaks off, because what comes next cannot be read; `oyez log verify` on the directory says more");
                self.broken = true;
                return Some(self.end(EndReason::Storage));
            }
        };
        let more_wanted = more && gap.is_none() && self.until().sequence.is_none_or(|last| cursor < last);
        // whoever has the id of a hole is still to be told what was deleted after it
        let before_gap = entries.last().map_or(self.cursor, |entry| entry.sequence);
        let end = if gap.is_some() { before_gap } else { cursor };
        let mut told_something = self.tell(entries, PageEnd { cursor: end, more: more_wanted }, &mut hole, out);
        if let Some(gap) = gap.filter(|_| self.state != State::Ended && !self.limit_is_reached()) {
            self.cursor = cursor;
            told_something |= self.tell_gap(self.veiled(gap), out);
        }
        if self.state != State::Ended {
            self.state = match more {
                _ if self.is_complete() => State::Ended,
                true if hole.missed > 0 => State::Passing(Box::new(hole)),
                true => State::Reading,
                // the end has left the log, and of a compacted topic nothing is missed that has
                false if self.is_finished(self.cursor) => State::Ended,
                false => State::AtTail,
            };
            self.replaying &= more;
        }
        if told_something {
            self.has_sent(now);
            return Some(Turn::Deliver);
        }
        matches!(self.state, State::Reading | State::Passing(_)).then_some(Turn::Yield)
    }

    /// Reads values as [`Subscriber::read`] reads the log; after the last one it goes on there.
    fn read_values(&mut self, snapshot: Snapshot, now: Instant, out: &mut Vec<Output>) -> Option<Turn> {
        let page = self.hub.log.read_values(self.cursor, &snapshot, &self.options.matchers);
        self.take_values(page, snapshot, now, out)
    }

    fn take_values(&mut self, page: Page, snapshot: Snapshot, now: Instant, out: &mut Vec<Output>) -> Option<Turn> {
        let (entries, cursor, more) = match page {
            Page::Lost { gap, values, .. } => return Some(self.lag_too_far(gap, values, now, out)),
            Page::Read { entries, cursor, more, .. } => (entries, cursor, more),
            Page::Later(page) => {
                self.wait_for(page, Hole::default(), Some(snapshot));
                return None;
            }
            // values are in memory
            Page::Failed(_) => return Some(self.end(EndReason::Storage)),
        };
        // values are not counted over pages: their places may lie far apart
        let end = PageEnd { cursor, more: false };
        let told_something = self.tell(entries, end, &mut Hole::default(), out);
        if self.state != State::Ended {
            self.state = match more {
                _ if self.is_complete() => State::Ended,
                true => State::Values(Box::new(snapshot)),
                false if self.is_finished(self.cursor) => State::Ended,
                false => State::Reading,
            };
        }
        if told_something {
            if self.state == State::Reading && self.cursor > self.told && !self.is_bare() {
                // the reader is to come back here, not to the last value that was of any concern
                out.push(Output::KeepAlive(Some(self.cursor)));
                self.told = self.cursor;
            }
            self.has_sent(now);
            return Some(Turn::Deliver);
        }
        (self.state != State::Ended).then_some(Turn::Yield)
    }

    /// Says what of `entries`, a page, concerns the reader. True if there was something. Those that have expired are a hole,
    /// which is told before what follows it, or when nothing does.
    fn tell(&mut self, entries: Vec<Arc<Entry>>, end: PageEnd, hole: &mut Hole, out: &mut Vec<Output>) -> bool {
        let (before, sent) = (out.len(), self.sent);
        let expired = self.hub.log.expired(&entries, &self.options.matchers);
        let mut expired = expired.into_iter().chain(std::iter::repeat(false));
        let PageEnd { mut cursor, more } = end;
        for entry in entries {
            if self.is_beyond(&entry) {
                self.state = State::Ended;
                cursor = entry.sequence - 1;
                break;
            }
            let (sequence, ends) = (entry.sequence, entry.ended_topic().is_some());
            let verdict = match expired.next() {
                Some(true) => self.judge_expired(&entry, hole),
                _ => self.judge(&entry),
            };
            match verdict {
                // who reads a bare stream learns of the last one as it ends
                Ok(Verdict::Pass) if ends && self.is_bare() => {}
                Ok(Verdict::Pass) => {
                    self.tell_hole(hole, sequence - 1, Some(&entry), out);
                    if self.state != State::Ended {
                        self.tell_entry(entry, out);
                    }
                }
                Ok(Verdict::Skip) => {}
                Ok(Verdict::Undecodable) => {
                    self.tell_hole(hole, sequence - 1, None, out);
                    if self.state != State::Ended {
                        self.tell_gap(Gap::undecodable(self.hub.log.position(sequence)), out);
                    }
                }
                Err(Panicked) => {
                    self.end(EndReason::Panic);
                }
            }
            if self.state == State::Ended {
                break;
            }
            if ends && self.is_finished(sequence) {
                self.state = State::Ended;
                cursor = sequence;
                break;
            }
        }
        // after the last event that was wanted nothing is missing
        if !self.limit_is_reached() && (self.state == State::Ended || !more) {
            self.tell_hole(hole, cursor, None, out);
        }
        self.hub.counters.delivered.fetch_add(self.sent - sent, Relaxed);
        self.cursor = cursor;
        self.control.note(cursor, self.sent, false);
        out.len() > before
    }

    fn wait(&mut self, now: Instant, waker: &Waker) -> Option<Turn> {
        let key = self.key.expect("a stream joins its shard when it opens");
        match self.hub.shard.sleep(key, self.cursor, waker) {
            SleepOutcome::Unread(first) => {
                self.cursor = self.cursor.max(first - 1);
                None
            }
            SleepOutcome::Asleep(cursor) => {
                self.cursor = self.cursor.max(cursor);
                self.control.note(self.cursor, self.sent, true);
                if self.is_complete() || self.until().time.is_some_and(|until| until.has_come(now)) {
                    self.state = State::Ended;
                    return None;
                }
                self.state = State::AtTail;
                Some(Turn::Wait(self.next_time(waker)))
            }
        }
    }

    fn is_silent(&self, now: Instant) -> bool {
        self.keep_alive_at.is_some_and(|time| time <= now)
    }

    fn keep_alive(&mut self, now: Instant, out: &mut Vec<Output>) -> Turn {
        self.has_sent(now);
        if self.is_bare() {
            // without an id it takes the reader past nothing
            out.push(Output::KeepAlive(None));
            return Turn::Deliver;
        }
        if let State::Awaiting(awaited) = &mut self.state {
            let mut hole = std::mem::take(&mut awaited.hole);
            if hole.missed > 0 {
                self.tell_hole(&mut hole, self.cursor, None, out);
                return Turn::Deliver;
            }
        }
        if let State::Passing(hole) = &self.state {
            // the id of a keep-alive would take the reader past it without a word
            let mut hole = **hole;
            self.state = State::Reading;
            self.tell_hole(&mut hole, self.cursor, None, out);
            return Turn::Deliver;
        }
        let passed = self.cursor > self.told;
        out.push(Output::KeepAlive(passed.then_some(self.cursor)));
        self.told = self.told.max(self.cursor);
        Turn::Deliver
    }

    /// The reader has not kept up: entries that it should have had are gone.
    fn lag_too_far(&mut self, gap: Gap, values: Option<Snapshot>, now: Instant, out: &mut Vec<Output>) -> Turn {
        let mut gap = self.veiled(gap);
        match self.options.slow {
            // its reader could do nothing about it
            _ if gap.reason == Reason::Deleted => {}
            // it has not begun
            SlowPolicy::Disconnect if self.looks_ahead() => {}
            SlowPolicy::Disconnect => return self.end(EndReason::Behind),
            SlowPolicy::Skip => {}
            SlowPolicy::Latest => {
                self.conflate_until = self.hub.log.head();
                gap.missed = None; // those that are passed over now are not counted in it
            }
        }
        self.cursor = gap.position.sequence;
        let is_told = self.tell_gap(gap, out);
        if self.state == State::Ended {
            return Turn::End;
        }
        if let Some(values) = values {
            self.state = State::Values(Box::new(values));
        } else if self.is_finished(self.cursor) {
            self.state = State::Ended; // what is gone was the end
        }
        if !is_told {
            return Turn::Yield;
        }
        self.has_sent(now);
        Turn::Deliver
    }

    /// Have all its topics ended, so that nothing can come after this place?
    fn is_finished(&self, sequence: u64) -> bool {
        self.hub.log.finish(&self.options.matchers).is_some_and(|last| last <= sequence)
    }

    fn judge(&self, entry: &Entry) -> Result<Verdict, Panicked> {
        if !entry.is_for(&self.options.readable) {
            return Ok(Verdict::Skip);
        }
        if entry.sequence <= self.conflate_until && !self.hub.log.is_newest(entry, &self.options.matchers) {
            return Ok(Verdict::Skip);
        }
        let Some(checks) = self.options.checks() else { return Ok(Verdict::Pass) };
        let judge = || {
            if checks.access.as_ref().is_some_and(|access| !access.may_read(&entry.topics)) {
                return Verdict::Skip;
            }
            if entry.ended_topic().is_some() {
                return Verdict::Pass; // it is none of the values that the filters know
            }
            let mut verdicts = checks.filters.iter().map(|filter| filter(entry));
            verdicts.find(|verdict| *verdict != Verdict::Pass).unwrap_or(Verdict::Pass)
        };
        // the caller's code, on shared data that it can only read
        catch_unwind(AssertUnwindSafe(judge)).map_err(|_| Panicked)
    }

    /// An entry that has expired is not told, but missing, where the reader could have had it.
    fn judge_expired(&self, entry: &Entry, hole: &mut Hole) -> Result<Verdict, Panicked> {
        if self.replaying || entry.sequence <= self.conflate_until || !entry.is_for(&self.options.readable) {
            return Ok(Verdict::Skip);
        }
        let access = self.options.checks().and_then(|checks| checks.access.as_ref());
        let may_read = || access.is_none_or(|access| access.may_read(&entry.topics));
        // what a filter would have said of it is not asked any more
        if catch_unwind(AssertUnwindSafe(may_read)).map_err(|_| Panicked)? {
            hole.add(entry.sequence);
        }
        Ok(Verdict::Skip)
    }

    /// Is this entry, and with it all that follow, more than was asked for?
    fn is_beyond(&self, next: &Entry) -> bool {
        self.limit_is_reached()
            || self.until().sequence.is_some_and(|last| next.sequence > last)
            || self.until().time.is_some_and(|until| next.time_ms > until.ms)
    }

    /// Has the stream had all that it asked for, up to its cursor?
    fn is_complete(&self) -> bool {
        self.limit_is_reached() || self.until().sequence.is_some_and(|last| self.cursor >= last)
    }

    fn limit_is_reached(&self) -> bool {
        self.until().limit.is_some_and(|limit| self.sent >= limit)
    }

    fn until(&self) -> Until {
        self.options.until().unwrap_or_default()
    }

    /// Ends the hole, if there is one, at this place; `next` follows.
    fn tell_hole(&mut self, hole: &mut Hole, end: u64, next: Option<&Entry>, out: &mut Vec<Output>) {
        let Hole { after, missed } = std::mem::take(hole);
        if missed == 0 {
            return;
        }
        let log = &self.hub.log;
        let oldest = next.map(|entry| entry.event_id(log.epoch));
        let gap = Gap::expired(log.position(after), missed, oldest, log.position(end));
        self.tell_gap(self.veiled(gap), out);
    }

    fn veiled(&self, gap: Gap) -> Gap {
        let may_have_all = self.options.checks().is_none() && !self.hub.log.hides_from(&self.options.readable);
        if may_have_all { gap } else { gap.veiled() }
    }

    fn tell_entry(&mut self, entry: Arc<Entry>, out: &mut Vec<Output>) {
        out.extend(self.take_retry().map(Output::Retry));
        self.sent += 1;
        self.told = entry.sequence;
        out.push(Output::Entry(entry));
    }

    /// Tells a gap; false where that is not said in the stream. A bare one has no place for it: before the first event the head
    /// of the response says it, and later the stream ends, so that the next one's head does.
    fn tell_gap(&mut self, gap: Gap, out: &mut Vec<Output>) -> bool {
        if self.is_bare() && !(self.looks_ahead() && out.is_empty()) {
            self.end(EndReason::Gap);
            return false;
        }
        self.hub.counters.gaps.fetch_add(1, Relaxed);
        if let Some(bare) = self.options.bare_mut() {
            bare.missing.get_or_insert(gap.reason);
            return false;
        }
        self.told = gap.position.sequence;
        out.push(Output::Gap(gap));
        true
    }

    fn has_sent(&mut self, now: Instant) {
        self.keep_alive_at = self.keep_alive_after(now);
    }

    fn keep_alive_after(&self, now: Instant) -> Option<Instant> {
        let silence = Duration::from_millis(self.options.keep_alive_ms.into());
        // ±10 %, so that streams that opened together do not stay together
        (!silence.is_zero()).then(|| now.checked_add(self.hub.random.about(silence, 100)))?
    }

    fn next_time(&self, waker: &Waker) -> Option<Instant> {
        let until = self.until().time.and_then(|until| until.at);
        [self.keep_alive_at, self.ends_at, until, self.control.watch(waker).map(|(time, _)| time)]
            .into_iter()
            .flatten()
            .min()
    }

    /// Leaves the hub. The first reason given is the one that counts.
    fn end(&mut self, end: EndReason) -> Turn {
        self.state = State::Ended;
        // its reader may take a while to go
        self.options.held = None;
        self.ticket = None;
        if let Some(key) = self.key.take() {
            self.hub.shard.leave(key);
            self.hub.counters.count_end(end);
        }
        Turn::End
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.end(if self.control.is_stalled() { EndReason::Stalled } else { EndReason::Left });
    }
}

/// The caller's filter or access check panicked.
struct Panicked;
