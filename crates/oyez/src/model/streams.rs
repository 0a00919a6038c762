//! The streams of a world: they begin, are read, are cut and come back.

use super::begun::{Begun, Due};
use super::deletions::Known;
use super::engine::Engine;
use super::reader::{Asked, Reader, Values};
use super::seen::Seen;
use super::start::{Start, THEN};
use super::turn::{Page, begin, has_second_look, poll, take_turn};
use super::wish::Wish;
use super::world::{AGAIN, World};
use crate::gap::Reason;
use crate::output::Turn;
use crate::position::{Epoch, Position};
use crate::subscriber::Subscriber;
use crate::{Error, ErrorKind};

impl<E: Engine> World<E> {
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
            2 => format!("{AGAIN}{}", self.dice.below(3)),
            3 => self.oracle.position(sequence),
            4..=8 if !self.oracle.all.is_empty() => {
                let at = self.dice.place(self.oracle.all.len());
                let (sequence, entry) = self.oracle.all.iter().nth(at).unwrap();
                if self.dice.one_in(3) { entry.id.clone() } else { self.oracle.position(*sequence) }
            }
            _ if self.ids.is_empty() => self.oracle.position(0),
            _ => self.ids[self.dice.place(self.ids.len())].clone(),
        }
    }

    fn random_start(&mut self) -> Start {
        match self.dice.below(8) {
            0 => Start::Live,
            1 => Start::Earliest,
            2 => Start::Last(self.dice.below(30) as usize),
            3 => Start::Snapshot,
            4 => Start::Time(self.now_ms.saturating_sub(self.dice.below(80))),
            _ => Start::Id(self.random_id()),
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
            Some(cut) => cut.wish.again(&mut self.dice, self.now, self.now_ms),
            None => Wish::new(&mut self.dice, self.now, self.now_ms),
        };
        let start = match cut.and_then(|cut| cut.last_id.clone()) {
            Some(id) => Start::Resumed(id),
            None => self.random_start(),
        };
        let subscribe = start.apply(wish.subscribe(self.engine.core(), &mut self.dice));
        seen.begins += 1;
        let refusals = E::KNOWS.goes_away.then(|| self.engine.refuse(self.dice.one_in(20)));
        let found = begin(&self.engine, subscribe, self.now, self.now_ms);
        let may_break = refusals.is_some_and(|refusals| self.engine.refuse(false) > refusals);
        // what is too old may leave as a stream begins, and its place is found after that
        self.look();
        if let (Some(cut), Start::Resumed(id)) = (cut, &start) {
            self.comes_back_where_it_was(cut, id);
        }
        let asked = Asked { wish, start, last_id: cut.and_then(|cut| cut.last_id.clone()), may_break };
        match found {
            Ok(found) => self.begun(found, asked, seen),
            Err(search) => {
                assert!(self.engine.is_away(), "it never begins");
                self.seeking.push((search, asked));
            }
        }
    }

    /// A stream has found its place, or there is none.
    pub(super) fn begun(&mut self, begun: Result<Subscriber, Error>, asked: Asked, seen: &mut Seen) {
        let Asked { wish, start, last_id, may_break } = asked;
        if may_break && begun.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unavailable) {
            seen.refused_begins += 1;
            return;
        }
        let (has, due) = self.place_of(&start, &wish.matchers);
        let refusals = self.refusals(&start, &wish.matchers, has, due.as_ref());
        if !refusals.is_empty() {
            let kind = begun.err().map(|error| error.kind());
            assert!(kind.is_some_and(|kind| refusals.contains(&kind)), "{kind:?}, not {refusals:?}");
            seen.ended += u64::from(kind == Some(ErrorKind::Ended));
            seen.ended_and_gone += u64::from(kind == Some(ErrorKind::Gone));
            return;
        }
        if begun.as_ref().is_err_and(|error| error.kind() == ErrorKind::Ended)
            && self.may_have_all(&start, &wish.matchers, has, due.as_ref())
        {
            seen.ended += 1;
            return;
        }
        seen.deleted_and_gone += u64::from(due.is_some() && self.oracle.is_gone_deleted(has, &wish.matchers));
        let values = self.values_of(&start, &wish.matchers);
        let is_snapshot = matches!(start, Start::Snapshot) && values.is_some();
        self.readers.push(Reader {
            subscriber: Some(begun.unwrap()),
            has,
            knows: self.oracle.drops,
            began: self.oracle.drops,
            deletions: Known::upto(if self.resumes(&start) { 0 } else { self.oracle.head }),
            values,
            page_of: None,
            until: wish.poll.then_some(self.oracle.head),
            sent: 0,
            has_end: false,
            may_break,
            last_id,
            begun: if is_snapshot { Begun::Snapshot } else { Begun::Open(due) },
            wish,
        });
        if self.readers.len() > 4 {
            self.readers.remove(0);
        }
        if !self.dice.one_in(4) {
            self.poll(self.readers.len() - 1, seen);
        }
    }

    /// After which place a stream reads that begins now, and what it has to say first.
    fn place_of(&self, start: &Start, matchers: &[&str]) -> (u64, Option<Due>) {
        let oracle = &self.oracle;
        match start {
            Start::Snapshot if oracle.has_values(matchers) => (0, None),
            Start::Snapshot => (oracle.snapshot(matchers), None),
            // who comes without an id wants the whole of it
            Start::Live if oracle.finish(matchers).is_some() => (oracle.earliest(), None),
            Start::Live => (oracle.head, None),
            Start::Earliest => (oracle.earliest(), None),
            Start::Last(number) => (oracle.before_last(*number, matchers), None),
            Start::Time(ms) => oracle.resume_at(*ms, THEN, matchers),
            Start::Id(id) | Start::Resumed(id) => oracle.resume(id, matchers),
        }
    }

    /// Which values it gets before it reads the log.
    fn values_of(&self, start: &Start, matchers: &[&str]) -> Option<Values> {
        let oracle = &self.oracle;
        match start {
            Start::Snapshot => {
                let values = Values { upto: oracle.snapshot(matchers), knows: oracle.drops };
                oracle.has_values(matchers).then_some(values)
            }
            Start::Time(_) | Start::Id(_) | Start::Resumed(_) => oracle.values_of_a_resume(),
            Start::Live | Start::Earliest | Start::Last(_) => None,
        }
    }

    /// Does a reader come back to a place that is known?
    fn resumes(&self, start: &Start) -> bool {
        match start {
            Start::Live | Start::Earliest | Start::Last(_) | Start::Snapshot => false,
            Start::Time(_) => true,
            Start::Id(id) | Start::Resumed(id) => self.oracle.find(id).is_ok(),
        }
    }

    /// As what a stream is refused, one of these, whose topics have all ended, and that would read after `has`.
    fn refusals(&self, start: &Start, matchers: &[&str], has: u64, due: Option<&Due>) -> &'static [ErrorKind] {
        let Some(last) = self.oracle.finish(matchers) else { return &[] };
        let is_gone = self.oracle.all[&last].has_left();
        let has_all = match start {
            Start::Id(id) | Start::Resumed(id) => match self.oracle.find(id) {
                Ok(after) => after >= last,
                // as a place it is good
                Err(reason) => reason == Reason::Crash && has >= last,
            },
            // when the end has left, nobody knows whether it was before that time
            Start::Time(_) if is_gone && due.is_none_or(|due| !due.must) => {
                return &[ErrorKind::Ended, ErrorKind::Gone];
            }
            Start::Time(_) => has >= last && due.is_none(),
            Start::Last(number) => *number == 0,
            Start::Live | Start::Earliest | Start::Snapshot => false,
        };
        match (has_all, is_gone) {
            (true, _) => &[ErrorKind::Ended],
            (false, true) => &[ErrorKind::Gone],
            (false, false) => &[],
        }
    }

    /// Does a stream that begins at a time after the end of its topics have all, unless it is told that it may have missed
    /// something?
    fn may_have_all(&self, start: &Start, matchers: &[&str], has: u64, due: Option<&Due>) -> bool {
        let is_after_all = self.oracle.finish(matchers).is_some_and(|last| has >= last);
        matches!(start, Start::Time(_)) && is_after_all && due.is_some_and(|due| !due.must)
    }

    /// The last id that a reader was told stands for what it has.
    fn comes_back_where_it_was(&self, cut: &Reader, id: &str) {
        if !self.oracle.is_unique(id) {
            return; // it stands for the first that had it
        }
        let (Ok(after), Begun::Said) = (self.oracle.find(id), &cut.begun) else { return };
        let between = |after, end| self.oracle.matching(after, end, &cut.wish.matchers).count();
        assert_eq!(between(cut.has, after), 0, "{id} skips what its reader has not got");
        assert_eq!(between(after, cut.has), 0, "{id} repeats what its reader has got");
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
    pub(super) fn poll(&mut self, at: usize, seen: &mut Seen) -> bool {
        let mut reader = self.readers.swap_remove(at);
        let mut out = Vec::new();
        let subscriber = reader.subscriber.as_mut().expect("it is open");
        let refusals = E::KNOWS.goes_away.then(|| self.engine.refuse(self.dice.one_in(20)));
        let (mut turn, mut page) = poll(&self.engine, subscriber, self.now, &mut out);
        if has_second_look(subscriber, page, &out) {
            // or the world does change, and that is not told any more
            if !self.engine.is_away() && !self.is_settling && self.dice.one_in(4) {
                reader.may_break |= refusals.is_some_and(|refusals| self.engine.refuse(false) > refusals);
                if self.takes_away(seen) {
                    reader.page_of = None;
                    seen.stale += 1;
                }
            }
            (turn, page) = take_turn(&self.engine, subscriber, self.now, &mut out);
        }
        reader.may_break |= refusals.is_some_and(|refusals| self.engine.refuse(false) > refusals);
        assert!(turn != Turn::Deliver || !out.is_empty());
        // what it says now it read before
        let view = reader.page_of.take().unwrap_or(self.oracle.drops);
        seen.in_flight += u64::from(view != self.oracle.drops);
        let is_fetching = page != Page::Unasked;
        reader.page_of = match page {
            Page::Unasked => None,
            Page::There => Some(self.oracle.drops),
            // what it has found needs a second look, and that has to wait
            Page::Coming if matches!(turn, Turn::Wait(_)) => Some(view),
            Page::Coming => Some(self.oracle.drops),
        };
        // with a keep-alive nobody sees whether it waits for a second look at what is old, or for something new
        let is_unclear = page == Page::Coming && view != self.oracle.drops && turn == Turn::Deliver;
        for output in out {
            self.check(&mut reader, output, view, seen);
        }
        if is_unclear {
            if reader.stop() {
                self.cut.push(reader);
            }
            return false;
        }
        reader.has_end |= self.oracle.finish(&reader.wish.matchers).is_some_and(|last| last <= reader.has);
        match turn {
            Turn::Deliver | Turn::Yield => {}
            Turn::Wait(_) if is_fetching => {}
            Turn::Wait(_) => self.check_sleep(&reader, view),
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
}
