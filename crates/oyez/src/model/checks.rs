//! Each output of a stream, held against the oracle.

use super::begun::{Begun, Due, is_told_once};
use super::engine::Engine;
use super::reader::{Reader, Values};
use super::seen::Seen;
use super::wish::{UntilTime, Wish, is_even};
use super::world::World;
use crate::gap::{Gap, Reason};
use crate::log::Entry;
use crate::options::SlowPolicy;
use crate::output::Output;
use crate::position::Position;
use crate::subscriber::Subscriber;

impl<E: Engine> World<E> {
    /// Is there nothing that a stream could say which waits until it is woken?
    pub(super) fn check_sleep(&self, reader: &Reader, view: u64) {
        let finish = self.oracle.finish(&reader.wish.matchers);
        assert_eq!(finish, None, "waits for what will never come: {reader:?}");
        assert!(!reader.is_full(), "waits though it has all: {reader:?}");
        assert!(reader.wish.until.is_none_or(|until| until.at > self.now), "waits beyond its time: {reader:?}");
        assert_eq!(self.oracle.next(reader, view), None, "sleeps with something to read: {reader:?}");
        self.has_been_told(reader, self.oracle.head, view);
    }

    pub(super) fn check(&mut self, reader: &mut Reader, output: Output, view: u64, seen: &mut Seen) {
        match output {
            Output::Open { cursor, .. } => self.check_open(reader, cursor, view, seen),
            Output::Gap(gap) => {
                self.check_gap(reader, &gap, view, seen);
                reader.has = gap.position.sequence;
                self.told(reader, gap.position.to_string());
            }
            Output::Entry(entry) => {
                self.check_entry(reader, &entry, view);
                reader.has = entry.sequence;
                reader.sent += 1;
                seen.entries += 1;
                seen.from_below += u64::from(entry.sequence < self.oracle.front);
                seen.left += u64::from(self.oracle.all[&entry.sequence].is_gone());
                self.told(reader, self.oracle.all[&entry.sequence].id.clone());
            }
            Output::KeepAlive(Some(cursor)) => {
                self.passes_nothing(reader, cursor, view);
                assert!(cursor <= self.oracle.head);
                self.has_been_told(reader, cursor, view);
                reader.has = reader.has.max(cursor);
                self.told(reader, self.oracle.position(cursor));
            }
            Output::KeepAlive(None) => {}
            Output::Retry(_) => panic!("it is not bare"),
        }
    }

    fn check_open(&mut self, reader: &mut Reader, cursor: Option<u64>, view: u64, seen: &mut Seen) {
        match (&reader.begun, cursor) {
            (Begun::Snapshot, None) => {
                seen.snapshots += 1;
                reader.begun = Begun::Said;
            }
            (Begun::Snapshot, Some(_)) => panic!("whoever is cut now would not ask for the snapshot again"),
            (Begun::Open(Some(due)), None) => assert!(due.must || !self.oracle.remembers_all),
            (Begun::Open(due), Some(cursor)) => {
                assert!(due.as_ref().is_none_or(|due| !due.must), "a gap is due before the stream has a place");
                let next = self.oracle.next(reader, view);
                reader.has = cursor;
                assert_eq!(self.oracle.next(reader, view), next, "begins at {cursor}: {reader:?}");
                reader.begun = Begun::Said;
                self.told(reader, self.oracle.position(cursor));
            }
            (Begun::Open(None), None) => panic!("a gap that nobody needs"),
            (Begun::Said, _) => panic!("opened twice"),
        }
    }

    fn check_entry(&self, reader: &Reader, entry: &Entry, view: u64) {
        let next = self.oracle.next(reader, view);
        let Entry { sequence, topics, .. } = entry;
        let wanted = next.map(|next| &self.oracle.all[&next]);
        assert_eq!(next, Some(*sequence), "{topics:?} comes, not {wanted:?}: {reader:?}, in view of {view}");
        assert!(matches!(reader.begun, Begun::Said));
        self.has_been_told(reader, entry.sequence - 1, view);
        let expected = &self.oracle.all[&entry.sequence];
        assert_eq!((entry.time_ms, &*entry.event_id(self.oracle.epoch)), (expected.time_ms, &*expected.id));
        assert!(entry.topics.iter().map(|topic| &**topic).eq(expected.topics.iter().copied()));
        assert_eq!(is_even(&entry.event()) || entry.ended_topic().is_some(), expected.even);
        let is_too_late = reader.wish.until.is_some_and(|until| entry.time_ms > until.ms);
        assert!(!reader.is_full() && !is_too_late, "more than it asked for: {reader:?}");
    }

