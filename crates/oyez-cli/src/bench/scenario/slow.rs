//! A tenth of the readers stop reading: do the others notice, and what becomes of the tenth?

use crate::bench::board::Place;
use crate::bench::plan::Plan;
use crate::bench::progress::Progress;
use crate::bench::publisher::Published;
use crate::bench::report::Outcome;
use crate::bench::round::{Phase, Round};
use crate::bench::scenario::load::{self, Received};
use crate::bench::scenario::meter::{Meter, Per};
use crate::bench::spread::Spread;
use crate::bench::subscribers::{Opening, Subscribers, wait};
use crate::failure::Failure;

pub(crate) async fn run(plan: &Plan, round: &Round, progress: &Progress) -> Result<Outcome, Failure> {
    let number = plan.subscribers;
    let stopping = number / 10;
    let healthy = number - stopping;
    let opening = Opening { plan, prefix: &round.prefix, spread: Spread::ONE, last_event_id: None, stopping, number };
    let mut subscribers = Subscribers::new(plan, number);
    subscribers.open(&opening, progress).await?;
    // the latencies of the same readers count in both halves
    subscribers.board_mut().places.iter_mut().skip(healthy).for_each(|place| place.timed = false);
    load::warm_up(plan, round, Spread::ONE, &subscribers, progress).await?;
    let meter = Meter::start(plan);
    let half = plan.duration / 2;
    let mut load = load::load(plan, round, Phase::First, number, Spread::ONE);
    (load.events, load.time) = (plan.events_in(half), half);
    let published = load::publish(&load, plan, &subscribers, progress).await?;
    wait(&subscribers, plan.clock, plan.timeout, |board| load::has_all(board, &published)).await;
    let (before, all_before, delivered) = {
        let board = subscribers.board();
        (board.latency.clone(), Received::by(board.places.iter(), &published, 0), board.delivered)
    };

    load.run = round.phase(Phase::Second);
    load.subscriptions = healthy;
    let flow = subscribers.board_mut().begin(load.run, 0, load.lanes);
    let stop = |place: &mut Place| place.stops_after = plan.stop_after;
    subscribers.board_mut().places.iter_mut().skip(healthy).for_each(stop);
    let published = load::publish_on(&load, plan, &subscribers, progress, &flow).await?;
    let events = published.total();
    let complete = |place: &Place| place.ended || place.received() >= events;
    wait(&subscribers, plan.clock, plan.timeout, |board| board.places.iter().take(healthy).all(complete)).await;
    let with = subscribers.board().latency.clone();
    subscribers.go_on();
    progress.say(|| format!("{stopping} readers read on"));
    // they may have holes, and are in order
    let at_end = |place: &Place| place.ended || place.reached(published.ends(place.reading));
    wait(&subscribers, plan.clock, plan.timeout, |board| board.places.iter().all(at_end)).await;

    let board = subscribers.board();
    let mut outcome = Outcome::default();
    outcome.count("healthy", "readers that read on", healthy as u64);
    outcome.count("stopped", "readers that stopped", stopping as u64);
    let offered = events * plan.size as u64;
    outcome.measure("offered_mib", "data for each while they stood", "MiB", offered as f64 / f64::from(1 << 20));
    outcome.percentiles("latency_before", "others' latency before", &before);
    outcome.percentiles("latency", "others' latency meanwhile", &with);
    let ratio = before.percentile_ms(99.0).zip(with.percentile_ms(99.0)).map(|(before, with)| with / before);
    outcome.measure("latency_p99_ratio", "… p99 to p99", "", ratio);
    meter.tell(&mut outcome, Per::Delivery, delivered + board.delivered);
    all_before.and(Received::by(board.places.iter().take(healthy), &published, 0)).tell(&mut outcome);
    StoppedReaders::of(board.places.iter().skip(healthy), &published).tell(&mut outcome);
    Ok(outcome)
}

/// What became of the readers that stopped and read on later.
#[derive(Debug, Default)]
struct StoppedReaders {
    complete: u64,
    announced: u64,
    cut: u64,
    silent: u64,
    doubled: u64,
}

impl StoppedReaders {
    fn of<'a>(places: impl Iterator<Item = &'a Place>, published: &Published) -> Self {
        let mut stopped = Self::default();
        for place in places {
            let fate = match place.lost(published.ends(place.reading)) {
                0 => &mut stopped.complete,
                _ if place.gaps > 0 => &mut stopped.announced,
                _ if place.ended => &mut stopped.cut,
                _ => &mut stopped.silent,
            };
            *fate += 1;
            stopped.doubled += place.doubled() + place.out_of_order();
        }
        stopped
    }

    fn tell(&self, outcome: &mut Outcome) {
        outcome.count("stopped_complete", "stopped readers that got all", self.complete);
        outcome.count("stopped_gap", "… that got a gap", self.announced);
        outcome.count("stopped_cut", "… that were cut, and would resume", self.cut);
        outcome.fault("stopped_silent", "stopped readers that lost events silently", self.silent);
        outcome.fault("stopped_doubled", "events doubled or out of order for them", self.doubled);
    }
}
