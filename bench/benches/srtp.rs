//! Measures protecting and unprotecting a packet, ours beside `webrtc-srtp` and bare libraries.
//!
//! Protecting includes the copy of the plaintext into the segment, since the forwarding path
//! writes each packet once per receiver. `ring`, `aws-lc` and `rustcrypto` are the bare calls of
//! those libraries with a nonce that is ready: what no SRTP on them can beat. `lockstep` seals
//! packets of several receivers at once; throughput counts packets, so its inverse is one's cost.

#![expect(clippy::unwrap_used, reason = "a bench may fail as a test does")]

use std::hint::black_box;

use bridge_core::packet::Packet;
use bridge_core::rtp::RtpHeader;
use bridge_core::rtp::packet::set_sequence;
use bridge_core::rtp::sequence::wire;
use bridge_core::srtp::{
    GcmBackend, InboundContext, OutboundContext, Sealing, SrtpProfile, seal_rtp_many,
};
use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main,
};
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

const PROFILES: [(&str, SrtpProfile, ProtectionProfile); 3] = [
    (
        "cm80",
        SrtpProfile::Aes128CmSha1_80,
        ProtectionProfile::Aes128CmHmacSha1_80,
    ),
    (
        "gcm128",
        SrtpProfile::AeadAes128Gcm,
        ProtectionProfile::AeadAes128Gcm,
    ),
    (
        "gcm256",
        SrtpProfile::AeadAes256Gcm,
        ProtectionProfile::AeadAes256Gcm,
    ),
];

/// Bytes of a packet without its tag: sound, a small picture, a full packet.
const LENGTHS: [usize; 3] = [120, 600, 1_200];

const HEADER_LENGTH: usize = 20;

/// An RTP packet with a one-word extension.
fn plain(length: usize, sequence: u16) -> Vec<u8> {
    let mut packet = b"\x90\x60\0\0\0\0\x10\0\0\0\0\x02\xbe\xde\0\x01\x10\xaa\0\0".to_vec();
    packet.resize(length, 0x5a);
    set_sequence(&mut packet, sequence);
    packet
}

fn keys(profile: SrtpProfile) -> (Vec<u8>, Vec<u8>) {
    (
        vec![7; profile.key_length()],
        vec![9; profile.salt_length()],
    )
}

/// Ours under its name, with each library where there is a choice.
fn ours(profile: SrtpProfile) -> Vec<(&'static str, GcmBackend)> {
    match profile {
        SrtpProfile::Aes128CmSha1_80 => vec![("ours", GcmBackend::Ring)],
        _ => vec![
            ("ours_ring", GcmBackend::Ring),
            ("ours_aws-lc", GcmBackend::AwsLc),
        ],
    }
}

fn outbound(gcm: GcmBackend, profile: SrtpProfile) -> OutboundContext {
    let (key, salt) = keys(profile);
    OutboundContext::with_gcm(gcm, profile, &key, &salt).unwrap()
}

fn theirs(ours: SrtpProfile, theirs: ProtectionProfile) -> Context {
    let (key, salt) = keys(ours);
    Context::new(&key, &salt, theirs, None, None).unwrap()
}

fn copy(plain: &[u8], segment: &mut [u8], index: u64) {
    if let Some(room) = segment.get_mut(..plain.len()) {
        room.copy_from_slice(plain);
    }
    set_sequence(segment, wire(index));
}

fn protect(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("srtp/protect");
    group.throughput(Throughput::Elements(1));
    for (name, profile, their_profile) in PROFILES {
        for length in LENGTHS {
            let at = format!("{name}/bytes_{length}");
            let mut plain = plain(length, 0);
            for (own, gcm) in ours(profile) {
                let context = outbound(gcm, profile);
                let mut segment = vec![0; length + profile.rtp_overhead()];
                let mut index = 0_u64;
                group.bench_function(format!("{at}/{own}"), |bencher| {
                    bencher.iter(|| {
                        index += 1;
                        copy(&plain, &mut segment, index);
                        context
                            .seal_rtp(index, black_box(&mut segment), HEADER_LENGTH)
                            .unwrap();
                    });
                });
            }
            bare(&mut group, &at, profile, &plain);
            let mut context = theirs(profile, their_profile);
            let mut sequence = 0_u16;
            group.bench_function(format!("{at}/webrtc-srtp"), |bencher| {
                bencher.iter(|| {
                    sequence = sequence.wrapping_add(1);
                    set_sequence(&mut plain, sequence);
                    context.encrypt_rtp(black_box(&plain)).unwrap()
                });
            });
        }
    }
    group.finish();
}

/// The libraries alone: a copy, and one call or two.
fn bare(group: &mut BenchmarkGroup<'_, WallTime>, at: &str, profile: SrtpProfile, plain: &[u8]) {
    let (key, _) = keys(profile);
    let mut segment = plain.to_vec();
    let mut measure = |name: &str, mut seal: bare::Seal| {
        group.bench_function(format!("{at}/{name}"), |bencher| {
            bencher.iter(|| {
                segment.copy_from_slice(plain);
                let (header, body) = segment.split_at_mut(HEADER_LENGTH);
                seal(black_box(header), black_box(body));
            });
        });
    };
    match profile {
        SrtpProfile::Aes128CmSha1_80 => {
            measure("rustcrypto", bare::rustcrypto_cm(&key));
            measure("aws-lc", bare::aws_lc_cm(&key));
        }
        _ => {
            measure("rustcrypto", bare::rustcrypto_gcm(&key));
            measure("ring", bare::ring_gcm(&key));
            measure("aws-lc", bare::aws_lc_gcm(&key));
        }
    }
}

