//! The two clocks, read at the edges of the crate only; everything inside gets the time as an argument.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::limits::{CLOCK_LEAP_LEAST, CLOCK_LEAPS};

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

/// How old at `now_ms` is what has the time `time_ms`, in milliseconds, for whoever keeps it for `kept`. A time of day that
/// was set ahead while this process runs makes nothing old, and one that was set back nothing young.
pub(crate) fn age_ms(time_ms: u64, now_ms: u64, kept: Duration) -> u64 {
    let mut leaps = LEAPS.lock().unwrap_or_else(PoisonError::into_inner);
    leaps.look(Clocks::read());
    now_ms.saturating_add_signed(leaps.within(kept).saturating_neg()).saturating_sub(time_ms)
}

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy)]
struct Clocks {
    wall_ms: u64,
    steady: Instant,
}

/// By how much the time of day was set ahead, or back, and when. What is older than the time that something is kept needs no
/// leap to be told from what is not, so leaps wear off: with the age that they are asked for.
#[derive(Debug)]
struct Leaps {
    last: Option<Clocks>,
    seen: VecDeque<(Instant, i64)>,
}

static LEAPS: Mutex<Leaps> = Mutex::new(Leaps { last: None, seen: VecDeque::new() });

impl Clocks {
    #[expect(clippy::disallowed_methods, reason = "the clock of the runtime, which tests pause, says nothing of leaps")]
    fn read() -> Self {
        Self { wall_ms: wall_ms(), steady: Instant::now() }
    }
}

impl Leaps {
    /// Compares how far each clock has come since the last look.
    fn look(&mut self, now: Clocks) {
        let Some(last) = self.last.replace(now) else { return };
        let steady = now.steady.saturating_duration_since(last.steady).as_millis();
        let wall = i128::from(now.wall_ms) - i128::from(last.wall_ms);
        let leap = wall - steady as i128;
        if leap.unsigned_abs() < CLOCK_LEAP_LEAST.as_millis() {
            return;
        }
        let mut leap = i64::try_from(leap).unwrap_or_default();
        if self.seen.len() == CLOCK_LEAPS {
            leap = leap.saturating_add(self.seen.pop_back().map_or(0, |(_, leap)| leap));
        }
        self.seen.push_back((now.steady, leap));
    }

    /// The sum of those in the last `kept`.
    fn within(&self, kept: Duration) -> i64 {
        let Some(last) = self.last else { return 0 };
        let recent = self.seen.iter().filter(|(at, _)| last.steady.saturating_duration_since(*at) < kept);
        recent.map(|(_, leap)| *leap).fold(0, i64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;
    const KEPT: Duration = Duration::from_millis(2 * HOUR_MS);

    /// Looks at clocks that go on by so much, the time of day and the steady one, and says what counts as leap in the end.
    #[track_caller]
    fn check(steps: &[(i64, u64)], expected_ms: i64) {
        let start = Clocks::read();
        let mut now = start;
        let mut leaps = Leaps { last: None, seen: VecDeque::new() };
        leaps.look(now);
        for (wall_ms, steady_ms) in steps {
            now.wall_ms = now.wall_ms.saturating_add_signed(*wall_ms);
            now.steady += Duration::from_millis(*steady_ms);
            leaps.look(now);
        }
        assert_eq!(leaps.within(KEPT), expected_ms, "{steps:?}");
        assert!(leaps.seen.len() <= CLOCK_LEAPS);
    }

    #[test]
    fn a_leap_is_what_the_time_of_day_goes_beyond_the_steady_clock() {
        let hour = HOUR_MS as i64;
        check(&[(1_000, 1_000)], 0);
        check(&[(1_400, 1_000), (600, 1_000)], 0);
        check(&[(5 * hour, 5 * HOUR_MS)], 0);
        check(&[(hour + 10, 10)], hour);
        check(&[(hour + 10, 10), (10 - hour, 10)], 0);
        check(&[(10 - hour, 10)], -hour);
        check(&[(hour + 10, 10), (hour, HOUR_MS)], hour);
        check(&[(hour + 10, 10), (2 * hour, 2 * HOUR_MS)], 0);
        check(&[(i64::MAX, 10)], i64::MAX - 10);
    }

    #[test]
    fn many_leaps_take_no_more_room_than_a_few() {
        let hour = HOUR_MS as i64;
        check(&[(hour, 0); 100], 100 * hour);
    }

    #[test]
    fn without_a_leap_an_age_is_a_difference() {
        assert_eq!(age_ms(1_000, 5_000, KEPT), 4_000);
        assert_eq!(age_ms(5_000, 1_000, KEPT), 0);
    }
}
