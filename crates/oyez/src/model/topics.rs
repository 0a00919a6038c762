//! The topics of a world and what selects them. Sets of topics are bits.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::matcher::{Matchers, selects};
use crate::model::dice::Dice;

pub(super) const TOPICS: [&str; 12] = ["a", "a/b", "a/c", "b", "b/c/d", "x1", "x2", "x3", "x4", "x5", "x6", "x7"];
pub(super) const MATCHERS: [&str; 16] =
    ["a", "a/b", "a/c", "b", "x1", "x2", "x3", "never", "*", "*", "a/*", "*/c", "x*", "x*1", "*/*/d", "never/*"];

/// Topics that may be compacted.
const COMPACT: [&str; 8] = ["a", "a/b", "b", "x1", "a/*", "x*", "*/*/d", "*"];
pub(super) const KEYS: [&str; 2] = ["k1", "k2"];

pub(super) fn topic_bits_of(topic: &str) -> u16 {
    TOPICS.iter().position(|name| *name == topic).map_or(0, |at| 1 << at)
}

/// These topics.
pub(super) fn bits_of_all(topics: &[&str]) -> u16 {
    topics.iter().fold(0, |bits, topic| bits | topic_bits_of(topic))
}

/// The topics that one of `matchers` selects.
pub(super) fn topic_bits(matchers: &[&str]) -> u16 {
    static TABLE: OnceLock<HashMap<&str, u16>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let bits = |matcher| (0..TOPICS.len()).filter(|at| selects(matcher, TOPICS[*at])).map(|at| 1 << at).sum();
        MATCHERS.iter().map(|matcher| (*matcher, bits(matcher))).collect()
    });
    matchers.iter().fold(0, |all, matcher| all | table[matcher])
}

/// Some to be compacted: each time one more, once in so many.
pub(super) fn compact_of(dice: &mut Dice, chance: u64) -> Vec<&'static str> {
    let mut compact = Vec::new();
    while dice.one_in(chance) {
        compact.push(dice.pick(&COMPACT));
    }
    compact
}

/// What selects these topics.
pub(super) fn matchers_of(names: &[&str]) -> Matchers {
    let mut matchers = Matchers::default();
    names.iter().for_each(|name| matchers.push(name.parse().unwrap()));
    matchers
}
