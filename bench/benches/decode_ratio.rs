//! Our time over that of `sse-stream`, round by round: `cargo bench -p oyez-bench-peers --bench decode_ratio`. The
//! rounds of the two alternate, so the ratio holds on a machine whose speed does not.

use std::time::{Duration, Instant};

use bytes::Bytes;
use oyez_bench_peers::{chunks, events, long_lines, oyez, sse_stream};

fn main() {
    println!("{:24} {:>12} {:>12}   ratio: q1, median, q3 of {ROUNDS} rounds", "stream", "oyez", "sse-stream");
    let small = events(10_000);
    print("170 B, 64 KiB chunks", &chunks(&small, 64 * 1024));
    print("170 B, a chunk each", &chunks(&small, 170));
    print("170 B, 1460 B chunks", &chunks(&small, 1460));
    for (name, text) in [("ASCII", "0123456789abcdef"), ("Chinese", "号外号外今日新闻")] {
        for (size, line_bytes) in [("64 KiB", 64 * 1024), ("1 MiB", 1024 * 1024)] {
            let stream = long_lines(text, line_bytes, 4 * 1024 * 1024);
            print(&format!("{size} {name}, 64 KiB"), &chunks(&stream, 64 * 1024));
        }
    }
}

fn print(name: &str, chunks: &[Bytes]) {
    let rounds: Vec<_> = (0..ROUNDS).map(|_| (time(oyez, chunks), time(sse_stream, chunks))).collect();
    let ours = quartiles(rounds.iter().map(|(ours, _)| ours.as_secs_f64()));
    let theirs = quartiles(rounds.iter().map(|(_, theirs)| theirs.as_secs_f64()));
    let ratio = quartiles(rounds.iter().map(|(ours, theirs)| ours.as_secs_f64() / theirs.as_secs_f64()));
    let bytes: usize = chunks.iter().map(Bytes::len).sum();
    let rate = |seconds: f64| format!("{:.2} GB/s", bytes as f64 / seconds / 1e9);
    let [q1, median, q3] = ratio;
    println!("{name:24} {:>12} {:>12}   {q1:.2}, {median:.2}, {q3:.2}", rate(ours[1]), rate(theirs[1]));
}

fn time(decoder: fn(&[Bytes]) -> usize, chunks: &[Bytes]) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
    let start = Instant::now();
    std::hint::black_box(decoder(chunks));
    start.elapsed()
}

fn quartiles(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[values.len() * quarter / 4])
}

const ROUNDS: usize = 301;
