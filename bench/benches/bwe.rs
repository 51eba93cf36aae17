//! Measures what bounds the rate to a receiver: noting what is sent, and judging its feedback. The
//! bound by loss stands there today; the estimator takes its place, here too.

#![expect(clippy::unwrap_used, reason = "a bench may fail as a test does")]

use bridge_core::BoundBench;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn bwe(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("bwe");
    let mut bench = BoundBench::new().unwrap();
    group.throughput(Throughput::Elements(bench.pass()));
    group.bench_function("bound_by_loss/feedback_on_100_packets", |bencher| {
        bencher.iter(|| bench.pass());
    });
    group.finish();
}

criterion_group!(benches, bwe);
criterion_main!(benches);
