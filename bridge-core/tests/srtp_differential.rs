//! Checks our SRTP against an independent one, `webrtc-srtp`: what either seals the other opens,
//! for every profile, with random keys, headers and losses, across wraps of the sequence number.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper of tests may fail as a test does"
)]

use bridge_core::packet::Packet;
use bridge_core::rtp::RtpHeader;
use bridge_core::srtp::{GcmBackend, InboundContext, OutboundContext, SrtpProfile};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

const PROFILES: [(SrtpProfile, ProtectionProfile); 3] = [
    (
        SrtpProfile::Aes128CmSha1_80,
        ProtectionProfile::Aes128CmHmacSha1_80,
    ),
    (SrtpProfile::AeadAes128Gcm, ProtectionProfile::AeadAes128Gcm),
    (SrtpProfile::AeadAes256Gcm, ProtectionProfile::AeadAes256Gcm),
];

/// One direction with new keys: ours and theirs.
struct Pair {
    outbound: OutboundContext,
    inbound: InboundContext,
    theirs_out: Context,
    theirs_in: Context,
}

/// A pair for each profile, each with another library in either direction.
fn pairs(random: &mut ChaCha20Rng) -> Vec<Pair> {
    let [ring, aws_lc] = [
        [GcmBackend::Ring, GcmBackend::AwsLc],
        [GcmBackend::AwsLc, GcmBackend::Ring],
    ]
    .map(|gcm| PROFILES.map(|profiles| pair(random, gcm, profiles)));
    ring.into_iter().chain(aws_lc).collect()
}

fn pair(
    random: &mut ChaCha20Rng,
    [gcm_out, gcm_in]: [GcmBackend; 2],
    (ours, theirs): (SrtpProfile, ProtectionProfile),
) -> Pair {
    let key = bytes(random, ours.key_length());
    let salt = bytes(random, ours.salt_length());
    let context = || Context::new(&key, &salt, theirs, None, None).unwrap();
    Pair {
        outbound: OutboundContext::with_gcm(gcm_out, ours, &key, &salt).unwrap(),
        inbound: InboundContext::with_gcm(gcm_in, ours, &key, &salt).unwrap(),
        theirs_out: context(),
        theirs_in: context(),
    }
}

fn bytes(random: &mut ChaCha20Rng, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    random.fill_bytes(&mut bytes);
    bytes
}

fn below(random: &mut ChaCha20Rng, limit: u32) -> usize {
    usize::try_from(random.next_u32() % limit).unwrap()
}

/// A packet with contributing sources, an extension in either form or none, and some payload.
fn rtp(random: &mut ChaCha20Rng, ssrc: u32, index: u64) -> (Vec<u8>, usize) {
    let sources = below(random, 4);
    let extension: &[u8] = match below(random, 4) {
        0 => &[],
        1 => &[0xbe, 0xde, 0, 1, 0x10, 0x7f, 0, 0],
        2 => &[
            0xbe, 0xde, 0, 3, 0x31, 1, 2, 0x22, 1, 2, 3, 0x50, 7, 0, 0, 0,
        ],
        _ => &[0x10, 0, 0, 2, 20, 3, 1, 2, 3, 9, 0, 0],
    };
    let marker_and_type = bytes(random, 1);
    let mut packet = vec![0x80, marker_and_type[0]];
    packet[0] |= u8::try_from(sources).unwrap() | u8::from(!extension.is_empty()) << 4;
    packet.extend(&index.to_be_bytes()[6..]);
    packet.extend(bytes(random, 4));
    packet.extend(ssrc.to_be_bytes());
    packet.extend(bytes(random, 4 * sources));
    packet.extend(extension);
    let header_length = packet.len();
    let payload_length = below(random, 1_200);
    packet.extend(bytes(random, payload_length));
    (packet, header_length)
}

#[test]
fn what_we_seal_they_open_across_wraps() {
    let mut random = ChaCha20Rng::seed_from_u64(1);
    for mut pair in pairs(&mut random) {
        for ssrc in [1, 0xffff_ffff] {
            let mut index = u64::from(random.next_u32() % 65_536);
            while index < 3 << 16 {
                let (plain, header_length) = rtp(&mut random, ssrc, index);
                let mut segment = plain.clone();
                segment.resize(plain.len() + pair.outbound.profile().rtp_overhead(), 0);
                let sealed = pair.outbound.seal_rtp(index, &mut segment, header_length);
                assert_eq!(sealed, Ok(()));
                assert_eq!(pair.theirs_in.decrypt_rtp(&segment).unwrap(), plain);
                index += 1 + u64::from(random.next_u32() % 300);
            }
        }
    }
}

#[test]
fn what_they_seal_we_open_across_wraps() {
    let mut random = ChaCha20Rng::seed_from_u64(2);
    for mut pair in pairs(&mut random) {
        for ssrc in [1, 0xffff_ffff] {
            let mut index = u64::from(random.next_u32() % 65_536);
            while index < 3 << 16 {
                let (plain, _) = rtp(&mut random, ssrc, index);
                let sealed = pair.theirs_out.encrypt_rtp(&plain).unwrap();
                let mut packet = Packet::copy_of(&sealed);
                let header = RtpHeader::parse(packet.bytes()).unwrap();
                // The network loses a third.
                if random.next_u32() % 3 > 0 {
                    assert_eq!(pair.inbound.unprotect_rtp(&mut packet, &header), Ok(index));
                    assert_eq!(packet.bytes(), plain);
                }
                index += 1 + u64::from(random.next_u32() % 300);
            }
        }
    }
}

#[test]
fn rtcp_is_opened_by_either_side() {
    let mut random = ChaCha20Rng::seed_from_u64(3);
    for mut pair in pairs(&mut random) {
        for _ in 0..500 {
            let words = below(&mut random, 200);
            let mut plain = vec![0x80, 201, 0, 1, 0, 0, 0, 9];
            plain.extend(bytes(&mut random, 4 * words));

            let mut out = plain.clone();
            out.resize(plain.len() + pair.outbound.profile().rtcp_overhead(), 0);
            let length = pair.outbound.seal_rtcp(&mut out, plain.len()).unwrap();
            assert_eq!(pair.theirs_in.decrypt_rtcp(&out[..length]).unwrap(), plain);

            let sealed = pair.theirs_out.encrypt_rtcp(&plain).unwrap();
            let mut packet = Packet::copy_of(&sealed);
            assert_eq!(pair.inbound.unprotect_rtcp(&mut packet), Ok(()));
            assert_eq!(packet.bytes(), plain);
        }
    }
}

#[test]
fn what_they_refuse_we_refuse_too() {
    let mut random = ChaCha20Rng::seed_from_u64(4);
    for mut pair in pairs(&mut random) {
        for index in 0..2_000 {
            let (plain, header_length) = rtp(&mut random, 5, index);
            let mut segment = plain.clone();
            segment.resize(plain.len() + pair.outbound.profile().rtp_overhead(), 0);
            let sealed = pair.outbound.seal_rtp(index, &mut segment, header_length);
            assert_eq!(sealed, Ok(()));
            // Their header parser panics on some extensions, so those stay as they are.
            let length = u32::try_from(segment.len() - header_length).unwrap();
            let at = header_length + below(&mut random, length);
            segment[at] ^= 1 << below(&mut random, 8);
            let mut packet = Packet::copy_of(&segment);
            let header = RtpHeader::parse(packet.bytes()).unwrap();
            assert!(pair.theirs_in.decrypt_rtp(&segment).is_err());
            assert!(pair.inbound.unprotect_rtp(&mut packet, &header).is_err());
        }
    }
}
