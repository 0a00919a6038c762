//! A scenario, once or several times.

use tokio::runtime;
use tokio::task::LocalSet;

use crate::bench::args::{Bench, Scenario};
use crate::bench::clock;
use crate::bench::plan::Plan;
use crate::bench::progress::Progress;
use crate::bench::report::{Outcome, Report};
use crate::bench::round::Round;
use crate::bench::scenario::{churn, fanout, idle, observe, preflight, resume, slow};
use crate::failure::Failure;

impl Bench {
    /// Measures and prints.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let (scenario, json) = (self.scenario, self.json);
        run(scenario, &Plan::of(scenario, self)?, json)
    }
}

fn run(scenario: Scenario, plan: &Plan, json: bool) -> Result<(), Failure> {
    // one thread for all subscribers: the server needs the rest of the machine
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let progress = Progress::new();
    let outcomes = LocalSet::new().block_on(&runtime, measure(scenario, plan, &progress));
    progress.end();
    Report::new(scenario, plan, outcomes?).print(json)
}

async fn measure(scenario: Scenario, plan: &Plan, progress: &Progress) -> Result<Vec<Outcome>, Failure> {
    let number = clock::random();
    preflight::run(plan, &Round::new(number, 0), progress).await?;
    let mut outcomes = Vec::new();
    for round in 1..=plan.rounds {
        progress.round(round, plan.rounds);
        let round = Round::new(number, round);
        outcomes.push(Box::pin(once(scenario, plan, &round, progress)).await?);
    }
    Ok(outcomes)
}

async fn once(scenario: Scenario, plan: &Plan, round: &Round, progress: &Progress) -> Result<Outcome, Failure> {
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
