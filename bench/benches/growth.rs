//! Measures how the cost of a forwarded packet grows with receivers, rooms and members, and that of
//! a change with the size of the conference: the whole engine without sockets, frames of 4 packets,
//! AES-128-GCM.
//!
//! One iteration is a frame of every sender in turn. Throughput counts forwarded packets, so its
//! inverse is the cost of one; `bench/growth` measures the same of a whole server. What a packet
//! costs on its way in is shared by those that get it, so loads are to be compared with others of
//! the same fan-out: `rooms_*` with each other, `everybody_50_last_10` with `share_10`.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench may fail as a test does, and reads the clock around each pass"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bridge_core::Time;
use bridge_core::sim::{Crowd, Layout, Rig};
use bridge_core::srtp::{GcmTimes, SrtpProfile};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const BURST: usize = 4;

const LAYOUTS: [(&str, Layout); 9] = [
    ("share_10", Layout::share(10, BURST)),
    ("share_50", Layout::share(50, BURST)),
    ("share_200", Layout::share(200, BURST)),
    ("share_500", Layout::share(500, BURST)),
    ("rooms_1_of_10", Layout::rooms(1, 9, BURST)),
    ("rooms_10_of_10", Layout::rooms(10, 9, BURST)),
    ("rooms_100_of_10", Layout::rooms(100, 9, BURST)),
    ("everybody_23", Layout::everybody(23, -1, BURST)),
    ("everybody_50_last_10", Layout::everybody(50, 10, BURST)),
];

fn growth(criterion: &mut Criterion) {
    let start = Instant::now();
    let gcm = GcmTimes::measure(|| Time::ZERO + start.elapsed()).fastest();
    let mut group = criterion.benchmark_group("growth");
    for (name, layout) in LAYOUTS {
        let mut rig = Rig::of(&layout, gcm, SrtpProfile::AeadAes128Gcm).unwrap();
        let packets = round(&mut rig).1;
        group.throughput(Throughput::Elements(u64::try_from(packets).unwrap()));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| {
                let spent = (0..rounds).map(|_| {
                    let (spent, sent) = black_box(round(&mut rig));
                    assert!(sent * 10 >= packets * 9, "{sent} of {packets}");
                    spent
                });
                spent.sum()
            });
        });
    }
    group.finish();
}

/// A frame of every sender; gives how long the engine took and how many datagrams it put out.
fn round(rig: &mut Rig) -> (Duration, usize) {
    let (mut spent, mut sent) = (Duration::ZERO, 0);
    for _ in 0..rig.senders() {
        rig.prepare();
        let begin = Instant::now();
        sent += rig.pass();
        spent += begin.elapsed();
    }
    (spent, sent)
}

/// Something changes in a large conference: what each of those that join one after another costs.
fn change(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("change");
    for (shards, members) in [(1, 100), (1, 500), (2, 500)] {
        let mut crowd = Crowd::new(shards, members, 20).unwrap();
        let name = format!("members_{members}/shards_{shards}");
        group.bench_function(name, |bencher| {
            bencher.iter(|| assert!(crowd.change() > 0));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = growth, change
}
criterion_main!(benches);
