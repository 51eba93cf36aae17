//! Holds the bodies of the fuzz targets, so that ordinary builds compile them and `cargo test`
//! replays their corpora. Each takes any bytes and must neither panic nor hang.

use crate::codec::vp8::{PictureId, Vp8Descriptor};
use crate::id::{PayloadType, Ssrc};
use crate::limits;
use crate::packet::Packet;
use crate::rtcp::{self, RtcpPacket};
use crate::rtp::extension::{self, ExtensionWriter};
use crate::rtp::{self, RtpHeader};
use crate::srtp::{GcmBackend, InboundContext, OutboundContext, SrtpProfile};

/// A name and what takes the bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target with its name, as in `fuzz/fuzz_targets/`.
pub const TARGETS: &[Target] = &[
    ("rtp", fuzz_rtp),
    ("extension", fuzz_extension),
    ("rtcp", fuzz_rtcp),
    ("vp8", fuzz_vp8),
    ("srtp", fuzz_srtp),
    ("ingest", fuzz_ingest),
    ("stun", fuzz_stun),
    ("ice", fuzz_ice),
    ("dtls", fuzz_dtls),
    ("egress", fuzz_egress),
    ("engine", fuzz_engine),
];

/// An RTP header is read, changed in place, and read again with the same shape.
pub fn fuzz_rtp(data: &[u8]) {
    let Ok(header) = RtpHeader::parse(data) else {
        return;
    };
    if let Ok(payload) = header.payload(data) {
        assert!(payload.len() + usize::from(header.length) <= data.len());
    }
    let mut changed = data.to_vec();
    rtp::packet::set_ssrc(&mut changed, Ssrc(1));
    rtp::packet::set_sequence(&mut changed, 2);
    rtp::packet::set_timestamp(&mut changed, 3);
    rtp::packet::set_payload_type(&mut changed, PayloadType(4));
    rtp::packet::set_marker(&mut changed, !header.marker);
    let expected = RtpHeader {
        marker: !header.marker,
        payload_type: PayloadType(4),
        sequence: 2,
        timestamp: 3,
        ssrc: Ssrc(1),
        ..header
    };
    assert_eq!(RtpHeader::parse(&changed), Ok(expected));
}

/// The elements of a header extension are read, written anew, and read again.
pub fn fuzz_extension(data: &[u8]) {
    let Ok(header) = RtpHeader::parse(data) else {
        return;
    };
    let mut out = [0; 2_048];
    let mut fixed = RtpHeader {
        csrc_count: 0,
        ..header
    };
    fixed.length = 12;
    let Some((head, block)) = out.split_at_mut_checked(12) else {
        return;
    };
    fixed.emit_fixed(head);
    let mut writer = ExtensionWriter::new(block);
    let mut written = Vec::new();
    for element in extension::iter(data, &header) {
        if writer.push(element.id, element.data) {
            written.push(element);
        }
    }
    if writer.finish() > 0 {
        let header = RtpHeader::parse(&out);
        assert!(header.is_ok_and(|header| extension::iter(&out, &header).eq(written)));
    }
}

/// A compound RTCP packet is read to its end in bounded time.
pub fn fuzz_rtcp(data: &[u8]) {
    let mut parts = 0;
    for packet in rtcp::packets(data).map_while(Result::ok) {
        parts += match packet {
            RtcpPacket::SenderReport(report) => report.blocks().count(),
            RtcpPacket::ReceiverReport(report) => report.blocks().count(),
            RtcpPacket::Sdes(sdes) => sdes.cnames().count(),
            RtcpPacket::Bye(bye) => bye.ssrcs().count(),
            RtcpPacket::FullIntra(request) => request.entries().count(),
            RtcpPacket::Remb(remb) => remb.ssrcs().count(),
            RtcpPacket::Nack(nack) => {
                let count = nack.sequences().count();
                assert!(count > 0 && count <= limits::NACK_ENTRIES_MAX);
                0
            }
            RtcpPacket::Twcc(twcc) => {
                assert_eq!(twcc.statuses().count(), usize::from(twcc.count));
                0
            }
            RtcpPacket::PictureLoss(_) | RtcpPacket::Unknown { .. } => 0,
        };
    }
    assert!(parts <= data.len());
}

