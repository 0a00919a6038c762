//! Random numbers.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A number from the seeds of the standard library's hash maps, which the system draws: good enough to spread waits
/// and to be nobody else's; no secret.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
