//! Streams that begin, are read, and come back, each output held against the oracle.

use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{Seen, World};
use crate::gap::{Gap, Reason};
use crate::last_event_id::LastEventId;
use crate::model::begun::{Begun, Due, is_told_once};
use crate::model::bell::Bell;
use crate::model::deletions::Known;
use crate::model::wish::Wish;
use crate::options::SlowPolicy;
use crate::output::{Output, Turn};
use crate::position::{Epoch, Position};
use crate::subscriber::Subscriber;

/// A stream and what its reader knows.
pub(super) struct Reader {
    subscriber: Subscriber,
    pub(super) wish: Wish,
    /// The reader has everything that matches up to here.
    pub(super) has: u64,
    deletions: Known,
    /// Up to here only values come; those from before the second number only of compacted topics.
    pub(super) values: Option<(u64, u64)>,
    sent: u64,
    limit: Option<u64>,
    pub(super) until: Option<u64>,
    until_time: Option<(u64, Instant)>,
    last_id: Option<String>,
    last_id_is_unique: bool,
    begun: Begun,
}

impl World {
    fn random_id(&mut self) -> String {
        let epoch = self.core.log.epoch;
        let sequence = self.dice.below(self.head() + 3);
        match self.dice.below(12) {
            0 => "made up".into(),
            1 => Position { epoch: Epoch::from_bits(7 << 20), sequence }.to_string(),
            2 => format!("again-{}", self.dice.below(3)),
            3 => format!("p{sequence}"),
            4..=6 => Position { epoch, sequence }.to_string(),
            _ if self.ids.is_empty() => Position { epoch, sequence: 0 }.to_string(),
            _ => self.ids[self.dice.below(self.ids.len() as u64) as usize].clone(),
        }
    }

    pub(super) fn reconnect(&mut self, seen: &mut Seen) {
        if self.readers.is_empty() {
            return;
        }
        let at = self.dice.below(self.readers.len() as u64) as usize;
        let reader = self.readers.swap_remove(at);
        self.begin(Some(reader), seen);
    }

