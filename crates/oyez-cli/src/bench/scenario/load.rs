//! Publishing to subscribers and waiting until they have it all.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::bench::board::{Board, Flow, Place};
use crate::bench::clock::seconds;
use crate::bench::lanes::Lanes;
use crate::bench::limits::{LOOK, WARM_PATIENCE};
use crate::bench::plan::Plan;
use crate::bench::progress::Progress;
use crate::bench::publisher::{Load, Published, Publishers};
use crate::bench::report::Outcome;
use crate::bench::round::{Phase, Round};
use crate::bench::schedule::Pace;
use crate::bench::spread::Spread;
use crate::bench::subscribers::{Subscribers, wait};
use crate::failure::Failure;

/// The load of one phase of a round: all subscribers, the plan's pace.
pub(crate) fn load(plan: &Plan, round: &Round, phase: Phase, subscribers: usize, spread: Spread) -> Load {
    Load {
        run: round.phase(phase),
        prefix: round.prefix.clone(),
        pace: plan.pace,
        lanes: Lanes::new(spread.topics(), plan.connections),
        subscriptions: subscribers * spread.each(),
        events: plan.events_in(plan.duration),
        time: if plan.events.is_some() { FOR_EVER } else { plan.duration },
    }
}

/// Publishes all of `load`, whose events begin a new phase on the board.
pub(crate) async fn publish(
    load: &Load,
    plan: &Plan,
    subscribers: &Subscribers,
    progress: &Progress,
) -> Result<Published, Failure> {
    let flow = subscribers.board_mut().begin(load.run, 0, load.lanes);
    publish_on(load, plan, subscribers, progress, &flow).await
}

/// The same in a phase that has begun.
pub(crate) async fn publish_on(
    load: &Load,
    plan: &Plan,
    subscribers: &Subscribers,
    progress: &Progress,
    flow: &Arc<Flow>,
) -> Result<Published, Failure> {
    let begun = plan.clock.now();
    let publishers = Publishers::start(load, plan, flow);
    while !publishers.is_finished() {
        progress.say(|| {
            let delivered = subscribers.board().delivered;
            let rate = delivered as f64 / seconds(plan.clock.now() - begun).max(1e-3);
            format!("{delivered} deliveries, {rate:.0}/s")
        });
        sleep(LOOK).await;
    }
    publishers.end(plan)
}

/// Publishes until every subscriber has got something: a head may be sent before its subscriber is subscribed. Then
/// publishes for the plan's warm-up.
pub(crate) async fn warm_up(
    plan: &Plan,
    round: &Round,
    spread: Spread,
    subscribers: &Subscribers,
    progress: &Progress,
) -> Result<(), Failure> {
    let load = load(plan, round, Phase::WarmUp, subscribers.number(), spread);
    first_events(&load, plan, subscribers, progress).await?;
    if plan.warmup.is_zero() {
        return Ok(());
    }
    let events = match plan.pace {
        Pace::Rate(rate) => (rate * plan.warmup.as_secs_f64()) as u64,
        Pace::Full => load.events,
    };
    let load = Load { events, time: plan.warmup, ..load };
    let published = publish(&load, plan, subscribers, progress).await?;
    // what is lost here is not counted: it will be lost again
    wait(subscribers, plan.clock, WARM_PATIENCE, |board| has_all(board, &published)).await;
    Ok(())
}

pub(crate) async fn first_events(
    load: &Load,
    plan: &Plan,
    subscribers: &Subscribers,
    progress: &Progress,
) -> Result<(), Failure> {
    let load = Load { pace: Pace::Full, events: load.lanes.total() as u64, time: FOR_EVER, ..load.clone() };
    let begun = plan.clock.now();
    let flow = subscribers.board_mut().begin(load.run, 0, load.lanes);
    loop {
        publish_on(&load, plan, subscribers, progress, &flow).await?;
        if wait(subscribers, plan.clock, WARM_PATIENCE.min(plan.timeout), |board| board.cold() == 0).await {
            return Ok(());
        }
        if u128::from(plan.clock.now() - begun) > plan.timeout.as_nanos() {
            return Err(cold(plan, &subscribers.board()));
        }
    }
}

fn cold(plan: &Plan, board: &Board) -> Failure {
    let cold = board.cold();
    let (url, number, ended) = (&plan.server.subscribe.url, board.places.len(), board.ended());
    let others = board.events.saturating_sub(board.delivered);
    let timeout = plan.timeout;
    let why = if ended > 0 {
        format!("{ended} streams were ended by the server")
    } else if others > 0 {
        format!("{others} other events came: is the data of --publish-body what the stream sends?")
    } else {
        "do --subscribe and --publish name the same topic?".to_owned()
    };
    let of = if plan.spread.each() > 1 { " of some topic" } else { "" };
    Failure::failed(format!(
        "{url}: events were published and {cold} of {number} streams got none{of} in {timeout:?}: {why}"
    ))
}

/// Whether every subscriber whose stream is open has all that was published.
pub(crate) fn has_all(board: &Board, published: &Published) -> bool {
    let counts: Vec<u64> = (0..published.topics()).map(|topic| published.of(topic)).collect();
    let wanted = |place: &Place| place.reading.topics().filter_map(|topic| counts.get(topic as usize)).sum::<u64>();
    let complete = |place: &Place| place.ended || place.received() >= wanted(place);
    board.places.iter().all(complete)
}

/// What subscribers got of what was published, in sum.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Received {
    pub(crate) expected: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) out_of_order: u64,
    pub(crate) ended: u64,
    pub(crate) gaps: u64,
}

impl Received {
    /// By some subscribers, of events with number `first` and on.
    pub(crate) fn by<'a>(places: impl Iterator<Item = &'a Place>, published: &Published, first: u32) -> Self {
        let mut sum = Self::default();
        for place in places {
            let ends = || published.ends(place.reading);
            sum.expected += ends().map(|end| u64::from(end.saturating_sub(first))).sum::<u64>();
            sum.lost += place.lost(ends());
            sum.doubled += place.doubled();
            sum.out_of_order += place.out_of_order();
            sum.ended += u64::from(place.ended);
            sum.gaps += place.gaps;
        }
        sum
    }

    /// Both phases together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            expected: self.expected + other.expected,
            lost: self.lost + other.lost,
            doubled: self.doubled + other.doubled,
            out_of_order: self.out_of_order + other.out_of_order,
            ended: self.ended + other.ended,
            gaps: self.gaps + other.gaps,
        }
    }

    pub(crate) fn tell(&self, outcome: &mut Outcome) {
        outcome.count("expected", "deliveries expected", self.expected);
        outcome.fault("lost", "deliveries lost", self.lost);
        outcome.fault("doubled", "deliveries doubled", self.doubled);
        outcome.fault("out_of_order", "deliveries out of order", self.out_of_order);
        outcome.fault("cut", "streams cut", self.ended);
        outcome.fault("gaps", "holes announced", self.gaps);
    }
}

const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);
