//! An event as the log holds it.

use std::any::Any;
use std::mem::size_of;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use oyez_proto::{Decoder, Event, EventId, Item};
use serde::Serialize;
use smallvec::SmallVec;

use crate::digits::Digits;
use crate::log::ends;
use crate::log::once::Once;
use crate::position::{POSITION_LEN_MAX, Position};
use crate::publish::Publish;
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
    payload: Option<Arc<dyn Any + Send + Sync>>,
    extras: Option<Box<Extras>>,
    /// The frame as one chunk of HTTP/1.1: size, frame, CRLF.
    chunk: Bytes,
    /// Bytes of the size and its CRLF.
    chunk_head: u8,
}

/// What few events have beside their fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Extras {
    /// Of several events with one key the newest is the one that counts.
    pub(crate) key: Option<Box<str>>,
    /// How long it may be read, in milliseconds.
    pub(crate) ttl_ms: Option<u64>,
    /// It is the last one of its topic.
    pub(crate) end: bool,
    /// It hides all that its topic had before, and no reader is ever sent it.
    /// The number is that of its newest entry on disk, as far as was known then.
    pub(crate) deletes: Option<u64>,
    /// It is the first of a batch that is published once.
    pub(crate) once: Option<Once>,
}

/// What an entry means for others: some of these.
#[cfg(unix)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark(pub(crate) u32);

#[cfg(unix)]
impl Mark {
    /// It counts as long as it is in the history: a value, or the hub's word about its topic.
    pub(crate) const LASTING: Self = Self(1);
    /// It counts while its idempotency key is known.
    pub(crate) const ONCE: Self = Self(2);
    /// It has a time after which it is hidden.
    pub(crate) const EXPIRING: Self = Self(4);

    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Is it one of those?
    pub(crate) fn is_any_of(self, marks: Self) -> bool {
        self.0 & marks.0 != 0
    }
}

impl Extras {
    #[cfg(unix)]
    pub(crate) fn mark(&self) -> Mark {
        let marks = [
            (Mark::LASTING, self.key.is_some() || self.end || self.deletes.is_some()),
            (Mark::ONCE, self.once.is_some()),
            (Mark::EXPIRING, self.ttl_ms.is_some()),
        ];
        marks.into_iter().filter(|(_, has)| *has).fold(Mark(0), |all, (mark, _)| all.or(mark))
    }

    fn cost(&self) -> usize {
        let key = self.key.as_ref().map_or(0, |key| key.len());
        size_of::<Self>() + key + self.once.as_ref().map_or(0, Once::cost) + ALLOCATION_BYTES
    }
}

impl Extras {
    /// On disk an extra is a tag and its value; a tag, once given, keeps its meaning for ever.
    pub(crate) fn write(&self, mut push: impl FnMut(u8, &[u8])) {
        if let Some(key) = &self.key {
            push(1, key.as_bytes());
        }
        if let Some(ttl_ms) = self.ttl_ms {
            push(2, &ttl_ms.to_le_bytes());
        }
        if self.end {
            push(3, &[]);
        }
        if let Some(once) = &self.once {
            push(4, &once.to_bytes());
        }
        if let Some(last) = self.deletes {
            push(5, &last.to_le_bytes());
        }
    }

    /// Takes over one that was written; `None` if it is not known here.
    pub(crate) fn read(&mut self, tag: u8, value: &[u8]) -> Option<()> {
        match tag {
            1 => self.key = Some(std::str::from_utf8(value).ok()?.into()),
            2 => self.ttl_ms = Some(u64::from_le_bytes(value.try_into().ok()?)),
            3 => self.end = true,
            4 => self.once = Some(Once::from_bytes(value)?),
            5 => self.deletes = Some(u64::from_le_bytes(value.try_into().ok()?)),
            _ => return None,
        }
        Some(())
    }
}

/// A publish that is encoded but for its place: what can be done before the log is locked.
pub(crate) struct Draft {
    topics: SmallVec<[Topic; 1]>,
    publisher_id: Option<EventId>,
    payload: Option<Arc<dyn Any + Send + Sync>>,
    extras: Option<Box<Extras>>,
    /// Room for the head of the chunk and the `id:` line, then all other fields, the blank line and the chunk's end.
    bytes: Vec<u8>,
    room: usize,
}