    /// Begins a stream somewhere, or goes on with one that was cut.
    pub(super) fn begin(&mut self, cut: Option<Reader>, seen: &mut Seen) {
        let resumed = cut.as_ref().and_then(|reader| reader.last_id.clone());
        let wish = match &cut {
            Some(cut) => cut.wish.again(&mut self.dice),
            None => Wish::new(&mut self.dice),
        };
        let mut subscribe = wish.subscribe(&self.core, &mut self.dice);
        let matchers = wish.matchers.clone();
        let limit = self.dice.one_in(8).then(|| self.dice.below(10));
        if let Some(limit) = limit {
            subscribe = subscribe.limit(limit);
        }

        let known = self.head();
        // what the oracle expects is decided by the history behind the trim that a begin may do
        let (kind, number) = (self.dice.below(7), self.dice.below(8) as usize);
        let time_ms = self.now_ms.saturating_sub(self.dice.below(80));
        let id = resumed.clone().unwrap_or_else(|| self.random_id());
        subscribe = match kind {
            _ if resumed.is_some() => subscribe.earliest().resume(LastEventId::new(id.as_str())),
            0 => subscribe,
            1 => subscribe.earliest(),
            2 => subscribe.last(number),
            3 => subscribe.since(UNIX_EPOCH + Duration::from_millis(time_ms), "then"),
            4 => subscribe.snapshot(),
            _ => subscribe.since_id(&id),
        };
        let poll = self.dice.one_in(5);
        if poll {
            subscribe = subscribe.poll();
        }
        let until_ms = self.dice.one_in(8).then(|| self.now_ms + self.dice.below(20));
        if let Some(ms) = until_ms {
            subscribe = subscribe.until(SystemTime::UNIX_EPOCH + Duration::from_millis(ms));
        }
        let found = self.find(&id);
        let subscriber = subscribe.begin(self.now, self.now_ms).unwrap();
        self.history_has_moved();
        let found = if self.retention.age.is_some() { self.find(&id) } else { found };
        seen.begins += 1;

        let oldest = self.history_start - 1;
        let kept_after = |after: u64| if self.compacted == 0 { after.max(oldest) } else { after };
        let is_resume = resumed.is_some() || !matches!(kind, 0..=2 | 4);
        let is_snapshot = resumed.is_none() && kind == 4;
        let mut values = (is_resume && self.compacted != 0).then_some((oldest, oldest + 1));
        let (mut has, due) = if !is_resume {
            match kind {
                0 => (self.head(), None),
                1 => (oldest, None),
                4 => {
                    values = Some((self.head(), oldest + 1));
                    (0, None)
                }
                _ => {
                    let newest = (oldest + 1..=self.head()).rev().filter(|sequence| self.matches(*sequence, &matchers));
                    (newest.take(number).last().map_or_else(|| self.head(), |first| first - 1), None)
                }
            }
        } else if resumed.is_none() && kind == 3 {
            let wanted =
                |sequence: &u64| self.entry(*sequence).time_ms >= time_ms && self.matches(*sequence, &matchers);
            let missed = self.losses(0, oldest, &matchers).filter(wanted).count() as u64;
            let earlier = self.all.partition_point(|entry| entry.time_ms < time_ms) as u64;
            let may = oldest > 0 && self.entry(oldest).time_ms >= time_ms;
            let is_missed = |last| self.entry(last).time_ms >= time_ms;
            let deleted = self.deletions.behind(0, oldest, &matchers).any(|deletion| is_missed(deletion.last));
            let due = self.due(Reason::Expired, missed, may, "then", earlier, &matchers);
            (kept_after(earlier), self.or_deleted(due, deleted, "then", earlier, &matchers))
        } else {
            match found {
                Ok(after) => {
                    let missed = self.losses(after, oldest, &matchers).count() as u64;
                    let deleted = self.deletions.behind(after, oldest, &matchers).next().is_some();
                    let due = self.due(Reason::Expired, missed, after < oldest, &id, after, &matchers);
                    (kept_after(after), self.or_deleted(due, deleted, &id, after, &matchers))
                }
                Err(reason) => (kept_after(0), self.due(reason, u64::MAX, true, &id, 0, &matchers)),
            }
        };
        if let (Some(cut), Ok(after)) = (&cut, found) {
            if resumed.is_some() && cut.last_id_is_unique && matches!(cut.begun, Begun::Said) {
                assert_eq!(
                    self.matching(cut.has, after, &matchers).count(),
                    0,
                    "{id} skips what its reader has not got"
                );
                assert_eq!(self.matching(after, cut.has, &matchers).count(), 0, "{id} repeats what its reader has got");
            }
        }
        let mut begun = Begun::Open(due);
        if is_snapshot {
            if self.told_values(0, self.head(), oldest + 1, &matchers).next().is_some() {
                begun = Begun::Snapshot;
            } else {
                (has, values) = (self.head(), None);
            }
        }
        let reader = Reader {
            subscriber,
            wish,
            has,
            deletions: Known::upto(if is_resume && (found.is_ok() || resumed.is_none() && kind == 3) {
                0
            } else {
                known
            }),
            values,
            sent: 0,
            limit,
            until: poll.then(|| self.head()),
            until_time: until_ms.map(|ms| (ms, self.now + Duration::from_millis(ms - self.now_ms))),
            last_id: resumed,
            last_id_is_unique: cut.is_none_or(|cut| cut.last_id_is_unique),
            begun,
        };
        self.readers.push(reader);
        if self.readers.len() > 4 {
            self.readers.remove(0);
        }
        let at = self.readers.len() - 1;
        if !self.dice.one_in(4) {
            self.poll(at, seen);
        }
    }

    /// The reader comes to `end`: of what was hidden before it must know.
    fn has_been_told(&self, reader: &Reader, end: u64) {
        let values = reader.values.map_or(0, |(upto, _)| upto);
        for deletion in self.deletions.behind(reader.has.max(values), end, &reader.wish.matchers) {
            let known = reader.deletions.knows(deletion);
            // the filter may have passed over it before
            assert!(known || reader.wish.only_even, "{} was deleted without a word", deletion.last);
        }
    }

    pub(super) fn read(&mut self, seen: &mut Seen) {
        if self.readers.is_empty() {
            return;
        }
        let at = self.dice.below(self.readers.len() as u64) as usize;
        for _ in 0..=self.dice.below(4) {
            if at >= self.readers.len() || !self.poll(at, seen) {
                break;
            }
        }
    }

