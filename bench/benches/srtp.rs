//! Measures protecting and unprotecting a packet of 1,200 bytes, ours beside `webrtc-srtp`.
//!
//! Protecting includes the copy of the plaintext into the segment, since the forwarding path writes
//! each packet once per receiver. `lockstep` seals packets of two or three receivers at once; its
//! figures are for all of them, so divide.

#![expect(clippy::unwrap_used, reason = "a bench may fail as a test does")]

use std::hint::black_box;

use bridge_core::packet::Packet;
use bridge_core::rtp::RtpHeader;
use bridge_core::rtp::packet::set_sequence;
use bridge_core::srtp::{InboundContext, OutboundContext, Sealing, SrtpProfile, seal_rtp_many};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

const PROFILES: [(&str, SrtpProfile, ProtectionProfile); 3] = [
    (
        "cm_sha1_80",
        SrtpProfile::Aes128CmSha1_80,
        ProtectionProfile::Aes128CmHmacSha1_80,
    ),
    (
        "gcm_128",
        SrtpProfile::AeadAes128Gcm,
        ProtectionProfile::AeadAes128Gcm,
    ),
    (
        "gcm_256",
        SrtpProfile::AeadAes256Gcm,
        ProtectionProfile::AeadAes256Gcm,
    ),
];

const LENGTH: usize = 1_200;

const HEADER_LENGTH: usize = 20;

/// An RTP packet with a one-word extension.
fn plain(sequence: u16) -> Vec<u8> {
    let mut packet = b"\x90\x60\0\0\0\0\x10\0\0\0\0\x02\xbe\xde\0\x01\x10\xaa\0\0".to_vec();
    packet.resize(LENGTH, 0x5a);
    set_sequence(&mut packet, sequence);
    packet
}

fn keys(profile: SrtpProfile) -> (Vec<u8>, Vec<u8>) {
    (
        vec![7; profile.key_length()],
        vec![9; profile.salt_length()],
    )
}

fn outbound(profile: SrtpProfile) -> OutboundContext {
    let (key, salt) = keys(profile);
    OutboundContext::new(profile, &key, &salt).unwrap()
}

fn theirs(ours: SrtpProfile, theirs: ProtectionProfile) -> Context {
    let (key, salt) = keys(ours);
    Context::new(&key, &salt, theirs, None, None).unwrap()
}

fn protect(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("protect");
    group.throughput(Throughput::Elements(1));
    for (name, profile, their_profile) in PROFILES {
        let context = outbound(profile);
        let mut plain = plain(0);
        let mut segment = vec![0; LENGTH + profile.rtp_overhead()];
        let mut index = 0_u64;
        group.bench_function(format!("ours/{name}"), |bencher| {
            bencher.iter(|| {
                index += 1;
                copy(&plain, &mut segment, index);
                context
                    .seal_rtp(index, black_box(&mut segment), HEADER_LENGTH)
                    .unwrap();
            });
        });
        let mut context = theirs(profile, their_profile);
        let mut sequence = 0_u16;
        group.bench_function(format!("webrtc-srtp/{name}"), |bencher| {
            bencher.iter(|| {
                sequence = sequence.wrapping_add(1);
                set_sequence(&mut plain, sequence);
                context.encrypt_rtp(black_box(&plain)).unwrap()
            });
        });
    }
    group.finish();
}

fn copy(plain: &[u8], segment: &mut [u8], index: u64) {
    if let Some(room) = segment.get_mut(..plain.len()) {
        room.copy_from_slice(plain);
    }
    set_sequence(segment, bridge_core::rtp::sequence::wire(index));
}

fn lockstep<const K: usize>(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lockstep");
    group.throughput(Throughput::Elements(K as u64));
    for (name, profile, _) in PROFILES {
        let contexts: [_; K] = core::array::from_fn(|_| outbound(profile));
        let plain = plain(0);
        let mut segments = [const { Vec::new() }; K];
        segments.fill(vec![0; LENGTH + profile.rtp_overhead()]);
        let mut index = 0_u64;
        group.bench_function(format!("{K}/{name}"), |bencher| {
            bencher.iter(|| {
                index += 1;
                let mut lanes = segments.iter_mut().zip(&contexts);
                let packets: [_; K] = core::array::from_fn(|_| {
                    let (segment, context) = lanes.next().unwrap();
                    copy(&plain, segment, index);
                    Sealing {
                        context,
                        index,
                        segment,
                        header_length: HEADER_LENGTH,
                    }
                });
                seal_rtp_many(black_box(packets))
            });
        });
    }
    group.finish();
}

fn unprotect(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("unprotect");
    group.throughput(Throughput::Elements(1));
    for (name, profile, their_profile) in PROFILES {
        let sealed = |index: u64| {
            let mut segment = plain(bridge_core::rtp::sequence::wire(index));
            segment.resize(LENGTH + profile.rtp_overhead(), 0);
            outbound(profile)
                .seal_rtp(index, &mut segment, HEADER_LENGTH)
                .unwrap();
            segment
        };
        let (key, salt) = keys(profile);
        let mut context = InboundContext::new(profile, &key, &salt).unwrap();
        let mut index = 0_u64;
        group.bench_function(format!("ours/{name}"), |bencher| {
            bencher.iter_batched_ref(
                || {
                    index += 1;
                    Packet::copy_of(&sealed(index))
                },
                |packet| {
                    let header = RtpHeader::parse(packet.bytes()).unwrap();
                    context.unprotect_rtp(black_box(packet), &header).unwrap()
                },
                BatchSize::SmallInput,
            );
        });
        let mut context = theirs(profile, their_profile);
        let mut index = 0_u64;
        group.bench_function(format!("webrtc-srtp/{name}"), |bencher| {
            bencher.iter_batched_ref(
                || {
                    index += 1;
                    sealed(index)
                },
                |segment| context.decrypt_rtp(black_box(segment)).unwrap(),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(
    benches,
    protect,
    lockstep<2>,
    lockstep<3>,
    lockstep<4>,
    unprotect
);
criterion_main!(benches);
