//! Decoders side by side: `cargo bench -p oyez-bench-peers --bench decode`.

use std::convert::Infallible;
use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use eventsource_stream::Eventsource;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use oyez_bench_peers::{events, long_lines};
use oyez_proto::{Decoder, Item};
use sse_stream::SseByteStream;

criterion_group!(benches, small_events, long_data);
criterion_main!(benches);

/// 170-byte events, as the reads of a busy socket cut them, as a quiet one delivers them, and in TCP segments.
fn small_events(criterion: &mut Criterion) {
    let stream = Bytes::from(events(EVENTS));
    for (name, chunk_bytes) in
        [("64KiB-chunks", 64 * 1024), ("event-chunks", stream.len() / EVENTS), ("1460B-chunks", 1460)]
    {
        let mut group = criterion.benchmark_group(format!("small/{name}"));
        group.throughput(Throughput::Elements(EVENTS as u64));
        compare(&mut group, &chunks(&stream, chunk_bytes), EVENTS);
        group.finish();
    }
}

/// Data lines of 64 KiB and 1 MiB, in chunks of 64 KiB.
fn long_data(criterion: &mut Criterion) {
    for (name, text) in [("ascii", "0123456789abcdef"), ("chinese", "号外号外今日新闻")] {
        for line_bytes in [64 * 1024, 1024 * 1024] {
            let stream = Bytes::from(long_lines(text, line_bytes, LONG_BYTES));
            let mut group = criterion.benchmark_group(format!("long/{name}-{}KiB", line_bytes / 1024));
            group.throughput(Throughput::Bytes(stream.len() as u64)).sample_size(20);
            compare(&mut group, &chunks(&stream, 64 * 1024), LONG_BYTES / line_bytes);
            group.finish();
        }
    }
}

type Group<'a> = criterion::BenchmarkGroup<'a, criterion::measurement::WallTime>;

fn compare(group: &mut Group<'_>, chunks: &[Bytes], events: usize) {
    group.bench_with_input(BenchmarkId::from_parameter("oyez"), chunks, |bench, chunks| {
        bench.iter(|| assert_eq!(oyez(chunks), events));
    });
    group.bench_with_input(BenchmarkId::from_parameter("sse-stream"), chunks, |bench, chunks| {
        bench.iter(|| assert_eq!(count(SseByteStream::new(source(chunks))), events));
    });
    // its time grows with the square of a line that several chunks share
    if chunks.len() > 1 && events >= EVENTS {
        group.bench_with_input(BenchmarkId::from_parameter("eventsource-stream"), chunks, |bench, chunks| {
            bench.iter(|| assert_eq!(count(source(chunks).eventsource()), events));
        });
    }
}

fn oyez(chunks: &[Bytes]) -> usize {
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

fn chunks(stream: &Bytes, chunk_bytes: usize) -> Vec<Bytes> {
    (0..stream.len()).step_by(chunk_bytes).map(|at| stream.slice(at..stream.len().min(at + chunk_bytes))).collect()
}

const EVENTS: usize = 10_000;
const LONG_BYTES: usize = 16 * 1024 * 1024;
