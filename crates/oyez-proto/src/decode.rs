//! A stream of bytes as events, whatever the chunks it arrives in.
#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use std::mem;
use std::time::Duration;

use memchr::memchr2;

use crate::limits::{EVENT_BYTES_MAX, VALUE_BYTES_KEPT};
use crate::utf8::{self, Utf8Buffer};
use crate::{Error, Event, EventId, EventType};

/// Reads an event stream: bytes in, in chunks of any size; [`Item`]s out, in the order of the stream.
///
/// A chunk may end inside a line, a CRLF pair, a UTF-8 sequence or the byte order mark. What is not UTF-8 becomes
/// U+FFFD, what the standard says to ignore is ignored: odd input is no error. A block without its blank line
/// yields no event, so at the end of a connection there is nothing to ask for. The work is linear in the bytes,
/// however they are cut.
///
/// ```
/// use oyez_proto::{Decoder, Event, Item};
///
/// let mut decoder = Decoder::new();
/// let mut items = Vec::new();
/// for mut chunk in [&b"id: 7\nda"[..], b"ta: hello\r", b"\n\r\ndata: no blank line"] {
///     while let Some(item) = decoder.next(&mut chunk)? {
///         items.push(item);
///     }
/// }
/// assert_eq!(items, [Item::Event(Event::data("hello").id("7")?)]);
/// assert_eq!(decoder.last_event_id().map(|id| &**id), Some("7"));
/// # Ok::<(), oyez_proto::Error>(())
/// ```
///
/// Source: HTML Standard, "Parsing an event stream" and "Interpreting an event stream".
#[derive(Debug)]
pub struct Decoder {
    event_bytes_max: usize,
    yields_comments: bool,
    last_event_id: Option<EventId>,
    bom_matched: usize,
    swallows_lf: bool,
    too_large: bool,
    line: Line,
    value: Utf8Buffer,
    block: Block,
    held_at_most: usize,
}

/// What a [`Decoder`] finds in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item {
    /// A block with data, at its blank line. Its type, id and reconnection time are those that the block itself
    /// set; the id in force is [`Decoder::last_event_id`].
    Event(Event),
    /// The text of a comment line, without its colon and one space; only if [`Decoder::comments`] asks for it.
    Comment(String),
    /// A reconnection time, as soon as its line ends: it holds even if the connection is lost before the blank line.
    /// The event of the same block carries it as well.
    Retry(Duration),
}

impl Decoder {
    /// A decoder at the start of a stream, without a last event id. It holds back at most 16 MiB per event
    /// ([`EVENT_BYTES_MAX`]) and yields no comments.
    #[must_use]
    pub fn new() -> Self {
        Self {
            event_bytes_max: EVENT_BYTES_MAX,
            yields_comments: false,
            last_event_id: None,
            bom_matched: 0,
            swallows_lf: false,
            too_large: false,
            line: Line::Start,
            value: Utf8Buffer::default(),
            block: Block::default(),
            held_at_most: 0,
        }
    }

    /// Bounds what is held back of one event: its data with one line end per line, its type, its id and the value
    /// being read, in bytes of UTF-8 after decoding. Comments count only when they are yielded, ignored fields never;
    /// the last event id in force is kept beside it.
    #[must_use]
    pub fn event_bytes_max(mut self, bytes: usize) -> Self {
        self.event_bytes_max = bytes;
        self
    }

    /// Whether comments are yielded. They are ignored unless asked for.
    #[must_use]
    pub fn comments(mut self, yield_them: bool) -> Self {
        self.yields_comments = yield_them;
        self
    }

    /// Takes bytes from the front of `chunk` until one item is complete or the chunk is used up. `None` says that it
    /// is used up: call again with the next chunk.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge) when an event grows beyond
    /// [`event_bytes_max`](Self::event_bytes_max). The chunk is then used up, and every later call fails in the same
    /// way until [`reset`](Self::reset).
    pub fn next(&mut self, chunk: &mut &[u8]) -> Result<Option<Item>, Error> {
        let result = self.read(chunk);
        if result.is_err() {
            *chunk = &[];
        }
        result
    }

    /// The last event id in force, to be sent when the connection is opened again. A block sets it at its blank
    /// line, with or without data. `None` before any and after an empty id, which resets it.
    #[must_use]
    pub fn last_event_id(&self) -> Option<&EventId> {
        self.last_event_id.as_ref()
    }

    /// Puts a last event id in force, for a stream that is resumed. An empty one is none.
    pub fn set_last_event_id(&mut self, id: Option<EventId>) {
        self.last_event_id = id.filter(|id| !id.is_empty());
    }

    /// Starts anew for another connection: a block without its blank line is dropped, a byte order mark may come
    /// again. The last event id is kept.
    pub fn reset(&mut self) {
        *self = Self {
            event_bytes_max: self.event_bytes_max,
            yields_comments: self.yields_comments,
            last_event_id: self.last_event_id.take(),
            ..Self::new()
        };
    }

