//! A log on a simulated disk: one that is killed and loses power between steps, with segments of a few entries, classes of topics
//! that are kept for different times, and a tail in memory that holds next to nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::core::Core;
use crate::limits::Limits;
use crate::log::below::{Found, Wanted};
use crate::log::disk::{
    Class, DiskDice, Durability, OnDisk, Settings as StoreSettings, SimulatedDisk, Store, Writer, tail_of,
};
use crate::log::search::now;
use crate::log::{Admission, Batch, Departure, Entry, Log, OnDrop, Remains, Retained, Retention};
use crate::model::dice::{Dice, each_world};
use crate::model::engine::{Appended, Engine, Extent, Knows, Restarted, Settings, Stop};
use crate::model::finite::every_stream_is_what_can_still_be_read;
use crate::model::oracle::Oracle;
use crate::model::seen::Seen;
use crate::model::topics::{compact_of, matchers_of};
use crate::model::world::World;
use crate::once::IdempotencyKey;
use crate::position::Epoch;
use crate::random::Random;
use crate::submission::Submission;
use crate::{ErrorKind, Topic};

#[test]
fn a_history_on_disk_is_the_log_in_order_whatever_stops_and_whatever_leaves() {
    let mut seen = Seen::default();
    let Some(worlds) = each_world(400, 8_000, |seed| World::<Disk>::new(seed).run(&mut seen)) else { return };
    assert!(seen.begins > 20 * worlds && seen.entries > 50 * worlds, "{seen:?}");
    let numbers = [
        ("crash", seen.crash),
        ("finished", seen.finished),
        ("ended", seen.ended),
        ("from disk", seen.from_below),
        ("in flight", seen.in_flight),
        ("stale", seen.stale),
        ("stops", seen.restarts[0]),
        ("kills", seen.restarts[1]),
        ("power cuts", seen.restarts[2]),
        ("torn and gone", seen.torn[0]),
        ("torn and there", 3 * seen.torn[1]),
        ("drops", seen.drops),
        ("deleted and gone", 40 * seen.deleted_and_gone),
        ("drops beside other classes", seen.uneven),
    ];
    seen.have_reached(worlds, &numbers);
}

#[test]
fn every_stream_is_what_can_still_be_read_and_ends_with_its_topics() {
    every_stream_is_what_can_still_be_read::<Disk>(400);
}

pub(super) struct Disk {
    disk: SimulatedDisk,
    setup: Setup,
    life: Life,
    /// Something waits to be written that a batch after it may not be judged without: an end.
    has_end: bool,
}

/// What the hub is started with, each time alike.
struct Setup {
    classes: Vec<Class>,
    compact: Vec<&'static str>,
    summary_bytes: usize,
    segment_bytes: (usize, usize),
    tail_bytes: usize,
    epoch: Epoch,
    numbers_per_ms: u64,
}

/// What there is of a hub from one start to the next.
struct Life {
    store: Arc<Store>,
    writer: Writer,
    core: Arc<Core>,
}

impl Setup {
    fn new(dice: &mut Dice, seed: u64) -> Self {
        let mut retention = || Retention {
            events: dice.pick(&[0, 20, 100, usize::MAX, usize::MAX]),
            bytes: dice.pick(&[20_000, 60_000, 200_000, 64 << 20]),
            age: dice.pick(&[None, None, Some(30), Some(200)]).map(Duration::from_millis),
        };
        let mut classes = vec![Class { topics: None, retention: retention() }];
        let others = [Some("a/*"), Some("x*"), Some("b"), None, None, None];
        let retentions = [retention(), retention()];
        for retention in retentions {
            if let Some(topics) = dice.pick(&others) {
                classes.push(Class { topics: Some(topics.parse().unwrap()), retention });
            }
        }
        let compact = compact_of(dice, 3);
        let summary_bytes = dice.pick(&[0, 600, 1 << 20, 1 << 20, 1 << 20]);
        let numbers_per_ms = dice.pick(&[0, 1, 3]);
        Self { classes, compact, summary_bytes, numbers_per_ms, ..Self::keeping_all(dice, seed) }
    }

