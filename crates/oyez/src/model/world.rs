//! A hub on one engine, and the random steps that it takes.

use std::task::Waker;
use std::time::{Duration, Instant};

use oyez_proto::Event;

use super::dice::Dice;
use super::engine::{Engine, Stop};
use super::oracle::{Answer, Oracle};
use super::reader::{Asked, Reader};
use super::seen::Seen;
use super::topics::{KEYS, TOPICS};
use crate::log::{Batch, Search};
use crate::once::IdempotencyKey;
use crate::submission::Submission;
use crate::subscriber::Subscriber;
use crate::{Error, ErrorKind, Topic};

pub(super) struct World<E> {
    pub(super) dice: Dice,
    pub(super) engine: E,
    pub(super) oracle: Oracle,
    pub(super) now: Instant,
    pub(super) now_ms: u64,
    pub(super) readers: Vec<Reader>,
    /// Streams that wait for the engine to say where they begin.
    pub(super) seeking: Vec<(Search<Result<Subscriber, Error>>, Asked)>,
    /// The engine is just back: nothing else happens until what has waited for it has been told.
    pub(super) is_settling: bool,
    /// Readers whose hub has stopped.
    pub(super) cut: Vec<Reader>,
    /// Every id that any stream has told.
    pub(super) ids: Vec<String>,
    /// How many ids publishers have made up.
    made: u64,
}

/// How ids begin that are used more than once.
pub(super) const AGAIN: &str = "again-";

