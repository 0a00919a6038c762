//! Fuzz targets for whatever reads bytes from outside. They are tests, on the stable toolchain:
//!
//! ```text
//! cargo test -p oyez-fuzz                                              # each target for one second
//! BOLERO_RANDOM_TEST_TIME_MS=60000 cargo test --release -p oyez-fuzz   # for a minute
//! BOLERO_RANDOM_ITERATIONS=1000000 cargo test --release -p oyez-fuzz   # so many inputs
//! cargo +nightly bolero test -p oyez-fuzz decoder::any_chunking        # guided by coverage
//! ```
//!
//! Each run first replays what lies in `src/__fuzz__/{target}/corpus` and `…/crashes`; an input that once failed is
//! committed there. A failure prints the `BOLERO_RANDOM_SEED` that repeats it.

#[cfg(test)]
mod base64;
#[cfg(test)]
mod choices;
#[cfg(test)]
mod decoder;
#[cfg(test)]
mod encoder;
#[cfg(test)]
#[path = "../../crates/oyez-proto/tests/it/oracle.rs"]
mod oracle;
#[cfg(test)]
#[path = "../../crates/oyez-proto/tests/it/parts.rs"]
mod parts;
#[cfg(test)]
mod position;
#[cfg(test)]
mod request;
#[cfg(test)]
mod server;
#[cfg(test)]
mod topic;
