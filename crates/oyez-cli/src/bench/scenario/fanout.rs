//! Publishing to many: `fanout` at a rate, `throughput` at full speed, `topics` in turn.

use crate::bench::board::Board;
use crate::bench::clock::seconds;
use crate::bench::plan::Plan;
use crate::bench::progress::Progress;
use crate::bench::publisher::Published;
use crate::bench::report::Outcome;
use crate::bench::round::{Phase, Round};
use crate::bench::scenario::load::{self, Received};
use crate::bench::scenario::meter::{Meter, Per};
use crate::bench::schedule::Pace;
use crate::bench::subscribers::{Opening, Subscribers, wait};
use crate::failure::Failure;

pub(crate) async fn run(plan: &Plan, round: &Round, progress: &Progress) -> Result<Outcome, Failure> {
    let (number, spread) = (plan.subscribers, plan.spread);
    let opening = Opening { plan, prefix: &round.prefix, spread, last_event_id: None, stopping: 0, number };
    let mut subscribers = Subscribers::new(plan, number);
    let open = subscribers.open(&opening, progress).await?;
    load::warm_up(plan, round, spread, &subscribers, progress).await?;
    let meter = Meter::start(plan);
    let load = load::load(plan, round, Phase::First, number, spread);
    let published = load::publish(&load, plan, &subscribers, progress).await?;
    wait(&subscribers, plan.clock, plan.timeout, |board| load::has_all(board, &published)).await;

    let board = subscribers.board();
    let mut outcome = Outcome::default();
    outcome.count("opened", "streams opened", number as u64);
    outcome.measure("open_s", "time to open them", "s", open);
    outcome.count("published", "events published", published.total());
    tell_deliveries(&mut outcome, &board, &published);
    meter.tell(&mut outcome, Per::Delivery, board.delivered);
    Received::by(board.places.iter(), &published, 0).tell(&mut outcome);
    outcome.fault("damaged", "deliveries damaged", board.damaged);
    outcome.fault("strayed", "deliveries of another topic", board.strayed);
    tell_times(&mut outcome, plan, &board, &published);
    Ok(outcome)
}

fn tell_deliveries(outcome: &mut Outcome, board: &Board, published: &Published) {
    let time = seconds(board.last.saturating_sub(published.begun));
    outcome.count("deliveries", "deliveries", board.delivered);
    outcome.measure("time_s", "from the first event to the last delivery", "s", time);
    outcome.measure("published_per_s", "events published per second", "/s", published.total() as f64 / time);
    outcome.measure("deliveries_per_s", "deliveries per second", "/s", board.delivered as f64 / time);
}

fn tell_times(outcome: &mut Outcome, plan: &Plan, board: &Board, published: &Published) {
    outcome.percentiles("latency", "latency", &board.latency);
    if plan.pace == Pace::Full {
        outcome
            .note("at full speed, latency counts from the write of the event and is mostly waiting for earlier events");
    } else {
        outcome.measure("late_p99_ms", "delay of the publisher p99", "ms", published.late.percentile_ms(99.0));
        outcome.measure("late_max_ms", "delay of the publisher max", "ms", published.late.max_ms());
    }
    outcome.measure("answer_p50_ms", "answer to a publish p50", "ms", published.answer.percentile_ms(50.0));
    outcome.measure("answer_p99_ms", "answer to a publish p99", "ms", published.answer.percentile_ms(99.0));
}
