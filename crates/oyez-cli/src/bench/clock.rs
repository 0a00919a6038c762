//! The one clock of a run: publishers and subscribers are in one process.

use std::hash::{BuildHasher, RandomState};

use tokio::time::Instant;

/// Nanoseconds since it was started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn now(self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A number that another run does not have.
pub(crate) fn random() -> u32 {
    RandomState::new().hash_one(0) as u32
}

pub(crate) fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}
