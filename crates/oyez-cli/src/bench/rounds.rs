//! A scenario, once or several times.

use tokio::runtime;
use tokio::task::LocalSet;

use crate::bench::args::Scenario;
use crate::bench::clock;
use crate::bench::plan::Plan;
use crate::bench::progress::Progress;
use crate::bench::report::{Outcome, Report};
use crate::bench::scenario;
use crate::failure::Failure;

/// Measures and prints.
pub(crate) fn run(scenario: Scenario, plan: &Plan, json: bool) -> Result<(), Failure> {
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
    scenario::preflight::run(plan, &Round::new(number, 0), progress).await?;
    let mut outcomes = Vec::new();
    for round in 1..=plan.rounds {
        progress.round(round, plan.rounds);
        let round = Round::new(number, round);
        outcomes.push(Box::pin(scenario::run(scenario, plan, &round, progress)).await?);
    }
    Ok(outcomes)
}

/// What tells the events of a round from those of others.
#[derive(Debug)]
pub(crate) struct Round {
    number: u32,
    /// The beginning of the names of its topics: no other round, and no other run, has them.
    pub(crate) prefix: String,
}

impl Round {
    fn new(number: u32, round: u32) -> Self {
        Self { number: number.wrapping_add(round * PHASES), prefix: format!("bench-{number:08x}-{round}-") }
    }

    /// The run number of a phase of this round.
    pub(crate) fn phase(&self, phase: Phase) -> u32 {
        self.number.wrapping_add(phase as u32)
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Phase {
    WarmUp,
    First,
    Second,
}

const PHASES: u32 = 4; // the next power of two
