//! The two clocks, read at the edges of the crate only; everything inside gets the time as an argument.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub(crate) fn wall_ms() -> u64 {
    wall_ns().checked_div(1_000_000).and_then(|ms| u64::try_from(ms).ok()).unwrap_or_default()
}

/// Nanoseconds since 1970.
pub(crate) fn wall_ns() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos())
}

/// The clock by which the entries of a log expire. It is asked only where something can, which is why it is no argument as other
/// times are; a test sets it by hand.
#[derive(Debug, Default)]
pub(crate) struct ExpiryClock {
    #[cfg(test)]
    by_hand: std::sync::atomic::AtomicU64,
}

impl ExpiryClock {
    /// Milliseconds since 1970.
    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "a test's clock is in it"))]
    pub(crate) fn ms(&self) -> u64 {
        #[cfg(test)]
        match self.by_hand.load(std::sync::atomic::Ordering::Relaxed) {
            0 => {}
            ms => return ms,
        }
        wall_ms()
    }

    #[cfg(test)]
    pub(crate) fn set(&self, ms: u64) {
        self.by_hand.store(ms, std::sync::atomic::Ordering::Relaxed);
    }
}

/// The monotonic clock of the runtime, which tests may pause.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
