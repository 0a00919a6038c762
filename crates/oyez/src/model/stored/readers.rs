//! Streams that begin, are read, and come back, each output held against the oracle.

use std::fmt;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, UNIX_EPOCH};

use super::{AGAIN, Seen, World};
use crate::ErrorKind;
use crate::gap::{Gap, Reason};
use crate::last_event_id::LastEventId;
use crate::log::Entry;
use crate::model::begun::{Begun, Due, is_told_once};
use crate::model::bell::Bell;
use crate::model::deletions::Known;
use crate::model::wish::{Wish, is_even};
use crate::options::SlowPolicy;
use crate::output::{Output, Turn};
use crate::position::{Epoch, Position};
use crate::subscribe::Subscribe;
use crate::subscriber::Subscriber;

/// A stream and what its reader knows.
pub(super) struct Reader {
    /// None when its hub has stopped.
    subscriber: Option<Subscriber>,
    pub(super) wish: Wish,
    /// The reader has everything that matches up to here.
    pub(super) has: u64,
    /// What had left by then it knows of.
    pub(super) knows: u64,
    deletions: Known,
    pub(super) values: Option<Values>,
    /// Its page was read when something had left the disk so often.
    page_of: Option<u64>,
    pub(super) until: Option<u64>,
    last_id: Option<String>,
    begun: Begun,
}

/// What a stream gets before it reads the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values {
    /// Up to here it gets values only.
    pub(super) upto: u64,
    /// Of those that had left by then it knows.
    pub(super) knows: u64,
}

/// Where a stream begins.
enum From {
    Live,
    Earliest,
    Last(usize),
    Snapshot,
    Time(u64),
    Id(String),
    /// The id that its last stream told, with a header.
    Resumed(String),
}

/// As which a time is asked for.
const THEN: &str = "then";

impl From {
    fn apply(&self, subscribe: Subscribe<oyez_proto::Event>) -> Subscribe<oyez_proto::Event> {
        match self {
            Self::Live => subscribe,
            Self::Earliest => subscribe.earliest(),
            Self::Last(number) => subscribe.last(*number),
            Self::Snapshot => subscribe.snapshot(),
            Self::Time(ms) => subscribe.since(UNIX_EPOCH + Duration::from_millis(*ms), THEN),
            Self::Id(id) => subscribe.since_id(id),
            Self::Resumed(id) => subscribe.earliest().resume(LastEventId::new(id.as_str())),
        }
    }
}

/// What a failure says of it.
impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wish, has, knows, values, page_of, until, last_id, .. } = self;
        write!(f, "a reader of {:?} that has {has}, knows what had left by {knows}", wish.matchers)?;
        write!(f, " (values up to {values:?}, page of {page_of:?}, until {until:?}, last id {last_id:?})")
    }
}

impl Reader {
    /// Its hub stops. True when it has a place to come back to.
    pub(super) fn stop(&mut self) -> bool {
        self.subscriber.take().is_some() && self.last_id.is_some()
    }
}

impl World {
    fn random_id(&mut self) -> String {
        let sequence = self.dice.below(self.oracle.head + 3);
        let skipped = self.oracle.skips.len();
        match self.dice.below(12) {
            0 => "made up".into(),
            1 => Position { epoch: Epoch::from_bits(7 << 20), sequence }.to_string(),
            2 | 3 if skipped > 0 => {
                let (first, last) = self.oracle.skips[self.dice.place(skipped)];
                self.oracle.position(self.dice.pick(&[first - 1, first, last, last + 1]))
            }
            4..=8 if !self.oracle.all.is_empty() => {
                let at = self.dice.place(self.oracle.all.len());
                let (sequence, entry) = self.oracle.all.iter().nth(at).unwrap();
                if self.dice.one_in(3) { entry.id.clone() } else { self.oracle.position(*sequence) }
            }
            _ if self.ids.is_empty() => self.oracle.position(0),
            _ => self.ids[self.dice.place(self.ids.len())].clone(),
        }
    }

    fn random_start(&mut self) -> From {
        match self.dice.below(8) {
            0 => From::Live,
            1 => From::Earliest,
            2 => From::Last(self.dice.below(30) as usize),
            3 => From::Snapshot,
            4 => From::Time(self.now_ms.saturating_sub(self.dice.below(80))),
            _ => From::Id(self.random_id()),
        }
    }

