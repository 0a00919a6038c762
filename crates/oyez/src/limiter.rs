//! How often each key may.

use std::fmt;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::limits::LIMITER_KEYS_MAX;

/// A rate limit for each key: an address, a user, a topic. Each key may do `burst` at once and regains
/// `per_second` a second. At most 65,536 keys are remembered: those that have regained everything are forgotten,
/// and while every place is held by a busy key, new keys are refused.
///
/// ```
/// use std::num::NonZeroU32;
/// let limiter = oyez::Limiter::new(NonZeroU32::new(100).unwrap(), NonZeroU32::new(2).unwrap());
/// assert!(limiter.check(&"ann").is_ok());
/// assert!(limiter.check(&"ann").is_ok());
/// assert!(limiter.check(&"ann").is_err());
/// assert!(limiter.check(&"bob").is_ok());
/// ```
pub struct Limiter<K: Hash + Eq + Clone, C: Clock + Clone = DefaultClock> {
    rates: RateLimiter<K, HashMapStateStore<K>, C, NoOpMiddleware<C::Instant>>,
    clock: C,
    keys_max: usize,
}

/// The key may not, yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany {
    /// After this time it may once more, if nothing else happens.
    pub retry_after: Duration,
}

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "too many; try again in {} ms", self.retry_after.as_millis())
    }
}

impl std::error::Error for TooMany {}

impl<K: Hash + Eq + Clone> Limiter<K> {
    /// A limiter on the system's clock.
    #[must_use]
    pub fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        Self::with_clock(per_second, burst, DefaultClock::default(), LIMITER_KEYS_MAX)
    }
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> Limiter<K, C> {
    fn with_clock(per_second: NonZeroU32, burst: NonZeroU32, clock: C, keys_max: usize) -> Self {
        let quota = Quota::per_second(per_second).allow_burst(burst);
        Self { rates: RateLimiter::new(quota, HashMapStateStore::default(), clock.clone()), clock, keys_max }
    }

    /// Counts one for `key` if it may.
    ///
    /// # Errors
    /// [`TooMany`] when it may not; nothing is counted then.
    pub fn check(&self, key: &K) -> Result<(), TooMany> {
        if self.rates.len() >= self.keys_max {
            self.rates.retain_recent();
            if self.rates.len() >= self.keys_max {
                return Err(TooMany { retry_after: Duration::from_secs(1) });
            }
        }
        self.rates
            .check_key(key)
            .map_err(|not_until| TooMany { retry_after: not_until.wait_time_from(self.clock.now()) })
    }
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> fmt::Debug for Limiter<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn keys_that_have_regained_everything_are_forgotten() {
        let clock = FakeRelativeClock::default();
        let limiter = Limiter::with_clock(NonZeroU32::MIN, NonZeroU32::MIN, clock.clone(), 10);
        for key in 0..10 {
            assert!(limiter.check(&key).is_ok());
        }
        assert!(limiter.check(&10).is_err(), "every place is held by a busy key");
        clock.advance(Duration::from_secs(2));
        assert!(limiter.check(&10).is_ok());
        assert_eq!(limiter.rates.len(), 1);
    }
}
