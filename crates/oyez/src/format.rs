//! The formats of a stream: what it says, as bytes, once for each format and shared by all who get it.

use bytes::{Bytes, BytesMut};
use oyez_proto::{Event, EventType, encode_comment};

use crate::frame::{comment, retry_frame, retry_line};
use crate::gap::Gap;
use crate::json_line::JsonLine;
use crate::limits::GATHER_BYTES;
use crate::log::Log;
use crate::output::Output;
use crate::readable::Readable;

/// The form in which a stream is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Format {
    /// `text/event-stream`: Server-Sent Events.
    #[default]
    Sse,
    /// Server-Sent Events whose data is JSON, `{"topics":[…],"time":"…","data":"…"}`: for readers of several topics.
    Envelope,
    /// `application/x-ndjson`: one JSON object a line, with topics and time, for `jq` and programs.
    Ndjson,
}

impl Format {
    /// The media type, as `Accept` asks for it.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Sse | Self::Envelope => "text/event-stream",
            Self::Ndjson => "application/x-ndjson",
        }
    }

    /// The value of `Content-Type`: a stream says that it is UTF-8, which it is always, because some readers take text for Latin-1
    /// where nothing is said.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Sse | Self::Envelope => "text/event-stream;charset=utf-8",
            Self::Ndjson => self.media_type(),
        }
    }

    /// One of the formats with this value of `Content-Type`, if there is any.
    #[cfg(feature = "serve")]
    pub(crate) fn of_content_type(value: &[u8]) -> Option<Self> {
        [Self::Sse, Self::Envelope, Self::Ndjson].into_iter().find(|format| format.content_type().as_bytes() == value)
    }

    /// Something for whoever looks at the stream by eye, where the format has a place for it.
    pub(crate) fn remark(self, text: &str) -> Option<Bytes> {
        match self {
            Self::Sse | Self::Envelope => {
                let mut comment = BytesMut::new();
                encode_comment(text, &mut comment);
                Some(comment.freeze())
            }
            Self::Ndjson => None,
        }
    }

    /// The bytes of one output, for a reader that may have these private entries. An entry's are shared with other readers.
    fn render(self, output: &Output, readable: &Readable, log: &Log, now_ms: u64) -> Bytes {
        match (self, output) {
            (Self::Sse, Output::Entry(entry)) => entry.frame().bytes(),
            (Self::Envelope, Output::Entry(entry)) => log.envelope(entry, readable).bytes(),
            (Self::Ndjson, Output::Entry(entry)) => log.line(entry, readable).bytes(),
            (Self::Ndjson, Output::Gap(gap)) => {
                own_line(Some(&gap.position.event_id()), Gap::EVENT_TYPE, &gap.data(), now_ms)
            }
            (Self::Ndjson, Output::Open { said: Some(data), .. }) => own_line(None, OPEN, data, now_ms),
            (Self::Ndjson, Output::Open { said: None, .. } | Output::KeepAlive(_)) => Bytes::from_static(b"\n"),
            (_, Output::Gap(gap)) => gap.frame(),
            (_, Output::Open { cursor, retry, said }) => {
                let start = match cursor {
                    Some(cursor) => log.position(*cursor).frame(Some(*retry)),
                    None => retry_frame(*retry),
                };
                match said {
                    Some(data) => with_open(&start, data),
                    None => start,
                }
            }
            (_, Output::Retry(ms)) => retry_line(*ms),
            (_, Output::KeepAlive(Some(cursor))) => log.place_frame(*cursor),
            (_, Output::KeepAlive(None)) => comment(),
        }
    }

    /// Writes what waits as few pieces: a single frame as it is, small ones gathered. `outputs` is left empty.
    pub(crate) fn write(
        self,
        outputs: &mut Vec<Output>,
        readable: &Readable,
        log: &Log,
        now_ms: u64,
        mut send: impl FnMut(Bytes),
    ) {
        if let [only] = &outputs[..] {
            send(self.render(only, readable, log, now_ms));
            outputs.clear();
            return;
        }
        let mut gathered = BytesMut::new();
        for output in outputs.drain(..) {
            let frame = self.render(&output, readable, log, now_ms);
            if !gathered.is_empty() && gathered.len() + frame.len() > GATHER_BYTES {
                send(gathered.split().freeze());
            }
            if frame.len() > GATHER_BYTES {
                send(frame);
            } else {
                gathered.extend_from_slice(&frame);
            }
        }
        if !gathered.is_empty() {
            send(gathered.freeze());
        }
    }
}

/// `start`, then `oyez.open`.
fn with_open(start: &Bytes, data: &str) -> Bytes {
    let open = Event::data(data).with_type(EventType::new(OPEN).expect("a type of ours is one"));
    let mut bytes = BytesMut::with_capacity(start.len() + open.encoded_len());
    bytes.extend_from_slice(start);
    open.encode(&mut bytes);
    bytes.freeze()
}

/// A line of the hub's own.
fn own_line(id: Option<&str>, event_type: &str, data: &str, time_ms: u64) -> Bytes {
    JsonLine { id, event_type, data, topics: &[], time_ms, retry: None }.to_bytes()
}

/// What a stream says of itself at its start.
const OPEN: &str = "oyez.open";