impl Draft {
    pub(crate) fn new(publish: Publish) -> Self {
        let publisher_id = publish.event.event_id().cloned();
        let event = publish.event.without_id();
        let id_len = publisher_id.as_ref().map_or(POSITION_LEN_MAX, |id| id.len());
        let room = CHUNK_HEAD_MAX + ID_FIELD.len() + id_len + b"\n".len();
        let mut bytes = Vec::with_capacity(room + event.encoded_len() + CHUNK_END.len());
        bytes.resize(room, 0);
        event.encode(&mut bytes);
        bytes.extend_from_slice(CHUNK_END);
        let extras = publish.extras.filter(|extras| **extras != Extras::default());
        Self { topics: publish.topics, publisher_id, payload: publish.payload, extras, bytes, room }
    }

    pub(crate) fn publisher_id(&self) -> Option<&EventId> {
        self.publisher_id.as_ref()
    }

    /// The encoded fields but for the id, with the blank line.
    pub(crate) fn fields(&self) -> &[u8] {
        &self.bytes[self.room..self.bytes.len() - CHUNK_END.len()]
    }

    pub(crate) fn topics_mut(&mut self) -> &mut [Topic] {
        &mut self.topics
    }

    pub(crate) fn topics(&self) -> &[Topic] {
        &self.topics
    }

    pub(crate) fn extras(&self) -> Option<&Extras> {
        self.extras.as_deref()
    }

    /// Takes its place. Under the log's lock, so it only writes the id line into the room left for it.
    pub(crate) fn place(mut self, position: Position, time_ms: u64) -> Entry {
        let text = position.text();
        let id = self.publisher_id.as_ref().map_or(text.as_bytes(), |id| id.as_bytes());
        let frame_start = write_before(&mut self.bytes, self.room, &[ID_FIELD, id, b"\n"]);
        let size = Digits::hex(self.bytes.len() - CHUNK_END.len() - frame_start);
        let start = write_before(&mut self.bytes, frame_start, &[size.as_bytes(), CHUNK_END]);
        let mut chunk = Bytes::from(self.bytes);
        chunk.advance(start);
        Entry {
            sequence: position.sequence,
            time_ms,
            topics: self.topics,
            publisher_id: self.publisher_id,
            payload: self.payload,
            extras: self.extras,
            chunk,
            chunk_head: (frame_start - start) as u8,
        }
    }
}

/// An entry that was read back, all but its chunk.
pub(crate) struct Stored {
    pub(crate) sequence: u64,
    pub(crate) time_ms: u64,
    pub(crate) topics: SmallVec<[Topic; 1]>,
    pub(crate) publisher_id: Option<EventId>,
    pub(crate) extras: Option<Box<Extras>>,
}

impl Stored {
    /// Appends its chunk to `out`, made of the fields but for the id; gives back the bytes of the chunk's size and CRLF.
    pub(crate) fn push_chunk(&self, epoch: Epoch, fields: &[u8], out: &mut Vec<u8>) -> u8 {
        let text = Position { epoch, sequence: self.sequence }.text();
        let id = self.publisher_id.as_ref().map_or(text.as_bytes(), |id| id.as_bytes());
        let size = Digits::hex(ID_FIELD.len() + id.len() + b"\n".len() + fields.len());
        for part in [size.as_bytes(), CHUNK_END, ID_FIELD, id, b"\n", fields, CHUNK_END] {
            out.extend_from_slice(part);
        }
        (size.as_bytes().len() + CHUNK_END.len()) as u8
    }

    pub(crate) fn with_chunk(self, chunk: Bytes, chunk_head: u8) -> Entry {
        let Self { sequence, time_ms, topics, publisher_id, extras } = self;
        Entry { sequence, time_ms, topics, publisher_id, payload: None, extras, chunk, chunk_head }
    }
}

/// Writes the parts into `bytes` so that they end at `end`; tells where they begin.
fn write_before(bytes: &mut [u8], end: usize, parts: &[&[u8]]) -> usize {
    parts.iter().rev().fold(end, |end, part| {
        let start = end - part.len();
        bytes[start..end].copy_from_slice(part);
        start
    })
}

impl Entry {
    /// The frame as it goes to every reader of `text/event-stream`.
    pub(crate) fn frame(&self) -> Bytes {
        self.chunk.slice(usize::from(self.chunk_head)..self.chunk.len() - CHUNK_END.len())
    }

    /// The frame but for the id.
    #[cfg(unix)]
    pub(crate) fn fields(&self) -> Bytes {
        let frame = self.frame();
        let id_end = frame.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        frame.slice(id_end..)
    }

    /// The frame as a chunk of HTTP/1.1.
    pub(crate) fn chunk(&self) -> &Bytes {
        &self.chunk
    }