/// A VP8 descriptor is read, renumbered in place, and read again with the same shape.
pub fn fuzz_vp8(data: &[u8]) {
    let Ok(descriptor) = Vp8Descriptor::parse(data) else {
        return;
    };
    let mut changed = data.to_vec();
    descriptor.set_picture_id(&mut changed, 0x1234);
    descriptor.set_tl0_picture_index(&mut changed, 0x56);
    let mut expected = descriptor;
    expected.picture_id = descriptor.picture_id.map(|id| PictureId {
        value: 0x1234 & id.mask(),
        ..id
    });
    expected.tl0_picture_index = descriptor.tl0_picture_index.map(|_| 0x56);
    assert_eq!(Vp8Descriptor::parse(&changed), Ok(expected));
}

/// Forged SRTP and SRTCP is refused; what we seal ourselves comes back as it was, after it.
pub fn fuzz_srtp(data: &[u8]) {
    for profile in [
        SrtpProfile::Aes128CmSha1_80,
        SrtpProfile::AeadAes128Gcm,
        SrtpProfile::AeadAes256Gcm,
    ] {
        let (key, salt) = (
            vec![1; profile.key_length()],
            vec![2; profile.salt_length()],
        );
        let contexts = (
            InboundContext::with_gcm(GcmBackend::AwsLc, profile, &key, &salt),
            OutboundContext::with_gcm(GcmBackend::Ring, profile, &key, &salt),
        );
        let (Ok(mut inbound), Ok(mut outbound)) = contexts else {
            return;
        };
        let mut packet = Packet::copy_of(data);
        assert!(inbound.unprotect_rtcp(&mut packet).is_err());
        packet.fill(data);
        let length = data.len().min(limits::DATAGRAM_BYTES_MAX);
        if let Ok(sealed) = outbound.seal_rtcp(packet.room_mut(), length) {
            packet.set_len(sealed);
            assert_eq!(inbound.unprotect_rtcp(&mut packet), Ok(()));
            assert_eq!(Some(packet.bytes()), data.get(..length));
        }
        let Ok(header) = RtpHeader::parse(data) else {
            continue;
        };
        packet.fill(data);
        assert!(inbound.unprotect_rtp(&mut packet, &header).is_err());
        packet.fill(data);
        packet.set_len(length + profile.rtp_overhead());
        let (index, start) = (u64::from(header.sequence), usize::from(header.length));
        if outbound.seal_rtp(index, packet.bytes_mut(), start).is_ok() {
            assert_eq!(inbound.unprotect_rtp(&mut packet, &header), Ok(index));
            assert_eq!(Some(packet.bytes()), data.get(..length));
        }
    }
}

/// One sender's timed RTP and RTCP, authenticated and hostile, goes through ingest.
pub fn fuzz_ingest(data: &[u8]) {
    assert!(crate::ingest::play(data).is_ok());
}

/// STUN messages of strangers are refused, signed ones are read whole.
pub fn fuzz_stun(data: &[u8]) {
    crate::ice::fuzz::stun(data);
}

/// Two ICE agents live through a script of losses, forgeries, restarts and time.
pub fn fuzz_ice(data: &[u8]) {
    crate::ice::fuzz::script(data);
}

/// A handshake goes on, or fails, whatever is put between its datagrams.
pub fn fuzz_dtls(data: &[u8]) {
    crate::dtls::fuzz::script(data);
}

/// Any order of packets, wishes and feedback leaves one receiver with sealed packets, and never
/// with two under one number.
pub fn fuzz_egress(data: &[u8]) {
    crate::egress::storm::run(data);
}

/// The whole engine takes timed inputs.
pub fn fuzz_engine(data: &[u8]) {
    crate::engine::fuzz::engine(data);
}
