//! Streams that are open and silent.

use tokio::time::sleep;

use crate::bench::limits::LOOK;
use crate::bench::plan::Plan;
use crate::bench::process::Process;
use crate::bench::progress::Progress;
use crate::bench::report::Outcome;
use crate::bench::round::Round;
use crate::bench::scenario::meter::{Meter, Per};
use crate::bench::subscribers::{Opening, Subscribers};
use crate::failure::Failure;

pub(crate) async fn run(plan: &Plan, round: &Round, progress: &Progress) -> Result<Outcome, Failure> {
    let number = plan.subscribers;
    let opening =
        Opening { plan, prefix: &round.prefix, spread: plan.spread, last_event_id: None, stopping: 0, number };
    let resident = || plan.process.as_ref().and_then(Process::resident_bytes).map(|bytes| bytes as f64);
    let before = resident();
    let mut subscribers = Subscribers::new(plan, number);
    let open = subscribers.open(&opening, progress).await?;
    let meter = Meter::start(plan);
    let begun = plan.clock.now();
    while u128::from(plan.clock.now() - begun) < plan.duration.as_nanos() {
        let left = plan.duration.as_secs() - (plan.clock.now() - begun) / 1_000_000_000;
        progress.say(|| format!("{number} streams are open, {left} s more"));
        sleep(LOOK).await;
    }
    let after = resident();

    let mut outcome = Outcome::default();
    let mebibytes = |bytes: Option<f64>| bytes.map(|bytes| bytes / f64::from(1 << 20));
    outcome.count("opened", "streams opened", number as u64);
    outcome.measure("open_s", "time to open them", "s", open);
    outcome.measure("opened_per_s", "streams opened per second", "/s", number as f64 / open);
    outcome.measure("server_rss_before_mib", "memory of the server before", "MiB", mebibytes(before));
    outcome.measure("server_rss_after_mib", "… with the streams open", "MiB", mebibytes(after));
    let each = before.zip(after).map(|(before, after)| (after - before) / number as f64);
    outcome.measure("memory_per_subscriber_bytes", "… per stream", "B", each);
    meter.tell(&mut outcome, Per::Nothing, 0);
    outcome.count("events", "events that came", subscribers.board().events);
    outcome.fault("cut", "streams cut", subscribers.board().ended() as u64);
    if plan.process.is_some() && plan.rounds > 1 {
        outcome.note(
            "servers keep memory that they once had: restart the server for each round, or use the first round only",
        );
    }
    Ok(outcome)
}
