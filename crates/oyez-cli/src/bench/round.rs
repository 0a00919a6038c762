//! One of several rounds of a run.

/// What tells the events of a round from those of others.
#[derive(Debug)]
pub(crate) struct Round {
    number: u32,
    /// The beginning of the names of its topics: no other round, and no other run, has them.
    pub(crate) prefix: String,
}

impl Round {
    pub(crate) fn new(number: u32, round: u32) -> Self {
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