    fn keeping_all(dice: &mut Dice, seed: u64) -> Self {
        let smallest = dice.pick(&[5 << 10, 6 << 10, 8 << 10]);
        Self {
            classes: vec![Class { topics: None, retention: Retention::default() }],
            compact: Vec::new(),
            summary_bytes: 1 << 20,
            segment_bytes: (smallest, dice.pick(&[1, 2, 4]) * smallest),
            tail_bytes: dice.pick(&[0, 1_000, 4_000, 1 << 20]),
            epoch: Epoch::from_bits(seed),
            numbers_per_ms: 0,
        }
    }

    fn start(&self, disk: &SimulatedDisk, seed: u64) -> Life {
        let settings = StoreSettings {
            classes: self.classes.clone(),
            summary_bytes: self.summary_bytes,
            segment_bytes: self.segment_bytes,
            epoch: self.epoch,
            compact: matchers_of(&self.compact),
            numbers_per_ms: self.numbers_per_ms,
        };
        let store = Arc::new(Store::open(Arc::new(disk.clone()), settings).unwrap());
        let tail = tail_of(&store, matchers_of(&self.compact), self.tail_bytes).unwrap();
        let log = Log::over(Arc::new(OnDisk(Arc::clone(&store))), store.epoch, tail);
        log.run_searches();
        let writer = Writer::new(Arc::clone(&store), Durability::Fsync);
        let core = Arc::new(Core::new(log, Limits::default(), Random::from_seed(seed)));
        Life { store, writer, core }
    }
}

impl Life {
    /// Makes room for a batch. False when what waits has to be written first.
    fn make_room(&mut self, batch: &Batch, now_ms: u64) -> bool {
        let head = self.writer.head();
        let has_room = self.writer.make_room(&batch.0, now_ms).unwrap();
        if self.writer.head() != head {
            self.core.log.skip(self.writer.head());
        }
        has_room
    }

    /// Gives a batch its numbers; it is written with what waits.
    fn push(&mut self, batch: Batch, epoch: Epoch, now_ms: u64) -> Appended {
        let entries = self.writer.push(batch.0, now_ms);
        // a batch is written as one
        let class = self.store.chain_of(entries.iter().flat_map(|entry| &entry.topics));
        let first = entries.first().expect("no batch is empty").sequence;
        Appended { first, ids: ids_of(entries, epoch), class, replayed: false }
    }

    /// Makes durable and visible what waits.
    fn write(&mut self, now_ms: u64) {
        let shown = self.writer.write().unwrap();
        let number = shown.iter().filter(|entry| !entry.deletes()).count();
        self.core.log.show(shown);
        self.core.has_appended(number);
        self.core.log.trim(now_ms);
    }
}

impl Disk {
    fn of(setup: Setup, seed: u64) -> Self {
        let disk = SimulatedDisk::default();
        Self { life: setup.start(&disk, seed), disk, setup, has_end: false }
    }

    /// Publishes a batch with power that may fail at any step of its write. Gives back where it stands and whether that was said.
    fn append_without_power(&mut self, batch: Vec<Submission>, now_ms: u64, dice: &mut Dice) -> (Appended, bool) {
        let batch = Batch::new(batch, None);
        assert!(self.life.make_room(&batch, now_ms), "nothing waits");
        let appended = self.life.push(batch, self.setup.epoch, now_ms);
        self.disk.cut_power_at(self.disk.steps() + dice.below(3));
        (appended, self.life.writer.write().is_ok())
    }

    /// Of what was being written when the power failed all is there, or nothing.
    fn find(&self, (written, is_acknowledged): (Appended, bool)) -> Restarted {
        let page = Retained { entries: usize::MAX, bytes: usize::MAX };
        let matchers = Arc::new(matchers_of(&["*"]));
        let wanted = Wanted { max: page, cursor: written.first - 1, matchers, last: u64::MAX, drops: u64::MAX };
        let Found::Page { entries, .. } = self.life.store.read(&wanted).unwrap() else {
            panic!("something has left meanwhile")
        };
        let ids = ids_of(&entries, self.setup.epoch);
        assert!(ids == written.ids || (ids.is_empty() && !is_acknowledged), "{ids:?} is left of {written:?}");
        let passed = Some(written.first - 1);
        Restarted { found: Some(written).filter(|_| !ids.is_empty()), is_acknowledged, passed }
    }
}

impl Engine for Disk {
    const KNOWS: Knows = Knows { passes_numbers: true, ..Knows::BELOW };

    fn start(dice: &mut Dice, seed: u64) -> Self {
        Self::of(Setup::new(dice, seed), seed)
    }

