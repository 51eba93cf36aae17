//! Measures a receiver's decision on what it gets of many cameras.

use bridge_core::AllocateBench;
use criterion::{Criterion, criterion_group, criterion_main};

fn allocate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("allocate");
    for sources in [10, 50, 500] {
        let mut bench = AllocateBench::new(sources);
        group.bench_function(format!("sources_{sources}"), |bencher| {
            bencher.iter(|| bench.decide(u64::from(sources) * 400_000));
        });
    }
    group.finish();
}

criterion_group!(benches, allocate);
criterion_main!(benches);
