//! Measures what one sender costs on its way in: 20 ms of sound and three encodings of a picture
//! through all stages, with the feedback that falls due, and the copy out of a receive buffer.

#![expect(clippy::unwrap_used, reason = "a bench may fail as a test does")]

use bridge_core::IngestBench;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn ingest(criterion: &mut Criterion) {
    let mut bench = IngestBench::new().unwrap();
    for _ in 0..100 {
        bench.pass();
    }
    let mut group = criterion.benchmark_group("ingest");
    group.throughput(Throughput::Elements(bench.pass()));
    group.bench_function("20_ms_of_one_sender", |bencher| {
        bencher.iter(|| bench.pass());
    });
    group.finish();
}

criterion_group!(benches, ingest);
criterion_main!(benches);