    fn keeping_all(dice: &mut Dice, seed: u64) -> Self {
        Self::of(Setup::keeping_all(dice, seed), seed)
    }

    fn settings(&self) -> Settings {
        let Setup { epoch, summary_bytes, compact, .. } = &self.setup;
        // twelve short names need less than this
        Settings { epoch: *epoch, remembers_all: *summary_bytes > 3_000, compact: compact.clone() }
    }

    fn core(&self) -> &Arc<Core> {
        &self.life.core
    }

    fn append(
        &mut self,
        batch: Vec<Submission>,
        key: Option<&'static str>,
        now_ms: u64,
    ) -> Result<Appended, ErrorKind> {
        if std::mem::take(&mut self.has_end) || key.is_some() {
            self.life.write(now_ms); // it is judged when what it may repeat, or an end, is visible
        }
        let batch = Batch::new(batch, key.map(|key| IdempotencyKey::new(key).unwrap()));
        let admission = self.life.core.log.admit(&batch, now_ms).map_err(|error| error.kind())?;
        if let Admission::Replayed { first } = admission {
            let ids = batch.event_ids(self.setup.epoch, first).iter().map(ToString::to_string).collect();
            return Ok(Appended { first, ids, class: 0, replayed: true });
        }
        if !self.life.make_room(&batch, now_ms) {
            self.life.write(now_ms);
            assert!(self.life.make_room(&batch, now_ms), "nothing waits any more");
        }
        self.has_end = !batch.ended_topics().is_empty();
        Ok(self.life.push(batch, self.setup.epoch, now_ms))
    }

    fn flush(&mut self, now_ms: u64) {
        self.has_end = false;
        self.life.write(now_ms);
        assert_eq!(self.life.core.log.head(), self.life.writer.head());
    }

    fn delete(&mut self, topic: Topic, now_ms: u64) -> Result<Appended, ErrorKind> {
        let known = now(self.life.core.log.newest_of(&topic)).unwrap();
        let batch = Batch::deletion(topic, known);
        assert!(self.life.make_room(&batch, now_ms), "nothing waits");
        let appended = self.life.push(batch, self.setup.epoch, now_ms);
        self.life.write(now_ms);
        Ok(appended)
    }

    /// What the keeper does, and the writer while nothing is published.
    fn keep(&mut self, dice: &mut Dice, now_ms: u64) -> bool {
        if dice.one_in(2) {
            self.life.writer.leave_old_segments(now_ms, now_ms).unwrap();
        }
        self.life.store.keep(now_ms, &self.life).unwrap();
        true
    }

    fn extent(&self) -> Extent {
        let firsts = self.life.store.firsts();
        let log = &self.life.core.log;
        Extent { head: log.head(), front: log.front(), history: firsts.clone(), reach: firsts }
    }

    fn restart(&mut self, stop: Stop, writing: Option<Vec<Submission>>, now_ms: u64, dice: &mut Dice) -> Restarted {
        let written = writing.map(|batch| self.append_without_power(batch, now_ms, dice));
        if stop == Stop::Clean {
            self.life.writer.stop(now_ms).unwrap();
        }
        self.disk = match stop {
            Stop::PowerCut => self.disk.after_a_power_cut(dice),
            Stop::Clean | Stop::Kill if dice.one_in(2) => self.disk.after_a_power_cut(dice),
            Stop::Clean | Stop::Kill => self.disk.after_a_kill(),
        };
        let firsts = self.life.store.firsts();
        self.life = self.setup.start(&self.disk, dice.below(1 << 40));
        assert_eq!(self.life.store.firsts(), firsts, "something has gone, or come back, with a restart");
        written.map_or_else(Restarted::default, |written| self.find(written))
    }

    fn check(&self, oracle: &Oracle, _: u64) {
        assert_eq!(self.life.store.kept().entries, oracle.kept(), "what was acknowledged is there");
    }
}

impl OnDrop for Life {
    fn drop_below(&self, departure: &Departure) -> Remains {
        self.core.log.drop_below(departure)
    }
}

impl DiskDice for Dice {
    fn below(&mut self, end: u64) -> u64 {
        Self::below(self, end)
    }
}

fn ids_of(entries: &[Arc<Entry>], epoch: Epoch) -> Vec<String> {
    entries.iter().map(|entry| entry.event_id(epoch).to_string()).collect()
}
