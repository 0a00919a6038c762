//! The two clocks, read at the edges of the crate only; everything inside gets the time as an argument.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tracing::warn;

use crate::limits::{CLOCK_LEAP_LEAST, CLOCK_LEAPS};

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

/// The clock of one log, in milliseconds since 1970: what entries are stamped with, and what says how old they are and whether they
/// have expired. It never goes back: where the time of day is behind it, it goes on by the steady clock. So an entry from a time of day that
/// was wrong and ahead gets old like any other, from the next start on.
#[derive(Debug)]
pub(crate) struct LogClock {
    state: Mutex<State>,
    #[cfg(test)]
    by_hand: std::sync::atomic::AtomicU64,
}

#[derive(Debug)]
struct State {
    /// What it said at this moment.
    last: Clocks,
    /// Since when it has been ahead of the time of day.
    ahead_since: Option<Instant>,
    /// By how much it is.
    ahead_ms: u64,
    leaps: VecDeque<Leap>,
}

/// The time of day was set ahead, or the machine has slept.
#[derive(Debug, Clone, Copy)]
struct Leap {
    before_ms: u64,
    by_ms: u64,
}

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy)]
struct Clocks {
    wall_ms: u64,
    steady: Instant,
}

impl LogClock {
    /// Of a log whose newest entry has this time; 0 if there is none.
    pub(crate) fn after(newest_ms: u64) -> Self {
        let now = Clocks::read();
        let last = Clocks { wall_ms: newest_ms.max(now.wall_ms), ..now };
        let mut state = State { last, ahead_since: None, ahead_ms: 0, leaps: VecDeque::new() };
        state.look(now);
        Self {
            state: Mutex::new(state),
            #[cfg(test)]
            by_hand: std::sync::atomic::AtomicU64::default(),
        }
    }

    /// What it says now.
    pub(crate) fn ms(&self) -> u64 {
        #[cfg(test)]
        match self.by_hand.load(std::sync::atomic::Ordering::Relaxed) {
            0 => {}
            ms => return ms,
        }
        self.look().last.wall_ms
    }

    #[cfg(test)]
    pub(crate) fn set(&self, ms: u64) {
        self.by_hand.store(ms, std::sync::atomic::Ordering::Relaxed);
    }

    /// How old at `now_ms` is what was stamped with `time_ms`. What leaps ahead meanwhile makes nothing old.
    pub(crate) fn age_ms(&self, time_ms: u64, now_ms: u64) -> u64 {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let leaps = state.leaps.iter().filter(|leap| time_ms <= leap.before_ms);
        let leapt = leaps.fold(0, |sum: u64, leap| sum.saturating_add(leap.by_ms));
        now_ms.saturating_sub(leapt).saturating_sub(time_ms)
    }

    /// By how many milliseconds it is ahead of the time of day; 0 as long as that was not wrong, or set back.
    pub(crate) fn ahead_ms(&self) -> u64 {
        self.look().ahead_ms
    }

    /// What it said at this time of day, or an earlier time where that is not known.
    pub(crate) fn of_wall(&self, wall_ms: u64) -> u64 {
        self.look().of_wall(wall_ms)
    }

    fn look(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // read under the lock: an older look must not follow a later one
        state.look(Clocks::read());
        state
    }
}

impl Default for LogClock {
    fn default() -> Self {
        Self::after(0)
    }
}

impl Clocks {
    #[expect(clippy::disallowed_methods, reason = "the clock of the runtime, which tests pause, says nothing of leaps")]
    fn read() -> Self {
        Self { wall_ms: wall_ms(), steady: Instant::now() }
    }
}

impl State {
    /// Goes on to this moment.
    fn look(&mut self, now: Clocks) {
        let steady = now.steady.saturating_duration_since(self.last.steady).as_millis() as u64;
        let expected = self.last.wall_ms.saturating_add(steady);
        let least = CLOCK_LEAP_LEAST.as_millis() as u64;
        if now.wall_ms >= expected.saturating_add(least) {
            self.leap(Leap { before_ms: expected, by_ms: now.wall_ms - expected });
        }
        let ms = expected.max(now.wall_ms);
        self.ahead_ms = Some(ms - now.wall_ms).filter(|ahead| *ahead >= least).unwrap_or_default();
        match self.ahead_ms {
            0 => self.ahead_since = None,
            ahead_ms if self.ahead_since.is_none() => {
                self.ahead_since = Some(now.steady);
                warn!(
                    ahead_s = ahead_ms / 1_000,
                    "the newest event is ahead of this machine's clock; new events are stamped from its time on and expire by that clock"
                );
            }
            _ => {}
        }
        self.last = Clocks { wall_ms: ms, steady: now.steady };
    }

    fn of_wall(&self, wall_ms: u64) -> u64 {
        let Some(since) = self.ahead_since else { return wall_ms };
        let ahead_for = self.last.steady.saturating_duration_since(since).as_millis() as u64;
        let now_ms = self.last.wall_ms - self.ahead_ms;
        match now_ms.saturating_sub(wall_ms) > ahead_for {
            true => wall_ms,
            false => wall_ms.saturating_add(self.ahead_ms),
        }
    }

