//! What entries look like in another format than their frame, as it was made a moment ago.

use bytes::Bytes;

use crate::limits::{LINE_BYTES_KEPT, LINES_KEPT};
use crate::log::entry::Entry;
use crate::sync::Mutex;

/// One for each such format, so that readers at the tail share a line as they share a frame, without a second copy of the whole history: the
/// place of a line is its sequence number modulo the number of places.
#[derive(Debug, Default)]
pub(crate) struct Lines(Mutex<Vec<(u64, Bytes)>>);

impl Lines {
    /// What was made of `entry`, or what `make` makes of it now.
    pub(crate) fn get(&self, entry: &Entry, make: impl FnOnce(&Entry) -> Bytes) -> Bytes {
        let place = (entry.sequence % LINES_KEPT as u64) as usize;
        if let Some((sequence, line)) = self.0.lock().get(place) {
            if *sequence == entry.sequence {
                return line.clone();
            }
        }
        let line = make(entry);
        if line.len() <= LINE_BYTES_KEPT {
            let mut lines = self.0.lock();
            if lines.is_empty() {
                lines.resize(LINES_KEPT, (0, Bytes::new()));
            }
            if let Some(kept) = lines.get_mut(place) {
                *kept = (entry.sequence, line.clone());
            }
        }
        line
    }
}
