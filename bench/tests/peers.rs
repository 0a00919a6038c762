//! What our encoder writes, two decoders that are not ours read as it was meant: no event can inject a field.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;

use bytes::Bytes;
use eventsource_stream::Eventsource;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use oyez_proto::{Event, EventId, EventType};
use proptest::prelude::*;
use sse_stream::SseByteStream;

/// Type, id and data of an event, as a reader sees them.
type Read = (String, String, String);

fn by_sse_stream(bytes: Bytes) -> Vec<Read> {
    let events = all(SseByteStream::new(once(bytes))).into_iter().map(Result::unwrap);
    let text = |text: Option<String>| text.unwrap_or_default();
    events.map(|event| (text(event.event), text(event.id), text(event.data))).collect()
}

fn by_eventsource_stream(bytes: Bytes) -> Vec<Read> {
    let events = all(once(bytes).eventsource()).into_iter().map(Result::unwrap);
    // it fills in the default type
    let event_type = |name: String| if name == "message" { String::new() } else { name };
    events.map(|event| (event_type(event.event), event.id, event.data)).collect()
}

fn once(bytes: Bytes) -> impl Stream<Item = Result<Bytes, Infallible>> + Unpin {
    stream::iter([Ok(bytes)])
}

fn all<T>(stream: impl Stream<Item = T>) -> Vec<T> {
    stream.collect().now_or_never().unwrap()
}

/// Text that would break out of its field if anything could.
fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("\r".to_owned()),
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\n\n".to_owned()),
        Just("data: ".to_owned()),
        Just("id: 1".to_owned()),
        Just("event: x".to_owned()),
        Just("retry: 1".to_owned()),
        Just(":".to_owned()),
        Just(" ".to_owned()),
        "\\PC{0,4}",
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

fn cases() -> u32 {
    if std::env::var_os("OYEZ_TEST_LONG").is_some() { 100_000 } else { 3_000 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn other_decoders_read_what_was_sent(events in prop::collection::vec((text(), text(), text()), 1..4)) {
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for (event_type, id, data) in events {
            let mut event = Event::data(data.as_str());
            event = EventType::new(event_type.as_str()).into_iter().fold(event, Event::with_type);
            // both readers keep the last id, as they should: give every event one
            event = event.with_id(EventId::new(id.as_str()).unwrap_or_else(|_| EventId::new("none").unwrap()));
            event.encode(&mut bytes);
            expected.push((
                event.event_type().map(ToString::to_string).filter(|name| name != "message").unwrap_or_default(),
                event.event_id().map(ToString::to_string).unwrap_or_default(),
                event.data_str().replace("\r\n", "\n").replace('\r', "\n"),
            ));
        }
        let bytes = Bytes::from(bytes);
        prop_assert_eq!(&by_sse_stream(bytes.clone()), &expected);
        prop_assert_eq!(&by_eventsource_stream(bytes), &expected);
    }
}
