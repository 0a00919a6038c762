//! Instructions per 1,000 events and per MiB, exact on a shared machine. Needs valgrind and `cargo install
//! gungraun-runner --version 0.20.0`: `cargo bench -p oyez-bench-peers --bench decode_instructions`.
#![allow(missing_docs, reason = "the macros of gungraun make public items without any")]

use std::hint::black_box;

use bytes::Bytes;
use gungraun::{library_benchmark, library_benchmark_group, main};
use oyez_bench_peers::{chunks, events, long_lines, oyez, sse_stream};

fn small(chunk_bytes: usize) -> Vec<Bytes> {
    chunks(&events(1_000), chunk_bytes)
}

fn long(line_bytes: usize) -> Vec<Bytes> {
    chunks(&long_lines("0123456789abcdef", line_bytes, 1024 * 1024), 64 * 1024)
}

#[library_benchmark]
#[bench::small_in_64kib_chunks(small(64 * 1024))]
#[bench::small_in_a_chunk_each(small(170))]
#[bench::small_in_1460b_chunks(small(1460))]
#[bench::long_64kib(long(64 * 1024))]
#[bench::long_1mib(long(1024 * 1024))]
fn ours(chunks: Vec<Bytes>) -> usize {
    black_box(oyez(black_box(&chunks)))
}

#[library_benchmark]
#[bench::small_in_64kib_chunks(small(64 * 1024))]
#[bench::small_in_a_chunk_each(small(170))]
#[bench::small_in_1460b_chunks(small(1460))]
#[bench::long_64kib(long(64 * 1024))]
#[bench::long_1mib(long(1024 * 1024))]
fn peer(chunks: Vec<Bytes>) -> usize {
    black_box(sse_stream(black_box(&chunks)))
}

library_benchmark_group!(name = decode, benchmarks = [ours, peer]);
main!(library_benchmark_groups = decode);
