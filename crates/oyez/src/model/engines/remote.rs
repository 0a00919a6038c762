//! A log on a server: one that keeps entries of its own, answers late, is away for a while, and refuses now and then.

use std::sync::Arc;

use crate::core::Core;
use crate::limits::Limits;
use crate::log::fake::{OnServer, Server, ToServer, tail_of};
use crate::log::search::now;
use crate::log::{Appender, Batch, Log};
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
fn a_history_elsewhere_is_the_log_in_order_whatever_is_late_away_or_refused() {
    let mut seen = Seen::default();
    let Some(worlds) = each_world(400, 8_000, |seed| World::<Remote>::new(seed).run(&mut seen)) else { return };
    assert!(seen.begins > 15 * worlds && seen.entries > 50 * worlds, "{seen:?}");
    let numbers = [
        ("finished", 2 * seen.finished),
        ("ended", seen.ended),
        ("from below", seen.from_below),
        ("in flight", seen.in_flight),
        ("stale", seen.stale),
        ("stops", seen.restarts[0]),
        ("kills", seen.restarts[1]),
        ("written and not acknowledged", seen.torn[1]),
        ("drops", seen.drops),
        ("away", seen.away),
        ("publishes while it was away", seen.unavailable),
        ("pages that came when it was back", seen.late_pages),
        ("streams that began when it was back", seen.late_begins),
        ("broken off", seen.broken),
        ("refused at the begin", seen.refused_begins),
    ];
    seen.have_reached(worlds, &numbers);
}

#[test]
fn every_stream_is_what_can_still_be_read_and_ends_with_its_topics() {
    every_stream_is_what_can_still_be_read::<Remote>(300);
}

pub(super) struct Remote {
    server: Arc<Server>,
    settings: Settings,
    tail_bytes: usize,
    /// How many entries it keeps.
    most: usize,
    core: Arc<Core>,
}

impl Remote {
    fn new(settings: Settings, most: usize, dice: &mut Dice, seed: u64) -> Self {
        // from elsewhere nothing comes at once
        let lateness = 1 + dice.below(3);
        let server = Arc::new(Server::new(settings.epoch, matchers_of(&settings.compact), lateness));
        let tail_bytes = dice.pick(&[0, 1_000, 4_000, 1 << 20]);
        let core = start(&server, &settings, tail_bytes, seed);
        Self { server, settings, tail_bytes, most, core }
    }
}

/// The hub anew.
fn start(server: &Arc<Server>, settings: &Settings, tail_bytes: usize, seed: u64) -> Arc<Core> {
    let tail = tail_of(server, matchers_of(&settings.compact), tail_bytes);
    let log = Log::over(Arc::new(OnServer(Arc::clone(server))), server.epoch, tail);
    log.run_searches();
    let to_server = |shown| Ok(Box::new(ToServer::new(Arc::clone(server), shown)) as Box<dyn Appender>);
    Core::appended_by(log, Limits::default(), Random::from_seed(seed), to_server).unwrap()
}

impl Engine for Remote {
    const KNOWS: Knows = Knows { goes_away: true, ..Knows::BELOW };

    fn start(dice: &mut Dice, seed: u64) -> Self {
        let compact = compact_of(dice, 3);
        let most = dice.pick(&[0, 10, 30, 100, usize::MAX]);
        Self::new(Settings { epoch: Epoch::from_bits(seed), remembers_all: true, compact }, most, dice, seed)
    }

    fn keeping_all(dice: &mut Dice, seed: u64) -> Self {
        let settings = Settings { epoch: Epoch::from_bits(seed), remembers_all: true, compact: Vec::new() };
        Self::new(settings, usize::MAX, dice, seed)
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
        self.server.set_time(now_ms);
        let first = self.server.newest() + 1;
        let key = key.map(|key| IdempotencyKey::new(key).unwrap());
        let published = now(self.core.publish(batch, key)).map_err(|error| error.kind())?;
        let ids = published.ids.iter().map(ToString::to_string).collect();
        Ok(Appended { first, ids, class: 0, replayed: published.replayed })
    }

    fn delete(&mut self, topic: Topic, now_ms: u64) -> Result<Appended, ErrorKind> {
        self.server.set_time(now_ms);
        let first = self.server.newest() + 1;
        let id = now(self.core.delete(topic)).map_err(|error| error.kind())?;
        Ok(Appended { first, ids: vec![id.to_string()], class: 0, replayed: false })
    }

    /// Now and then the oldest entries leave that are too many.
    fn keep(&mut self, dice: &mut Dice, _: u64) -> bool {
        let (first, newest) = (self.server.first(), self.server.newest());
        let surplus = (newest + 1 - first).saturating_sub(self.most as u64);
        if surplus > 0 && !self.is_away() {
            let through = first + dice.below(surplus);
            self.server.drop_through(through, |departure| self.core.log.drop_below(departure));
        }
        true
    }

    fn extent(&self) -> Extent {
        let (log, first) = (&self.core.log, self.server.first());
        Extent { head: log.head(), front: log.front(), history: vec![first], reach: vec![first] }
    }

    /// The hub stops and comes back; the server stays.
    fn restart(&mut self, stop: Stop, writing: Option<Vec<Submission>>, now_ms: u64, dice: &mut Dice) -> Restarted {
        self.server.set_time(now_ms);
        let mut restarted = Restarted::default();
        // it has all of what was on its way, or nothing; in both cases the hub was not told
        if let Some(batch) = writing.filter(|_| stop == Stop::PowerCut && dice.one_in(2)) {
            let entries = self.server.append(Batch::new(batch, None));
            let ids = entries.iter().map(|entry| entry.event_id(self.server.epoch).to_string()).collect();
            restarted.found = Some(Appended { first: entries[0].sequence, ids, class: 0, replayed: false });
        }
        self.core = start(&self.server, &self.settings, self.tail_bytes, dice.below(1 << 40));
        restarted
    }

    fn is_away(&self) -> bool {
        self.server.is_away()
    }

    fn set_away(&mut self, is_away: bool) {
        self.server.set_away(is_away);
    }

    fn refuse(&mut self, refuses: bool) -> u64 {
        self.server.refuse(refuses);
        self.server.refusals()
    }

    fn check(&self, oracle: &Oracle, _: u64) {
        assert_eq!(self.core.log.summary().kept.entries, oracle.kept(), "what was acknowledged is there");
    }
}