    fn read(&mut self, chunk: &mut &[u8]) -> Result<Option<Item>, Error> {
        if self.too_large {
            return Err(self.error());
        }
        self.skip_bom(chunk)?;
        loop {
            // a CR that ended a chunk may have been half of a CRLF: its line has ended, swallow one LF now
            if self.swallows_lf && !chunk.is_empty() {
                self.swallows_lf = false;
                *chunk = chunk.strip_prefix(b"\n").unwrap_or(chunk);
            }
            let Some(end) = line_end(chunk) else {
                self.read_part(mem::take(chunk))?;
                return Ok(None);
            };
            let (line, rest) = chunk.split_at(end);
            self.swallows_lf = rest.first() == Some(&b'\r');
            *chunk = rest.get(1..).unwrap_or_default();
            match self.read_to_end(line) {
                Ok(None) => {}
                item_or_error => return item_or_error,
            }
        }
    }

    fn skip_bom(&mut self, chunk: &mut &[u8]) -> Result<(), Error> {
        while let Some(expected) = BOM.get(self.bom_matched) {
            let Some((byte, rest)) = chunk.split_first() else { break };
            if byte != expected {
                // what began like a byte order mark belongs to the first line
                let matched = mem::replace(&mut self.bom_matched, BOM.len());
                return self.read_part(BOM.get(..matched).unwrap_or_default());
            }
            self.bom_matched += 1;
            *chunk = rest;
        }
        Ok(())
    }

    /// Reads what is left of a line. A whole line goes straight from the chunk to its field.
    fn read_to_end(&mut self, part: &[u8]) -> Result<Option<Item>, Error> {
        if let Line::Start = self.line {
            if part.is_empty() {
                return Ok(self.end_block());
            }
            if let (Line::Colon(field), value) = Line::start(part) {
                if let Some(value) = utf8::validate(value.strip_prefix(b" ").unwrap_or(value)) {
                    return self.take_value(field, value);
                }
            }
        }
        self.read_part(part)?;
        self.end_line()
    }

    /// Reads the next part of a line, which holds no line end. The line may end after it or go on in the next chunk.
    fn read_part(&mut self, mut part: &[u8]) -> Result<(), Error> {
        if let Line::Start = self.line {
            (self.line, part) = Line::start(part);
        }
        while let Some((byte, rest)) = part.split_first() {
            self.line = match self.line {
                Line::Start | Line::Ignored => return Ok(()),
                Line::Name(field, matched) => field.match_name(matched, *byte),
                Line::Colon(field) if self.ignores(field) => Line::Ignored,
                Line::Colon(field) if *byte == b' ' => Line::Value(field),
                Line::Colon(field) | Line::Value(field) => {
                    self.line = Line::Value(field);
                    return self.hold(field, part);
                }
            };
            part = rest;
        }
        Ok(())
    }

    fn end_line(&mut self) -> Result<Option<Item>, Error> {
        match mem::replace(&mut self.line, Line::Start) {
            Line::Start => Ok(self.end_block()),
            Line::Ignored => Ok(None),
            Line::Name(field, matched) if matched < field.name().len() => Ok(None),
            Line::Name(field, _) | Line::Colon(field) | Line::Value(field) => self.end_value(field),
        }
    }

    /// Holds back `bytes` of the value of `field`.
    fn hold(&mut self, field: Field, bytes: &[u8]) -> Result<(), Error> {
        self.check_room(bytes.len())?;
        let buffer = if field == Field::Data { &mut self.block.data } else { &mut self.value };
        buffer.push(bytes, self.event_bytes_max);
        self.check_held(0) // again: replacement characters are longer than what they replace
    }

    /// Ends the value that [`hold`](Self::hold) has gathered.
    fn end_value(&mut self, field: Field) -> Result<Option<Item>, Error> {
        if field == Field::Data {
            self.block.data.end();
            self.check_held(0)?;
            return self.take_value(field, "");
        }
        let mut value = mem::take(&mut self.value);
        value.end();
        let item = self.take_value(field, value.as_str());
        value.clear(VALUE_BYTES_KEPT);
        self.value = value;
        item
    }

    /// Takes the value of a line that has ended, or what is left of it.
    #[inline(always)] // per line, into the path of whole lines: a tenth of the time (bench: decode_ratio)
    fn take_value(&mut self, field: Field, value: &str) -> Result<Option<Item>, Error> {
        if self.ignores(field) {
            return Ok(None);
        }
        self.check_room(value.len() + usize::from(field == Field::Data))?;
        Ok(self.block.set(field, value, self.event_bytes_max))
    }

    fn ignores(&self, field: Field) -> bool {
        field == Field::Comment && !self.yields_comments
    }

    /// Fails unless `more` bytes may be held back beside those of the block and of the value being read.
    fn check_room(&mut self, more: usize) -> Result<(), Error> {
        // most lines need one addition: a type or id that was replaced stays counted until that reaches the bound
        self.held_at_most = self.held_at_most.saturating_add(more);
        if self.held_at_most <= self.event_bytes_max { Ok(()) } else { self.check_held(more) }
    }