    /// One turn of a stream. False when there is no point in another.
    fn poll(&mut self, at: usize, seen: &mut Seen) -> bool {
        let mut reader = self.readers.swap_remove(at);
        let mut out = Vec::new();
        let bell = Arc::new(Bell::default());
        let mut turn = reader.subscriber.poll(self.now, &Waker::from(Arc::clone(&bell)), &mut out);
        while reader.subscriber.is_fetching() && out.is_empty() {
            while !reader.subscriber.has_fetched() {
                bell.wait();
            }
            turn = reader.subscriber.poll(self.now, &Waker::from(Arc::clone(&bell)), &mut out);
        }
        let front = self.core.log.front();
        assert_eq!(turn == Turn::Deliver, !out.is_empty());
        for output in out {
            self.check(&mut reader, output, front, seen);
        }
        let next = self.next(&reader);
        match turn {
            Turn::Deliver | Turn::Yield => {}
            Turn::Wait(_) => {
                assert_eq!(next, None, "sleeps with something to read");
                self.has_been_told(&reader, self.head());
            }
            Turn::End => {
                let full = reader.limit.is_some_and(|limit| reader.sent >= limit);
                let complete = reader.until.is_some_and(|until| next.is_none_or(|next| next > until));
                let lost = self.losses(reader.has, front - 1, &reader.wish.matchers).next().is_some();
                let behind = reader.wish.slow == SlowPolicy::Disconnect && (lost || !self.remembers_all && front > 1);
                let late = reader.until_time.is_some_and(|(until, at)| {
                    self.now >= at
                        || self
                            .matching(reader.has, self.head(), &reader.wish.matchers)
                            .any(|next| self.entry(next).time_ms > until)
                });
                assert!(full || complete || behind || late, "ended for no reason behind {}", reader.has);
                seen.behind += u64::from(behind && !full && !complete);
                seen.complete += u64::from(full || complete);
                // its reader comes back, or it is forgotten
                if self.dice.one_in(2) {
                    self.begin(Some(reader), seen);
                }
                return false;
            }
        }
        self.readers.push(reader);
        let last = self.readers.len() - 1;
        self.readers.swap(at, last);
        turn != Turn::Wait(None)
    }

