//! A publish before it has its position in the log.

use std::any::Any;
use std::sync::Arc;

use oyez_proto::EventId;
use smallvec::SmallVec;

use crate::Topic;
use crate::extras::Extras;
use crate::frame::FrameDraft;
use crate::log::entry::Entry;
use crate::position::{POSITION_LEN_MAX, Position};
use crate::submission::Submission;

/// A publish that is encoded except for its position. All this is done before the log is locked.
pub(crate) struct Draft {
    topics: SmallVec<[Topic; 1]>,
    publisher_id: Option<EventId>,
    payload: Option<Arc<dyn Any + Send + Sync>>,
    private: bool,
    extras: Option<Box<Extras>>,
    frame: FrameDraft,
}

impl Draft {
    pub(crate) fn new(publish: Submission) -> Self {
        let publisher_id = publish.event.event_id().cloned();
        let event = publish.event.without_id();
        let id_len = publisher_id.as_ref().map_or(POSITION_LEN_MAX, |id| id.len());
        let frame = FrameDraft::new(&event, id_len);
        let extras = publish.extras.filter(|extras| **extras != Extras::default());
        let Submission { topics, payload, private, .. } = publish;
        Self { topics, publisher_id, payload, private, extras, frame }
    }

    pub(crate) fn publisher_id(&self) -> Option<&EventId> {
        self.publisher_id.as_ref()
    }

    /// The encoded fields without the id, with the blank line.
    pub(crate) fn fields(&self) -> &[u8] {
        self.frame.fields()
    }

    pub(crate) fn topics_mut(&mut self) -> &mut [Topic] {
        &mut self.topics
    }

    pub(crate) fn topics(&self) -> &[Topic] {
        &self.topics
    }

    pub(crate) fn is_private(&self) -> bool {
        self.private
    }

    pub(crate) fn extras(&self) -> Option<&Extras> {
        self.extras.as_deref()
    }

    /// Gives it its position. Runs under the log's lock, so it only writes the id line into the space left for it.
    pub(crate) fn place(self, position: Position, time_ms: u64) -> Entry {
        let text = position.text();
        let frame = self.frame.with_id(self.publisher_id.as_ref().map_or(text.as_bytes(), |id| id.as_bytes()));
        Entry {
            sequence: position.sequence,
            time_ms,
            topics: self.topics,
            publisher_id: self.publisher_id,
            payload: self.payload,
            private: self.private,
            extras: self.extras,
            frame,
        }
    }
}
