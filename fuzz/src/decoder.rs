//! The decoder against the standard read aloud.

use bolero::check;
use oyez_proto::{Decoder, ErrorKind};

use crate::oracle;
use crate::parts::PARTS;

/// The first byte says how to cut the rest.
#[test]
fn any_chunking() {
    check!().for_each(|input: &[u8]| {
        let Some((seed, stream)) = input.split_first() else { return };
        let found = oracle::decode(&mut Decoder::new().comments(true), chunks(stream, *seed));
        assert_eq!(found, oracle::read(stream));
    });
}

/// As [`any_chunking`], but the bytes stand for parts of event streams, so that most of them are fields.
#[test]
fn any_chunking_of_fields() {
    check!().for_each(|input: &[u8]| {
        let Some((seed, parts)) = input.split_first() else { return };
        let stream: Vec<u8> = parts.iter().flat_map(|part| PARTS[usize::from(*part) % PARTS.len()]).copied().collect();
        let found = oracle::decode(&mut Decoder::new().comments(true), chunks(&stream, *seed));
        assert_eq!(found, oracle::read(&stream));
    });
}

/// A stream is refused at the same item however it is cut.
#[test]
fn any_bound() {
    check!().for_each(|input: &[u8]| {
        let [bound, seed, parts @ ..] = input else { return };
        let stream: Vec<u8> = parts.iter().flat_map(|part| PARTS[usize::from(*part) % PARTS.len()]).copied().collect();
        let decoder = || Decoder::new().event_bytes_max((*bound).into()).comments(seed & 1 == 1);
        let whole = items_until_error(decoder(), [&stream[..]]);
        assert_eq!(items_until_error(decoder(), chunks(&stream, *seed)), whole);
        assert_eq!(items_until_error(decoder(), stream.chunks(1)), whole);
    });
}

fn items_until_error<'a>(mut decoder: Decoder, chunks: impl IntoIterator<Item = &'a [u8]>) -> (usize, bool) {
    let mut items = 0;
    for mut chunk in chunks {
        loop {
            match decoder.next(&mut chunk) {
                Ok(None) => break,
                Ok(Some(_)) => items += 1,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::TooLarge);
                    return (items, true);
                }
            }
        }
    }
    (items, false)
}

/// Chunks of varying length: their bounds come from the bytes themselves, so that every cut is within reach.
fn chunks(stream: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let mut state = u32::from(seed) + 1;
    stream.split_inclusive(move |byte| {
        state = state.wrapping_mul(747_796_405).wrapping_add(u32::from(*byte) + 2_891_336_453);
        state >> 24 <= u32::from(seed)
    })
}
