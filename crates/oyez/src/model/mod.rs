//! Hubs in random worlds, held against an oracle that keeps everything, on clocks moved by hand.
//!
//! A [`world`] takes random steps: it publishes, begins streams at random places, reads, cuts and resumes them, and what its log
//! stands on stops, loses power or is away. Its [`oracle`] knows every entry there ever was and says of each stream what comes next, and
//! which gap is due. The same laws hold on each of the [`engines`]; what only some can know is named in [`engine`]. In [`finite`]
//! worlds nothing leaves the history, but topics end and entries expire.
//!
//! A failure names the seed of its world; `OYEZ_TEST_SEED=SEED` runs that world alone.

mod begun;
mod bell;
mod checks;
mod deletions;
mod dice;
mod engine;
mod engines;
mod finite;
mod oracle;
mod reader;
mod seen;
mod start;
mod streams;
mod topics;
mod turn;
mod wish;
mod world;
