//! Which values a stream gets before it reads the log itself.

/// Which values a stream gets before it reads the log itself: those behind its cursor and up to `upto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) upto: u64,
    /// Older ones only of topics that are compacted.
    pub(crate) from: u64,
    /// How many values had been pushed out when it began; when some had that match, its reader has been told.
    pub(crate) evictions: u64,
    /// How many values had left with the disk.
    pub(crate) departures: u64,
    /// Of deletions up to here its reader has been told, or need not be.
    pub(crate) known: u64,
}

impl Snapshot {
    /// Up to here a reader that has come to `cursor` has all values of topics that are not compacted.
    pub(crate) fn told(&self, cursor: u64) -> u64 {
        cursor.max(self.from.saturating_sub(1))
    }
}
