//! Streams that the benchmarks read and the decoders that read them: the same bytes in the same chunks, one function
//! per decoder, each giving the number of events.

use std::convert::Infallible;
use std::hint::black_box;

use bytes::Bytes;
use eventsource_stream::Eventsource;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use oyez_proto::{Decoder, Item};
use sse_stream::SseByteStream;

/// One event of 170 bytes as a hub sends it: type, id and 128 bytes of JSON.
pub const EVENT: &str = concat!(
    "event: trade\nid: k4f9zq71:1048576\ndata: ",
    r#"{"symbol":"ACME","price":101.25,"size":30,"side":"buy","venue":"XNAS","time":"2026-11-05T14:30:00.123456Z","seq":1048576,"ok":1}"#,
    "\n\n"
);

/// The same event over and over, `count` times.
#[must_use]
pub fn events(count: usize) -> Bytes {
    EVENT.repeat(count).into()
}

/// Events whose only line holds `line_bytes` of `text`, together about `total_bytes`.
#[must_use]
pub fn long_lines(text: &str, line_bytes: usize, total_bytes: usize) -> Bytes {
    let line = text.repeat(line_bytes / text.len());
    format!("data: {line}\n\n").repeat(total_bytes.div_ceil(line_bytes)).into()
}

/// `stream` in chunks of `chunk_bytes`; the last one may be shorter.
#[must_use]
pub fn chunks(stream: &Bytes, chunk_bytes: usize) -> Vec<Bytes> {
    (0..stream.len()).step_by(chunk_bytes).map(|at| stream.slice(at..stream.len().min(at + chunk_bytes))).collect()
}

/// Reads with ours.
///
/// # Panics
/// When an event is beyond the default bound.
#[must_use]
pub fn oyez(chunks: &[Bytes]) -> usize {
    let mut decoder = Decoder::new();
    let mut events = 0;
    for chunk in chunks {
        let mut bytes = &chunk[..];
        while let Some(item) = decoder.next(&mut bytes).expect("within the bound") {
            events += usize::from(matches!(black_box(item), Item::Event(_)));
        }
    }
    events
}

/// Reads with `sse-stream`.
#[must_use]
pub fn sse_stream(chunks: &[Bytes]) -> usize {
    count(SseByteStream::new(source(chunks)))
}

/// Reads with `eventsource-stream`. Its time grows with the square of a line that many chunks share.
#[must_use]
pub fn eventsource_stream(chunks: &[Bytes]) -> usize {
    count(source(chunks).eventsource())
}

fn source(chunks: &[Bytes]) -> impl Stream<Item = Result<Bytes, Infallible>> + Unpin + '_ {
    stream::iter(chunks.iter().cloned().map(Ok))
}

fn count<T, E>(stream: impl Stream<Item = Result<T, E>>) -> usize {
    let events = stream.fold(0, |events, item| {
        let _ = black_box(item);
        std::future::ready(events + 1)
    });
    events.now_or_never().expect("the source is always ready")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_decoder_finds_every_event() {
        assert_eq!(EVENT.len(), 170);
        for chunk_bytes in [100, 170, 1460] {
            let chunks = chunks(&events(50), chunk_bytes);
            assert_eq!([oyez(&chunks), sse_stream(&chunks), eventsource_stream(&chunks)], [50; 3]);
        }
    }
}
