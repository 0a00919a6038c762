//! Choices that a seed repeats.

use std::env;

/// Where all choices of a run come from. Says so when the test fails.
#[derive(Clone, Copy)]
pub(super) struct Seed(u64);

impl Seed {
    pub(super) fn of_this_run() -> Self {
        let seed = env::var("OYEZ_SEED").map_or(1, |seed| seed.parse().expect("OYEZ_SEED is a number"));
        println!("OYEZ_SEED={seed} repeats these choices"); // shown by the harness when a test fails
        Self(seed)
    }

    pub(super) fn random(self, stream: u64) -> Random {
        Random(self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ stream.wrapping_mul(0xd6e8_feb8_6659_fd93))
    }
}

pub(super) fn is_long() -> bool {
    env::var_os("OYEZ_TEST_LONG").is_some()
}

/// splitmix64.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub(super) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }
}
