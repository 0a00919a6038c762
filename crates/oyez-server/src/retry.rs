//! When to come back.

use std::time::Duration;

use crate::limits::RETRY_SECONDS;

/// When a refusal that passes by itself may be tried again: spread, so that those refused together come back apart.
pub(crate) fn retry() -> Duration {
    let spread = u64::from(getrandom::u32().unwrap_or_default());
    let range = (RETRY_SECONDS.end() - RETRY_SECONDS.start()) * 1_000;
    Duration::from_millis(RETRY_SECONDS.start() * 1_000 + spread % (range + 1))
}
