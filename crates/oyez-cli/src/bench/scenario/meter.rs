//! What the server and this program use up meanwhile.

use std::time::Duration;

use crate::bench::plan::Plan;
use crate::bench::process::Process;
use crate::bench::report::Outcome;

/// CPU time since a moment.
pub(crate) struct Meter {
    server: Option<(Process, Duration)>,
    own: Option<Duration>,
}

impl Meter {
    pub(crate) fn start(plan: &Plan) -> Self {
        let server = plan.process.as_ref().and_then(|process| Some((process.clone(), process.cpu()?)));
        Self { server, own: Process::this().cpu() }
    }

    /// Tells the CPU time, and that of the server for each of `number` things, a million of them or one.
    pub(crate) fn tell(&self, outcome: &mut Outcome, per: Per, number: u64) {
        let server = self.server.as_ref().and_then(|(process, before)| Some(process.cpu()?.saturating_sub(*before)));
        let seconds = server.map(|cpu| cpu.as_secs_f64());
        let each = seconds.filter(|_| number > 0).map(|seconds| seconds / number as f64);
        outcome.measure("server_cpu_s", "CPU time of the server", "s", seconds);
        match per {
            Per::Delivery => {
                let value = each.map(|each| each * 1e6);
                outcome.measure("server_cpu_s_per_million", "… per million deliveries", "s", value);
            }
            Per::Connection => {
                let value = each.map(|each| each * 1e6);
                outcome.measure("server_cpu_us_per_connection", "… per connection", "µs", value);
            }
            Per::Nothing => {}
        }
        let own = self.own.and_then(|before| Some(Process::this().cpu()?.saturating_sub(before).as_secs_f64()));
        outcome.measure("load_cpu_s", "CPU time of this program", "s", own);
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Per {
    Delivery,
    Connection,
    Nothing,
}
