//! Ids: those of the hub are read exactly as they are written, and every other text is somebody else's.

use bolero::check;
use http::{HeaderMap, HeaderValue, Uri};
use oyez::{Epoch, Event, Hub, LastEventId, Position};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

use crate::choices::Choices;

#[test]
fn a_position_is_its_text() {
    check!().for_each(|input: &[u8]| {
        let mut choices = Choices::new(input);
        let parts = [
            "k4f9zq71",
            "a0000000",
            "zzzzzzzz",
            "4kf9zq71",
            ":",
            "::",
            "0",
            "1",
            "42",
            "18446744073709551615",
            "+",
            "é",
        ];
        let text = choices.join(&parts, 5);
        let text = String::from_utf8_lossy(&text);
        match text.parse::<Position>() {
            Ok(position) => {
                assert_eq!(position.to_string(), text, "written otherwise than it was read");
                assert!(is_position(&text), "{text:?}");
            }
            Err(error) => assert!(!is_position(&text), "{text:?}: {error}"),
        }
    });
}

/// Whatever id a publisher gives is refused, or comes back verbatim and is resumed from; ids shaped like ours are never
/// a publisher's.
#[test]
fn a_publisher_id_is_kept_or_refused() {
    check!().for_each(|input: &[u8]| {
        let text = String::from_utf8_lossy(input).into_owned();
        let Ok(event) = Event::data("x").id(text.as_str()) else { return };
        let hub = Hub::<Event>::new();
        let shaped = is_shaped(&text);
        match hub.try_publish("a", event) {
            Ok(id) => {
                assert!(*id == *text && !shaped && text.len() <= 128 && !text.is_empty(), "{text:?}");
                hub.try_publish("a", Event::data("behind it")).expect("an event");
                let resumed = read_one(&hub, LastEventId::new(text));
                assert_eq!(resumed.as_deref(), Some("behind it"));
            }
            Err(_) => assert!(shaped || text.is_empty() || text.len() > 128 || text == "earliest", "{text:?}"),
        }
    });
}

/// Header or query, any bytes: no panic, and a good id is read as it is.
#[test]
fn any_last_event_id_is_read() {
    check!().for_each(|input: &[u8]| {
        let mut headers = HeaderMap::new();
        let plain = Uri::from_static("/events");
        if let Ok(value) = HeaderValue::from_bytes(input) {
            headers.insert("last-event-id", value);
            let id = LastEventId::from_request(&plain, &headers);
            assert_eq!(id.id().unwrap_or_default(), String::from_utf8_lossy(input));
        }
        let encoded = percent_encode(input, NON_ALPHANUMERIC);
        let uri: Uri = format!("/events?a=b&lastEventID={encoded}").parse().expect("ASCII without spaces");
        let id = LastEventId::from_request(&uri, &HeaderMap::new());
        assert_eq!(id.id().unwrap_or_default(), String::from_utf8_lossy(input));
        if let Ok(uri) = format!("/events?last_event_id={}", String::from_utf8_lossy(input)).parse::<Uri>() {
            let _ = LastEventId::from_request(&uri, &HeaderMap::new());
        }
    });
}

fn read_one(hub: &Hub, from: LastEventId) -> Option<String> {
    let mut stream = hub.subscribe_pattern("*").resume(from).poll().into_stream().expect("a stream");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(stream.next())?.event().map(|delivery| delivery.value.data_str().to_owned())
}

/// Eight characters, a letter first; a colon; a number of 64 bits without leading zeros.
fn is_position(text: &str) -> bool {
    let Some((_, digits)) = text.split_once(':') else { return false };
    is_shaped(text) && digits.parse::<u64>().is_ok_and(|number| number.to_string() == digits)
}

fn is_shaped(text: &str) -> bool {
    let Some((epoch, digits)) = text.split_once(':') else { return false };
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    epoch.len() == EPOCH_LEN
        && epoch.starts_with(|c: char| c.is_ascii_lowercase())
        && epoch.chars().all(good)
        && !digits.is_empty()
        && digits.chars().all(|c| c.is_ascii_digit())
}

const EPOCH_LEN: usize = std::mem::size_of::<Epoch>();
