//! Recent entries in formats other than their frame.

use serde::Serialize;
use smallvec::SmallVec;

use crate::Topic;
use crate::frame::{Frame, FrameDraft};
use crate::json_line::{JsonLine, rfc3339};
use crate::limits::{LINE_BYTES_KEPT, LINES_KEPT};
use crate::log::entry::Entry;
use crate::log::large::Large;
use crate::position::Epoch;
use crate::sync::Mutex;

/// One for each format. Readers at the tail share a line as they share a frame, without a second copy of the whole history. The
/// slot of a line is its sequence number modulo the number of slots. Large lines are shared as long as a reader holds them.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    newest: Mutex<Vec<(u64, Frame)>>,
    large: Large,
}

impl Lines {
    /// The stored frame of `entry`, or a new one made with `make`.
    pub(crate) fn get(&self, entry: &Entry, make: impl FnOnce(&Entry) -> Frame) -> Frame {
        let place = (entry.sequence % LINES_KEPT as u64) as usize;
        if let Some((sequence, line)) = self.newest.lock().get(place) {
            if *sequence == entry.sequence {
                return line.clone();
            }
        }
        // in JSON a byte takes six bytes at worst
        let may_be_large = Large::is_one(6 * entry.frame().chunk().len());
        if let Some(chunk) = may_be_large.then(|| self.large.find(entry.sequence)).flatten() {
            return Frame::of_whole_chunk(chunk);
        }
        let line = make(entry);
        if Large::is_one(line.chunk().len()) {
            return Frame::of_whole_chunk(self.large.share(entry.sequence, line.chunk().clone()));
        }
        if line.chunk().len() <= LINE_BYTES_KEPT {
            let mut lines = self.newest.lock();
            if lines.is_empty() {
                lines.resize(LINES_KEPT, (0, Frame::around(b"")));
            }
            if let Some(kept) = lines.get_mut(place) {
                *kept = (entry.sequence, line.clone());
            }
        }
        line
    }
}

impl Entry {
    /// The entry as a line of `application/x-ndjson`, with these of its topics.
    pub(crate) fn line(&self, epoch: Epoch, topics: &[Topic]) -> Frame {
        let event = self.event();
        let id = self.event_id(epoch);
        let line = JsonLine {
            id: Some(&id),
            event_type: event.event_type().unwrap_or("message"),
            data: event.data_str(),
            topics,
            time_ms: self.time_ms,
            retry: event.reconnection_time().map(|time| time.as_millis()),
        };
        Frame::around(&line.to_bytes())
    }

    /// The entry as a frame whose data has these topics and the time as well.
    pub(crate) fn envelope(&self, epoch: Epoch, topics: &[Topic]) -> Frame {
        #[derive(Serialize)]
        struct Envelope<'a> {
            topics: SmallVec<[&'a str; 4]>,
            time: String,
            data: &'a str,
        }
        let event = self.event();
        let topics = topics.iter().map(|topic| &**topic).collect();
        let data = serde_json::to_string(&Envelope { topics, time: rfc3339(self.time_ms), data: event.data_str() });
        let data = data.expect("strings are JSON");
        let id = self.event_id(epoch);
        FrameDraft::new(&event.with_data(data).without_id(), id.len()).with_id(id.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use oyez_proto::Event;

    use super::*;
    use crate::limits::LARGE_BYTES;
    use crate::log::entry::Unframed;

    #[test]
    fn what_a_short_event_grows_to_is_made_once_while_somebody_has_it() {
        // JSON makes six bytes of each
        let event = Event::data("\u{1}".repeat(LARGE_BYTES / 6));
        let frame = FrameDraft::new(&event, 1).with_id(b"1");
        let topics = SmallVec::new();
        let unframed = Unframed { sequence: 1, time_ms: 0, topics, publisher_id: None, private: false, extras: None };
        let entry = unframed.with_frame(frame);
        assert!(!Large::is_one(entry.frame().chunk().len()));
        let lines = Lines::default();
        let epoch = Epoch::draw(1);
        let first = lines.get(&entry, |entry| entry.line(epoch, &[]));
        assert!(Large::is_one(first.chunk().len()));
        let second = lines.get(&entry, |_| panic!("it is made again"));
        assert_eq!(first.chunk().as_ptr(), second.chunk().as_ptr());
        drop((first, second));
        let mut made = 0;
        lines.get(&entry, |entry| {
            made += 1;
            entry.line(epoch, &[])
        });
        assert_eq!(made, 1, "kept for nobody");
    }
}
