//! [`model`](crate::model) of topics that end and entries that expire, on each of the [`engines`](super::engines). The history keeps
//! everything: what it does otherwise is the business of [`world`](super::world).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use oyez_proto::Event;

use super::dice::{Dice, each_world, have_reached};
use super::engine::{Engine, Stop};
use super::turn::{Page, begin, take_turn};
use crate::gap::{Gap, Reason};
use crate::last_event_id::LastEventId;
use crate::matcher::selects;
use crate::output::{Output, Turn};
use crate::position::Position;
use crate::submission::Submission;
use crate::subscribe::Subscribe;
use crate::subscriber::Subscriber;
use crate::{ErrorKind, Topic};

/// Runs worlds on an engine: `short` of them, or ten times as many.
pub(super) fn every_stream_is_what_can_still_be_read<E: Engine>(short: u64) {
    let mut seen = Seen::default();
    let run = |seed| World::<E>::new(seed).run(&mut seen);
    let Some(worlds) = each_world(short, 10 * short, run) else { return };
    assert!(seen.begins > 10 * worlds && seen.entries > 10 * worlds, "{seen:?}");
    let numbers = [
        ("holes", seen.holes),
        ("long holes", seen.long_holes),
        ("finished", seen.finished),
        ("complete", seen.complete),
        ("gone", seen.gone),
        ("refused", seen.refused),
        ("hidden", seen.hidden),
    ];
    have_reached(worlds, &seen, &numbers);
    assert!(!E::KNOWS.survives || seen.restarts > worlds, "{seen:?}");
}

#[derive(Debug, Default)]
struct Seen {
    begins: u64,
    entries: u64,
    /// Gaps where something has expired, and of those the ones of more than a page.
    holes: u64,
    long_holes: u64,
    /// Streams that ended with their topics.
    finished: u64,
    /// 204 and 410.
    complete: u64,
    gone: u64,
    /// Publishes after an end.
    refused: u64,
    /// What had expired was passed over in silence.
    hidden: u64,
    restarts: u64,
}

struct Published {
    topics: Vec<&'static str>,
    /// The entry is hidden from then on.
    expires_ms: u64,
    even: bool,
}

#[derive(Clone, Copy)]
struct End {
    sequence: u64,
    expires_ms: u64,
}

struct World<E> {
    dice: Dice,
    engine: E,
    now: Instant,
    now_ms: u64,
    /// The entry with the number n stands at n - 1.
    all: Vec<Published>,
    ends: HashMap<&'static str, End>,
    readers: Vec<Reader>,
    /// Those whose hub has stopped.
    cut: Vec<Place>,
}

/// Where a reader comes back.
struct Place {
    matchers: Vec<&'static str>,
    only_even: bool,
    last_id: u64,
}

struct Reader {
    subscriber: Subscriber,
    matchers: Vec<&'static str>,
    only_even: bool,
    /// The reader has, or knows that it misses, everything that matches up to here.
    has: u64,
    /// What it misses has to be told; else it may be.
    resumed: bool,
    until: Option<u64>,
    last_id: u64,
    /// What the filter turned down while it could be read: that it expires then is nothing to the reader.
    turned_down: HashSet<u64>,
}

impl Reader {
    fn place(self) -> Place {
        Place { matchers: self.matchers, only_even: self.only_even, last_id: self.last_id }
    }
}

const TOPICS: [&str; 5] = ["a", "b", "c/1", "c/2", "d"];
/// It never ends.
const ENDLESS: &str = "d";
const MATCHERS: [&str; 9] = ["a", "a", "b", "c/1", "c/2", "d", "c/*", "*", "never"];

