//! [`model`](crate::model) over a history on disk: a disk that is killed and loses power between steps, segments of a few
//! entries, and a tail in memory that holds next to nothing.
//!
//! [`oracle`] is what ought to be, [`setup`] what the hub stands on, [`readers`] are its streams.

mod oracle;
mod readers;
mod setup;

use std::sync::Arc;
use std::time::{Duration, Instant};

use oyez_proto::Event;

use super::dice::{Dice, each_world, have_reached};
use super::topics::{KEYS, TOPICS};
use crate::log::below::{Found, Wanted};
use crate::log::disk::SimulatedDisk;
use crate::log::search::now;
use crate::log::{Admission, Batch, Retained};
use crate::matcher::Matchers;
use crate::once::IdempotencyKey;
use crate::publish::Publish;
use crate::{ErrorKind, Topic};
use oracle::{Answer, Oracle};
use readers::Reader;
use setup::{Life, Setup};

#[test]
fn a_history_on_disk_is_the_log_in_order_whatever_stops_and_whatever_leaves() {
    let mut seen = Seen::default();
    let Some(worlds) = each_world(400, 8_000, |seed| World::new(seed).run(&mut seen)) else { return };
    assert!(seen.begins > 20 * worlds && seen.entries > 50 * worlds, "{seen:?}");
    let numbers = [
        ("gaps", seen.gaps),
        ("exact", seen.exact),
        ("crash", seen.crash),
        ("policy", seen.policy),
        ("exact, in the stream", 8 * seen.exact_policy),
        ("behind", seen.behind),
        ("from disk", seen.from_disk),
        ("in flight", seen.in_flight),
        ("stops", seen.restarts[0]),
        ("kills", seen.restarts[1]),
        ("power cuts", seen.restarts[2]),
        ("snapshots", seen.snapshots),
        ("values that have left", seen.left),
        ("finished", seen.finished),
        ("ended", seen.ended),
        ("ended and gone", 2 * seen.ended_and_gone),
        ("refused", seen.refused),
        ("torn and gone", seen.torn[0]),
        ("torn and there", 3 * seen.torn[1]),
        ("replayed", seen.replayed),
        ("mismatched", seen.mismatched),
        ("drops", seen.drops),
        ("deleted", seen.deleted),
        ("deleted and gone", 40 * seen.deleted_and_gone),
        ("drops beside other classes", seen.uneven),
    ];
    have_reached(worlds, &seen, &numbers);
}

#[derive(Debug, Default)]
struct Seen {
    begins: u64,
    entries: u64,
    /// Gaps at the begin of a stream.
    gaps: u64,
    /// Of those, the ones that said how many are missing.
    exact: u64,
    /// Of those, the ones for ids that a crash took.
    crash: u64,
    /// Gaps in the middle of a stream.
    policy: u64,
    exact_policy: u64,
    /// Streams that ended because their reader fell behind.
    behind: u64,
    /// Entries that were not in memory.
    from_disk: u64,
    /// Pages that were read before something left, and looked at behind it.
    in_flight: u64,
    /// Clean stops, kills and power cuts.
    restarts: [u64; 3],
    /// Streams that began with values, and values that came though the history does not hold them any more.
    snapshots: u64,
    left: u64,
    /// Streams that ended with their topics, and those that were refused behind the end, and behind one that is gone.
    finished: u64,
    ended: u64,
    ended_and_gone: u64,
    /// Publishes behind an end.
    refused: u64,
    /// Publishes that were answered with the ids of their first time, and those under a key that stands for others.
    replayed: u64,
    /// Batches that nobody was told of when the power failed: those that are gone, and those that are there.
    torn: [u64; 2],
    mismatched: u64,
    /// Times that something left the disk.
    drops: u64,
    /// Gaps because of deletions.
    deleted: u64,
    /// Gaps of which only what had been deleted before is gone.
    deleted_and_gone: u64,
    /// Gaps that were followed by entries older than what is missing.
    uneven: u64,
}

/// A batch that was being written when the power failed.
#[derive(Debug)]
struct Torn {
    ids: Vec<String>,
    chain: usize,
    /// The power failed behind it.
    is_acknowledged: bool,
}

/// How ids begin that are used more than once.
const AGAIN: &str = "again-";