    fn check(&mut self, reader: &mut Reader, output: Output, front: u64, seen: &mut Seen) {
        let id = |sequence| Position { epoch: self.core.log.epoch, sequence }.to_string();
        match output {
            Output::Open { cursor, .. } => match (&reader.begun, cursor) {
                (Begun::Snapshot, None) => {
                    seen.snapshots += 1;
                    reader.begun = Begun::Said;
                }
                (Begun::Snapshot, Some(_)) => panic!("whoever is cut now would not ask for the snapshot again"),
                (Begun::Open(Some(due)), None) => assert!(due.must || !self.remembers_all),
                (Begun::Open(due), Some(cursor)) => {
                    assert!(due.as_ref().is_none_or(|due| !due.must), "a gap is due before the stream has a place");
                    let next = self.next(reader);
                    reader.has = cursor;
                    assert_eq!(self.next(reader), next);
                    reader.begun = Begun::Said;
                    self.told(reader, id(cursor), true);
                }
                (Begun::Open(None), None) => panic!("a gap that nobody needs"),
                (Begun::Said, _) => panic!("opened twice"),
            },
            Output::Gap(gap) if gap.reason == Reason::Deleted && matches!(reader.begun, Begun::Said) => {
                seen.deleted[1] += 1;
                let place = gap.position.sequence;
                // values that come behind what is gone may be told of together with it
                let surely = reader.values.map_or(place, |(upto, _)| upto).max(place);
                let upto = surely.max(front - 1);
                // the last one may just have come, as one of another topic
                let has = reader.has.saturating_sub(1);
                let told = self.deletions.behind(has, upto, &reader.wish.matchers);
                reader.deletions.tell(told.map(|deletion| (deletion.at, deletion.last <= surely)));
                assert_eq!(self.next(reader).filter(|next| *next <= place), None, "passes unread entries");
                reader.has = place;
                self.told(reader, gap.position.to_string(), true);
            }
            Output::Gap(gap) => {
                let due = match std::mem::replace(&mut reader.begun, Begun::Said) {
                    Begun::Open(due) => {
                        seen.gaps += 1;
                        seen.deleted[0] += u64::from(gap.reason == Reason::Deleted);
                        due.expect("a gap that nobody needs")
                    }
                    Begun::Snapshot => panic!("a snapshot has all that there is"),
                    Begun::Said => {
                        seen.policy += 1;
                        let cursor = Position::parse(&gap.requested).unwrap().sequence;
                        assert_eq!(self.next(reader).filter(|next| *next <= cursor), None, "passed unread entries");
                        let missed = self.losses(reader.has, front - 1, &reader.wish.matchers).count() as u64;
                        assert_eq!(reader.wish.slow, SlowPolicy::Skip);
                        assert!(missed > 0 || !self.remembers_all && front > 1, "nothing is missing");
                        let requested = gap.requested.clone();
                        let upto = reader.values.map_or(0, |(upto, _)| upto).max(front - 1);
                        let value = self.told_values(cursor, upto, front, &reader.wish.matchers).next();
                        let first = value.or_else(|| self.matching(upto, self.head(), &reader.wish.matchers).next());
                        // of what was passed over before, nobody knows whether it was replaced
                        let missed = if reader.values.is_none() { Some(missed) } else { gap.missed };
                        reader.values = (self.compacted != 0 || reader.values.is_some()).then_some((upto, front));
                        let countable = self.is_countable(&requested, &reader.wish.matchers);
                        let head = self.head();
                        Due { reason: Reason::Policy, must: true, requested, missed, countable, first, head }
                    }
                };
                self.check_gap(&gap, &due, reader, seen);
                reader.has = gap.position.sequence;
                self.told(reader, gap.position.to_string(), true);
            }
            Output::Entry(entry) => {
                let next = self.next(reader);
                assert_eq!(next, Some(entry.sequence), "behind {}", reader.has);
                self.has_been_told(reader, entry.sequence - 1);
                assert!(matches!(reader.begun, Begun::Said));
                let expected = self.entry(entry.sequence);
                assert_eq!((entry.time_ms, &*entry.event_id(self.core.log.epoch)), (expected.time_ms, &*expected.id));
                assert!(entry.topics.iter().map(|topic| &**topic).eq(expected.topics.iter().copied()));
                let unique = !expected.id.starts_with("again-");
                let id = expected.id.clone();
                reader.has = entry.sequence;
                reader.sent += 1;
                seen.entries += 1;
                seen.left += u64::from(entry.sequence < front);
                self.told(reader, id, unique);
            }
            Output::KeepAlive(Some(cursor)) => {
                assert_eq!(
                    self.next(reader).filter(|next| *next <= cursor),
                    None,
                    "the cursor has passed unread entries"
                );
                assert!(cursor <= self.head());
                self.has_been_told(reader, cursor);
                reader.has = reader.has.max(cursor);
                self.told(reader, id(cursor), true);
            }
            Output::KeepAlive(None) => {}
        }
    }

    fn check_gap(&self, gap: &Gap, due: &Due, reader: &Reader, seen: &mut Seen) {
        // where nobody knows for sure what else has expired, that may be said
        if gap.reason != Reason::Expired || due.reason != Reason::Deleted || self.remembers_all {
            assert_eq!(gap.reason, due.reason);
        }
        assert_eq!(gap.requested, due.requested);
        if gap.reason != Reason::Deleted {
            seen.exact += u64::from(due.check_number(gap, reader.wish.only_even));
        }
        let oldest = due.first.map(|first| match reader.wish.only_even {
            true => Position { epoch: self.core.log.epoch, sequence: first }.to_string(),
            false => self.entry(first).id.clone(),
        });
        due.check_place(gap, oldest.as_deref());
        if gap.position.sequence + 1 >= self.history_start {
            is_told_once(gap, &reader.wish.matchers, &self.core, self.now);
        }
    }

    fn told(&mut self, reader: &mut Reader, id: String, unique: bool) {
        self.ids.push(id.clone());
        reader.last_id = Some(id);
        reader.last_id_is_unique = unique;
    }
}