impl<E: Engine> World<E> {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let engine = E::keeping_all(&mut dice, seed);
        let now_ms = 1_000_000;
        engine.core().log.clock.set(now_ms);
        let now = crate::clock::now();
        Self { dice, engine, now, now_ms, all: Vec::new(), ends: HashMap::new(), readers: Vec::new(), cut: Vec::new() }
    }

    fn run(&mut self, seen: &mut Seen) {
        for _ in 0..80 {
            match self.dice.below(9) {
                0 | 1 => self.publish(seen),
                2 => self.pass_time(),
                3 if E::KNOWS.survives && self.dice.one_in(4) => self.restart(seen),
                3 | 4 => self.begin(None, seen),
                5 => self.reconnect(seen),
                _ => self.read(seen),
            }
        }
    }

    /// A clean stop, which skips no number, and a new start, to which the readers come back.
    fn restart(&mut self, seen: &mut Seen) {
        seen.restarts += 1;
        self.cut.extend(self.readers.drain(..).map(|reader| reader.place()));
        self.engine.restart(Stop::Clean, None, self.now_ms, &mut self.dice);
        self.engine.core().log.clock.set(self.now_ms);
    }

    fn reconnect(&mut self, seen: &mut Seen) {
        let cut = self.cut.pop().or_else(|| {
            let at = (!self.readers.is_empty()).then(|| self.dice.place(self.readers.len()))?;
            Some(self.readers.swap_remove(at).place())
        });
        if let Some(cut) = cut {
            self.begin(Some(&cut), seen);
        }
    }

    fn pass_time(&mut self) {
        let ms = self.dice.pick(&[1, 3, 10, 60]);
        self.now += Duration::from_millis(ms);
        self.now_ms += ms;
        self.engine.core().log.clock.set(self.now_ms);
    }

    fn publish(&mut self, seen: &mut Seen) {
        let many = self.dice.one_in(8);
        let number = if many { 100 } else { 1 + self.dice.below(4) };
        // of many together all expire, or none does
        let ttl = self.dice.pick(&[None, Some(1), Some(5), Some(20)]);
        let (mut batch, mut new) = (Vec::new(), Vec::new());
        let mut refused = false;
        let mut ends = self.ends.clone();
        for _ in 0..number {
            let sequence = self.all.len() as u64 + batch.len() as u64 + 1;
            // now and then one that has ended
            let mut topic = if many { ENDLESS } else { self.dice.pick(&TOPICS) };
            if ends.contains_key(topic) && !self.dice.one_in(8) {
                topic = ENDLESS;
            }
            let mut topics = vec![topic];
            let expires_ms = ttl.map_or(u64::MAX, |ttl| self.now_ms + ttl);
            refused |= ends.contains_key(topics[0]);
            let mut publish = if topic != ENDLESS && self.dice.one_in(12) {
                ends.insert(topics[0], End { sequence, expires_ms });
                Submission::end(Topic::new(topics[0]).unwrap())
            } else {
                let even = self.dice.one_in(2);
                Submission::new(Topic::new(topics[0]).unwrap(), Event::data(even.to_string()))
            };
            let is_end = ends.get(topics[0]).is_some_and(|end| end.sequence == sequence);
            if !is_end && !many && self.dice.one_in(4) {
                topics.push(if self.dice.one_in(6) { self.dice.pick(&TOPICS) } else { ENDLESS });
                topics.dedup();
                refused |= topics.get(1).is_some_and(|topic| ends.contains_key(topic));
                publish = publish.topic(Topic::new(topics[topics.len() - 1]).unwrap());
            }
            let even = is_end || publish.event.data_str() == "true";
            if let Some(ttl) = ttl {
                publish = publish.ttl(Duration::from_millis(ttl)).unwrap();
            }
            batch.push(publish);
            new.push(Published { topics, expires_ms, even });
        }
        let published = self.engine.append(batch, None, self.now_ms);
        self.engine.flush(self.now_ms);
        if refused {
            assert_eq!(published.unwrap_err(), ErrorKind::Conflict);
            seen.refused += 1;
            // an open topic can still be used up to its end
            return;
        }
        assert_eq!(published.unwrap().first, self.all.len() as u64 + 1);
        self.all.extend(new);
        self.ends = ends;
    }

    /// Begins a stream somewhere, or goes on with one that was cut.
    fn begin(&mut self, cut: Option<&Place>, seen: &mut Seen) {
        let mut matchers = vec![self.dice.pick(&MATCHERS)];
        while self.dice.one_in(3) {
            matchers.push(self.dice.pick(&MATCHERS));
        }
        let mut only_even = self.dice.one_in(5);
        if let Some(cut) = cut {
            matchers.clone_from(&cut.matchers);
            only_even = cut.only_even;
        }
        let head = self.all.len() as u64;
        let mut subscribe = Subscribe::<Event>::new(Arc::clone(self.engine.core()));
        subscribe = matchers.iter().fold(subscribe, |subscribe, matcher| subscribe.and_pattern(*matcher));
        subscribe = subscribe.keep_alive(Duration::from_millis(self.dice.pick(&[0, 2])));
        if only_even {
            subscribe = subscribe.filter(|event: &Event| event.data_str() == "true");
        }
        let poll = self.dice.one_in(4);
        if poll {
            subscribe = subscribe.poll();
        }
        let after = cut.map_or_else(|| self.dice.below(head + 1), |cut| cut.last_id);
        let (kind, number) = (if cut.is_some() { 3 } else { self.dice.below(5) }, self.dice.below(5) as usize);
        let (subscribe, mut has) = match kind {
            0 => (subscribe, head),
            1 => (subscribe.earliest(), 0),
            2 => {
                let visible = (1..=head).rev().filter(|sequence| self.is_visible(*sequence, &matchers));
                let from = if number == 0 { head } else { visible.take(number).nth(number - 1).map_or(0, |n| n - 1) };
                (subscribe.last(number), from)
            }
            _ => {
                let id = Position { epoch: self.engine.core().log.epoch, sequence: after }.to_string();
                (subscribe.resume(LastEventId::new(id)), after)
            }
        };
        seen.begins += 1;
        let finish = self.finish(&matchers);
        let Ok(begun) = begin(&self.engine, subscribe, self.now, self.now_ms) else { panic!("it never begins") };
        if let Some(End { sequence: last, expires_ms }) = finish {
            let expected = match kind {
                0..=2 if expires_ms <= self.now_ms && !(kind == 2 && number == 0) => Some(ErrorKind::Gone),
                0 | 1 => None,
                2 => (number == 0).then_some(ErrorKind::Ended),
                _ if after >= last => Some(ErrorKind::Ended),
                _ => (expires_ms <= self.now_ms).then_some(ErrorKind::Gone),
            };
            if let Some(expected) = expected {
                assert_eq!(begun.err().map(|error| error.kind()), Some(expected));
                match expected {
                    ErrorKind::Gone => seen.gone += 1,
                    _ => seen.complete += 1,
                }
                return;
            }
            if kind == 0 {
                has = 0;
            }
        }
        let reader = Reader {
            subscriber: begun.unwrap(),
            matchers,
            only_even,
            has,
            resumed: kind > 2,
            until: poll.then_some(head),
            last_id: has,
            turned_down: HashSet::new(),
        };
        self.readers.push(reader);
        if self.readers.len() > 4 {
            self.readers.remove(0);
        }
    }

    fn read(&mut self, seen: &mut Seen) {
        for _ in 0..=self.dice.below(5) {
            if self.readers.is_empty() {
                return;
            }
            let at = self.dice.below(self.readers.len() as u64) as usize;
            let reader = self.readers.swap_remove(at);
            self.poll(reader, seen);
        }
    }

    fn poll(&mut self, mut reader: Reader, seen: &mut Seen) {
        let mut out = Vec::new();
        let (turn, page) = take_turn(&self.engine, &mut reader.subscriber, self.now, &mut out);
        let is_fetching = page != Page::Unasked;
        for output in out {
            self.check(&mut reader, output, seen);
        }
        for sequence in reader.has + 1..=reader.subscriber.control().cursor() {
            if self.is_visible(sequence, &reader.matchers) && !self.all[sequence as usize - 1].even {
                reader.turned_down.insert(sequence);
            }
        }
        let finish = self.finish(&reader.matchers);
        let end = reader.until.unwrap_or(u64::MAX).min(self.all.len() as u64);
        match turn {
            Turn::Deliver | Turn::Yield => {}
            Turn::Wait(_) if is_fetching => {}
            Turn::Wait(_) => {
                assert!(finish.is_none(), "waits for what will never come");
                assert_eq!(self.next(&reader), None, "sleeps with something to read");
                self.pass_over(&mut reader, end, seen);
                reader.resumed = true;
            }
            Turn::End => {
                let last =
                    finish.map(|end| end.sequence).filter(|last| reader.until.is_none_or(|until| *last <= until));
                assert!(last.is_some() || reader.until.is_some(), "ended for no reason");
                assert_eq!(self.next(&reader).filter(|next| *next <= end), None, "ended with something to read");
                self.pass_over(&mut reader, last.unwrap_or(end), seen);
                seen.finished += u64::from(reader.until.is_none());
                if self.dice.one_in(2) {
                    self.begin(Some(&reader.place()), seen);
                }
                return;
            }
        }
        self.readers.push(reader);
    }

    /// Nothing up to here was told: then nothing was to be.
    fn pass_over(&self, reader: &mut Reader, end: u64, seen: &mut Seen) {
        let hidden = self.hidden(reader, end).count() as u64;
        assert!(hidden == 0 || !reader.resumed, "{hidden} have expired after {}, and nobody said so", reader.has);
        seen.hidden += hidden;
        reader.has = reader.has.max(end);
    }

    fn check(&mut self, reader: &mut Reader, output: Output, seen: &mut Seen) {
        match output {
            Output::Open { cursor, .. } => assert_eq!(cursor, Some(reader.has)),
            Output::Entry(entry) => {
                assert_eq!(self.next(reader), Some(entry.sequence), "after {}", reader.has);
                self.pass_over(reader, entry.sequence - 1, seen);
                reader.has = entry.sequence;
                reader.last_id = entry.sequence;
                seen.entries += 1;
            }
            Output::Gap(gap) => {
                self.check_gap(reader, &gap, seen);
                reader.has = gap.position.sequence;
                reader.last_id = reader.has;
            }
            Output::KeepAlive(Some(cursor)) => {
                assert_eq!(self.next(reader).filter(|next| *next <= cursor), None, "passed unread entries");
                self.pass_over(reader, cursor, seen);
                reader.last_id = cursor;
            }
            Output::KeepAlive(None) => {}
            Output::Retry(_) => panic!("it is not bare"),
        }
    }

    fn check_gap(&self, reader: &Reader, gap: &Gap, seen: &mut Seen) {
        let end = gap.position.sequence;
        let hidden: Vec<_> = self.hidden(reader, end).collect();
        assert_eq!(gap.reason, Reason::Expired);
        assert!(!hidden.is_empty(), "nothing is missing");
        let next = self.next(reader);
        assert!(next.is_none_or(|next| end < next), "passed unread entries");
        let id = |sequence| Position { epoch: self.engine.core().log.epoch, sequence }.to_string();
        match gap.missed {
            None => assert!(reader.only_even),
            Some(missed) if reader.resumed => {
                assert_eq!((missed, &gap.requested), (hidden.len() as u64, &id(hidden[0] - 1)));
            }
            Some(missed) => assert!(missed <= hidden.len() as u64),
        }
        assert!(!reader.only_even || gap.missed.is_none(), "nobody knows what the filter would have said");
        if let Some(oldest) = &gap.oldest {
            let next = next.expect("it says that there is one");
            assert_eq!((&**oldest, end), (&*id(next), next - 1));
        }
        seen.holes += 1;
        seen.long_holes += u64::from(hidden.len() > 64);
    }

    /// The last end of topics that have all ended.
    fn finish(&self, matchers: &[&str]) -> Option<End> {
        let ends: Option<Vec<End>> = matchers.iter().map(|matcher| self.ends.get(matcher).copied()).collect();
        ends?.into_iter().max_by_key(|end| end.sequence)
    }

    fn matches(&self, sequence: u64, matchers: &[&str]) -> bool {
        let topics = &self.all[sequence as usize - 1].topics;
        topics.iter().any(|topic| matchers.iter().any(|matcher| selects(matcher, topic)))
    }

    /// It matches and can be read now.
    fn is_visible(&self, sequence: u64, matchers: &[&str]) -> bool {
        let entry = &self.all[sequence as usize - 1];
        let is_open = |topic: &&str| {
            let matches = matchers.iter().any(|matcher| selects(matcher, topic));
            matches && self.ends.get(topic).is_none_or(|end| end.expires_ms > self.now_ms)
        };
        entry.expires_ms > self.now_ms && entry.topics.iter().any(is_open)
    }

    /// Those up to `end` that the reader should have had and cannot read any more.
    fn hidden<'a>(&'a self, reader: &'a Reader, end: u64) -> impl Iterator<Item = u64> + 'a {
        let Reader { matchers, turned_down, has, .. } = reader;
        let hidden = |sequence: &u64| self.matches(*sequence, matchers) && !self.is_visible(*sequence, matchers);
        (has + 1..=end).filter(hidden).filter(|sequence| !turned_down.contains(sequence))
    }

    fn next(&self, reader: &Reader) -> Option<u64> {
        let passes = |sequence: &u64| !reader.only_even || self.all[*sequence as usize - 1].even;
        let mut rest = reader.has + 1..=self.all.len() as u64;
        rest.find(|sequence| self.is_visible(*sequence, &reader.matchers) && passes(sequence))
    }
}
