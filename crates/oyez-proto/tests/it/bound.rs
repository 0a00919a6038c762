//! What is held back is bounded, and where the bytes are cut does not change the verdict.

use oyez_proto::{Decoder, ErrorKind, Event, Item};

/// Feeds `stream` in one chunk, in single bytes and in every two chunks; gives the number of items before the error,
/// or all of them.
#[track_caller]
fn check(decoder: impl Fn() -> Decoder, stream: &[u8], expected: Result<usize, usize>) {
    let cut = |at: usize| vec![&stream[..at], &stream[at..]];
    for chunks in (0..=stream.len()).map(cut).chain([stream.chunks(1).collect()]) {
        assert_eq!(count(decoder(), &chunks), expected, "{:?}", String::from_utf8_lossy(stream));
    }
}

fn count(mut decoder: Decoder, chunks: &[&[u8]]) -> Result<usize, usize> {
    let mut items = 0;
    for mut chunk in chunks.iter().copied() {
        loop {
            match decoder.next(&mut chunk) {
                Ok(Some(_)) => items += 1,
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::TooLarge);
                    assert!(chunk.is_empty());
                    return Err(items);
                }
            }
        }
    }
    Ok(items)
}

fn ten() -> Decoder {
    Decoder::new().event_bytes_max(10)
}

#[test]
fn data_counts_with_one_line_end_per_line() {
    check(ten, b"data: 123456789\n\n", Ok(1));
    check(ten, b"data: 1234567890\n\n", Err(0));
    check(ten, b"data: 1234567890", Ok(0));
    check(ten, b"data: 12345678901", Err(0));
    check(ten, b"data: 1234\ndata: 1234\n\n", Ok(1));
    check(ten, b"data: 1234\ndata: 12345\n\n", Err(0));
    check(ten, b"data\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\n\n", Ok(1));
    check(ten, b"data\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\n\n", Err(0));
}

#[test]
fn type_id_and_the_value_being_read_count() {
    check(ten, b"event: 123\nid: 123\ndata: 123\n\n", Ok(1));
    check(ten, b"event: 123\nid: 123\ndata: 1234\n\n", Err(0));
    check(ten, b"event: 12345\nevent: 12345\nevent: 12345\ndata: 1234\n\n", Ok(1));
    check(ten, b"event: 12345\nevent: 123456\n", Err(0));
    check(ten, b"id: 12345\nid: 12345\0", Err(0));
    check(ten, b"retry: 01234567890\n", Err(0));
}

#[test]
fn replacement_characters_count_as_they_are_held() {
    check(ten, b"data: \xff\xff\xff\n\n", Ok(1));
    check(ten, b"data: \xff\xff\xff.\n\n", Err(0));
    check(ten, b"data: \xff\xff\xe2\n\n", Ok(1));
    check(ten, b"data: \xff\xff.\xe2\n\n", Err(0));
    check(ten, b"data: \xff\xff..\xe2\x82\n\n", Err(0));
    check(ten, b"id: \xe2\x82\xe2\x82\xe2\x82.\n\n", Ok(0));
    check(ten, b"id: \xe2\x82\xe2\x82\xe2\x82..\n\n", Err(0));
    check(ten, b"id: \xff\xff\xff\xe2\n\n", Err(0));
}

#[test]
fn each_block_has_the_whole_bound() {
    check(ten, b"data: 123456789\n\ndata: 123456789\n\nid: 1234567890\n\ndata: 1234567890\n\n", Err(2));
}

#[test]
fn ignored_lines_need_no_memory() {
    check(ten, b": a comment that nobody wants\nunknown: a long field\ndata: 1\na name without a colon\n\n", Ok(1));
    check(|| ten().comments(true), b": 1234567890\n: 12345678901\n", Err(1));
}

#[test]
fn after_the_error_nothing_comes_until_a_reset() {
    let mut decoder = ten();
    let mut chunk = &b"id: 1\n\ndata: 01234567890\n\ndata: a\n\n"[..];
    assert!(decoder.next(&mut chunk).is_err());
    assert!(decoder.next(&mut &b"\n\ndata: b\n\n"[..]).is_err());
    decoder.reset();
    assert_eq!(decoder.last_event_id().map(|id| &**id), Some("1"));
    assert_eq!(decoder.next(&mut &b"data: c\n\n"[..]), Ok(Some(Item::Event(Event::data("c")))));
}

#[test]
fn the_default_bound_is_16_mib() {
    let data = |len: usize| [&b"data:"[..], &vec![b'x'; len], b"\n\n"].concat();
    let mib = 1024 * 1024;
    assert_eq!(count(Decoder::new(), &[&data(16 * mib - 1)]), Ok(1));
    assert_eq!(count(Decoder::new(), &[&data(16 * mib)]), Err(0));
}
