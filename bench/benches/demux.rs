//! Measures the first look at a datagram: its kind by its first bytes, its endpoint by its path.

use bridge_core::DemuxBench;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn demux(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("demux");
    for endpoints in [10, 1_000, 10_000] {
        let mut bench = DemuxBench::new(endpoints);
        group.throughput(Throughput::Elements(bench.pass()));
        group.bench_function(format!("endpoints_{endpoints}"), |bencher| {
            bencher.iter(|| bench.pass());
        });
    }
    group.finish();
}

criterion_group!(benches, demux);
criterion_main!(benches);
