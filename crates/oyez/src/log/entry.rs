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
    /// Milliseconds since 1970, never less than the entry before.
    pub(crate) time_ms: u64,
    pub(crate) topics: SmallVec<[Topic; 1]>,
    /// The publisher's own id, which then stands in the frame in place of the position.
    pub(crate) publisher_id: Option<EventId>,
    /// The value that was published, when its type asks to be kept.
    pub(super) payload: Option<Arc<dyn Any + Send + Sync>>,
    /// Only those may have it whose grant selects one of its topics.
    pub(crate) private: bool,
    pub(super) extras: Option<Box<Extras>>,
    pub(super) frame: Frame,
}

/// An entry that was read back, all but its chunk.
pub(crate) struct Unframed {
    pub(crate) sequence: u64,
    pub(crate) time_ms: u64,
    pub(crate) topics: SmallVec<[Topic; 1]>,
    pub(crate) publisher_id: Option<EventId>,
    pub(crate) private: bool,
    pub(crate) extras: Option<Box<Extras>>,
}

impl Unframed {
    /// Appends its frame as a chunk to `out`, made of the fields but for the id; see [`Frame::push`].
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

    /// May a reader have it that may have these private ones?
    pub(crate) fn is_for(&self, readable: &Readable) -> bool {
        !self.private || readable.reads(&self.topics)
    }

    /// Those of its topics that such a reader may know; `None` when that is all of them.
    pub(crate) fn topics_for(&self, readable: &Readable) -> Option<SmallVec<[Topic; 1]>> {
        if self.private { readable.part_of(&self.topics) } else { None }
    }

    pub(crate) fn extras(&self) -> Option<&Extras> {
        self.extras.as_deref()
    }

    /// The time from which on it is hidden. For an end it is that of its whole topic.
    pub(crate) fn expires_ms(&self) -> Option<u64> {
        self.extras().and_then(|extras| extras.ttl_ms).map(|ttl| self.time_ms.saturating_add(ttl))
    }

    /// The topic whose end it is.
    pub(crate) fn ended_topic(&self) -> Option<&Topic> {
        self.extras().filter(|extras| extras.end).and_then(|_| self.topics.first())
    }

    pub(crate) fn event_id(&self, epoch: Epoch) -> EventId {
        let own = || Position { epoch, sequence: self.sequence }.event_id();
        self.publisher_id.clone().unwrap_or_else(own)
    }

    /// Is it the place where a topic was deleted? Nobody is sent that.
    pub(crate) fn deletes(&self) -> bool {
        self.extras.as_deref().is_some_and(|extras| extras.deletes.is_some())
    }

    /// Of several events with one key the newest is the one that counts.
    pub(crate) fn key(&self) -> Option<&str> {
        self.extras.as_deref()?.key.as_deref()
    }

    /// The value that was published, if it was kept.
    pub(crate) fn payload<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.payload.as_ref().and_then(|payload| Arc::clone(payload).downcast().ok())
    }

    /// The event as its readers see it: line ends are LF, the id is in it.
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

    /// What the entry costs in memory, near enough: itself, its frame, its places in tail and index. Of a value that was
    /// kept only the outside is known; the rest is taken to be as large as its text.
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

/// An allocation's header and rounding, and the counts beside what is shared.
const ALLOCATION_BYTES: usize = 24;
/// Two allocations, room for a longer id, and a slot in a queue that may be half empty.
const ENTRY_BYTES: usize = 76;
/// A position in a topic's list, which may be half empty.
const INDEX_BYTES: usize = 16;
/// A name's allocation, and a slot in the table of deleted topics, which may be half empty.
const DELETION_BYTES: usize = 140;
/// A slot in the index of publisher ids, which may be only a quarter full when ids come and go.
const ID_INDEX_BYTES: usize = 140;
