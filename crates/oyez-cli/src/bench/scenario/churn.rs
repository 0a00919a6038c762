//! Connections that open and close.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::bench::clock::{Clock, seconds};
use crate::bench::histogram::Histogram;
use crate::bench::limits::{AFTERMATH, LOOK};
use crate::bench::plan::Plan;
use crate::bench::progress::Progress;
use crate::bench::report::Outcome;
use crate::bench::round::Round;
use crate::bench::scenario::meter::{Meter, Per};
use crate::bench::stream::{Dial, Stream};
use crate::bench::subscribers::Opening;
use crate::failure::Failure;

pub(crate) async fn run(plan: &Plan, round: &Round, progress: &Progress) -> Result<Outcome, Failure> {
    let meter = Meter::start(plan);
    let begun = plan.clock.now();
    let counts = Rc::new(RefCell::new(Counts { left: plan.events, ..Counts::new(begun) }));
    let mut tasks = JoinSet::new();
    let number = plan.subscribers;
    let opening =
        Opening { plan, prefix: &round.prefix, spread: plan.spread, last_event_id: None, stopping: 0, number };
    for index in 0..number {
        let dial =
            Dial { address: plan.server.subscribe.address, number: 0, receive_bytes: None, timeout: plan.timeout };
        tasks.spawn_local(churn(dial, opening.request(index), plan.clock, Rc::clone(&counts)));
    }
    let over = || plan.events.is_none() && u128::from(plan.clock.now() - begun) >= plan.duration.as_nanos();
    while !tasks.is_empty() {
        while tasks.try_join_next().is_some() {}
        if over() {
            counts.borrow_mut().left = Some(0);
        }
        progress.say(|| format!("{} connections", counts.borrow().opened));
        sleep(LOOK).await;
    }
    sleep(AFTERMATH).await;

    let counts = counts.borrow();
    let time = seconds(counts.last - begun);
    let mut outcome = Outcome::default();
    outcome.count("connections", "connections", counts.opened);
    outcome.measure("time_s", "time", "s", time);
    outcome.measure("connections_per_s", "connections per second", "/s", counts.opened as f64 / time);
    meter.tell(&mut outcome, Per::Connection, counts.opened);
    outcome.percentiles("head", "from connecting to the head", &counts.head);
    outcome.fault("failures", "failures", counts.failures.values().sum());
    if let Some((why, _)) = counts.failures.iter().max_by_key(|(_, number)| **number) {
        outcome.because(why);
    }
    Ok(outcome)
}

struct Counts {
    /// Connections still to be made; None until the time is over.
    left: Option<u64>,
    opened: u64,
    failures: BTreeMap<String, u64>,
    head: Histogram,
    last: u64,
}

impl Counts {
    fn new(begun: u64) -> Self {
        Self { left: None, opened: 0, failures: BTreeMap::new(), head: Histogram::new(), last: begun }
    }

    fn take_one(&mut self) -> bool {
        match &mut self.left {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }
}

async fn churn(dial: Dial, request: Vec<u8>, clock: Clock, counts: Rc<RefCell<Counts>>) {
    while counts.borrow_mut().take_one() {
        let begun = clock.now();
        let outcome = Stream::open(dial, &request).await;
        let now = clock.now();
        let mut counts = counts.borrow_mut();
        match outcome {
            Ok(_closed_here) => {
                counts.opened += 1;
                counts.head.record(now - begun);
            }
            Err(refusal) => *counts.failures.entry(refusal.to_string()).or_default() += 1,
        }
        counts.last = now;
    }
}
