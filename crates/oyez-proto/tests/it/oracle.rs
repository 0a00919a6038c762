//! The standard read aloud: the whole stream as one string, line by line, with the three buffers it names. Slow and
//! plain, and nothing of it is shared with the decoder. The fuzz targets include this file as well.

use std::mem;
use std::time::Duration;

use oyez_proto::{Decoder, Item};

/// An item with the last event id in force after it.
pub(crate) type Seen = (Found, String);

/// An [`Item`] in plain types.
#[derive(Debug, PartialEq, Eq, Clone)]
pub(crate) enum Found {
    Event { event_type: String, data: String, id: Option<String>, retry: Option<Duration> },
    Comment(String),
    Retry(Duration),
}

/// What the standard finds in `stream`, and the last event id in force at its end.
///
/// Source: HTML Standard, "Parsing an event stream" and "Interpreting an event stream".
pub(crate) fn read(stream: &[u8]) -> (Vec<Seen>, String) {
    let text = String::from_utf8_lossy(stream);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines: Vec<&str> = text.split('\n').collect();
    lines.pop(); // what follows the last line end is not a line

    let mut seen = Vec::new();
    let mut last_event_id = String::new();
    let (mut data, mut event_type, mut id, mut retry) = (String::new(), String::new(), None::<String>, None);
    for line in lines {
        if line.is_empty() {
            last_event_id = id.clone().unwrap_or(last_event_id);
            let (data, event_type, id, retry) =
                (mem::take(&mut data), mem::take(&mut event_type), id.take(), retry.take());
            if let Some(data) = data.strip_suffix('\n') {
                seen.push((Found::Event { event_type, data: data.into(), id, retry }, last_event_id.clone()));
            }
            continue;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "" => seen.push((Found::Comment(value.into()), last_event_id.clone())),
            "data" => data = data + value + "\n",
            "event" => event_type = value.into(),
            "id" if !value.contains('\0') => id = Some(value.into()),
            "retry" if !value.is_empty() && value.chars().all(|digit| digit.is_ascii_digit()) => {
                let number = |sum: u64, digit: u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
                let time = Duration::from_millis(value.bytes().fold(0, number));
                retry = Some(time);
                seen.push((Found::Retry(time), last_event_id.clone()));
            }
            _ => {}
        }
    }
    (seen, last_event_id)
}

/// What `decoder` finds in `chunks`, and the last event id in force at their end.
///
/// # Panics
/// When the decoder refuses an event as too large.
pub(crate) fn decode<'a>(decoder: &mut Decoder, chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Seen>, String) {
    let mut seen = Vec::new();
    for mut chunk in chunks {
        while let Some(item) = decoder.next(&mut chunk).expect("within the bound") {
            seen.push((found(item), last_event_id(decoder)));
        }
        assert!(chunk.is_empty(), "a chunk without a further item is used up");
    }
    let id = last_event_id(decoder);
    (seen, id)
}

fn found(item: Item) -> Found {
    match item {
        Item::Event(event) => Found::Event {
            event_type: event.event_type().map(ToString::to_string).unwrap_or_default(),
            id: event.event_id().map(ToString::to_string),
            retry: event.reconnection_time(),
            data: event.into_data(),
        },
        Item::Comment(text) => Found::Comment(text),
        Item::Retry(time) => Found::Retry(time),
        other => panic!("the oracle does not know {other:?}"),
    }
}

fn last_event_id(decoder: &Decoder) -> String {
    decoder.last_event_id().map(ToString::to_string).unwrap_or_default()
}