    fn check_gap(&self, reader: &mut Reader, gap: &Gap, view: u64, seen: &mut Seen) {
        if gap.reason == Reason::Deleted && matches!(reader.begun, Begun::Said) {
            self.check_deleted(reader, gap, seen);
            return;
        }
        let began = reader.knows;
        let due = match std::mem::replace(&mut reader.begun, Begun::Said) {
            Begun::Open(due) => {
                seen.gaps += 1;
                seen.exact += u64::from(gap.reason == Reason::Expired && gap.missed.is_some());
                seen.crash += u64::from(gap.reason == Reason::Crash);
                seen.deleted_at_once += u64::from(gap.reason == Reason::Deleted);
                due.unwrap_or_else(|| panic!("a gap that nobody needs: {gap:?} {reader:?}"))
            }
            Begun::Snapshot => panic!("a snapshot has all that there is"),
            Begun::Said => {
                seen.policy += 1;
                seen.exact_policy += u64::from(gap.missed.is_some());
                self.due_now(reader, gap, view)
            }
        };
        let is_now = due.reason == Reason::Policy || began == self.oracle.drops;
        self.check_due(reader, gap, &due, is_now, seen);
    }

    /// What a reader that lagged too far has to be told. It knows of it then.
    fn due_now(&self, reader: &mut Reader, gap: &Gap, view: u64) -> Due {
        assert_eq!(reader.wish.slow, SlowPolicy::Skip);
        let cursor = Position::parse(&gap.requested).unwrap().sequence;
        self.passes_nothing(reader, cursor, view);
        self.has_been_told(reader, cursor, view);
        reader.has = reader.has.max(cursor);
        let due = self.oracle.due_now(reader, cursor, gap.requested.clone(), view);
        let values_first = self.oracle.values_of_a_resume().is_some();
        // a gap that passes the whole snapshot tells of the log after it as well, where that reads on in the same way
        let place = if E::KNOWS.values_first { gap.position.sequence } else { reader.has };
        match &mut reader.values {
            Some(values) if place < values.upto => values.knows = view,
            values => {
                reader.knows = view;
                if values_first {
                    *values = Some(Values { upto: self.oracle.front - 1, knows: view });
                }
            }
        }
        due
    }

    /// Is it the gap that is due? `is_now` says that nothing has left since that was found out.
    fn check_due(&self, reader: &Reader, gap: &Gap, due: &Due, is_now: bool, seen: &mut Seen) {
        let Wish { matchers, only_even, .. } = &reader.wish;
        // where nobody knows for sure what else has expired, that may be said
        if gap.reason != Reason::Expired || due.reason != Reason::Deleted || self.oracle.remembers_all {
            assert_eq!(gap.reason, due.reason);
        }
        assert_eq!(gap.requested, due.requested);
        if gap.reason != Reason::Deleted {
            due.check_number(gap, *only_even);
        }
        let may_stop = (!E::KNOWS.all_of_the_way && !self.oracle.deletions.is_empty()) || reader.may_break;
        if may_stop && gap.oldest.is_none() && gap.position.sequence <= due.end() {
            return; // it was not looked for to the end
        }
        let oldest = due.first.map(|first| match only_even {
            true => self.oracle.position(first),
            false => self.oracle.all[&first].id.clone(),
        });
        due.check_place(gap, oldest.as_deref());
        let end = gap.position.sequence;
        let is_uneven = self.oracle.is_uneven(end, matchers);
        seen.uneven += u64::from(is_uneven);
        if !self.oracle.has_dropped_after(end) || (!is_uneven && self.oracle.remembers_all && is_now) {
            is_told_once(gap, matchers, &self.engine, self.now);
        }
    }

