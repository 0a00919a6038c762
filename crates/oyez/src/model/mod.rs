//! Hubs in random worlds, held against oracles that keep everything, on clocks moved by hand.
//!
//! A world takes random steps: it publishes, begins streams at random places, reads, cuts and resumes them, and what its log stands on
//! stops and loses power. Its oracle knows every entry there ever was and says of each stream what comes next, and which gap is
//! due. There are three: [`memory`] is a log in memory, [`finite`] one whose topics end and whose entries expire, [`stored`] a log
//! on disk.
//!
//! A failure names the seed of its world; `OYEZ_TEST_SEED=SEED` runs that world alone.

mod begun;
mod bell;
mod deletions;
mod dice;
mod finite;
mod memory;
#[cfg(unix)]
mod stored;
mod topics;
mod wish;