    #[cold]
    fn check_held(&mut self, more: usize) -> Result<(), Error> {
        self.held_at_most = (self.block.held() + self.value.len()).saturating_add(more);
        if self.held_at_most <= self.event_bytes_max { Ok(()) } else { Err(self.fail()) }
    }

    fn end_block(&mut self) -> Option<Item> {
        match (&self.block.id, &mut self.last_event_id) {
            (None, _) => {}
            (Some(id), Some(last)) if !id.is_empty() => last.clone_from(id),
            (Some(id), last) => *last = Some(id.clone()).filter(|id| !id.is_empty()),
        }
        self.held_at_most = 0;
        let (event_type, id, retry) = (self.block.event_type.take(), self.block.id.take(), self.block.retry.take());
        let mut data = self.block.data.take();
        // each data line left an LF, so no LF means no data line, and the last one is not part of the data
        data.pop()?;
        Some(Item::Event(Event::from_parts(data, event_type, id, retry)))
    }

    #[cold]
    fn fail(&mut self) -> Error {
        self.reset();
        self.too_large = true;
        self.error()
    }

    fn error(&self) -> Error {
        Error::too_large(format!("event is larger than {} bytes", self.event_bytes_max))
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

/// The fields since the last blank line.
#[derive(Debug, Default)]
struct Block {
    data: Utf8Buffer, // one LF after each line, as the standard has it
    event_type: Option<EventType>,
    id: Option<EventId>,
    retry: Option<Duration>,
}

impl Block {
    /// Processes a field. `bytes_max` bounds the memory of data, its length is checked.
    #[inline(always)] // as above
    fn set(&mut self, field: Field, value: &str, bytes_max: usize) -> Option<Item> {
        match field {
            Field::Data => self.data.push_line(value, bytes_max),
            Field::Event => self.event_type = EventType::from_field(value),
            Field::Id => {
                if let Some(id) = EventId::from_field(value) {
                    self.id = Some(id);
                }
            }
            Field::Retry => {
                let time = milliseconds(value)?;
                self.retry = Some(time);
                return Some(Item::Retry(time));
            }
            Field::Comment => return Some(Item::Comment(value.to_owned())),
        }
        None
    }

    fn held(&self) -> usize {
        let event_type = self.event_type.as_ref().map_or(0, |event_type| event_type.len());
        let id = self.id.as_ref().map_or(0, |id| id.len());
        self.data.len() + event_type + id
    }
}

/// How far the line is read.
#[derive(Debug, Clone, Copy)]
enum Line {
    Start,
    Name(Field, usize), // the first bytes of a name we know; no two of them begin alike
    Colon(Field),       // one space may follow
    Value(Field),
    Ignored,
}

impl Line {
    /// The state after the first bytes of a line, and those that follow them.
    fn start(part: &[u8]) -> (Self, &[u8]) {
        match part {
            [] => (Self::Start, part),
            [b':', rest @ ..] => (Self::Colon(Field::Comment), rest),
            [b'd', b'a', b't', b'a', b':', rest @ ..] => (Self::Colon(Field::Data), rest),
            [b'i', b'd', b':', rest @ ..] => (Self::Colon(Field::Id), rest),
            [b'e', b'v', b'e', b'n', b't', b':', rest @ ..] => (Self::Colon(Field::Event), rest),
            [b'd', ..] => (Self::Name(Field::Data, 0), part),
            [b'e', ..] => (Self::Name(Field::Event, 0), part),
            [b'i', ..] => (Self::Name(Field::Id, 0), part),
            [b'r', ..] => (Self::Name(Field::Retry, 0), part),
            _ => (Self::Ignored, part),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Data,
    Event,
    Id,
    Retry,
    Comment,
}

impl Field {
    fn name(self) -> &'static [u8] {
        match self {
            Self::Data => b"data",
            Self::Event => b"event",
            Self::Id => b"id",
            Self::Retry => b"retry",
            Self::Comment => b"",
        }
    }

    fn match_name(self, matched: usize, byte: u8) -> Line {
        match self.name().get(matched) {
            Some(expected) if *expected == byte => Line::Name(self, matched + 1),
            None if byte == b':' => Line::Colon(self),
            _ => Line::Ignored,
        }
    }
}

/// Where the line ends that `bytes` begin with. Every event ends in a blank line, and that one needs no search.
fn line_end(bytes: &[u8]) -> Option<usize> {
    if bytes.first() == Some(&b'\n') { Some(0) } else { memchr2(b'\r', b'\n', bytes) }
}

/// A time in milliseconds, if `value` is ASCII digits only. One that no `u64` holds is the longest there is.
fn milliseconds(value: &str) -> Option<Duration> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(Duration::from_millis(value.parse().unwrap_or(u64::MAX)))
}

const BOM: &[u8] = b"\xef\xbb\xbf";
