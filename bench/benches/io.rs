//! Measures the ways into and out of the kernel over loopback: what a call carries decides.
//!
//! `io/send/WAY/receivers_R/burst_B` sends a frame of B packets to each of R sockets that drop it;
//! `uneven` frames have packets that differ by a byte, as libwebrtc makes them. `io/receive/JOIN`
//! takes frames of B packets of each of S senders, with and without `UDP_GRO`; `singles` are sent
//! so that nothing can be joined. Packets have 1,200 bytes. Throughput counts packets.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench may fail as a test does, and reads the clock around each pass"
)]

use std::time::{Duration, Instant};

use bridge_core::{ReceiveBench, SendBench, SendWay};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const WAYS: [(&str, SendWay); 4] = [
    ("gso", SendWay::Gso),
    ("connected", SendWay::Connected),
    ("sendmmsg", SendWay::Sendmmsg),
    ("sendto", SendWay::Sendto),
];

const SIZE: usize = 1_200;

fn send(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("io/send");
    for (name, way) in WAYS {
        for (receivers, burst) in [(10, 4), (50, 1), (50, 4), (50, 8)] {
            let mut bench = SendBench::new(way, receivers).unwrap();
            group.throughput(Throughput::Elements(
                u64::try_from(receivers * burst).unwrap(),
            ));
            let name = format!("{name}/receivers_{receivers}/burst_{burst}");
            let sizes = vec![SIZE; burst];
            group.bench_function(name, |bencher| {
                bencher.iter(|| bench.pass(&sizes).unwrap());
            });
        }
    }
    let mut bench = SendBench::new(SendWay::Gso, 50).unwrap();
    let sizes = [SIZE - 1, SIZE - 1, SIZE, SIZE];
    group.throughput(Throughput::Elements(200));
    group.bench_function("gso/receivers_50/burst_4/uneven", |bencher| {
        bencher.iter(|| bench.pass(&sizes).unwrap());
    });
    group.finish();
}

fn receive(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("io/receive");
    for (name, joins) in [("gro", true), ("plain", false)] {
        for (kind, runs) in [("runs", true), ("singles", false)] {
            for (senders, burst) in [(1, 1), (1, 8), (10, 4)] {
                let mut bench = ReceiveBench::new(joins, senders, runs).unwrap();
                let datagrams = senders * burst;
                group.throughput(Throughput::Elements(u64::try_from(datagrams).unwrap()));
                let name = format!("{name}/senders_{senders}/burst_{burst}/{kind}");
                group.bench_function(name, |bencher| {
                    bencher.iter_custom(|passes| {
                        let mut spent = Duration::ZERO;
                        for _ in 0..passes {
                            bench.prepare(burst, SIZE).unwrap();
                            let begin = Instant::now();
                            let came = bench.pass();
                            spent += begin.elapsed();
                            assert_eq!(came, datagrams);
                            bench.clear();
                        }
                        spent
                    });
                });
            }
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = send, receive
}
criterion_main!(benches);
