//! Where a world's chances come from: a seed, and nothing else.

use std::fmt::Debug;

pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % end
    }

    pub(super) fn one_in(&mut self, number: u64) -> bool {
        self.below(number) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// A place in something of this length, which is not empty.
    pub(super) fn place(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }
}

/// Runs a world for each seed: `short` of them, or `long` in the long form. Gives back how many, or nothing when it was one that
/// was asked for by its seed.
pub(super) fn each_world(short: u64, long: u64, mut run: impl FnMut(u64)) -> Option<u64> {
    let mut world = |seed| {
        let _named = Named(seed);
        run(seed);
    };
    if let Ok(seed) = std::env::var("OYEZ_TEST_SEED") {
        world(seed.parse().expect("OYEZ_TEST_SEED is a number"));
        return None;
    }
    let worlds = if std::env::var_os("OYEZ_TEST_LONG").is_some() { long } else { short };
    (0..worlds).for_each(world);
    Some(worlds)
}

/// A model that does not reach what it is about proves nothing: each of these is to be seen in one of ten worlds.
pub(super) fn have_reached(worlds: u64, seen: &impl Debug, numbers: &[(&str, u64)]) {
    println!("{worlds} worlds: {seen:?}");
    for (what, number) in numbers {
        assert!(*number > worlds / 10, "{what}: {seen:?}");
    }
}

struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the world that failed has the seed {}", self.0);
        }
    }
}
