//! Our time over that of `sse-stream`, round by round: `cargo bench -p oyez-bench-peers --bench decode_ratio`. The
//! rounds of the two alternate and are short, so the ratio holds on a machine whose speed does not.

use std::time::{Duration, Instant};

use bytes::Bytes;
use oyez_bench_peers::{chunks, events, long_lines, oyez, sse_stream};

fn main() {
    println!("best and ratio of {ROUNDS} rounds        oyez    sse-stream   best/best   q1, median, q3");
    let small = events(2_000);
    print("170 B, 64 KiB chunks", &chunks(&small, 64 * 1024));
    print("170 B, a chunk each", &chunks(&small, 170));
    print("170 B, 1460 B chunks", &chunks(&small, 1460));
    for (name, text) in [("ASCII", "0123456789abcdef"), ("Chinese", "号外号外今日新闻")] {
        for (size, line_bytes) in [("64 KiB", 64 * 1024), ("1 MiB", 1024 * 1024)] {
            let stream = long_lines(text, line_bytes, 2 * 1024 * 1024);
            print(&format!("{size} {name}, 64 KiB chunks"), &chunks(&stream, 64 * 1024));
        }
    }
}

fn print(name: &str, chunks: &[Bytes]) {
    let rounds: Vec<_> = (0..ROUNDS).map(|_| (time(oyez, chunks), time(sse_stream, chunks))).collect();
    let best = |decoder: fn(&(Duration, Duration)) -> Duration| rounds.iter().map(decoder).min().unwrap_or_default();
    let (ours, theirs) = (best(|round| round.0).as_secs_f64(), best(|round| round.1).as_secs_f64());
    let bytes: usize = chunks.iter().map(Bytes::len).sum();
    let rate = |seconds: f64| bytes as f64 / seconds / 1e9;
    let mut ratios: Vec<f64> = rounds.iter().map(|(ours, theirs)| ours.as_secs_f64() / theirs.as_secs_f64()).collect();
    ratios.sort_by(f64::total_cmp);
    let [q1, median, q3] = [1, 2, 3].map(|quarter| ratios[ratios.len() * quarter / 4]);
    let best = ours / theirs;
    println!("{name:28} {:6.2} GB/s {:8.2} GB/s {best:11.2}   {q1:.2}, {median:.2}, {q3:.2}", rate(ours), rate(theirs));
}

fn time(decoder: fn(&[Bytes]) -> usize, chunks: &[Bytes]) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
    let start = Instant::now();
    std::hint::black_box(decoder(chunks));
    start.elapsed()
}

const ROUNDS: usize = 1001;