    /// The entry as a line of `application/x-ndjson`.
    pub(crate) fn line(&self, epoch: Epoch) -> Bytes {
        let event = self.event();
        let id = self.event_id(epoch);
        JsonLine {
            id: Some(&id),
            event_type: event.event_type().map_or("message", |t| t),
            data: event.data_str(),
            topics: &self.topics,
            time_ms: self.time_ms,
            retry: event.reconnection_time().map(|time| time.as_millis()),
        }
        .to_bytes()
    }

    /// The entry as a frame whose data tells topics and time as well.
    pub(crate) fn envelope(&self, epoch: Epoch) -> Bytes {
        #[derive(Serialize)]
        struct Envelope<'a> {
            topics: SmallVec<[&'a str; 4]>,
            time: String,
            data: &'a str,
        }
        let event = self.event();
        let topics = self.topics.iter().map(|topic| &**topic).collect();
        let data = serde_json::to_string(&Envelope { topics, time: rfc3339(self.time_ms), data: event.data_str() });
        let data = data.expect("strings are JSON");
        let event = event.with_data(data).with_id(self.event_id(epoch));
        let mut frame = BytesMut::with_capacity(event.encoded_len());
        event.encode(&mut frame);
        frame.freeze()
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
        let frame = self.frame();
        let mut bytes = &*frame;
        while let Ok(Some(item)) = decoder.next(&mut bytes) {
            if let Item::Event(event) = item {
                return event;
            }
        }
        Event::default() // cannot be: a frame is one encoded event
    }

    /// What the entry costs in memory, near enough: itself, its frame, its places in ring and index. Of a value that was
    /// kept only the outside is known; the rest is taken to be as large as its text.
    pub(crate) fn cost(&self) -> usize {
        let topics_outside = if self.topics.spilled() { self.topics.capacity() * size_of::<Topic>() } else { 0 };
        let ids = self.publisher_id.as_ref().map_or(0, |id| 2 * (id.len() + ALLOCATION_BYTES) + ID_INDEX_BYTES);
        let kept = |payload: &Arc<dyn Any + Send + Sync>| size_of_val(&**payload) + self.chunk.len() + ALLOCATION_BYTES;
        let payload = self.payload.as_ref().map_or(0, kept);
        let extras = self.extras.as_deref().map_or(0, Extras::cost) + self.ended_topic().map_or(0, ends::cost);
        let index = self.topics.len() * INDEX_BYTES;
        size_of::<Self>() + self.chunk.len() + topics_outside + ids + payload + extras + index + ENTRY_BYTES
    }
}

/// One line of `application/x-ndjson`.
pub(crate) struct JsonLine<'a> {
    pub(crate) id: Option<&'a str>,
    pub(crate) event_type: &'a str,
    pub(crate) data: &'a str,
    pub(crate) topics: &'a [Topic],
    pub(crate) time_ms: u64,
    pub(crate) retry: Option<u128>,
}

impl JsonLine<'_> {
    pub(crate) fn to_bytes(&self) -> Bytes {
        #[derive(Serialize)]
        struct Fields<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            id: Option<&'a str>,
            #[serde(rename = "type")]
            event_type: &'a str,
            data: &'a str,
            topics: SmallVec<[&'a str; 4]>,
            time: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            retry: Option<u128>,
        }
        let fields = Fields {
            id: self.id,
            event_type: self.event_type,
            data: self.data,
            topics: self.topics.iter().map(|topic| &**topic).collect(),
            time: rfc3339(self.time_ms),
            retry: self.retry,
        };
        let mut line = serde_json::to_vec(&fields).expect("strings and numbers are JSON");
        line.push(b'\n');
        line.into()
    }
}

pub(crate) fn rfc3339(time_ms: u64) -> String {
    let time = i64::try_from(time_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    format!("{:.3}", time.unwrap_or(jiff::Timestamp::MAX))
}

// Overheads that `size_of` does not see, measured with `tests/it/memory.rs` (glibc, 64 bit).

/// An allocation's header and rounding, and the counts beside what is shared.
const ALLOCATION_BYTES: usize = 24;
/// Two allocations, room for a longer id, and a slot in a ring that may be half empty.
const ENTRY_BYTES: usize = 76;
/// A position in a topic's list, which may be half empty.
const INDEX_BYTES: usize = 16;
/// A slot in the index of publisher ids, which may be only a quarter full when ids come and go.
const ID_INDEX_BYTES: usize = 140;

/// Eight digits and CRLF: no event is longer.
const CHUNK_HEAD_MAX: usize = 10;
/// Behind the size, and behind the chunk.
const CHUNK_END: &[u8] = b"\r\n";
const ID_FIELD: &[u8] = b"id: ";
