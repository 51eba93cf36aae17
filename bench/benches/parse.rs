//! Measures reading what arrives most: RTP headers, their extensions, VP8 descriptors and RTCP.

#![expect(clippy::unwrap_used, reason = "a bench may fail as a test does")]

use std::hint::black_box;

use bridge_core::Time;
use bridge_core::codec::vp8::Vp8Descriptor;
use bridge_core::id::Ssrc;
use bridge_core::rtcp::{CompoundWriter, RtcpPacket, packets};
use bridge_core::rtp::{RtpHeader, extension};
use criterion::{Criterion, criterion_group, criterion_main};

/// A video packet as Chromium sends it: three one-byte elements, then a VP8 descriptor.
const PACKET: &[u8] = b"\x90\x60\0\x07\0\0\x10\0\0\0\0\x02\
    \xbe\xde\0\x03\x22\x01\x02\x03\x31\x04\x05\x10\x30\0\0\0\
    \x90\xe0\x92\x34\x56\x20\x10\0\0\x9d\x01\x2a\x40\x01\xb4\x00";

fn rtp(criterion: &mut Criterion) {
    let header = RtpHeader::parse(PACKET).unwrap();
    criterion.bench_function("parse/rtp/header", |bencher| {
        bencher.iter(|| RtpHeader::parse(black_box(PACKET)).unwrap());
    });
    criterion.bench_function("parse/rtp/find_third_element", |bencher| {
        bencher.iter(|| {
            extension::find(black_box(PACKET), &header, 1)
                .unwrap()
                .len()
        });
    });
    let payload = header.payload(PACKET).unwrap();
    criterion.bench_function("parse/vp8/descriptor", |bencher| {
        bencher.iter(|| Vp8Descriptor::parse(black_box(payload)).unwrap());
    });
}

fn rtcp(criterion: &mut Criterion) {
    let arrivals = (0..100).map(|n| (n, Time::from_micros(1_000 * n)));
    let mut out = [0; 1_200];
    criterion.bench_function("parse/rtcp/write_feedback_on_100_packets", |bencher| {
        bencher.iter(|| {
            let mut writer = CompoundWriter::new(&mut out);
            writer.twcc(Ssrc(1), Ssrc(2), 3, 0, black_box(arrivals.clone()))
        });
    });
    let mut writer = CompoundWriter::new(&mut out);
    writer.twcc(Ssrc(1), Ssrc(2), 3, 0, arrivals).unwrap();
    let length = writer.len();
    let bytes = out.get(..length).unwrap();
    criterion.bench_function("parse/rtcp/read_feedback_on_100_packets", |bencher| {
        bencher.iter(|| {
            let twcc = packets(black_box(bytes)).find_map(|packet| match packet {
                Ok(RtcpPacket::Twcc(twcc)) => Some(twcc),
                _ => None,
            });
            twcc.unwrap()
                .statuses()
                .filter(|status| status.arrival.is_some())
                .count()
        });
    });
}

criterion_group!(benches, rtp, rtcp);
criterion_main!(benches);
