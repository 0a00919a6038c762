//! The rules of the standard one by one, and what lies between two connections.

use std::time::Duration;

use oyez_proto::{Decoder, Event, EventId, Item};

fn event(data: &str) -> Item {
    Item::Event(Event::data(data))
}

fn items(decoder: &mut Decoder, chunks: &[&str]) -> Vec<Item> {
    let mut items = Vec::new();
    for chunk in chunks {
        let mut bytes = chunk.as_bytes();
        while let Some(item) = decoder.next(&mut bytes).unwrap() {
            items.push(item);
        }
    }
    items
}

#[track_caller]
fn check(chunks: &[&str], expected: &[Item]) {
    assert_eq!(items(&mut Decoder::new().comments(true), chunks), expected);
}

#[test]
fn crlf_split_across_chunks_is_one_terminator() {
    check(&["data: a\r", "\n\r\n"], &[event("a")]);
    check(&["data: a\r", "\ndata: b\r", "\n\r", "\n"], &[event("a\nb")]);
    check(&["data: a\r", "", "\n", "\n"], &[event("a")]);
}

#[test]
fn a_cr_at_the_end_of_a_chunk_dispatches_at_once() {
    check(&["data: a\r\r"], &[event("a")]);
    check(&["data: a\r\n\r"], &[event("a")]);
}

#[test]
fn an_unterminated_block_is_no_event() {
    check(&["data: a"], &[]);
    check(&["data: a\n"], &[]);
    check(&["data: a\n\ndata: b\n:"], &[event("a")]);
}

#[test]
fn one_space_is_removed_and_a_colon_is_not_needed() {
    check(&["data:a\ndata: a\ndata:  a\ndata:\ta\n\n"], &[event("a\na\n a\n\ta")]);
    check(&["data\n\n", "data\ndata\n\n"], &[event(""), event("\n")]);
    check(&["da", "ta\n\n"], &[event("")]);
}

#[test]
fn names_are_compared_byte_by_byte() {
    check(&["Data: a\n\nDATA:b\n\n data: c\n\ndata : d\n\ndat: e\n\ndatax: f\n\nid\0: 1\n\n"], &[]);
}

#[test]
fn a_block_without_data_resets_its_type_and_keeps_its_id() {
    let mut decoder = Decoder::new();
    assert_eq!(items(&mut decoder, &["event: a\nid: 7\n\ndata: b\n\n"]), [event("b")]);
    assert_eq!(decoder.last_event_id(), Some(&EventId::new("7").unwrap()));
}

#[test]
fn an_empty_type_is_the_default_type() {
    check(&["event: a\nevent:\ndata: b\n\n"], &[event("b")]);
    check(&["event: a\nevent\ndata: b\n\n"], &[event("b")]);
    check(&["event: a\nevent: b\ndata: c\n\n"], &[Item::Event(Event::data("c").event("b").unwrap())]);
}

#[test]
fn nul_passes_in_a_type_and_voids_an_id() {
    let mut decoder = Decoder::new();
    let found = items(&mut decoder, &["id: 1\nid: a\0b\nevent: a\0b\ndata: \0\n\n"]);
    let [Item::Event(event)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(event.event_id().map(|id| &**id), Some("1"));
    assert_eq!(event.event_type(), Some("a\0b"));
    assert_eq!(event.data_str(), "\0");
}

#[test]
fn a_reconnection_time_is_ascii_digits_and_holds_at_once() {
    let retry = |milliseconds| Item::Retry(Duration::from_millis(milliseconds));
    check(&["retry: 2000\n"], &[retry(2000)]);
    check(&["retry: 02000\r"], &[retry(2000)]);
    check(&["retry: 18446744073709551616\n"], &[retry(u64::MAX)]);
    check(&["retry:\nretry\nretry: +5\nretry: -5\nretry: 5 \nretry:  5\nretry: 5x\nretry: 1e3\nretry: ٣\n"], &[]);
    check(
        &["retry: 1\nretry: 2\nretry: x\ndata: a\n\n"],
        &[retry(1), retry(2), Item::Event(Event::data("a").retry(Duration::from_millis(2)))],
    );
    check(&["retry: 1\n\ndata: a\n\n"], &[retry(1), event("a")]);
}

#[test]
fn comments_come_out_when_asked_for() {
    let stream = ": hi\n:\n::x\n:  y\ndata: a\n: in a block\n\n";
    let comment = |text: &str| Item::Comment(text.into());
    check(&[stream], &[comment("hi"), comment(""), comment(":x"), comment(" y"), comment("in a block"), event("a")]);
    assert_eq!(items(&mut Decoder::new(), &[stream]), [event("a")]);
}

#[test]
fn one_byte_order_mark_is_removed_wherever_it_is_cut() {
    check(&["\u{feff}data: a\n\n"], &[event("a")]);
    check(&["\u{feff}\u{feff}data: a\n\ndata: b\n\n"], &[event("b")]);
    check(&["data: a\n\n\u{feff}data: b\n\ndata: \u{feff}c\n\n"], &[event("a"), event("\u{feff}c")]);
    check(&["\n\u{feff}data: a\n\n"], &[]);
}

#[test]
fn an_empty_id_resets_the_last_event_id() {
    let mut decoder = Decoder::new();
    items(&mut decoder, &["id: 1\ndata: a\n"]);
    assert_eq!(decoder.last_event_id(), None, "an id is in force from its blank line on");
    items(&mut decoder, &["\ndata: b\n\n"]);
    assert_eq!(decoder.last_event_id(), Some(&EventId::new("1").unwrap()));
    items(&mut decoder, &["id\n\n"]);
    assert_eq!(decoder.last_event_id(), None);
}

#[test]
fn a_new_connection_keeps_the_last_event_id_and_nothing_else() {
    let mut decoder = Decoder::new();
    assert_eq!(items(&mut decoder, &["id: 1\ndata: a\n\nevent: x\nid: 2\nretry: 5\ndata: lost\r"]).len(), 2);
    decoder.reset();
    let found = items(&mut decoder, &["\u{feff}data: b\n\n"]);
    assert_eq!(found, [event("b")]);
    assert_eq!(decoder.last_event_id(), Some(&EventId::new("1").unwrap()));

    items(&mut decoder, &["data: c\r"]);
    decoder.reset();
    assert_eq!(items(&mut decoder, &["\ndata: d\n\n"]), [event("d")], "that LF is a blank line of its own");
}

#[test]
fn a_last_event_id_can_be_put_in_force() {
    let mut decoder = Decoder::new();
    decoder.set_last_event_id(Some(EventId::new("k4f9zq71:5").unwrap()));
    items(&mut decoder, &["data: a\n\n"]);
    assert_eq!(decoder.last_event_id().map(|id| &**id), Some("k4f9zq71:5"));
    decoder.set_last_event_id(Some(EventId::new("").unwrap()));
    assert_eq!(decoder.last_event_id(), None);
}
