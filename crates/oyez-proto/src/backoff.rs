//! How long to wait before the next attempt to connect.

use std::time::Duration;

use crate::limits::WAIT_ASKED_MAX;

/// The waits between attempts: the reconnection time as a floor, spread so that a crowd does not return in one
/// moment, plus a growing random part while attempts fail.
///
/// Each wait is the reconnection time × 1.0–1.5; after n failed attempts in a row a random 0…min(30 s, time × 2ⁿ)
/// comes on top.
///
/// ```
/// use std::time::Duration;
/// use oyez_proto::Backoff;
///
/// let mut backoff = Backoff::new();
/// assert_eq!(backoff.wait(0), Duration::from_secs(3));
/// backoff.failed();
/// assert!(backoff.wait(u64::MAX) < Duration::from_secs(3 + 6) + Duration::from_millis(1_500));
/// ```
///
/// Source: HTML Standard, "reestablish the connection", which asks for the reconnection time and allows more.
#[derive(Debug, Clone)]
pub struct Backoff {
    reconnection_time: Duration,
    failures: u32,
    jitter: bool,
}

impl Backoff {
    /// A reconnection time of 3 s and no failure yet.
    #[must_use]
    pub fn new() -> Self {
        Self { reconnection_time: RECONNECTION_TIME, failures: 0, jitter: true }
    }

    /// Without jitter each wait is the longest extra part and no spread: time + min(30 s, time × 2ⁿ) after n ≥ 1
    /// failures, else the time alone. For tests, and where one client is alone.
    #[must_use]
    pub fn jitter(mut self, jitter: bool) -> Self {
        self.jitter = jitter;
        self
    }

    /// Sets the reconnection time, as the field `retry` of a stream does. Less than 100 ms counts as 100 ms, more than an hour as
    /// an hour: no stream sends its readers away for good.
    pub fn set_reconnection_time(&mut self, time: Duration) {
        self.reconnection_time = time.clamp(RECONNECTION_TIME_MIN, WAIT_ASKED_MAX);
    }

    /// The reconnection time in force.
    #[must_use]
    pub fn reconnection_time(&self) -> Duration {
        self.reconnection_time
    }

    /// A stream opened: no attempt has failed since.
    pub fn opened(&mut self) {
        self.failures = 0;
    }

    /// An attempt failed before a stream opened.
    pub fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// How many attempts have failed in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The wait before the next attempt. `random` is any number drawn uniformly from all of `u64`; its high half
    /// places the wait in the spread, its low half in the extra part.
    #[must_use]
    pub fn wait(&self, random: u64) -> Duration {
        let extra_max = match self.failures {
            0 => Duration::ZERO,
            n => self.reconnection_time.saturating_mul(1 << n.min(30)).min(EXTRA_MAX),
        };
        if !self.jitter {
            return self.reconnection_time.saturating_add(extra_max);
        }
        let (spread, extra) = (random >> 32, random & u64::from(u32::MAX));
        self.reconnection_time
            .saturating_add(fraction(self.reconnection_time / 2, spread))
            .saturating_add(fraction(extra_max, extra))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

/// `time` × `part` ÷ 2³²; `part` is below 2³².
fn fraction(time: Duration, part: u64) -> Duration {
    // a Duration has fewer than 2^95 ns, so the product stays below 2^127
    let nanoseconds = (time.as_nanos() * u128::from(part)) >> 32;
    let seconds = u64::try_from(nanoseconds / NANOSECONDS_PER_SECOND).unwrap_or(u64::MAX);
    Duration::new(seconds, u32::try_from(nanoseconds % NANOSECONDS_PER_SECOND).expect("less than a second"))
}

const RECONNECTION_TIME: Duration = Duration::from_secs(3); // "a few seconds", says the standard; so do browsers
const RECONNECTION_TIME_MIN: Duration = Duration::from_millis(100); // `retry: 0` would make a crowd a flood
const EXTRA_MAX: Duration = Duration::from_secs(30);
const NANOSECONDS_PER_SECOND: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const SHORTEST: u64 = 0;
    const LONGEST: u64 = u64::MAX;

    #[track_caller]
    fn check(time_ms: u64, failures: u32, random: u64, expected_ms: u64) {
        let mut backoff = Backoff::new();
        backoff.set_reconnection_time(Duration::from_millis(time_ms));
        (0..failures).for_each(|_| backoff.failed());
        let wait = backoff.wait(random);
        let expected = Duration::from_millis(expected_ms);
        assert!(wait.abs_diff(expected) < Duration::from_millis(1), "{wait:?}, not {expected:?}");
    }

    #[test]
    fn the_reconnection_time_is_a_floor_and_spread_by_half() {
        check(3_000, 0, SHORTEST, 3_000);
        check(3_000, 0, LONGEST, 4_500);
        check(3_000, 0, 1 << 63, 3_750);
        check(10_000, 0, LONGEST, 15_000);
    }

    #[test]
    fn each_failure_doubles_what_may_come_on_top_up_to_30_s() {
        check(1_000, 1, SHORTEST, 1_000);
        check(1_000, 1, LONGEST, 1_500 + 2_000);
        check(1_000, 3, u64::from(u32::MAX), 1_000 + 8_000);
        check(1_000, 4, LONGEST, 1_500 + 16_000);
        check(1_000, 5, LONGEST, 1_500 + 30_000);
        check(1_000, 4_000_000, LONGEST, 1_500 + 30_000);
        check(100_000, 1, LONGEST, 150_000 + 30_000);
    }

    #[test]
    fn less_than_100_ms_counts_as_100_ms() {
        check(0, 0, SHORTEST, 100);
        check(99, 0, LONGEST, 150);
        check(101, 0, SHORTEST, 101);
    }

    #[test]
    fn a_stream_that_opens_resets_the_failures() {
        let mut backoff = Backoff::new();
        backoff.failed();
        backoff.failed();
        assert_eq!(backoff.failures(), 2);
        backoff.opened();
        assert_eq!(backoff.wait(SHORTEST | u64::from(u32::MAX)), RECONNECTION_TIME);
    }

    #[test]
    fn without_jitter_the_numbers_are_exact() {
        let mut backoff = Backoff::new().jitter(false);
        backoff.set_reconnection_time(Duration::from_millis(200));
        let waits: Vec<u128> = (0..9)
            .map(|_| {
                let wait = backoff.wait(LONGEST).as_millis();
                backoff.failed();
                wait
            })
            .collect();
        assert_eq!(waits, [200, 600, 1_000, 1_800, 3_400, 6_600, 13_000, 25_800, 30_200]);
    }

    #[test]
    fn more_than_an_hour_counts_as_an_hour() {
        check(3_600_001, 0, SHORTEST, 3_600_000);
        check(u64::MAX, 1, LONGEST, 5_400_000 + 30_000);
        let mut backoff = Backoff::new();
        backoff.set_reconnection_time(Duration::MAX);
        assert_eq!(backoff.reconnection_time(), WAIT_ASKED_MAX);
    }
}
