//! What worlds have come by.

use super::dice::have_reached;

#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) begins: u64,
    pub(super) entries: u64,
    /// Gaps at the begin of a stream.
    pub(super) gaps: u64,
    /// Of those, the ones that said how many are missing.
    pub(super) exact: u64,
    /// Of those, the ones for ids that a crash took.
    pub(super) crash: u64,
    /// Gaps in the middle of a stream.
    pub(super) policy: u64,
    pub(super) exact_policy: u64,
    /// Streams that ended because their reader lagged too far.
    pub(super) lagged: u64,
    /// Streams that ended with what they had asked for: how many, and up to which time.
    pub(super) full: u64,
    pub(super) late: u64,
    /// Entries that were not in memory.
    pub(super) from_below: u64,
    /// Pages that were read before something left, and looked at after it.
    pub(super) in_flight: u64,
    /// Pages that were not told because something left, or was deleted, between two looks.
    pub(super) stale: u64,
    /// Clean stops, kills and power cuts.
    pub(super) restarts: [u64; 3],
    /// Streams that began with values, and values that came though the history does not hold them any more.
    pub(super) snapshots: u64,
    pub(super) left: u64,
    /// Streams that ended with their topics, and those that were refused after the end, and after one that is gone.
    pub(super) finished: u64,
    pub(super) ended: u64,
    pub(super) ended_and_gone: u64,
    /// Publishes after an end.
    pub(super) refused: u64,
    /// Publishes that were answered with the ids of their first time, and those under a key that stands for others.
    pub(super) replayed: u64,
    pub(super) mismatched: u64,
    /// Batches that nobody was told of when the power failed: those that are gone, and those that are there.
    pub(super) torn: [u64; 2],
    /// Times that something left the history by itself.
    pub(super) drops: u64,
    /// Gaps because of deletions: at the begin of a stream, and later.
    pub(super) deleted_at_once: u64,
    pub(super) deleted: u64,
    /// Gaps of which only what had been deleted before is gone.
    pub(super) deleted_and_gone: u64,
    /// Times that the engine went away, publishes that were refused then, and what waited for it.
    pub(super) away: u64,
    pub(super) unavailable: u64,
    pub(super) late_pages: u64,
    pub(super) late_begins: u64,
    /// Streams that broke off because it had refused something, and those that did not begin.
    pub(super) broken: u64,
    pub(super) refused_begins: u64,
    /// Gaps that were followed by entries older than what is missing.
    pub(super) uneven: u64,
}

impl Seen {
    /// What each engine has to reach, and this one in particular.
    pub(super) fn have_reached(&self, worlds: u64, own: &[(&str, u64)]) {
        let numbers = [
            ("gaps", self.gaps),
            ("exact", self.exact),
            ("policy", self.policy),
            ("exact, in the stream", 8 * self.exact_policy),
            ("lagged", self.lagged),
            ("limit", self.full),
            ("late", self.late),
            ("snapshots", self.snapshots),
            ("values that have left", self.left),
            ("ended and gone", 2 * self.ended_and_gone),
            ("refused", self.refused),
            ("replayed", self.replayed),
            ("mismatched", self.mismatched),
            ("deleted", self.deleted),
        ];
        have_reached(worlds, self, &[&numbers, own].concat());
    }
}
