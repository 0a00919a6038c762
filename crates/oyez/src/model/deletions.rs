//! Which topics were deleted, and what a reader knows of that.

use super::topics::topic_bits;

/// A topic that was deleted, at this place of the log, and the last of its entries that could be read until then.
#[derive(Debug)]
pub(super) struct Deletion {
    pub(super) topic_bits: u16,
    pub(super) last: u64,
    pub(super) at: u64,
    /// The log knew of nothing but what it holds when it was opened again, and this it does not hold: nobody is told for sure.
    pub(super) is_forgotten: bool,
}

#[derive(Default)]
pub(super) struct Deletions(Vec<Deletion>);

impl Deletions {
    pub(super) fn push(&mut self, deletion: Deletion) {
        self.0.push(deletion);
    }

    /// The log is opened again, and does not hold the places of which `is_gone` says so.
    #[cfg(unix)]
    pub(super) fn forget(&mut self, is_gone: impl Fn(u64) -> bool) {
        self.0.iter_mut().filter(|deletion| is_gone(deletion.at)).for_each(|deletion| deletion.is_forgotten = true);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that hid something after `after`, up to `end`.
    pub(super) fn after(&self, after: u64, end: u64, matchers: &[&str]) -> impl Iterator<Item = &Deletion> {
        let bits = topic_bits(matchers);
        self.0
            .iter()
            .filter(move |deletion| deletion.topic_bits & bits != 0 && deletion.last > after && deletion.last <= end)
    }
}

/// The deletions that a reader knows of.
pub(super) struct Known {
    /// Of those up to here it is not told.
    upto: u64,
    /// Places of those that it was told of, and whether for sure.
    told: Vec<(u64, bool)>,
}

impl Known {
    pub(super) fn upto(upto: u64) -> Self {
        Self { upto, told: Vec::new() }
    }

    pub(super) fn knows(&self, deletion: &Deletion) -> bool {
        deletion.is_forgotten || deletion.at <= self.upto || self.told.iter().any(|(at, _)| *at == deletion.at)
    }

    /// The reader is told of these, at least one of which is news.
    pub(super) fn tell(&mut self, told: impl Iterator<Item = (u64, bool)>) {
        let is_new = |(at, _): &(u64, bool)| *at > self.upto && !self.told.contains(&(*at, true));
        let told: Vec<_> = told.filter(is_new).collect();
        assert!(!told.is_empty(), "nothing was deleted");
        self.told.extend(told);
    }
}