    /// A reader that was cut comes back.
    pub(super) fn reconnect(&mut self, seen: &mut Seen) {
        let from = if self.cut.is_empty() { &mut self.readers } else { &mut self.cut };
        if from.is_empty() {
            return;
        }
        let at = self.dice.place(from.len());
        let reader = from.swap_remove(at);
        self.begin(Some(&reader), seen);
    }

    /// Begins a stream somewhere, or goes on with one that was cut.
    pub(super) fn begin(&mut self, cut: Option<&Reader>, seen: &mut Seen) {
        let wish = match cut {
            Some(cut) => cut.wish.again(&mut self.dice),
            None => Wish::new(&mut self.dice),
        };
        let from = match cut.and_then(|cut| cut.last_id.clone()) {
            Some(id) => From::Resumed(id),
            None => self.random_start(),
        };
        let mut subscribe = from.apply(wish.subscribe(&self.life.core, &mut self.dice));
        let poll = self.dice.one_in(5);
        if poll {
            subscribe = subscribe.poll();
        }
        let begun = subscribe.begin(self.now, self.now_ms);
        seen.begins += 1;
        if let (Some(cut), From::Resumed(id)) = (cut, &from) {
            self.comes_back_where_it_was(cut, id);
        }
        let oracle = &self.oracle;
        let finish = oracle.finish(&wish.matchers);
        // a snapshot is taken before the end, which is no value
        let snapshot = finish.map_or(oracle.head, |last| last - 1);
        let is_snapshot = matches!(from, From::Snapshot) && oracle.has_values(&wish.matchers);
        let (has, due) = match &from {
            From::Snapshot if is_snapshot => (0, None),
            From::Snapshot => (snapshot, None),
            // who comes without an id wants the whole of it
            From::Live if finish.is_some() => (oracle.earliest(), None),
            From::Live => (oracle.head, None),
            From::Earliest => (oracle.earliest(), None),
            From::Last(number) => (oracle.before_last(*number, &wish.matchers), None),
            From::Time(ms) => oracle.resume_at(*ms, THEN, &wish.matchers),
            From::Id(id) | From::Resumed(id) => oracle.resume(id, &wish.matchers),
        };
        let resumes = match &from {
            From::Live | From::Earliest | From::Last(_) | From::Snapshot => false,
            From::Time(_) => true,
            From::Id(id) | From::Resumed(id) => oracle.find(id).is_ok(),
        };
        if let Some(expected) =
            finish.map_or(&[][..], |last| self.finished(&from, last, has, due.as_ref())).split_first()
        {
            let kind = begun.err().map(|error| error.kind());
            assert!(
                kind.is_some_and(|kind| kind == *expected.0 || expected.1.contains(&kind)),
                "{kind:?}, not {expected:?}"
            );
            seen.ended += u64::from(kind == Some(ErrorKind::Ended));
            seen.ended_and_gone += u64::from(kind == Some(ErrorKind::Gone));
            return;
        }
        let subscriber = begun.unwrap();
        if due.is_some() && oracle.is_gone_deleted(has, &wish.matchers) {
            seen.deleted_and_gone += 1;
        }
        let reader = Reader {
            subscriber: Some(subscriber),
            has,
            knows: oracle.drops,
            deletions: Known::upto(if resumes { 0 } else { oracle.head }),
            values: is_snapshot.then_some(Values { upto: snapshot, knows: oracle.drops }),
            page_of: None,
            until: poll.then_some(oracle.head),
            last_id: cut.and_then(|cut| cut.last_id.clone()),
            begun: if is_snapshot { Begun::Snapshot } else { Begun::Open(due) },
            wish,
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

    /// As what a stream is refused whose topics have ended, the last one at `last`, and that would read behind `has`.
    fn finished(&self, from: &From, last: u64, has: u64, due: Option<&Due>) -> &'static [ErrorKind] {
        let is_gone = self.oracle.all[&last].is_gone();
        let has_all = match from {
            From::Id(id) | From::Resumed(id) => match self.oracle.find(id) {
                Ok(after) => after >= last,
                // as a place it is good
                Err(reason) => reason == Reason::Crash && has >= last,
            },
            // when the end has left, nobody knows whether it was before that time
            From::Time(_) if is_gone && due.is_none_or(|due| !due.must) => return &[ErrorKind::Ended, ErrorKind::Gone],
            From::Time(_) => has >= last && due.is_none(),
            From::Last(number) => *number == 0,
            From::Live | From::Earliest | From::Snapshot => false,
        };
        match (has_all, is_gone) {
            (true, _) => &[ErrorKind::Ended],
            (false, true) => &[ErrorKind::Gone],
            (false, false) => &[],
        }
    }

    /// The last id that a reader was told stands for what it has.
    fn comes_back_where_it_was(&self, cut: &Reader, id: &str) {
        if id.starts_with(AGAIN) {
            return; // it stands for the first that had it
        }
        let (Ok(after), Begun::Said) = (self.oracle.find(id), &cut.begun) else { return };
        let wanted = |after, end| self.oracle.wanted(cut, after, end).count();
        assert_eq!(wanted(cut.has, after), 0, "{id} skips what its reader has not got");
        assert_eq!(wanted(after, cut.has), 0, "{id} repeats what its reader has got");
    }

    pub(super) fn read(&mut self, seen: &mut Seen) {
        if self.readers.is_empty() {
            return;
        }
        let at = self.dice.place(self.readers.len());
        for _ in 0..=self.dice.below(8) {
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
        let waker = Waker::from(Arc::clone(&bell));
        let subscriber = reader.subscriber.as_mut().expect("it is open");
        let mut turn = subscriber.poll(self.now, &waker, &mut out);
        // what was found below may take a second look, in which the world does not change
        while out.iter().all(|output| matches!(output, Output::KeepAlive(_))) && subscriber.is_fetching() {
            while !subscriber.has_fetched() {
                bell.wait();
            }
            if !subscriber.has_page_of_now() {
                break;
            }
            turn = subscriber.poll(self.now, &waker, &mut out);
        }
        assert!(turn != Turn::Deliver || !out.is_empty());
        // what it says now it read before
        let view = reader.page_of.take().unwrap_or(self.oracle.drops);
        seen.in_flight += u64::from(view != self.oracle.drops);
        let is_fetching = subscriber.is_fetching();
        if is_fetching {
            while !subscriber.has_fetched() {
                bell.wait();
            }
            reader.page_of = Some(self.oracle.drops);
        }
        for output in out {
            self.check(&mut reader, output, view, seen);
        }
        match turn {
            Turn::Deliver | Turn::Yield => {}
            Turn::Wait(_) if is_fetching => {}
            Turn::Wait(_) => {
                let finish = self.oracle.finish(&reader.wish.matchers);
                assert_eq!(finish, None, "waits for what will never come: {reader:?}");
                assert_eq!(self.oracle.next(&reader, view), None, "sleeps with something to read: {reader:?}");
                self.has_been_told(&reader, self.oracle.head, view);
            }
            Turn::End => {
                self.check_end(&reader, view, seen);
                // its reader comes back, or it is forgotten
                if self.dice.one_in(2) {
                    self.begin(Some(&reader), seen);
                }
                return false;
            }
        }
        self.readers.push(reader);
        let last = self.readers.len() - 1;
        self.readers.swap(at, last);
        !matches!(turn, Turn::Wait(_)) || is_fetching && !self.dice.one_in(5)
    }

    fn check(&mut self, reader: &mut Reader, output: Output, view: u64, seen: &mut Seen) {
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
                seen.entries += 1;
                seen.from_disk += u64::from(entry.sequence < self.oracle.front);
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
    }

    fn check_gap(&self, reader: &mut Reader, gap: &Gap, view: u64, seen: &mut Seen) {
        if gap.reason == Reason::Deleted {
            assert!(matches!(reader.begun, Begun::Said));
            self.check_deleted(reader, gap, seen);
            return;
        }
        let begun_at = reader.knows;
        let due = match std::mem::replace(&mut reader.begun, Begun::Said) {
            Begun::Open(due) => {
                seen.gaps += 1;
                seen.exact += u64::from(gap.reason == Reason::Expired && gap.missed.is_some());
                seen.crash += u64::from(gap.reason == Reason::Crash);
                due.unwrap_or_else(|| panic!("a gap that nobody needs: {gap:?} {reader:?}"))
            }
            Begun::Snapshot => panic!("a snapshot has all that there is"),
            Begun::Said => {
                seen.policy += 1;
                seen.exact_policy += u64::from(gap.missed.is_some());
                assert_eq!(reader.wish.slow, SlowPolicy::Skip);
                let cursor = Position::parse(&gap.requested).unwrap().sequence;
                self.passes_nothing(reader, cursor, view);
                self.has_been_told(reader, cursor, view);
                reader.has = reader.has.max(cursor);
                let due = self.oracle.due_now(reader, cursor, gap.requested.clone(), view);
                match &mut reader.values {
                    Some(values) if reader.has < values.upto => values.knows = view,
                    _ => reader.knows = view,
                }
                due
            }
        };
        let is_now = due.reason == Reason::Policy || begun_at == self.oracle.drops;
        self.check_due(reader, gap, &due, is_now, seen);
    }

    /// Is it the gap that is due? `is_now` says that nothing has left since that was found out.
    fn check_due(&self, reader: &Reader, gap: &Gap, due: &Due, is_now: bool, seen: &mut Seen) {
        let Wish { matchers, only_even, .. } = &reader.wish;
        assert_eq!((gap.reason, &gap.requested), (due.reason, &due.requested));
        due.check_number(gap, *only_even);
        if !self.oracle.deletions.is_empty() && gap.oldest.is_none() && gap.position.sequence <= due.end() {
            return; // it was not looked for to the end
        }
        let oldest = due.first.map(|first| match only_even {
            true => self.oracle.position(first),
            false => self.oracle.all[&first].id.clone(),
        });
        due.check_place(gap, oldest.as_deref());
        if self.oracle.is_uneven(gap.position.sequence, matchers) {
            seen.uneven += 1;
        } else if self.oracle.remembers_all && is_now {
            is_told_once(gap, matchers, &self.life.core, self.now);
        }
    }

    /// A reader is told that what it should have had was deleted.
    fn check_deleted(&self, reader: &mut Reader, gap: &Gap, seen: &mut Seen) {
        seen.deleted += 1;
        let place = gap.position.sequence;
        // the last one may just have come, as one of another topic
        let has = reader.has.saturating_sub(1);
        // of what a snapshot does not have any more it is told at once
        let upto = reader.values.map_or(place, |values| values.upto.max(place));
        let told = self.oracle.deletions.behind(has, upto, &reader.wish.matchers);
        reader.deletions.tell(told.map(|deletion| (deletion.at, true)));
        // what has left since is in the gap as well
        self.passes_nothing(reader, place, self.oracle.drops);
    }

    /// The reader comes to `end`: of what was hidden, or has left, before that it must know.
    fn has_been_told(&self, reader: &Reader, end: u64, view: u64) {
        let lost = self.oracle.lost(reader, end, view);
        // the filter may have passed over it before
        assert!(lost.is_none() || reader.wish.only_even, "{lost:?} left without a word: {reader:?}, in view of {view}");
        let values = reader.values.map_or(0, |values| values.upto);
        for deletion in self.oracle.deletions.behind(reader.has.max(values), end, &reader.wish.matchers) {
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
    fn check_end(&self, reader: &Reader, view: u64, seen: &mut Seen) {
        let next = self.oracle.next(reader, view);
        let complete = reader.until.is_some_and(|until| next.is_none_or(|next| next > until));
        let behind = reader.wish.slow == SlowPolicy::Disconnect && self.oracle.may_have_lost(reader, view);
        let finish = self.oracle.finish(&reader.wish.matchers);
        // behind an end that is gone nothing comes any more, whether or not that is a loss
        let finish = finish.filter(|last| reader.has >= *last || self.oracle.all[last].is_gone());
        let finished = next.is_none() && finish.is_some();
        assert!(complete || behind || finished, "ended for no reason: {reader:?}");
        seen.behind += u64::from(behind && !complete && !finished);
        seen.finished += u64::from(finished);
        if let Some(last) = finish.filter(|_| finished && !complete && !behind) {
            self.has_been_told(reader, last, view);
        }
    }

    fn told(&mut self, reader: &mut Reader, id: String) {
        self.ids.push(id.clone());
        reader.last_id = Some(id);
    }
}
