//! A log in memory: what leaves its history leaves one by one, and for a while streams that are open may still read it.

use std::sync::Arc;
use std::time::Duration;

use crate::core::Core;
use crate::limits::Limits;
use crate::log::{Bounds, Log, Retained, Retention};
use crate::model::dice::{Dice, each_world};
use crate::model::engine::{Appended, Engine, Extent, Knows, Settings};
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
fn every_stream_is_the_log_in_order_and_every_hole_is_announced() {
    let mut seen = Seen::default();
    let Some(worlds) = each_world(1_500, 25_000, |seed| World::<Memory>::new(seed).run(&mut seen)) else { return };
    assert!(seen.begins > 30 * worlds && seen.entries > 30 * worlds, "{seen:?}");
    let numbers = [
        ("deleted, at once", seen.deleted_at_once),
        // few of these worlds have ends
        ("finished", 10 * seen.finished),
        ("ended", 10 * seen.ended),
    ];
    seen.have_reached(worlds, &numbers);
}

#[test]
fn every_stream_is_what_can_still_be_read_and_ends_with_its_topics() {
    every_stream_is_what_can_still_be_read::<Memory>(3_000);
}

pub(super) struct Memory {
    core: Arc<Core>,
    retention: Retention,
    settings: Settings,
}

impl Memory {
    fn new(settings: Settings, retention: Retention, bounds: Bounds, seed: u64) -> Self {
        let log = Log::new(settings.epoch, retention, bounds, matchers_of(&settings.compact));
        log.run_searches();
        let core = Arc::new(Core::new(log, Limits::default(), Random::from_seed(seed)));
        Self { core, retention, settings }
    }
}

impl Engine for Memory {
    const KNOWS: Knows = Knows {
        passes_numbers: false,
        survives: false,
        goes_away: false,
        deleted_apart: true,
        ids_until_all_left: true,
        number_of_all: true,
        number_in_stream: true,
        all_of_the_way: true,
        values_first: true,
        topics_of_values: true,
        all_ends: false,
    };

    fn start(dice: &mut Dice, seed: u64) -> Self {
        let retention = Retention {
            events: dice.pick(&[0, 1, 2, 5, 20, 100, usize::MAX]),
            bytes: dice.pick(&[2_000, 8_000, 40_000, 64 << 20, 64 << 20]),
            age: dice.pick(&[None, None, Some(5), Some(50)]).map(Duration::from_millis),
        };
        let bounds = Bounds {
            slack: Retained { entries: dice.pick(&[0, 3, 10, 1_024]), bytes: dice.pick(&[1_000, 4 << 20]) },
            summary_bytes: dice.pick(&[0, 600, 1 << 20, 1 << 20]),
            // what is pushed out of it has tests of its own
            ..Bounds::default()
        };
        // twelve short names need less than this
        let remembers_all = bounds.summary_bytes.min(retention.bytes / 16) > 3_000;
        let compact = compact_of(dice, 2);
        Self::new(Settings { epoch: Epoch::from_bits(seed), remembers_all, compact }, retention, bounds, seed)
    }

    fn keeping_all(_: &mut Dice, seed: u64) -> Self {
        let settings = Settings { epoch: Epoch::from_bits(seed), remembers_all: true, compact: Vec::new() };
        Self::new(settings, Retention::default(), Bounds::default(), seed)
    }

    fn settings(&self) -> Settings {
        self.settings.clone()
    }

    fn core(&self) -> &Arc<Core> {
        &self.core
    }

    fn append(
        &mut self,
        batch: Vec<Submission>,
        key: Option<&'static str>,
        now_ms: u64,
    ) -> Result<Appended, ErrorKind> {
        let first = self.core.log.head() + 1;
        let key = key.map(|key| IdempotencyKey::new(key).unwrap());
        let published = self.core.append(batch, key, now_ms).map_err(|error| error.kind())?;
        let ids = published.ids.iter().map(ToString::to_string).collect();
        Ok(Appended { first, ids, class: 0, replayed: published.replayed })
    }

    fn delete(&mut self, topic: Topic, now_ms: u64) -> Result<Appended, ErrorKind> {
        let first = self.core.log.head() + 1;
        let id = self.core.delete_in_memory(topic, now_ms).map_err(|error| error.kind())?;
        Ok(Appended { first, ids: vec![id.to_string()], class: 0, replayed: false })
    }

    fn extent(&self) -> Extent {
        let summary = self.core.log.summary();
        let front = self.core.log.front();
        let history = summary.oldest.unwrap_or(summary.head + 1);
        Extent { head: summary.head, front, history: vec![history], reach: vec![front] }
    }

    /// Compares what is kept with the retention.
    fn check(&self, oracle: &Oracle, now_ms: u64) {
        let summary = self.core.log.summary();
        let Retention { events, bytes, age } = self.retention;
        let is_old = |ms: u64| age.is_some_and(|age| now_ms.saturating_sub(ms) > age.as_millis() as u64);
        assert!(summary.kept.entries == oracle.kept() && summary.kept.entries <= events);
        assert!(summary.kept.bytes <= bytes || summary.kept.entries == 0);
        assert_eq!(summary.topics, oracle.topics_kept());
        assert!(!oracle.oldest_ms().is_some_and(is_old));
        if let Some(ms) = oracle.left_just_now().filter(|_| bytes > 1 << 20) {
            assert!(summary.kept.entries == events || is_old(ms), "it was dropped without need");
        }
    }
}
