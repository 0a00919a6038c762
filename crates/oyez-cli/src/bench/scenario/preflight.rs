//! One stream and one event, before any load: is this an SSE server, and do the URLs belong together?

use crate::bench::plan::Plan;
use crate::bench::progress::Progress;
use crate::bench::round::{Phase, Round};
use crate::bench::scenario::load;
use crate::bench::spread::Spread;
use crate::bench::subscribers::{Opening, Subscribers};
use crate::failure::Failure;

pub(crate) async fn run(plan: &Plan, round: &Round, progress: &Progress) -> Result<(), Failure> {
    let opening =
        Opening { plan, prefix: &round.prefix, spread: Spread::ONE, last_event_id: None, stopping: 0, number: 1 };
    let mut subscribers = Subscribers::new(plan, 1);
    subscribers.open(&opening, progress).await?;
    if plan.server.publish.is_none() {
        return Ok(());
    }
    let load = load::load(plan, round, Phase::WarmUp, 1, Spread::ONE);
    load::first_events(&load, plan, &subscribers, progress).await
}