/// Bare calls of the libraries; each seals `body` in place, and the tag goes nowhere.
mod bare {
    use std::hint::black_box;

    /// Seals the second with the first as its header.
    pub(super) type Seal = Box<dyn FnMut(&[u8], &mut [u8])>;

    pub(super) fn ring_gcm(key: &[u8]) -> Seal {
        use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
        let algorithm = if key.len() == 16 {
            &AES_128_GCM
        } else {
            &AES_256_GCM
        };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key).unwrap());
        Box::new(move |header, body| {
            let nonce = Nonce::assume_unique_for_key([3; 12]);
            let tag = key.seal_in_place_separate_tag(nonce, Aad::from(header), body);
            let _tag = black_box(tag.unwrap());
        })
    }

    pub(super) fn aws_lc_gcm(key: &[u8]) -> Seal {
        use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
        let algorithm = if key.len() == 16 {
            &AES_128_GCM
        } else {
            &AES_256_GCM
        };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key).unwrap());
        Box::new(move |header, body| {
            let nonce = Nonce::assume_unique_for_key([3; 12]);
            let tag = key.seal_in_place_separate_tag(nonce, Aad::from(header), body);
            let _tag = black_box(tag.unwrap());
        })
    }

    pub(super) fn rustcrypto_gcm(key: &[u8]) -> Seal {
        use aes_gcm::aead::{AeadInPlace, KeyInit};
        if key.len() == 16 {
            let key = aes_gcm::Aes128Gcm::new_from_slice(key).unwrap();
            Box::new(move |header, body| {
                let tag = key.encrypt_in_place_detached(&[3; 12].into(), header, body);
                let _tag = black_box(tag.unwrap());
            })
        } else {
            let key = aes_gcm::Aes256Gcm::new_from_slice(key).unwrap();
            Box::new(move |header, body| {
                let tag = key.encrypt_in_place_detached(&[3; 12].into(), header, body);
                let _tag = black_box(tag.unwrap());
            })
        }
    }

    pub(super) fn rustcrypto_cm(key: &[u8]) -> Seal {
        use aes::cipher::{KeyIvInit, StreamCipher};
        use hmac::{KeyInit, Mac};
        let key: [u8; 16] = key.try_into().unwrap();
        let hmac = hmac::Hmac::<sha1::Sha1>::new_from_slice(&[5; 20]).unwrap();
        Box::new(move |header, body| {
            ctr::Ctr128BE::<aes::Aes128>::new(&key.into(), &[3; 16].into()).apply_keystream(body);
            let mut hmac = hmac.clone();
            hmac.update(header);
            hmac.update(body);
            hmac.update(&[0; 4]);
            let _tag = black_box(hmac.finalize());
        })
    }

    pub(super) fn aws_lc_cm(key: &[u8]) -> Seal {
        use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
        use aws_lc_rs::hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY};
        use aws_lc_rs::iv::FixedLength;
        let key = EncryptingKey::ctr(UnboundCipherKey::new(&AES_128, key).unwrap()).unwrap();
        let hmac = hmac::Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, &[5; 20]);
        Box::new(move |header, body| {
            let iv = EncryptionContext::Iv128(FixedLength::from([3; 16]));
            key.less_safe_encrypt(body, iv).unwrap();
            let mut hmac = hmac::Context::with_key(&hmac);
            hmac.update(header);
            hmac.update(body);
            hmac.update(&[0; 4]);
            let _tag = black_box(hmac.sign());
        })
    }
}

fn lockstep<const K: usize>(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("srtp/lockstep");
    group.throughput(Throughput::Elements(K as u64));
    for length in LENGTHS {
        let profile = SrtpProfile::Aes128CmSha1_80;
        let contexts: [_; K] = core::array::from_fn(|_| outbound(GcmBackend::Ring, profile));
        let plain = plain(length, 0);
        let mut segments = [const { Vec::new() }; K];
        segments.fill(vec![0; length + profile.rtp_overhead()]);
        let mut index = 0_u64;
        group.bench_function(format!("cm80/bytes_{length}/lanes_{K}"), |bencher| {
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
    let length = 1_200;
    let mut group = criterion.benchmark_group("srtp/unprotect");
    group.throughput(Throughput::Elements(1));
    for (name, profile, their_profile) in PROFILES {
        let at = format!("{name}/bytes_{length}");
        let sealed = |index: u64| {
            let mut segment = plain(length, wire(index));
            segment.resize(length + profile.rtp_overhead(), 0);
            outbound(GcmBackend::Ring, profile)
                .seal_rtp(index, &mut segment, HEADER_LENGTH)
                .unwrap();
            segment
        };
        for (own, gcm) in ours(profile) {
            let (key, salt) = keys(profile);
            let mut context = InboundContext::with_gcm(gcm, profile, &key, &salt).unwrap();
            let mut index = 0_u64;
            group.bench_function(format!("{at}/{own}"), |bencher| {
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
        }
        let mut context = theirs(profile, their_profile);
        let mut index = 0_u64;
        group.bench_function(format!("{at}/webrtc-srtp"), |bencher| {
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
    lockstep<1>,
    lockstep<2>,
    lockstep<3>,
    lockstep<4>,
    unprotect
);
criterion_main!(benches);
