//! Publishers' ids of dropped entries.

use std::collections::HashSet;
use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use crate::limits::{LEFT_ID_BYTES, LEFT_IDS_MAX, LEFT_IDS_MIN};

/// An id stands for the first entry with it. If that entry was dropped and the id is used again, the hub cannot tell which of the
/// two a reader has seen. So an id in this set stands for no position. Ids that were dropped long ago are forgotten.
#[derive(Debug)]
pub(crate) struct LeftIds {
    /// The seed of the hashes, so that nobody can choose ids that collide.
    seed: u64,
    newer: HashSet<u64>,
    /// Ascending.
    older: Vec<u64>,
    /// The most hashes in each of the two sets.
    max: usize,
}

impl LeftIds {
    /// For a history of this size.
    pub(crate) fn new(history_bytes: usize) -> Self {
        Self::of_most((history_bytes / LEFT_ID_BYTES).clamp(LEFT_IDS_MIN, LEFT_IDS_MAX))
    }

    fn of_most(max: usize) -> Self {
        Self { seed: getrandom::u64().unwrap_or_default(), newer: HashSet::new(), older: Vec::new(), max: max / 2 }
    }

    /// An entry with this id is dropped.
    pub(crate) fn note(&mut self, id: &str) {
        self.insert(self.hash(id));
    }

    /// Whether an entry with this id was dropped.
    pub(crate) fn contains(&self, id: &str) -> bool {
        if self.newer.is_empty() && self.older.is_empty() {
            return false;
        }
        let hash = self.hash(id);
        self.newer.contains(&hash) || self.older.binary_search(&hash).is_ok()
    }

    fn insert(&mut self, hash: u64) {
        if self.newer.len() >= self.max && !self.newer.contains(&hash) {
            self.older = self.newer.drain().collect();
            self.older.sort_unstable();
        }
        self.newer.insert(hash);
    }

    fn hash(&self, id: &str) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.seed, 0);
        hasher.write(id.as_bytes());
        hasher.finish()
    }
}

/// For a history on disk.
impl LeftIds {
    /// Restores what was saved.
    pub(crate) fn of(history_bytes: usize, (seed, hashes): (u64, Vec<u64>)) -> Self {
        let mut ids = Self { seed, ..Self::new(history_bytes) };
        ids.extend(hashes);
        ids
    }

    fn extend(&mut self, hashes: Vec<u64>) {
        hashes.into_iter().for_each(|hash| self.insert(hash));
    }

    /// Everything, older ids first.
    pub(crate) fn saved(&self) -> (u64, Vec<u64>) {
        (self.seed, self.older.iter().chain(&self.newer).copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_ids_that_have_left_the_newest_are_known() {
        let mut ids = LeftIds::of_most(200);
        assert!(!ids.contains("0"));
        for n in 0..1_000 {
            ids.note(&n.to_string());
            let known = (0..=n).filter(|n| ids.contains(&n.to_string())).count();
            assert!(known > n.min(99) && known <= 200, "{known} of {n}");
            assert!(ids.contains(&n.saturating_sub(99).to_string()));
        }
        // an id that comes again and again stays
        for n in 1_000..2_000 {
            ids.note(&n.to_string());
            ids.note("often");
            assert!(ids.contains("often"));
        }
    }

    #[test]
    fn what_is_saved_is_known_again() {
        let mut ids = LeftIds::of_most(200);
        (0..150).for_each(|n| ids.note(&n.to_string()));
        let again = LeftIds::of(1 << 20, ids.saved());
        assert!((0..150).all(|n| again.contains(&n.to_string())) && !again.contains("150"));
        let (seed, hashes) = ids.saved();
        let mut fewer = LeftIds { seed, ..LeftIds::of_most(20) };
        fewer.extend(hashes);
        assert!((0..150).filter(|n| fewer.contains(&n.to_string())).count() <= 20);
    }
}
