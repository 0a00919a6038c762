//! The encoder alone: `cargo bench -p oyez-bench-peers --bench encode`. That it allocates nothing is a test of
//! `oyez-proto`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use oyez_bench_peers::EVENT;
use oyez_proto::{Decoder, Event, Item};

criterion_group!(benches, encode);
criterion_main!(benches);

fn encode(criterion: &mut Criterion) {
    let Ok(Some(Item::Event(small))) = Decoder::new().next(&mut EVENT.as_bytes()) else { panic!("not one event") };
    let lines = Event::data("0123456789abcdef\n".repeat(4096)).retry(Duration::from_secs(3));
    for (name, event) in [("small", small), ("64KiB-line", Event::data("x".repeat(64 * 1024))), ("4096-lines", lines)] {
        let mut group = criterion.benchmark_group("encode");
        group.throughput(Throughput::Bytes(event.encoded_len() as u64));
        let mut out = Vec::with_capacity(event.encoded_len());
        group.bench_function(name, |bench| {
            bench.iter(|| {
                out.clear();
                black_box(&event).encode(&mut out);
                black_box(&mut out);
            });
        });
        group.finish();
    }
}
