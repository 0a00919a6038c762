//! The bytes of one event or comment: encoded once, shared by all who get them.

use std::time::Duration;

use bytes::{Buf, Bytes};
use oyez_proto::Event;

use crate::digits::Digits;

/// An event as one chunk of HTTP/1.1 (size, frame, CRLF): the usual reader gets all of it, every other one what is inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    chunk: Bytes,
    /// Bytes of the size and its CRLF.
    head: u8,
}

impl Frame {
    /// The frame as it goes to every reader of `text/event-stream`.
    pub(crate) fn bytes(&self) -> Bytes {
        self.chunk.slice(usize::from(self.head)..self.chunk.len() - CHUNK_END.len())
    }

    /// The frame as a chunk of HTTP/1.1.
    pub(crate) fn chunk(&self) -> &Bytes {
        &self.chunk
    }

    /// The frame but for the `id:` line.
    pub(crate) fn fields(&self) -> Bytes {
        let frame = self.bytes();
        let id_end = frame.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        frame.slice(id_end..)
    }

    /// Appends a chunk to `out`, made of the fields but for the id; gives back the bytes of its size and CRLF.
    pub(crate) fn push(id: &[u8], fields: &[u8], out: &mut Vec<u8>) -> u8 {
        let size = Digits::hex(ID_FIELD.len() + id.len() + b"\n".len() + fields.len());
        for part in [size.as_bytes(), CHUNK_END, ID_FIELD, id, b"\n", fields, CHUNK_END] {
            out.extend_from_slice(part);
        }
        (size.as_bytes().len() + CHUNK_END.len()) as u8
    }

    /// `bytes` as a chunk.
    pub(crate) fn around(bytes: &[u8]) -> Self {
        let size = Digits::hex(bytes.len());
        let mut chunk = Vec::with_capacity(size.as_bytes().len() + bytes.len() + 2 * CHUNK_END.len());
        for part in [size.as_bytes(), CHUNK_END, bytes, CHUNK_END] {
            chunk.extend_from_slice(part);
        }
        Self { chunk: chunk.into(), head: (size.as_bytes().len() + CHUNK_END.len()) as u8 }
    }

    /// The frame of a whole chunk.
    pub(crate) fn of_whole_chunk(chunk: Bytes) -> Self {
        let head = memchr::memchr(b'\n', &chunk).map_or(0, |end| end + 1) as u8;
        Self { chunk, head }
    }

    /// A chunk that [`push`](Self::push) has made, with what it gave back.
    pub(crate) fn of_chunk(chunk: Bytes, head: u8) -> Self {
        Self { chunk, head }
    }
}

/// A frame that waits for its id: what can be encoded before its place is known.
pub(crate) struct FrameDraft {
    /// Room for the head of the chunk and the `id:` line, then all other fields, the blank line and the chunk's end.
    bytes: Vec<u8>,
    room: usize,
}

impl FrameDraft {
    /// `event`, which has no id, with room for one of at most so many bytes.
    pub(crate) fn new(event: &Event, id_len: usize) -> Self {
        let room = CHUNK_HEAD_MAX + ID_FIELD.len() + id_len + b"\n".len();
        let mut bytes = Vec::with_capacity(room + event.encoded_len() + CHUNK_END.len());
        bytes.resize(room, 0);
        event.encode(&mut bytes);
        bytes.extend_from_slice(CHUNK_END);
        Self { bytes, room }
    }

    /// The encoded fields but for the id, with the blank line.
    pub(crate) fn fields(&self) -> &[u8] {
        &self.bytes[self.room..self.bytes.len() - CHUNK_END.len()]
    }

    /// Writes the id into the room left for it.
    pub(crate) fn with_id(mut self, id: &[u8]) -> Frame {
        let frame_start = write_before(&mut self.bytes, self.room, &[ID_FIELD, id, b"\n"]);
        let size = Digits::hex(self.bytes.len() - CHUNK_END.len() - frame_start);
        let start = write_before(&mut self.bytes, frame_start, &[size.as_bytes(), CHUNK_END]);
        let mut chunk = Bytes::from(self.bytes);
        chunk.advance(start);
        Frame { chunk, head: (frame_start - start) as u8 }
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

/// A comment without text: what keeps an idle connection open. It has no blank line: some clients take that for the end of an
/// empty event.
pub(crate) fn comment() -> Bytes {
    Bytes::from_static(b":\n")
}

/// A block that sets the reconnection time and nothing else.
pub(crate) fn retry_frame(time: Duration) -> Bytes {
    Bytes::from(format!("retry: {}\n\n", time.as_millis()))
}

/// The reconnection time as the first line of a block that follows.
pub(crate) fn retry_line(ms: u32) -> Bytes {
    Bytes::from(format!("retry: {ms}\n"))
}

/// Eight digits and CRLF: no event is longer.
const CHUNK_HEAD_MAX: usize = 10;
/// After the size, and after the chunk.
const CHUNK_END: &[u8] = b"\r\n";
const ID_FIELD: &[u8] = b"id: ";
