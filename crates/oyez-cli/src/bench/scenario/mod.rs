//! What `oyez bench` can do, one file each.

mod churn;
mod fanout;
mod idle;
mod load;
mod meter;
mod observe;
pub(crate) mod preflight;
mod resume;
mod slow;

use crate::bench::args::Scenario;
use crate::bench::plan::Plan;
use crate::bench::progress::Progress;
use crate::bench::report::Outcome;
use crate::bench::rounds::Round;
use crate::failure::Failure;

/// Does `scenario` once.
pub(crate) async fn run(
    scenario: Scenario,
    plan: &Plan,
    round: &Round,
    progress: &Progress,
) -> Result<Outcome, Failure> {
    match scenario {
        Scenario::Idle => idle::run(plan, round, progress).await,
        Scenario::Fanout if plan.server.publish.is_none() => observe::run(plan, round, progress).await,
        // they differ in their defaults
        Scenario::Fanout | Scenario::Throughput | Scenario::Topics => fanout::run(plan, round, progress).await,
        Scenario::Resume => resume::run(plan, round, progress).await,
        Scenario::Slow => slow::run(plan, round, progress).await,
        Scenario::Churn => churn::run(plan, round, progress).await,
    }
}
