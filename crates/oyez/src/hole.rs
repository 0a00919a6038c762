//! Entries that have expired before a reader came to them.

/// Entries that have expired, one after the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Hole {
    /// It begins after this sequence number.
    pub(crate) after: u64,
    /// How many they are; 0 when there is no hole.
    pub(crate) missed: u64,
}

impl Hole {
    /// The next entry has expired as well.
    pub(crate) fn add(&mut self, sequence: u64) {
        if self.missed == 0 {
            self.after = sequence - 1;
        }
        self.missed += 1;
    }
}
