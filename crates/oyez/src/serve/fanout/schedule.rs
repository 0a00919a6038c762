//! When each stream is to be looked at next.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use super::stream_id::StreamId;
use crate::limits::serve::{TIMES_EXACT, TIMES_GRAIN};

/// Times of streams, the earliest first. A time that has moved leaves its entry behind, which is passed over: it is the
/// stream that knows its time. A stream at the tail has one entry however often it is written to.
pub(crate) struct Schedule {
    begun: Instant,
    times: BTreeMap<Time, Vec<StreamId>>,
}

/// A time by the schedule: milliseconds since it was made, one more. Half as large as an `Instant`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(NonZeroU64);

impl Schedule {
    pub(crate) fn new(now: Instant) -> Self {
        Self { begun: now, times: BTreeMap::new() }
    }

    /// When a stream that is to be looked at `at` will be: then, or a little later.
    pub(crate) fn time(&self, at: Instant, now: Instant) -> Time {
        let grain =
            if at.saturating_duration_since(now) > TIMES_EXACT { TIMES_GRAIN } else { Duration::from_millis(1) };
        let grains = at.saturating_duration_since(self.begun).as_nanos().div_ceil(grain.as_nanos());
        let milliseconds = grains.saturating_mul(grain.as_millis());
        Time(NonZeroU64::MIN.saturating_add(u64::try_from(milliseconds).unwrap_or(u64::MAX)))
    }

    pub(crate) fn push(&mut self, time: Time, id: StreamId) {
        self.times.entry(time).or_default().push(id);
    }

    /// A stream whose time has come.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<(Time, StreamId)> {
        let mut first = self.times.first_entry()?;
        let time = *first.key();
        if self.begun.checked_add(time.since_begun())? > now {
            return None;
        }
        let id = first.get_mut().pop();
        if first.get().is_empty() {
            first.remove();
        }
        Some((time, id?))
    }

    /// When the next time comes.
    pub(crate) fn next(&self) -> Option<Instant> {
        let (time, _) = self.times.first_key_value()?;
        self.begun.checked_add(time.since_begun())
    }
}

impl Time {
    fn since_begun(self) -> Duration {
        Duration::from_millis(self.0.get() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn id(key: u32) -> StreamId {
        StreamId { key, round: 0 }
    }

    #[test]
    fn near_times_are_exact_and_far_ones_gather_a_little_later() {
        let begun = clock::now();
        let mut schedule = Schedule::new(begun);
        let ms = |ms| begun + Duration::from_millis(ms);
        let time = |at| schedule.time(ms(at), begun).since_begun().as_millis();
        for (at, expected) in [(0, 0), (1, 1), (1_999, 1_999), (2_000, 2_000), (2_001, 2_048), (15_000, 15_104)] {
            assert_eq!(time(at), expected, "{at}");
        }
        assert_eq!(schedule.time(begun + Duration::from_nanos(1), begun).since_begun(), Duration::from_millis(1));

        for (key, at) in [(1, 2_500), (2, 2_501), (3, 40), (4, 2_432)] {
            schedule.push(schedule.time(ms(at), begun), id(key));
        }
        assert_eq!(schedule.next(), Some(ms(40)));
        assert!(schedule.pop(ms(39)).is_none());
        let mut popped = |at| std::iter::from_fn(|| schedule.pop(ms(at))).map(|(_, id)| id.key).collect::<Vec<_>>();
        assert_eq!(popped(40), [3]);
        assert!(popped(2_431).is_empty());
        assert_eq!(popped(2_559), [4]);
        assert_eq!(popped(2_560), [2, 1]);
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn what_no_clock_reaches_is_no_panic() {
        let now = clock::now();
        let mut schedule = Schedule::new(now);
        let far = now.checked_add(Duration::from_secs(u32::MAX.into())).unwrap();
        schedule.push(schedule.time(far, now), id(1));
        assert!(schedule.pop(now).is_none() && schedule.next() > Some(now));
    }
}
