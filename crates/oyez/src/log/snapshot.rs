//! Which values a stream gets before it reads the log itself.

/// Which values a stream gets before it reads the log itself: those after its cursor and up to `upto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) upto: u64,
    /// Older values only of compacted topics.
    pub(crate) from: u64,
    /// How many values had been evicted when it began. If some of them match, its reader was told.
    pub(crate) evictions: u64,
    /// How many values had been dropped with their segments.
    pub(crate) departures: u64,
    /// Deletions up to here are known to the reader, or do not concern it.
    pub(crate) known: u64,
}

impl Snapshot {
    /// A reader at `cursor` has all values of topics that are not compacted, up to this number.
    pub(crate) fn told(&self, cursor: u64) -> u64 {
        cursor.max(self.from.saturating_sub(1))
    }
}
