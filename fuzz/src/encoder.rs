//! Whatever event can be made comes back from its frame, and nothing else does.

use std::time::Duration;

use bolero::check;
use oyez_proto::{Decoder, Event, EventId, EventType, Item, encode_comment};

#[test]
fn round_trip() {
    check!().with_type::<(String, String, String, Option<u64>)>().for_each(|(data, event_type, id, retry)| {
        let mut event = Event::data(data.as_str());
        event = EventType::new(event_type.as_str()).into_iter().fold(event, Event::with_type);
        event = EventId::new(id.as_str()).into_iter().fold(event, Event::with_id);
        event = retry.map(Duration::from_millis).into_iter().fold(event, Event::retry);
        let expected = retry.map(|time| Item::Retry(Duration::from_millis(time))).into_iter().chain([read(&event)]);
        assert_eq!(decode(&frame(&event)), expected.collect::<Vec<_>>());
    });
}

/// Nothing that stands in data or in a comment reaches the reader as a field.
#[test]
fn no_injection() {
    check!().for_each(|input: &[u8]| {
        let text: String = input.iter().map(|byte| PARTS[usize::from(*byte) % PARTS.len()]).collect();
        assert_eq!(decode(&frame(&Event::data(text.as_str()))), [read(&Event::data(text.as_str()))]);
        let mut comment = Vec::new();
        encode_comment(&text, &mut comment);
        assert_eq!(decode(&comment), []);
        assert_eq!(EventId::new(text.as_str()).is_ok(), comes_back(&text));
    });
}

/// Visible ASCII, and blanks inside.
fn comes_back(id: &str) -> bool {
    id.bytes().all(|byte| matches!(byte, b' '..=b'~')) && !id.starts_with(' ') && !id.ends_with(' ')
}

fn frame(event: &Event) -> Vec<u8> {
    let mut bytes = Vec::new();
    event.encode(&mut bytes);
    assert_eq!(bytes.len(), event.encoded_len());
    bytes
}

fn decode(mut bytes: &[u8]) -> Vec<Item> {
    let mut decoder = Decoder::new();
    std::iter::from_fn(|| decoder.next(&mut bytes).expect("within the bound")).collect()
}

/// `event` as its reader sees it: line ends are LF.
fn read(event: &Event) -> Item {
    let mut read = Event::data(event.data_str().replace("\r\n", "\n").replace('\r', "\n"));
    read = event.event_type().map(|name| EventType::new(name).unwrap()).into_iter().fold(read, Event::with_type);
    read = event.event_id().cloned().into_iter().fold(read, Event::with_id);
    Item::Event(event.reconnection_time().into_iter().fold(read, Event::retry))
}

const PARTS: &[&str] = &[
    "\r", "\n", "\r\n", "data: ", "id: 1", "event: x", "retry: 1", ":", " ", "\0", "\u{feff}", "x", "é", "\u{2028}",
    "\u{85}", "\n\n",
];
