//! An event as the log holds it.

use std::any::Any;
use std::mem::size_of;
use std::sync::Arc;

use oyez_proto::{Decoder, Event, EventId, Item};
use smallvec::SmallVec;

use crate::extras::Extras;
use crate::frame::Frame;
use crate::log::ends;
use crate::position::Position;
use crate::readable::Readable;
use crate::{Epoch, Topic};

/// One event at its place in the log, encoded once. Shared by all who read it.
pub(crate) struct Entry {
    pub(crate) sequence: u64,
    /// Milliseconds since 1970, never less than that of the previous entry.
    pub(crate) time_ms: u64,
    pub(crate) topics: SmallVec<[Topic; 1]>,
    /// The id that the publisher chose. The frame has it instead of the position.
    pub(crate) publisher_id: Option<EventId>,
    /// The published value, if its type is to be kept.
    pub(super) payload: Option<Arc<dyn Any + Send + Sync>>,
    /// Only readers whose grant selects one of its topics may have it.
    pub(crate) private: bool,
    pub(super) extras: Option<Box<Extras>>,
    pub(super) frame: Frame,
}

/// An entry that was read back, without its chunk.
pub(crate) struct Unframed {
    pub(crate) sequence: u64,
    pub(crate) time_ms: u64,
    pub(crate) topics: SmallVec<[Topic; 1]>,
    pub(crate) publisher_id: Option<EventId>,
    pub(crate) private: bool,
    pub(crate) extras: Option<Box<Extras>>,
}

impl Unframed {
    /// Appends its frame as a chunk to `out`. `fields` are the encoded fields without the id; see [`Frame::push`].
    pub(crate) fn push_chunk(&self, epoch: Epoch, fields: &[u8], out: &mut Vec<u8>) -> u8 {
        let text = Position { epoch, sequence: self.sequence }.text();
        Frame::push(self.publisher_id.as_ref().map_or(text.as_bytes(), |id| id.as_bytes()), fields, out)
    }

    pub(crate) fn with_frame(self, frame: Frame) -> Entry {
        let Self { sequence, time_ms, topics, publisher_id, private, extras } = self;
        Entry { sequence, time_ms, topics, publisher_id, payload: None, private, extras, frame }
    }
}

impl Entry {
    /// Its bytes, as every reader of `text/event-stream` gets them.
    pub(crate) fn frame(&self) -> &Frame {
        &self.frame
    }

    /// Whether a reader with these rights may have it.
    pub(crate) fn is_for(&self, readable: &Readable) -> bool {
        !self.private || readable.reads(&self.topics)
    }

    /// The topics of it that such a reader may know; `None` if it may know all of them.
    pub(crate) fn topics_for(&self, readable: &Readable) -> Option<SmallVec<[Topic; 1]>> {
        if self.private { readable.part_of(&self.topics) } else { None }
    }

    pub(crate) fn extras(&self) -> Option<&Extras> {
        self.extras.as_deref()
    }

    /// The time from which it is hidden. For an end, the time from which its whole topic is hidden.
    pub(crate) fn expires_ms(&self) -> Option<u64> {
        self.extras().and_then(|extras| extras.ttl_ms).map(|ttl| self.time_ms.saturating_add(ttl))
    }

    /// The topic that it ends.
    pub(crate) fn ended_topic(&self) -> Option<&Topic> {
        self.extras().filter(|extras| extras.end).and_then(|_| self.topics.first())
    }

    pub(crate) fn event_id(&self, epoch: Epoch) -> EventId {
        let own = || Position { epoch, sequence: self.sequence }.event_id();
        self.publisher_id.clone().unwrap_or_else(own)
    }

    /// Whether it is a deletion. No reader is sent one.
    pub(crate) fn deletes(&self) -> bool {
        self.extras.as_deref().is_some_and(|extras| extras.deletes.is_some())
    }

    /// The key of its value. The newest event of a key is the value.
    pub(crate) fn key(&self) -> Option<&str> {
        self.extras.as_deref()?.key.as_deref()
    }

    /// The published value, if it was kept.
    pub(crate) fn payload<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.payload.as_ref().and_then(|payload| Arc::clone(payload).downcast().ok())
    }

    /// The event as its readers see it: with LF as line ends, and with its id.
    pub(crate) fn event(&self) -> Event {
        let mut decoder = Decoder::new().event_bytes_max(usize::MAX);
        let frame = self.frame.bytes();
        let mut bytes = &*frame;
        while let Ok(Some(item)) = decoder.next(&mut bytes) {
            if let Item::Event(event) = item {
                return event;
            }
        }
        Event::default() // cannot be: a frame is one encoded event
    }

    /// The memory of the entry, approximately: itself, its frame, its slots in tail and index. A kept value is taken to be as large
    /// as its text.
    pub(crate) fn cost(&self) -> usize {
        let topics_outside = if self.topics.spilled() { self.topics.capacity() * size_of::<Topic>() } else { 0 };
        let ids = self.publisher_id.as_ref().map_or(0, |id| 2 * (id.len() + ALLOCATION_BYTES) + ID_INDEX_BYTES);
        let kept = |payload: &Arc<dyn Any + Send + Sync>| {
            size_of_val(&**payload) + self.frame.chunk().len() + ALLOCATION_BYTES
        };
        let payload = self.payload.as_ref().map_or(0, kept);
        let extras = self.extras.as_deref().map_or(0, Extras::cost) + self.ended_topic().map_or(0, ends::cost);
        let index = match self.deletes() {
            true => self.topics.iter().map(deletion_cost).sum(),
            false => self.topics.len() * INDEX_BYTES,
        };
        size_of::<Self>() + self.frame.chunk().len() + topics_outside + ids + payload + extras + index + ENTRY_BYTES
    }
}

/// What the name of a deleted topic costs in memory: it is in no index, and in a table of its own.
pub(super) fn deletion_cost(topic: &Topic) -> usize {
    topic.len() + DELETION_BYTES
}

// Overheads that `size_of` does not see, measured with `tests/it/memory.rs` (glibc, 64 bit).

/// An allocation's header and rounding, and the reference counts.
const ALLOCATION_BYTES: usize = 24;
/// Two allocations, room for a longer id, and a slot in a queue that may be half empty.
const ENTRY_BYTES: usize = 76;
/// A position in a topic's list, which may be half empty.
const INDEX_BYTES: usize = 16;
/// A name's allocation, and a slot in the table of deleted topics, which may be half empty.
const DELETION_BYTES: usize = 140;
/// A slot in the index of publisher ids, which may be only a quarter full when ids come and go.
const ID_INDEX_BYTES: usize = 140;
