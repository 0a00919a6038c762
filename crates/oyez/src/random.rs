//! Numbers that spread streams out in time. Not for secrets.

use std::time::Duration;

use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// SplitMix64: a counter and a mixer, so that threads share it without a lock.
#[derive(Debug)]
pub(crate) struct Random(AtomicU64);

impl Random {
    /// Numbers that differ each time.
    pub(crate) fn new() -> Self {
        Self::from_seed(getrandom::u64().unwrap_or_default())
    }

    /// The same numbers for the same seed.
    pub(crate) fn from_seed(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    pub(crate) fn next(&self) -> u64 {
        const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut bits = self.0.fetch_add(GAMMA, Relaxed).wrapping_add(GAMMA);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// `time` and up to so many thousandths of it more or less. However long it is.
    pub(crate) fn about(&self, time: Duration, thousandths: u32) -> Duration {
        let factor = self.within(u64::from(1_000 - thousandths)..=u64::from(1_000 + thousandths));
        (time / 1_000).saturating_mul(u32::try_from(factor).unwrap_or(1_000))
    }

    pub(crate) fn within(&self, range: std::ops::RangeInclusive<u64>) -> u64 {
        range.start() + self.next() % (range.end() - range.start() + 1)
    }
}
