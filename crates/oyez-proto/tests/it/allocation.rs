//! Encoding is on the path of every event, so it allocates nothing of its own.

use std::time::Duration;

use allocation_counter::measure;
use oyez_proto::{Event, EventId, encode_comment, encode_cursor};

#[test]
fn encoding_into_reserved_memory_allocates_nothing() {
    let event = Event::data("line 1\r\nline 2").event("t").unwrap().id("k4f9zq71:1").unwrap();
    let event = event.retry(Duration::from_secs(3));
    let id = EventId::new("k4f9zq71:1").unwrap();
    let mut out = Vec::with_capacity(1024);
    let used = measure(|| {
        out.reserve(event.encoded_len());
        event.encode(&mut out);
        encode_comment("keep-alive", &mut out);
        encode_cursor(&id, Some(Duration::from_secs(3)), &mut out);
    });
    assert_eq!(used.count_total, 0);
}
