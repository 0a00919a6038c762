//! decode(encode(e)) is e with line ends made LF, for whatever e can be made.

use std::time::Duration;

use oyez_proto::{Decoder, Event, EventId, EventType, Item, encode_comment, encode_cursor};
use proptest::collection::vec;
use proptest::prelude::*;

/// Text in which line ends, field names and separators are likely.
fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof!["\r|\n|\r\n|:| |\0|\u{feff}|data: |id: |\u{2028}", any::<char>().prop_map(String::from)];
    vec(part, 0..12).prop_map(|parts| parts.concat())
}

fn line() -> impl Strategy<Value = String> {
    text().prop_map(|text| text.replace(['\r', '\n', '\0'], ""))
}

fn id() -> impl Strategy<Value = String> {
    "([!-~]([ -~]{0,12}[!-~])?)?"
}

fn event() -> impl Strategy<Value = Event> {
    let time = prop_oneof![any::<u64>(), 0..100_000_u64].prop_map(Duration::from_millis);
    let fields = (text(), proptest::option::of(line()), proptest::option::of(id()), proptest::option::of(time));
    fields.prop_map(|(data, event_type, id, retry)| {
        let mut event = Event::data(data);
        if let Some(event_type) = event_type.filter(|event_type| !event_type.is_empty()) {
            event = event.event(event_type).unwrap();
        }
        if let Some(id) = id {
            event = event.id(id).unwrap();
        }
        if let Some(retry) = retry {
            event = event.retry(retry);
        }
        event
    })
}

fn with_lf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// The items that the frame of `event` is read as.
fn items(event: &Event) -> Vec<Item> {
    let mut read = Event::data(with_lf(event.data_str()));
    read = event.event_type().map(|name| EventType::new(name).unwrap()).into_iter().fold(read, Event::with_type);
    read = event.event_id().cloned().into_iter().fold(read, Event::with_id);
    read = event.reconnection_time().into_iter().fold(read, Event::retry);
    event.reconnection_time().map(Item::Retry).into_iter().chain([Item::Event(read)]).collect()
}

fn decode(mut bytes: &[u8]) -> Vec<Item> {
    let mut decoder = Decoder::new().comments(true);
    std::iter::from_fn(|| decoder.next(&mut bytes).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 500 }))]

    #[test]
    fn events_come_back(events in vec(event(), 0..5)) {
        let mut bytes = Vec::new();
        let mut len = 0;
        for event in &events {
            event.encode(&mut bytes);
            len += event.encoded_len();
        }
        prop_assert_eq!(bytes.len(), len);
        prop_assert_eq!(decode(&bytes), events.iter().flat_map(items).collect::<Vec<_>>());
    }

    #[test]
    fn comments_come_back_line_by_line(text in text()) {
        let mut bytes = Vec::new();
        encode_comment(&text, &mut bytes);
        let expected: Vec<Item> = with_lf(&text).split('\n').map(|line| Item::Comment(line.into())).collect();
        prop_assert_eq!(decode(&bytes), expected);
    }

    #[test]
    fn a_cursor_block_sets_the_id_and_dispatches_nothing(id in id(), milliseconds in any::<Option<u64>>()) {
        let (id, time) = (EventId::new(id).unwrap(), milliseconds.map(Duration::from_millis));
        let mut bytes = Vec::new();
        encode_cursor(&id, time, &mut bytes);
        let mut decoder = Decoder::new();
        let mut chunk = &bytes[..];
        let items: Vec<Item> = std::iter::from_fn(|| decoder.next(&mut chunk).unwrap()).collect();
        prop_assert_eq!(items, time.map(Item::Retry).into_iter().collect::<Vec<_>>());
        prop_assert_eq!(decoder.last_event_id(), Some(&id).filter(|id| !id.is_empty()));
    }

    #[test]
    fn base64_comes_back(bytes in vec(any::<u8>(), 0..100)) {
        let event = Event::base64(&bytes);
        prop_assert_eq!(event.decode_base64(), Ok(bytes.clone()));
        prop_assert!(event.data_str().len() == bytes.len().div_ceil(3) * 4);
    }
}
