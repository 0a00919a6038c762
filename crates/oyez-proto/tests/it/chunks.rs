//! Every chunking of the bytes gives the items that the standard finds in the whole.

use oyez_proto::Decoder;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::oracle;
use crate::parts::PARTS;

fn stream(parts: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    vec(select(PARTS), parts).prop_map(|parts| parts.concat())
}

fn check<'a>(stream: &[u8], chunks: impl IntoIterator<Item = &'a [u8]>, expected: &(Vec<oracle::Seen>, String)) {
    let found = oracle::decode(&mut Decoder::new().comments(true), chunks);
    assert_eq!(&found, expected, "in {:?}", String::from_utf8_lossy(stream));
}

/// Cuts `stream` after each byte whose bit is set.
fn cut(stream: &[u8], cuts: u64) -> impl Iterator<Item = &[u8]> {
    let mut at = 0;
    stream.split_inclusive(move |_| {
        at += 1;
        cuts >> (at - 1) & 1 == 1
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 150 }))]

    #[test]
    fn every_chunking_of_a_short_stream(mut stream in stream(0..7)) {
        stream.truncate(12);
        let expected = oracle::read(&stream);
        for cuts in 0..1 << stream.len().saturating_sub(1) {
            check(&stream, cut(&stream, cuts), &expected);
        }
    }

    #[test]
    fn every_three_chunks_and_single_bytes(mut stream in stream(0..40)) {
        stream.truncate(64);
        let expected = oracle::read(&stream);
        check(&stream, stream.chunks(1), &expected);
        for first in 0..stream.len() {
            for second in first..stream.len() {
                check(&stream, cut(&stream, 1 << first | 1 << second), &expected);
            }
        }
    }

    #[test]
    fn any_chunking_of_a_long_stream(stream in stream(0..2000), cuts in vec(any::<Index>(), 0..200)) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable(); // equal cuts make empty chunks, which must not matter either
        let chunks = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
        check(&stream, chunks, &oracle::read(&stream));
    }
}

#[test]
fn every_chunking_of_what_once_went_wrong_elsewhere() {
    for stream in [
        &b"data\xe2\x82:\n\n"[..],
        b"data:\xe2\x82\n\n",
        b"id:\xf0\x9f\x98\n\n",
        b"\xef\xbbdata:a\n\n",
        b"data:\xef\xbb\xbf\n\n",
        b"dat\ndata\n\n",
        b"da:\ndata:\r\r\n",
        b"data:  a\r\n\r\n",
        b"id:1\nid:\0\n\n",
        b"retry:1\r\rretry",
    ] {
        let expected = oracle::read(stream);
        for cuts in 0..1 << stream.len() {
            check(stream, cut(stream, cuts), &expected);
        }
    }
}

#[test]
fn a_long_line_in_single_bytes_is_linear() {
    // completes at once when linear; work per byte that grew with the line would take hours
    let mut stream = b"data:".to_vec();
    stream.resize(8 * 1024 * 1024, b'x');
    stream.extend(b"\n\n");
    let (seen, _) = oracle::decode(&mut Decoder::new(), stream.chunks(1));
    let (oracle::Found::Event { data, .. }, _) = &seen[0] else { panic!("not an event: {:?}", seen.len()) };
    assert_eq!(data.len(), 8 * 1024 * 1024 - 5);
}
