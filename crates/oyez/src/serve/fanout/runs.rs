//! The runs that a group keeps while its turn goes on.

use std::sync::Arc;

use super::group_name::GroupName;
use super::run::{Run, Stretch};
use crate::limits::serve::RUNS_APART;
use crate::log::{Entry, Log};
use crate::readable::{PUBLIC, Readable};

/// What comes behind the cursor that was asked for last. Without private entries one run is for all readers of the group,
/// whatever their grants; where it holds some, there is one for each set of them that a reader may have.
#[derive(Default)]
pub(crate) struct Runs {
    shared: Option<Run>,
    /// At most [`RUNS_APART`]; the newest last.
    apart: Vec<(Readable, Run)>,
}

/// One of the runs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Which {
    Shared,
    Apart(usize),
}

impl Runs {
    /// The run that `fits`; `readable` is asked only where there are private entries.
    pub(crate) fn find<'r>(
        &self,
        fits: impl Fn(&Run) -> bool,
        readable: impl FnOnce() -> &'r Readable,
    ) -> Option<Which> {
        if self.shared.as_ref().is_some_and(&fits) {
            return Some(Which::Shared);
        }
        if self.apart.is_empty() {
            return None;
        }
        let readable = readable();
        self.apart.iter().position(|(of, run)| of == readable && fits(run)).map(Which::Apart)
    }

    /// Makes a run of `stretch`.
    pub(crate) fn make<'r>(
        &mut self,
        stretch: &Stretch<'_>,
        name: &GroupName,
        readable: impl FnOnce() -> &'r Readable,
        log: &Log,
    ) -> Which {
        let is_sent = |entry: &&Arc<Entry>| !name.framing.leaves_out(entry);
        let sends_all = stretch.entries.iter().all(|entry| is_sent(&entry));
        if sends_all && !stretch.holds_private() {
            self.shared = Some(made(stretch, name, &PUBLIC, log));
            return Which::Shared;
        }
        let sent = stretch.entries.iter().filter(is_sent);
        if !stretch.holds_private() {
            let entries: Vec<Arc<Entry>> = sent.cloned().collect();
            self.shared = Some(made(&Stretch { entries: &entries, ..*stretch }, name, &PUBLIC, log));
            return Which::Shared;
        }
        let readable = readable();
        let entries: Vec<Arc<Entry>> = sent.filter(|entry| entry.is_for(readable)).cloned().collect();
        let run = made(&Stretch { entries: &entries, ..*stretch }, name, readable, log);
        self.apart.retain(|(of, _)| of != readable);
        if self.apart.len() == RUNS_APART {
            self.apart.remove(0);
        }
        self.apart.push((readable.clone(), run));
        Which::Apart(self.apart.len() - 1)
    }

    /// A run that was found or made just now.
    pub(crate) fn get(&self, which: Which) -> &Run {
        match which {
            Which::Shared => self.shared.as_ref().expect("it was found or made just now"),
            Which::Apart(at) => &self.apart[at].1,
        }
    }
}

fn made(stretch: &Stretch<'_>, name: &GroupName, readable: &Readable, log: &Log) -> Run {
    let expires_ms = log.first_expiry_ms(stretch.entries, &name.matchers);
    Run::new(stretch, name.framing, readable, log).until(expires_ms)
}
