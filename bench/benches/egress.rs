//! Measures what one receiver costs: a frame of eight packets through all stages into the send
//! arena, sealed. Fifty receivers share what the packets cost on their way in.

#![expect(clippy::unwrap_used, reason = "a bench may fail as a test does")]

use bridge_core::EgressBench;
use bridge_core::srtp::SrtpProfile;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn egress(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("egress");
    for (name, profile) in [
        ("gcm128", SrtpProfile::AeadAes128Gcm),
        ("gcm256", SrtpProfile::AeadAes256Gcm),
        ("cm80", SrtpProfile::Aes128CmSha1_80),
    ] {
        let mut bench = EgressBench::new(50, profile).unwrap();
        group.throughput(Throughput::Elements(bench.pass()));
        group.bench_function(format!("video_vp8/receivers_50/{name}"), |bencher| {
            bencher.iter(|| bench.pass());
        });
    }
    group.finish();
}

criterion_group!(benches, egress);
criterion_main!(benches);
