//! What the hub of a world stands on: its settings, and what is made of them anew at each start.

use std::sync::Arc;
use std::time::Duration;

use crate::core::Core;
use crate::limits::Limits;
use crate::log::disk::{Class, DiskDice, Durability, OnDisk, Settings, SimulatedDisk, Store, Writer, tail_of};
use crate::log::{Departure, Log, OnDrop, Remains, Retention};
use crate::matcher::Matchers;
use crate::model::dice::Dice;
use crate::position::Epoch;
use crate::random::Random;

/// What the hub is started with, each time alike.
pub(super) struct Setup {
    pub(super) classes: Vec<Class>,
    /// Topics of which the newest entry of each key stays.
    pub(super) compact: Vec<&'static str>,
    summary_bytes: usize,
    segment_bytes: (usize, usize),
    tail_bytes: usize,
    pub(super) epoch: Epoch,
}

const COMPACT: [&str; 8] = ["a", "a/b", "b", "x1", "a/*", "x*", "*/*/d", "*"];

/// What there is of a hub from one start to the next.
pub(super) struct Life {
    pub(super) store: Arc<Store>,
    pub(super) writer: Writer,
    pub(super) core: Arc<Core>,
}

impl Setup {
    pub(super) fn new(dice: &mut Dice, seed: u64) -> Self {
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
        let mut compact = Vec::new();
        while dice.one_in(3) {
            compact.push(dice.pick(&COMPACT));
        }
        let smallest = dice.pick(&[5 << 10, 6 << 10, 8 << 10]);
        Self {
            classes,
            compact,
            summary_bytes: dice.pick(&[0, 600, 1 << 20, 1 << 20, 1 << 20]),
            segment_bytes: (smallest, dice.pick(&[1, 2, 4]) * smallest),
            tail_bytes: dice.pick(&[0, 1_000, 4_000, 1 << 20]),
            epoch: Epoch::from_bits(seed),
        }
    }

    /// Is nothing that is known of what is gone ever forgotten? Twelve short names need less than this.
    pub(super) fn remembers_all(&self) -> bool {
        self.summary_bytes > 3_000
    }

    pub(super) fn start(&self, disk: &SimulatedDisk, seed: u64) -> Life {
        let compact = || {
            let mut compact = Matchers::default();
            self.compact.iter().for_each(|matcher| compact.push(matcher.parse().unwrap()));
            compact
        };
        let settings = Settings {
            classes: self.classes.clone(),
            summary_bytes: self.summary_bytes,
            segment_bytes: self.segment_bytes,
            epoch: self.epoch,
            compact: compact(),
        };
        let store = Arc::new(Store::open(Arc::new(disk.clone()), settings).unwrap());
        let log = Log::over(
            Arc::new(OnDisk(Arc::clone(&store))),
            store.epoch,
            tail_of(&store, compact(), self.tail_bytes).unwrap(),
        );
        let writer = Writer::new(Arc::clone(&store), Durability::Fsync);
        let core = Arc::new(Core::new(log, Limits::default(), Random::from_seed(seed)));
        Life { store, writer, core }
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
