//! Measures the whole engine without sockets: one sender's frame comes in protected, goes through
//! every stage, and leaves protected for each receiver.
//!
//! AES-GCM is by the library that a measurement at the start finds faster, as in the product.
//!
//! A name says the protection, the number of receivers and the packets of a frame; packets have
//! 1,100 bytes of payload. Throughput counts forwarded packets, so its inverse is the cost of one.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench may fail as a test does, and reads the clock around each pass"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bridge_core::Time;
use bridge_core::sim::Rig;
use bridge_core::srtp::{GcmTimes, SrtpProfile};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const PROFILES: [(&str, SrtpProfile); 3] = [
    ("cm80", SrtpProfile::Aes128CmSha1_80),
    ("gcm128", SrtpProfile::AeadAes128Gcm),
    ("gcm256", SrtpProfile::AeadAes256Gcm),
];

const SHAPES: [(usize, usize); 5] = [(1, 1), (10, 4), (50, 1), (50, 4), (200, 8)];

fn forward(criterion: &mut Criterion) {
    let start = Instant::now();
    let gcm = GcmTimes::measure(|| Time::ZERO + start.elapsed()).fastest();
    let mut group = criterion.benchmark_group("forward");
    for (name, profile) in PROFILES {
        for (receivers, burst) in SHAPES {
            let mut rig = Rig::with_gcm(gcm, receivers, burst, profile).unwrap();
            let packets = u64::try_from(receivers * burst).unwrap();
            group.throughput(Throughput::Elements(packets));
            group.bench_function(
                format!("{name}/receivers_{receivers}/burst_{burst}"),
                |bencher| {
                    bencher.iter_custom(|passes| {
                        let mut spent = Duration::ZERO;
                        for _ in 0..passes {
                            rig.prepare();
                            let begin = Instant::now();
                            let sent = black_box(rig.pass());
                            spent += begin.elapsed();
                            assert!(sent >= receivers * burst, "{sent} of {}", receivers * burst);
                        }
                        spent
                    });
                },
            );
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = forward
}
criterion_main!(benches);
