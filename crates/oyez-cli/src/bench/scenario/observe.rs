//! Streams of a server that is not published to: what comes is counted.

use tokio::time::sleep;

use crate::bench::clock::seconds;
use crate::bench::lanes::Lanes;
use crate::bench::limits::LOOK;
use crate::bench::plan::Plan;
use crate::bench::progress::Progress;
use crate::bench::report::Outcome;
use crate::bench::round::{Phase, Round};
use crate::bench::scenario::meter::{Meter, Per};
use crate::bench::subscribers::{Opening, Subscribers};
use crate::failure::Failure;

pub(crate) async fn run(plan: &Plan, round: &Round, progress: &Progress) -> Result<Outcome, Failure> {
    let (number, spread) = (plan.subscribers, plan.spread);
    let opening = Opening { plan, prefix: &round.prefix, spread, last_event_id: None, stopping: 0, number };
    let mut subscribers = Subscribers::new(plan, number);
    let open = subscribers.open(&opening, progress).await?;
    let meter = Meter::start(plan);
    let _ = subscribers.board_mut().begin(round.phase(Phase::First), 0, Lanes::ONE);
    let begun = plan.clock.now();
    while u128::from(plan.clock.now() - begun) < plan.duration.as_nanos() {
        progress.say(|| format!("{} events came", subscribers.board().events));
        sleep(LOOK).await;
    }
    let time = seconds(plan.clock.now() - begun);

    let board = subscribers.board();
    let mut outcome = Outcome::default();
    outcome.count("opened", "streams opened", number as u64);
    outcome.measure("open_s", "time to open them", "s", open);
    outcome.count("deliveries", "events that came", board.events);
    outcome.measure("deliveries_per_s", "… per second", "/s", board.events as f64 / time);
    meter.tell(&mut outcome, Per::Delivery, board.events);
    outcome.fault("cut", "streams cut", board.ended() as u64);
    outcome.fault("gaps", "holes announced", board.gaps());
    outcome.note("nothing was published, so loss and latency are unknown");
    Ok(outcome)
}
