//! How many bytes of request bodies are held at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::limits::{BODIES_BYTES_MAX, BODY_BYTES_FREE};
use crate::problem::Problem;
use crate::retry::retry;

/// The bytes of all bodies that are held, but for the first [`BODY_BYTES_FREE`] of each: small ones are never refused because of
/// large ones.
#[derive(Debug, Default)]
pub(crate) struct Bodies(AtomicUsize);

/// What one body holds, until this is dropped.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    bodies: &'a Bodies,
    counted: usize,
}

impl Bodies {
    /// A body of which nothing is held yet.
    pub(crate) fn begin(&self) -> Held<'_> {
        Held { bodies: self, counted: 0 }
    }
}

impl Held<'_> {
    /// So many bytes of the body are held now.
    ///
    /// # Errors
    /// There is no room for more; then it holds what it held.
    pub(crate) fn set(&mut self, bytes: usize) -> Result<(), Problem> {
        let counts = bytes.saturating_sub(BODY_BYTES_FREE);
        let all = &self.bodies.0;
        if counts <= self.counted {
            all.fetch_sub(self.counted - counts, Ordering::Relaxed);
        } else {
            let more = counts - self.counted;
            let before = all.fetch_add(more, Ordering::Relaxed);
            if before + more > BODIES_BYTES_MAX {
                all.fetch_sub(more, Ordering::Relaxed);
                return Err(Problem::busy(
                    format!("request bodies already take {before} of {BODIES_BYTES_MAX} bytes; try again later"),
                    retry(),
                ));
            }
        }
        self.counted = counts;
        Ok(())
    }

    /// Does it hold enough to keep others out?
    pub(crate) fn is_large(&self) -> bool {
        self.counted > 0
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.bodies.0.fetch_sub(self.counted, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_share_a_bound_and_small_ones_have_none() {
        let bodies = Bodies::default();
        let mut first = bodies.begin();
        first.set(BODIES_BYTES_MAX + BODY_BYTES_FREE).unwrap();
        let mut second = bodies.begin();
        second.set(BODY_BYTES_FREE).unwrap();
        assert!(!second.is_large());
        second.set(BODY_BYTES_FREE + 1).unwrap_err();
        first.set(BODIES_BYTES_MAX / 2).unwrap();
        second.set(BODY_BYTES_FREE + 1).unwrap();
        assert!(second.is_large());
        drop((first, second));
        bodies.begin().set(BODIES_BYTES_MAX + BODY_BYTES_FREE).unwrap();
        assert_eq!(bodies.0.load(Ordering::Relaxed), 0);
    }
}
