//! How often each key may.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::clock;
use crate::limits::{LIMITER_KEYS_MAX, LIMITER_SWEEP_PAUSE};
use crate::sync::Mutex;

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
pub struct Limiter<K> {
    /// What one costs: it takes this long to regain it.
    interval: Duration,
    /// How far ahead of the clock a key may be.
    ahead_max: Duration,
    keys_max: usize,
    state: Mutex<State<K>>,
}

struct State<K> {
    /// When each key will have regained everything.
    whole_at: HashMap<K, Instant>,
    sweep_at: Option<Instant>,
}

/// The key may not, yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
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
    /// A limiter without keys yet.
    #[must_use]
    pub fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        Self::with_keys(per_second, burst, LIMITER_KEYS_MAX)
    }

    fn with_keys(per_second: NonZeroU32, burst: NonZeroU32, keys_max: usize) -> Self {
        let interval = Duration::from_secs(1) / per_second.get();
        let state = State { whole_at: HashMap::new(), sweep_at: None };
        Self { interval, ahead_max: interval * (burst.get() - 1), keys_max, state: Mutex::new(state) }
    }

    /// Counts one for `key` if it may.
    ///
    /// # Errors
    /// [`TooMany`] when it may not; nothing is counted then.
    pub fn check(&self, key: &K) -> Result<(), TooMany> {
        self.check_at(key, clock::now())
    }

    fn check_at(&self, key: &K, now: Instant) -> Result<(), TooMany> {
        let mut state = self.state.lock();
        if let Some(whole_at) = state.whole_at.get_mut(key) {
            let ahead = whole_at.saturating_duration_since(now);
            if ahead > self.ahead_max {
                return Err(TooMany { retry_after: ahead - self.ahead_max });
            }
            *whole_at = now + ahead + self.interval;
            return Ok(());
        }
        if state.whole_at.len() >= self.keys_max {
            state.sweep(now);
        }
        if state.whole_at.len() >= self.keys_max {
            return Err(TooMany { retry_after: LIMITER_SWEEP_PAUSE });
        }
        state.whole_at.insert(key.clone(), now + self.interval);
        Ok(())
    }
}

impl<K: Hash + Eq> State<K> {
    /// Forgets the keys that have regained everything: all are looked at, so not for every caller.
    fn sweep(&mut self, now: Instant) {
        if self.sweep_at.is_some_and(|time| now < time) {
            return;
        }
        self.sweep_at = Some(now + LIMITER_SWEEP_PAUSE);
        self.whole_at.retain(|_, whole_at| *whole_at > now);
    }
}

impl<K> fmt::Debug for Limiter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(per_second: u32, burst: u32, keys_max: usize) -> Limiter<u32> {
        Limiter::with_keys(NonZeroU32::new(per_second).unwrap(), NonZeroU32::new(burst).unwrap(), keys_max)
    }

    #[test]
    fn a_key_may_do_its_burst_and_then_its_rate() {
        let (limiter, start) = (limiter(10, 3, 10), clock::now());
        let may = |ms| limiter.check_at(&1, start + Duration::from_millis(ms));
        assert_eq!([may(0), may(0), may(0)], [Ok(()); 3]);
        assert_eq!(may(0), Err(TooMany { retry_after: Duration::from_millis(100) }));
        assert_eq!(may(60), Err(TooMany { retry_after: Duration::from_millis(40) }));
        assert_eq!((may(100), may(100).is_err()), (Ok(()), true));
        assert_eq!([may(5_000), may(5_000), may(5_000)], [Ok(()); 3], "nobody saves up more than a burst");
        assert!(may(5_000).is_err());
    }

    #[test]
    fn keys_that_have_regained_everything_are_forgotten() {
        let (limiter, start) = (limiter(1, 2, 10), clock::now());
        for key in 0..10 {
            assert!(limiter.check_at(&key, start).is_ok());
        }
        assert!(limiter.check_at(&10, start).is_err(), "every place is held by a busy key");
        assert!(limiter.check_at(&3, start).is_ok(), "a key that has its place is not refused for want of one");
        let later = start + Duration::from_secs(3);
        assert!(limiter.check_at(&10, later).is_ok());
        assert_eq!(limiter.state.lock().whole_at.len(), 1);
    }
}