impl<E: Engine> World<E> {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let engine = E::start(&mut dice, seed);
        let now_ms = 1_000_000;
        engine.core().log.clock.set(now_ms);
        Self {
            dice,
            oracle: Oracle::new(&engine.settings(), E::KNOWS, engine.extent()),
            engine,
            now: crate::clock::now(),
            now_ms,
            readers: Vec::new(),
            seeking: Vec::new(),
            is_settling: false,
            cut: Vec::new(),
            ids: Vec::new(),
            made: 0,
        }
    }

    pub(super) fn run(&mut self, seen: &mut Seen) {
        for _ in 0..100 {
            match self.dice.below(12) {
                0 if self.dice.one_in(3) && !self.engine.is_away() => self.delete(),
                0..=2 => self.publish(seen),
                3 => self.pass_time(),
                4 if self.keep(seen) => {}
                5 if E::KNOWS.survives && self.dice.one_in(3) => self.restart(seen),
                6 if self.engine.is_away() || (E::KNOWS.goes_away && self.dice.one_in(4)) => self.go_away(seen),
                4..=6 => self.begin(None, seen),
                7 => self.reconnect(seen),
                _ => self.read(seen),
            }
        }
    }

    /// Compares the log with the oracle, which learns how far it reaches.
    pub(super) fn look(&mut self) {
        self.oracle.look(self.engine.extent());
        self.engine.check(&self.oracle, self.now_ms);
    }

    fn pass_time(&mut self) {
        // two of the long times are longer than an idempotency key is remembered, one is not, and nothing comes near that
        let ms = if self.dice.one_in(15) { 301_000 } else { self.dice.pick(&[1, 3, 10, 60]) };
        self.now += Duration::from_millis(ms);
        // the wall clock may be set back meanwhile
        self.now_ms = if self.dice.one_in(10) { self.now_ms - 20 } else { self.now_ms + ms };
        self.engine.core().log.clock.set(self.now_ms);
    }

    /// Several batches, written together.
    fn publish(&mut self, seen: &mut Seen) {
        let newest = self.oracle.newest();
        for _ in 0..=self.dice.below(3) {
            let (events, key) = self.batch();
            let once = key.map(|key| (key, hash_of(&events, key)));
            let expected = match self.engine.is_away() {
                true => Answer::Refused(ErrorKind::Unavailable),
                false => self.oracle.answer(&events, once, self.now_ms),
            };
            let (answer, appended) = match self.engine.append(events.clone(), key, self.now_ms) {
                Ok(appended) if appended.replayed => (Answer::Replayed(appended.ids), None),
                Ok(appended) => (Answer::New, Some(appended)),
                Err(kind) => (Answer::Refused(kind), None),
            };
            assert_eq!(answer, expected);
            match answer {
                Answer::New => {}
                Answer::Replayed(_) => seen.replayed += 1,
                Answer::Refused(kind) => {
                    seen.refused += u64::from(kind == ErrorKind::Conflict);
                    seen.mismatched += u64::from(kind == ErrorKind::Mismatch);
                    seen.unavailable += u64::from(kind == ErrorKind::Unavailable);
                }
            }
            if let Some(appended) = appended {
                self.oracle.publish(&events, &appended, self.now_ms);
                once.into_iter().for_each(|once| self.oracle.publish_once(events.clone(), once, &appended));
                self.oracle.look(self.engine.extent());
            }
        }
        self.engine.flush(self.now_ms);
        if self.oracle.newest() > newest {
            self.look();
        }
    }

    /// Events, now and then under a key that was used before, with the same events or others.
    fn batch(&mut self) -> (Vec<Submission>, Option<&'static str>) {
        let key = self.dice.one_in(4).then(|| self.dice.pick(&["o1", "o2", "o3"]));
        let again = key.filter(|_| !self.dice.one_in(4)).and_then(|key| self.oracle.batch_of(key));
        let number = if self.dice.one_in(20) { self.dice.pick(&[60, 150]) } else { 1 + self.dice.below(8) };
        (again.unwrap_or_else(|| (0..number).map(|_| self.event()).collect()), key)
    }

    fn event(&mut self) -> Submission {
        // one that is forgotten when its end has left can be published to again
        if self.dice.one_in(45) && (E::KNOWS.all_ends || self.oracle.remembers_all) {
            return Submission::end(Topic::new(self.dice.pick(&TOPICS[2..])).unwrap());
        }
        let few = self.dice.one_in(3);
        let topics: &[&str] = if few { &TOPICS[..2] } else { &TOPICS };
        let even = self.dice.one_in(2);
        let data = format!("{even}{}", "x".repeat(self.dice.pick(&[0, 10, 500])));
        let mut event = Event::data(data);
        if self.dice.one_in(6) {
            self.made += 1;
            let id = match self.dice.one_in(3) {
                true => format!("{AGAIN}{}", self.dice.below(3)),
                false => format!("p{}", self.made),
            };
            event = event.id(id).unwrap();
        }
        let first = self.open_topic(topics);
        let mut publish = Submission::new(Topic::new(first).unwrap(), event);
        if self.dice.one_in(2) {
            publish = publish.key(self.dice.pick(&KEYS)).unwrap();
        }
        let second = self.open_topic(topics);
        if second != first && self.dice.one_in(4) {
            publish = publish.topic(Topic::new(second).unwrap());
        }
        publish
    }

    /// Now and then it is one that has ended.
    fn open_topic(&mut self, topics: &[&'static str]) -> &'static str {
        let topic = self.dice.pick(topics);
        if self.oracle.has_ended(topic) && !self.dice.one_in(20) { TOPICS[0] } else { topic }
    }

    /// Something leaves, or is deleted. False when nothing is there that could.
    pub(super) fn takes_away(&mut self, seen: &mut Seen) -> bool {
        let drops = self.oracle.drops;
        if self.dice.one_in(2) {
            self.delete();
            return true;
        }
        self.keep(seen) && self.oracle.drops > drops
    }

    fn delete(&mut self) {
        let name = self.dice.pick(&TOPICS);
        let appended = self.engine.delete(Topic::new(name).unwrap(), self.now_ms).unwrap();
        self.oracle.delete(name, &appended, self.now_ms);
        self.look();
    }

    /// What is too old or too much leaves; false when it has done so before.
    fn keep(&mut self, seen: &mut Seen) -> bool {
        if !self.engine.keep(&mut self.dice, self.now_ms) {
            return false;
        }
        let drops = self.oracle.drops;
        self.look();
        seen.drops += u64::from(self.oracle.drops > drops);
        true
    }

    /// The engine goes away, or comes back. Then what has waited for it goes on, before anything else happens.
    fn go_away(&mut self, seen: &mut Seen) {
        if !self.engine.is_away() {
            self.engine.set_away(true);
            seen.away += 1;
            return;
        }
        self.engine.set_away(false);
        self.is_settling = true;
        // all of it is answered first, as things are now
        self.engine.core().log.run_searches();
        let waiting: Vec<_> = (0..self.readers.len()).filter(|at| self.readers[*at].is_fetching()).collect();
        for at in waiting.into_iter().rev() {
            seen.late_pages += 1;
            if self.readers.get(at).is_some_and(Reader::is_fetching) {
                self.poll(at, seen);
            }
        }
        for (search, asked) in std::mem::take(&mut self.seeking) {
            seen.late_begins += 1;
            self.begun(search.take(Waker::noop()).expect("it is answered"), asked, seen);
        }
        self.is_settling = false;
    }

    /// A clean stop, a kill, or a power cut, and a new start.
    fn restart(&mut self, seen: &mut Seen) {
        if self.engine.is_away() {
            self.go_away(seen);
        }
        let mut stopped = std::mem::take(&mut self.readers);
        stopped.retain_mut(Reader::stop);
        self.cut.extend(stopped);
        let stop = self.dice.pick(&[Stop::Clean, Stop::Kill, Stop::PowerCut]);
        let writing = if stop == Stop::PowerCut { self.last_words() } else { None };
        let restarted = self.engine.restart(stop, writing.clone(), self.now_ms, &mut self.dice);
        seen.restarts[stop as usize] += 1;
        self.oracle.open_again();
        restarted.passed.iter().for_each(|place| self.oracle.pass(*place));
        if let Some(batch) = writing {
            seen.torn[usize::from(restarted.found.is_some())] += u64::from(!restarted.is_acknowledged);
            restarted.found.iter().for_each(|found| self.oracle.publish(&batch, found, self.now_ms));
        }
        let head = self.engine.extent().head;
        if stop == Stop::Clean {
            assert_eq!(head, self.oracle.head, "a clean stop skips no number");
        } else {
            self.oracle.crash(head);
        }
        self.oracle.begin_to_write();
        self.engine.core().log.clock.set(self.now_ms);
        self.look();
    }

    /// What is being written when the power fails.
    fn last_words(&mut self) -> Option<Vec<Submission>> {
        let events: Vec<_> = (0..=self.dice.below(30)).map(|_| self.event()).collect();
        Some(events).filter(|events| self.oracle.answer(events, None, self.now_ms) == Answer::New)
    }
}

/// What a batch under a key is told by from others.
fn hash_of(events: &[Submission], key: &str) -> u128 {
    let batch = Batch::new(events.to_vec(), Some(IdempotencyKey::new(key).unwrap()));
    batch.once().expect("it has a key").hash
}
