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

/// The monotonic clock of the runtime, which tests may pause.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