struct World {
    dice: Dice,
    disk: SimulatedDisk,
    setup: Setup,
    life: Life,
    oracle: Oracle,
    now: Instant,
    now_ms: u64,
    readers: Vec<Reader>,
    /// Readers whose hub has stopped.
    cut: Vec<Reader>,
    /// Every id that any stream has told.
    ids: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let setup = Setup::new(&mut dice, seed);
        let disk = SimulatedDisk::default();
        Self {
            dice,
            life: setup.start(&disk, seed),
            disk,
            oracle: Oracle::new(&setup),
            setup,
            now: crate::clock::now(),
            now_ms: 1_000_000,
            readers: Vec::new(),
            cut: Vec::new(),
            ids: Vec::new(),
        }
    }

    fn run(&mut self, seen: &mut Seen) {
        for _ in 0..100 {
            match self.dice.below(12) {
                0 if self.dice.one_in(3) => self.delete(),
                0..=2 => self.publish(seen),
                3 => self.pass_time(),
                4 => self.keep(seen),
                5 if self.dice.one_in(3) => self.restart(seen),
                5 | 6 => self.begin(None, seen),
                7 => self.reconnect(seen),
                _ => self.read(seen),
            }
        }
    }

    fn pass_time(&mut self) {
        // two of the long times are longer than an idempotency key is remembered, one is not, and nothing comes near that
        let ms = if self.dice.one_in(15) { 301_000 } else { self.dice.pick(&[1, 3, 10, 60]) };
        self.now += Duration::from_millis(ms);
        // the wall clock may be set back meanwhile
        self.now_ms = if self.dice.one_in(10) { self.now_ms - 20 } else { self.now_ms + ms };
    }

    /// Several batches, written together.
    fn publish(&mut self, seen: &mut Seen) {
        let mut has_end = false;
        for _ in 0..=self.dice.below(3) {
            let (events, key) = self.batch();
            if std::mem::take(&mut has_end) || key.is_some() {
                self.write(); // it is judged when what it may repeat, or an end, is visible
            }
            let batch = Batch::new(events.clone(), key.map(|key| IdempotencyKey::new(key).unwrap()));
            let once = key.zip(batch.once().map(|once| once.hash));
            if self.judge(&batch, &self.oracle.answer(&events, once, self.now_ms), seen) != Answer::New {
                continue;
            }
            if !self.life.writer.make_room(&batch.0).unwrap() {
                self.write();
                assert!(self.life.writer.make_room(&batch.0).unwrap(), "nothing waits any more");
            }
            let entries = self.life.writer.push(batch.0, self.now_ms);
            // a batch is written as one
            let chain = self.life.store.chain_of(entries.iter().flat_map(|entry| &entry.topics));
            entries.iter().for_each(|entry| self.oracle.publish(entry, self.now_ms, chain));
            has_end = entries.iter().any(|entry| entry.ended_topic().is_some());
            once.into_iter().for_each(|once| self.oracle.publish_once(events.clone(), once, entries[0].sequence));
        }
        self.write();
        assert_eq!(self.oracle.head, self.life.writer.head());
    }

    /// Events, now and then under a key that was used before, with the same events or others.
    fn batch(&mut self) -> (Vec<Publish>, Option<&'static str>) {
        let key = self.dice.one_in(4).then(|| self.dice.pick(&["o1", "o2", "o3"]));
        let again = key.filter(|_| !self.dice.one_in(4)).and_then(|key| self.oracle.batch_of(key));
        let number = if self.dice.one_in(20) { 60 } else { 1 + self.dice.below(8) };
        (again.unwrap_or_else(|| (0..number).map(|_| self.event()).collect()), key)
    }

    /// Does the log say of a batch what it is to say?
    fn judge(&self, batch: &Batch, expected: &Answer, seen: &mut Seen) -> Answer {
        let answer = match self.life.core.log.admit(batch, self.now_ms) {
            Ok(Admission::New) => Answer::New,
            Ok(Admission::Replayed { first }) => {
                seen.replayed += 1;
                Answer::Replayed(batch.event_ids(self.setup.epoch, first).iter().map(ToString::to_string).collect())
            }
            Err(error) => {
                seen.refused += u64::from(error.kind() == ErrorKind::Conflict);
                seen.mismatched += u64::from(error.kind() == ErrorKind::Mismatch);
                Answer::Refused(error.kind())
            }
        };
        assert_eq!(answer, *expected);
        answer
    }

    /// Makes durable and visible what waits.
    fn write(&mut self) {
        let shown = self.life.writer.write().unwrap();
        let number = shown.len();
        self.life.core.log.show(shown);
        self.life.core.has_appended(number);
        self.life.core.log.trim(self.now_ms);
        self.oracle.look(&self.life.core);
    }

    fn event(&mut self) -> Publish {
        if self.dice.one_in(45) {
            return Publish::end(Topic::new(self.dice.pick(&TOPICS[2..])).unwrap());
        }
        let few = self.dice.one_in(3);
        let topics: &[&str] = if few { &TOPICS[..2] } else { &TOPICS };
        let even = self.dice.one_in(2);
        let data = format!("{even}{}", "x".repeat(self.dice.pick(&[0, 10, 500])));
        let mut event = Event::data(data);
        if self.dice.one_in(6) {
            let id = match self.dice.one_in(3) {
                true => format!("{AGAIN}{}", self.dice.below(3)),
                false => format!("p{}", self.dice.below(1 << 40)),
            };
            event = event.id(id).unwrap();
        }
        let first = self.open_topic(topics);
        let mut publish = Publish::new(Topic::new(first).unwrap(), event);
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

    /// Publishes a batch with power that may fail at any step of its write.
    fn publish_without_power(&mut self) -> Option<Torn> {
        let events: Vec<_> = (0..=self.dice.below(30)).map(|_| self.event()).collect();
        if self.oracle.answer(&events, None, self.now_ms) != Answer::New {
            return None;
        }
        let batch = Batch::new(events, None);
        assert!(self.life.writer.make_room(&batch.0).unwrap(), "nothing waits");
        let entries = self.life.writer.push(batch.0, self.now_ms);
        let chain = self.life.store.chain_of(entries.iter().flat_map(|entry| &entry.topics));
        let ids = entries.iter().map(|entry| entry.event_id(self.setup.epoch).to_string()).collect();
        self.disk.cut_power_at(self.disk.steps() + self.dice.below(3));
        let is_acknowledged = self.life.writer.write().is_ok();
        Some(Torn { ids, chain, is_acknowledged })
    }

    /// Of what was being written when the power failed all is there, or nothing.
    fn find_torn(&mut self, torn: &Torn, seen: &mut Seen) {
        let mut all = Matchers::default();
        all.push("*".parse().unwrap());
        let page = Retained { entries: usize::MAX, bytes: usize::MAX };
        let read = self
            .life
            .store
            .read(&Wanted {
                max: page,
                cursor: self.oracle.head,
                matchers: Arc::new(all),
                last: u64::MAX,
                drops: u64::MAX,
            })
            .unwrap();
        let Found::Page { entries, .. } = read else { panic!("something has left meanwhile") };
        let ids: Vec<_> = entries.iter().map(|entry| entry.event_id(self.setup.epoch).to_string()).collect();
        assert!(ids == torn.ids || (ids.is_empty() && !torn.is_acknowledged), "{ids:?} is left of {torn:?}");
        entries.iter().for_each(|entry| self.oracle.publish(entry, entry.time_ms, torn.chain));
        seen.torn[usize::from(!ids.is_empty())] += u64::from(!torn.is_acknowledged);
    }

    fn delete(&mut self) {
        let name = self.dice.pick(&TOPICS);
        let topic = Topic::new(name).unwrap();
        let known = now(self.life.core.log.newest_of(&topic)).unwrap();
        let batch = Batch::deletion(topic, known);
        assert!(self.life.writer.make_room(&batch.0).unwrap(), "nothing waits");
        let entries = self.life.writer.push(batch.0, self.now_ms);
        let chain = self.life.store.chain_of(entries[0].topics.iter());
        self.oracle.delete(name, &entries[0], self.now_ms, chain);
        let entries = self.life.writer.write().unwrap();
        self.life.core.log.show(entries);
        self.life.core.has_appended(0);
        self.life.core.log.trim(self.now_ms);
        self.oracle.look(&self.life.core);
    }

    /// What the keeper does, and the writer while nothing is published.
    fn keep(&mut self, seen: &mut Seen) {
        if self.dice.one_in(2) {
            self.life.writer.leave_old_segments(self.now_ms).unwrap();
        }
        let drops = self.life.store.drops();
        self.life.store.keep(self.now_ms, &self.life).unwrap();
        if self.life.store.drops() > drops {
            seen.drops += 1;
            self.oracle.leave_disk(&self.life.store.firsts());
            self.oracle.look(&self.life.core);
        }
    }

    /// A clean stop, a kill, or a power cut, and a new start.
    fn restart(&mut self, seen: &mut Seen) {
        let mut stopped = std::mem::take(&mut self.readers);
        stopped.retain_mut(Reader::stop);
        self.cut.extend(stopped);
        let how = self.dice.below(3);
        let is_clean = how == 0;
        let torn = if how == 2 { self.publish_without_power() } else { None };
        if is_clean {
            self.life.writer.stop().unwrap();
        }
        self.disk = match how {
            2 => self.disk.after_a_power_cut(&mut self.dice),
            _ if self.dice.one_in(2) => self.disk.after_a_power_cut(&mut self.dice),
            _ => self.disk.after_a_kill(),
        };
        seen.restarts[how as usize] += 1;
        let firsts = self.life.store.firsts();
        self.life = self.setup.start(&self.disk, self.dice.below(1 << 40));
        assert_eq!(self.life.store.firsts(), firsts, "something has gone, or come back, with a restart");
        self.oracle.open_again();
        torn.into_iter().for_each(|torn| self.find_torn(&torn, seen));
        let head = self.life.core.log.head();
        if is_clean {
            assert_eq!(head, self.oracle.head, "a clean stop skips no number");
        } else {
            self.oracle.crash(head);
        }
        self.oracle.look(&self.life.core);
        assert_eq!(self.life.store.kept().entries, self.oracle.kept(), "what was acknowledged is there");
    }
}