    fn leap(&mut self, leap: Leap) {
        if self.leaps.len() == CLOCK_LEAPS {
            // what lies between the two oldest is taken to be younger than it is
            let first = self.leaps.pop_front().map_or(0, |first| first.by_ms);
            if let Some(second) = self.leaps.front_mut() {
                second.by_ms = second.by_ms.saturating_add(first);
            }
        }
        self.leaps.push_back(leap);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR_MS: u64 = 3_600_000;
    const NOON_MS: u64 = 1_000 * HOUR_MS;

    /// The clock of a log, and the clocks that it looks at.
    struct Day {
        state: State,
        now: Clocks,
    }

    impl Day {
        /// Starts at noon, with a newest entry of this time.
        fn start(newest_ms: u64) -> Self {
            let now = Clocks { wall_ms: NOON_MS, ..Clocks::read() };
            let last = Clocks { wall_ms: newest_ms.max(NOON_MS), ..now };
            let mut state = State { last, ahead_since: None, ahead_ms: 0, leaps: VecDeque::new() };
            state.look(now);
            Self { state, now }
        }

        /// The time of day goes on by so much, and the steady clock. Gives back what the clock of the log says.
        fn go_on(&mut self, wall_ms: i64, steady_ms: u64) -> u64 {
            self.now.wall_ms = self.now.wall_ms.saturating_add_signed(wall_ms);
            self.now.steady += Duration::from_millis(steady_ms);
            self.state.look(self.now);
            self.state.last.wall_ms
        }

        fn clock(self) -> LogClock {
            LogClock { state: Mutex::new(self.state), by_hand: std::sync::atomic::AtomicU64::default() }
        }
    }

    #[test]
    fn it_is_the_time_of_day_as_long_as_that_only_goes_on() {
        let mut day = Day::start(0);
        assert_eq!(day.go_on(1_000, 1_000), NOON_MS + 1_000);
        assert_eq!(day.go_on(1_400, 1_000), NOON_MS + 2_400);
        assert_eq!((day.state.ahead_ms, day.state.leaps.len()), (0, 0));
        let clock = day.clock();
        assert_eq!(clock.age_ms(NOON_MS, NOON_MS + 5_000), 5_000);
        assert_eq!(clock.age_ms(NOON_MS + 5_000, NOON_MS), 0);
    }

    #[test]
    fn what_is_set_ahead_makes_nothing_old_and_what_comes_after_gets_old_as_ever() {
        let mut day = Day::start(0);
        let hour = HOUR_MS as i64;
        let before = day.go_on(1_000, 1_000);
        let after = day.go_on(hour + 10, 10);
        assert_eq!(after, before + HOUR_MS + 10);
        let now = day.go_on(2_000, 2_000);
        let clock = day.clock();
        assert_eq!(clock.age_ms(before, now), 2_010);
        assert_eq!(clock.age_ms(after, now), 2_000);
    }

    #[test]
    fn what_is_set_back_makes_nothing_young() {
        let mut day = Day::start(0);
        let hour = HOUR_MS as i64;
        let before = day.go_on(hour + 10, 10);
        let after = day.go_on(10 - hour, 10);
        assert_eq!(after, before + 10, "it never goes back");
        assert_eq!(day.state.ahead_ms, HOUR_MS);
        let now = day.go_on(3_000, 3_000);
        assert_eq!(now, after + 3_000);
        assert_eq!(day.go_on(hour, 0), now, "the time of day has come up to it again");
        assert_eq!((day.state.ahead_ms, day.state.leaps.len()), (0, 1));
        assert_eq!(day.clock().age_ms(before, now), 3_010);
    }

    #[test]
    fn a_start_after_a_clock_that_was_wrong_goes_on_from_there() {
        let mut day = Day::start(NOON_MS + 9 * HOUR_MS);
        let wrong = day.state.last.wall_ms;
        assert_eq!((wrong, day.state.ahead_ms), (NOON_MS + 9 * HOUR_MS, 9 * HOUR_MS));
        let now = day.go_on(2_000, 2_000);
        assert_eq!(now, wrong + 2_000, "what has a time to live gets old");
        assert_eq!(day.clock().age_ms(wrong, now), 2_000);
    }

    #[test]
    fn a_time_of_day_is_found_again_since_it_has_been_ahead() {
        let check = |newest_ms: u64, back_ms: u64, expected_ms: u64| {
            let mut day = Day::start(newest_ms);
            day.go_on(10_000, 10_000);
            assert_eq!(day.state.of_wall(day.now.wall_ms - back_ms), expected_ms);
        };
        let (wrong, now) = (NOON_MS + HOUR_MS, NOON_MS + 10_000);
        check(0, 5_000, now - 5_000);
        check(wrong, 5_000, now + HOUR_MS - 5_000);
        check(wrong, 20_000, now - 20_000);
    }

    #[test]
    fn many_leaps_take_no_more_room_than_a_few() {
        let mut day = Day::start(0);
        let first = day.go_on(1, 1);
        for _ in 0..100 {
            day.go_on(HOUR_MS as i64, 0);
        }
        assert!(day.state.leaps.len() <= CLOCK_LEAPS);
        let now = day.go_on(7, 7);
        assert_eq!(day.clock().age_ms(first, now), 7);
    }

    #[test]
    fn what_no_clock_reaches_is_no_panic() {
        let mut day = Day::start(u64::MAX);
        assert_eq!(day.go_on(5, 5), u64::MAX);
        assert_eq!(day.go_on(i64::MAX, 5), u64::MAX);
    }
}