    /// A reader is told that what it should have had was deleted.
    fn check_deleted(&self, reader: &mut Reader, gap: &Gap, seen: &mut Seen) {
        seen.deleted += 1;
        let place = gap.position.sequence;
        // the last one may just have come, as one of another topic
        let has = reader.has.saturating_sub(1);
        // of what a snapshot does not have any more it is told at once
        let surely = reader.values.map_or(place, |values| values.upto.max(place));
        // values that come after what is gone may be told of together with it
        let upto = if E::KNOWS.values_first { surely.max(self.oracle.front - 1) } else { surely };
        let told = self.oracle.deletions.after(has, upto, &reader.wish.matchers);
        reader.deletions.tell(told.map(|deletion| (deletion.at, deletion.last <= surely)));
        // what has left since is in the gap as well
        self.passes_nothing(reader, place, self.oracle.drops);
    }

    /// The reader comes to `end`: of what was hidden, or has left, before that it must know.
    fn has_been_told(&self, reader: &Reader, end: u64, view: u64) {
        let lost = self.oracle.lost(reader, end, view);
        // the filter may have passed over it before
        assert!(lost.is_none() || reader.wish.only_even, "{lost:?} left without a word: {reader:?}, in view of {view}");
        let values = reader.values.map_or(0, |values| values.upto);
        for deletion in self.oracle.deletions.after(reader.has.max(values), end, &reader.wish.matchers) {
            let is_known = reader.deletions.knows(deletion);
            assert!(is_known || reader.wish.only_even, "{deletion:?} without a word: {reader:?}");
        }
    }

    /// Is there nothing to be delivered up to `end`?
    fn passes_nothing(&self, reader: &Reader, end: u64, view: u64) {
        let next = self.oracle.next(reader, view).filter(|next| *next <= end);
        assert_eq!(next, None, "passes an entry: {reader:?}, in view of {view}");
    }

    /// May the stream end here?
    pub(super) fn check_end(&self, reader: &Reader, view: u64, seen: &mut Seen) {
        let next = self.oracle.next(reader, view);
        let full = reader.is_full();
        let complete = reader.until.is_some_and(|until| next.is_none_or(|next| next > until));
        let late = reader.wish.until.is_some_and(|until| self.is_late(reader, until, next));
        let lagged = reader.wish.slow == SlowPolicy::Disconnect && self.oracle.may_have_lost(reader, view);
        let finish = self.oracle.finish(&reader.wish.matchers);
        // after an end that is gone nothing comes any more, whether or not that is a loss
        let finish = finish.filter(|last| reader.has >= *last || self.oracle.all[last].is_gone());
        let finished = next.is_none() && finish.is_some();
        let finished = finished || reader.has_end;
        if reader.subscriber.as_ref().is_some_and(Subscriber::is_broken) {
            assert!(reader.may_break, "broke off for no reason: {reader:?}");
            seen.broken += 1;
            return;
        }
        assert!(full || complete || late || lagged || finished, "ended for no reason: {reader:?}");
        seen.full += u64::from(full);
        let had_all = full || complete || late;
        seen.late += u64::from(late && !full && !complete);
        seen.lagged += u64::from(lagged && !had_all && !finished);
        seen.finished += u64::from(finished && !had_all);
        if let Some(last) = finish.filter(|_| finished && !had_all && !lagged) {
            self.has_been_told(reader, last, view);
        }
    }

    /// Is everything that a stream may still get beyond the time that it asked for?
    fn is_late(&self, reader: &Reader, until: UntilTime, next: Option<u64>) -> bool {
        let is_beyond = |next: u64| self.oracle.all[&next].time_ms > until.ms;
        let mut rest = self.oracle.matching(reader.has, self.oracle.head, &reader.wish.matchers);
        next.is_none_or(is_beyond) && (self.now >= until.at || rest.any(is_beyond))
    }

    fn told(&mut self, reader: &mut Reader, id: String) {
        self.ids.push(id.clone());
        reader.last_id = Some(id);
    }
}
