//! Decoders side by side, absolute times: `cargo bench -p oyez-bench-peers --bench decode`.

use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use oyez_bench_peers::{chunks, events, eventsource_stream, long_lines, oyez, sse_stream};

criterion_group!(benches, small_events, long_data);
criterion_main!(benches);

/// 170-byte events as the reads of a busy socket cut them, as a quiet one delivers them, and in TCP segments.
fn small_events(criterion: &mut Criterion) {
    let stream = events(EVENTS);
    for (name, chunk_bytes) in [("64KiB-chunks", 64 * 1024), ("event-chunks", 170), ("1460B-chunks", 1460)] {
        let mut group = criterion.benchmark_group(format!("small/{name}"));
        group.throughput(Throughput::Elements(EVENTS as u64));
        let chunks = chunks(&stream, chunk_bytes);
        bench(&mut group, "oyez", oyez, &chunks);
        bench(&mut group, "sse-stream", sse_stream, &chunks);
        bench(&mut group, "eventsource-stream", eventsource_stream, &chunks);
        group.finish();
    }
}

/// Data lines of 64 KiB and 1 MiB, in chunks of 64 KiB.
fn long_data(criterion: &mut Criterion) {
    for (name, text) in [("ascii", "0123456789abcdef"), ("chinese", "号外号外今日新闻")] {
        for line_bytes in [64 * 1024, 1024 * 1024] {
            let stream = long_lines(text, line_bytes, LONG_BYTES);
            let mut group = criterion.benchmark_group(format!("long/{name}-{}KiB", line_bytes / 1024));
            group.throughput(Throughput::Bytes(stream.len() as u64)).sample_size(20);
            let chunks = chunks(&stream, 64 * 1024);
            bench(&mut group, "oyez", oyez, &chunks);
            bench(&mut group, "sse-stream", sse_stream, &chunks);
            group.finish();
        }
    }
}

fn bench(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, decoder: fn(&[Bytes]) -> usize, chunks: &[Bytes]) {
    group.bench_function(name, |bencher| bencher.iter(|| decoder(chunks)));
}

const EVENTS: usize = 10_000;
const LONG_BYTES: usize = 16 * 1024 * 1024;
