//! Readers that come back and want what they missed.

use std::cell::RefCell;
use std::rc::Rc;

use crate::bench::clock::seconds;
use crate::bench::histogram::Histogram;
use crate::bench::lanes::Lanes;
use crate::bench::plan::Plan;
use crate::bench::progress::Progress;
use crate::bench::publisher::Published;
use crate::bench::report::Outcome;
use crate::bench::round::{Phase, Round};
use crate::bench::scenario::load::{self, Received};
use crate::bench::scenario::meter::{Meter, Per};
use crate::bench::schedule::Pace;
use crate::bench::spread::Spread;
use crate::bench::subscribers::{Began, Opening, Subscribers, wait};
use crate::failure::Failure;

pub(crate) async fn run(plan: &Plan, round: &Round, progress: &Progress) -> Result<Outcome, Failure> {
    let history = match plan.server.publish {
        Some(_) => publish_history(plan, round, progress).await?,
        None => History { id: plan.last_event_id.clone().unwrap_or_default().into_bytes(), published: None },
    };
    let number = plan.subscribers;
    let opening = Opening {
        plan,
        prefix: &round.prefix,
        spread: Spread::ONE,
        last_event_id: Some(&history.id),
        stopping: 0,
        number,
    };
    let mut subscribers = Subscribers::new(plan, number);
    let begun = plan.clock.now();
    {
        let mut board = subscribers.board_mut();
        let _ = board.begin(round.phase(Phase::First), 1, Lanes::ONE);
        let wanted = history.published.as_ref().map_or(u64::MAX, |published| published.total() - 1);
        board.places.iter_mut().for_each(|place| (place.wanted, place.timed) = (wanted, false));
    }
    let meter = Meter::start(plan);
    let connected = Rc::new(RefCell::new(vec![0; number]));
    subscribers.start(&opening, {
        let connected = Rc::clone(&connected);
        move |Began { index, time }| connected.borrow_mut()[index] = time
    });
    let mut events = 0;
    let mut quiet = plan.clock.now();
    wait(&subscribers, plan.clock, plan.timeout, |board| {
        progress.say(|| format!("{} events were caught up", board.events));
        let complete = board.places.iter().all(|place| place.done.is_some() || place.ended);
        if board.events > events {
            (events, quiet) = (board.events, plan.clock.now());
        }
        // without a known end, it is over when nothing more comes
        let over = history.published.is_none() && u128::from(plan.clock.now() - quiet) > plan.timeout.as_nanos();
        board.opened == number && (complete || over)
    })
    .await;
    subscribers.check(plan)?;

    let board = subscribers.board();
    let mut catch_up = Histogram::new();
    let mut last = begun;
    for (place, connected) in board.places.iter().zip(connected.borrow().iter()) {
        let Some(done) = place.done else { continue };
        catch_up.record(done.saturating_sub(*connected));
        last = last.max(done);
    }
    let mut outcome = Outcome::default();
    outcome.count("resumed", "streams resumed", number as u64);
    outcome.count("deliveries", "deliveries", board.events);
    match &history.published {
        Some(published) => {
            outcome.measure("time_s", "time until all had caught up", "s", seconds(last - begun));
            let rate = board.delivered as f64 / seconds(last - begun);
            outcome.measure("deliveries_per_s", "deliveries per second", "/s", rate);
            meter.tell(&mut outcome, Per::Delivery, board.delivered);
            Received::by(board.places.iter(), published, 1).tell(&mut outcome);
            outcome.percentiles("catch_up", "from connecting to the last event", &catch_up);
        }
        None => {
            meter.tell(&mut outcome, Per::Delivery, board.events);
            outcome.note("nothing was published: events are counted, but loss is unknown");
        }
    }
    Ok(outcome)
}

/// What readers resume from.
struct History {
    /// The id of its first event.
    id: Vec<u8>,
    /// None when someone else has published it.
    published: Option<Published>,
}

async fn publish_history(plan: &Plan, round: &Round, progress: &Progress) -> Result<History, Failure> {
    let opening =
        Opening { plan, prefix: &round.prefix, spread: Spread::ONE, last_event_id: None, stopping: 0, number: 1 };
    let mut probe = Subscribers::new(plan, 1);
    probe.open(&opening, progress).await?;
    // without a warm-up: what it publishes would be resumed as well; in one lane: all others come after the first
    let mut load = load::load(plan, round, Phase::First, 1, Spread::ONE);
    load.events = plan.events.unwrap_or(EVENTS);
    (load.pace, load.lanes) = (Pace::Full, Lanes::ONE);
    let published = load::publish(&load, plan, &probe, progress).await?;
    let complete = wait(&probe, plan.clock, plan.timeout, |board| load::has_all(board, &published)).await;
    let url = &plan.server.subscribe.url;
    let board = probe.board();
    let place = board.places.first();
    match plan.last_event_id.clone().map(String::into_bytes).or_else(|| place?.first_id.clone()) {
        Some(id) if !id.is_empty() && complete => Ok(History { id, published: Some(published) }),
        Some(_) if complete => {
            Err(Failure::failed(format!("{url}: its events have no id, so no stream can be resumed")))
        }
        _ => Err(Failure::failed(format!("{url}: {} events were published and did not all come", published.total()))),
    }
}

const EVENTS: u64 = 100; // a reader away for a minute or two; 99 of them come after the first
