//! What syncs of the log cost.

use std::io;
use std::time::Duration;

use super::volume::VolumeFile;
use crate::clock;
use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts the syncs that publishes and clean stops wait for, and their time.
#[derive(Debug, Default)]
pub(crate) struct Syncs {
    number: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Syncs {
    /// Syncs a file.
    pub(crate) fn sync(&self, file: &dyn VolumeFile) -> io::Result<()> {
        let begun = clock::now();
        let synced = file.sync();
        let taken = clock::now().saturating_duration_since(begun);
        self.nanoseconds.fetch_add(u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        self.number.fetch_add(1, Relaxed);
        synced
    }

    /// How many there were, those that failed too.
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Relaxed)
    }

    /// How long they took together.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Relaxed))
    }
}
