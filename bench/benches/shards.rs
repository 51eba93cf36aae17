//! Measures what a second shard brings to one large conference, and what a hop between shards
//! costs: whole engines without sockets, on two threads that are joined by the shell's rings.
//!
//! `forward/shards_1` and `forward/shards_2` do the same work, so the ratio of their times is the
//! gain. The hop is told by differences: `sender` is the time per packet until a frame is taken in
//! where its sender is, alone and with another shard to pass it on to; `other` is what the other
//! shard takes for it. `stray` is a datagram that the kernel gave to the wrong shard.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench may fail as a test does, and reads the clock around each pass"
)]

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bridge_core::sim::Rig;
use bridge_core::srtp::SrtpProfile;
use bridge_core::{Crew, Spent};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const PROFILE: SrtpProfile = SrtpProfile::AeadAes128Gcm;

const RECEIVERS: usize = 200;

const BURST: usize = 8;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

fn nanos() -> u64 {
    u64::try_from(START.elapsed().as_nanos()).unwrap()
}

fn pass(crew: &mut Crew, stray: bool) -> Spent {
    crew.prepare(stray);
    let spent = crew.pass().unwrap();
    // What strayed reaches the receivers of the other shard with the next pass.
    assert!(stray || spent.sent >= RECEIVERS * BURST, "{spent:?}");
    spent
}

fn forward(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("forward");
    let packets = u64::try_from(RECEIVERS * BURST).unwrap();
    group.throughput(Throughput::Elements(packets));
    let mut rig = Rig::new(RECEIVERS, BURST, PROFILE).unwrap();
    group.bench_function("shards_1", |bencher| {
        bencher.iter_custom(|passes| {
            let mut spent = 0;
            for _ in 0..passes {
                rig.prepare();
                let begin = nanos();
                let sent = rig.pass();
                spent += nanos() - begin;
                assert!(sent >= RECEIVERS * BURST);
            }
            Duration::from_nanos(spent)
        });
    });
    drop(rig);
    let mut crew = Crew::new(RECEIVERS, BURST, PROFILE, nanos).unwrap();
    group.bench_function("shards_2", |bencher| {
        bencher.iter_custom(|passes| {
            let spent = (0..passes).map(|_| pass(&mut crew, false).all);
            Duration::from_nanos(spent.sum())
        });
    });
    group.finish();
}

fn hop(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hop");
    group.throughput(Throughput::Elements(u64::try_from(BURST).unwrap()));
    let mut rig = Rig::new(RECEIVERS, BURST, PROFILE).unwrap();
    group.bench_function("sender_alone", |bencher| {
        bencher.iter_custom(|passes| {
            let mut spent = 0;
            for _ in 0..passes {
                rig.prepare();
                let begin = nanos();
                rig.take_in();
                spent += nanos() - begin;
                rig.pass();
            }
            Duration::from_nanos(spent)
        });
    });
    drop(rig);
    let mut crew = Crew::new(RECEIVERS, BURST, PROFILE, nanos).unwrap();
    let mut measure = |name: &str, stray, read: fn(Spent) -> u64| {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|passes| {
                let spent = (0..passes).map(|_| read(pass(&mut crew, stray)));
                Duration::from_nanos(spent.sum())
            });
        });
    };
    measure("sender_to_another", false, |spent| spent.sender);
    measure("other", false, |spent| spent.other);
    measure("stray_wrong_shard", true, |spent| spent.other);
    measure("stray_right_shard", true, |spent| spent.sender);
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = forward, hop
}
criterion_main!(benches);
