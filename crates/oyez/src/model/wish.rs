//! What a reader wants to read, wherever it begins.

use std::sync::Arc;
use std::time::Duration;

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
}

impl Wish {
    pub(super) fn new(dice: &mut Dice) -> Self {
        let mut matchers = vec![dice.pick(&MATCHERS)];
        while dice.one_in(3) {
            matchers.push(dice.pick(&MATCHERS));
        }
        Self { matchers, only_even: dice.one_in(6), slow: slow(dice) }
    }

    /// That of a reader that comes back.
    pub(super) fn again(&self, dice: &mut Dice) -> Self {
        Self { matchers: self.matchers.clone(), only_even: self.only_even, slow: slow(dice) }
    }

    pub(super) fn subscribe(&self, core: &Arc<Core>, dice: &mut Dice) -> Subscribe<Event> {
        let subscribe = Subscribe::<Event>::new(Arc::clone(core)).slow(self.slow);
        let subscribe = self.matchers.iter().fold(subscribe, |subscribe, matcher| subscribe.and(*matcher));
        let subscribe = subscribe.keep_alive(Duration::from_millis(dice.pick(&[0, 5, 5])));
        if self.only_even { subscribe.filter(|event: &Event| is_even(event)) } else { subscribe }
    }
}

pub(super) fn is_even(event: &Event) -> bool {
    event.data_str().starts_with("true")
}

fn slow(dice: &mut Dice) -> SlowPolicy {
    dice.pick(&[SlowPolicy::Disconnect, SlowPolicy::Skip])
}
