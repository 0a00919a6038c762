//! What a reader wants to read, wherever it begins.

use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use oyez_proto::Event;

use super::dice::Dice;
use super::topics::MATCHERS;
use crate::core::Core;
use crate::options::SlowPolicy;
use crate::subscribe::Subscribe;

pub(super) struct Wish {
    pub(super) matchers: Vec<&'static str>,
    /// Only what begins with `true`.
    pub(super) only_even: bool,
    pub(super) slow: SlowPolicy,
    /// Only what there is now.
    pub(super) poll: bool,
    pub(super) limit: Option<u64>,
    pub(super) until: Option<UntilTime>,
}

/// The last time that a stream wants, and when that is.
#[derive(Debug, Clone, Copy)]
pub(super) struct UntilTime {
    pub(super) ms: u64,
    pub(super) at: Instant,
}

impl Wish {
    pub(super) fn new(dice: &mut Dice, now: Instant, now_ms: u64) -> Self {
        let mut matchers = vec![dice.pick(&MATCHERS)];
        while dice.one_in(3) {
            matchers.push(dice.pick(&MATCHERS));
        }
        let only_even = dice.one_in(6);
        Self::of(matchers, only_even, dice, now, now_ms)
    }

    /// That of a reader that comes back.
    pub(super) fn again(&self, dice: &mut Dice, now: Instant, now_ms: u64) -> Self {
        Self::of(self.matchers.clone(), self.only_even, dice, now, now_ms)
    }

    fn of(matchers: Vec<&'static str>, only_even: bool, dice: &mut Dice, now: Instant, now_ms: u64) -> Self {
        let until = |ms| UntilTime { ms: now_ms + ms, at: now + Duration::from_millis(ms) };
        Self {
            matchers,
            only_even,
            slow: dice.pick(&[SlowPolicy::Disconnect, SlowPolicy::Skip]),
            poll: dice.one_in(5),
            limit: dice.one_in(8).then(|| dice.below(10)),
            until: dice.one_in(8).then(|| until(dice.below(20))),
        }
    }

    pub(super) fn subscribe(&self, core: &Arc<Core>, dice: &mut Dice) -> Subscribe<Event> {
        let mut subscribe = Subscribe::<Event>::new(Arc::clone(core)).slow(self.slow);
        subscribe = self.matchers.iter().fold(subscribe, |subscribe, matcher| subscribe.and_pattern(*matcher));
        subscribe = subscribe.keep_alive(Duration::from_millis(dice.pick(&[0, 5, 5])));
        if self.poll {
            subscribe = subscribe.poll();
        }
        if let Some(limit) = self.limit {
            subscribe = subscribe.limit(limit);
        }
        if let Some(UntilTime { ms, .. }) = self.until {
            subscribe = subscribe.until(UNIX_EPOCH + Duration::from_millis(ms));
        }
        if self.only_even { subscribe.filter(|event: &Event| is_even(event)) } else { subscribe }
    }
}

pub(super) fn is_even(event: &Event) -> bool {
    event.data_str().starts_with("true")
}
