//! Checks our RTCP against an independent one, the `rtcp` crate: what either writes the other
//! reads, with the same meaning.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper of tests may fail as a test does"
)]

use bridge_core::Time;
use bridge_core::id::Ssrc;
use bridge_core::rtcp::{
    CompoundWriter, FullIntraEntry, ReportBlock, RtcpPacket, SenderInfo, packets,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use rtcp::goodbye::Goodbye;
use rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtcp::receiver_report::ReceiverReport;
use rtcp::reception_report::ReceptionReport;
use rtcp::sender_report::SenderReport;
use rtcp::source_description::SourceDescription;
use rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
use rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;
use webrtc_util::marshal::Marshal;

/// What we write with `write`.
fn written(write: impl FnOnce(&mut CompoundWriter<'_>) -> bool) -> Vec<u8> {
    let mut out = vec![0xee; 1_200];
    let mut writer = CompoundWriter::new(&mut out);
    assert!(write(&mut writer));
    let length = writer.len();
    out.truncate(length);
    out
}

/// What they read in `bytes`.
fn read<P: 'static + Clone>(bytes: &[u8]) -> P {
    let packets = rtcp::packet::unmarshal(&mut &*bytes).unwrap();
    assert_eq!(packets.len(), 1);
    packets[0].as_any().downcast_ref::<P>().unwrap().clone()
}

/// What they read in `bytes`, and write again just so.
fn theirs<P: 'static + Clone + Marshal>(bytes: &[u8]) -> P {
    let packet: P = read(bytes);
    assert_eq!(packet.marshal().unwrap(), bytes);
    packet
}

fn block(random: &mut ChaCha20Rng) -> ReportBlock {
    ReportBlock {
        ssrc: Ssrc(random.next_u32()),
        fraction_lost: random.next_u32().to_le_bytes()[0],
        cumulative_lost: i32::try_from(random.next_u32() & 0x7f_ffff).unwrap(),
        highest_sequence: random.next_u32(),
        jitter: random.next_u32(),
        last_sender_report: random.next_u32(),
        delay_since_last: random.next_u32(),
    }
}

fn is_same(ours: &ReportBlock, theirs: &ReceptionReport) -> bool {
    ours.ssrc.0 == theirs.ssrc
        && ours.fraction_lost == theirs.fraction_lost
        && ours.cumulative_lost == i32::try_from(theirs.total_lost).unwrap()
        && ours.highest_sequence == theirs.last_sequence_number
        && ours.jitter == theirs.jitter
        && ours.last_sender_report == theirs.last_sender_report
        && ours.delay_since_last == theirs.delay
}

#[test]
fn reports_have_the_same_meaning() {
    let mut random = ChaCha20Rng::seed_from_u64(1);
    for count in 0..=31 {
        let blocks: Vec<_> = (0..count).map(|_| block(&mut random)).collect();
        let info = SenderInfo {
            ssrc: Ssrc(random.next_u32()),
            ntp: random.next_u64(),
            rtp_timestamp: random.next_u32(),
            packets: random.next_u32(),
            octets: random.next_u32(),
        };
        let bytes = written(|writer| writer.sender_report(&info, &blocks));
        let report: SenderReport = theirs(&bytes);
        assert_eq!((report.ssrc, report.ntp_time), (info.ssrc.0, info.ntp));
        assert_eq!(report.rtp_time, info.rtp_timestamp);
        assert_eq!(
            (report.packet_count, report.octet_count),
            (info.packets, info.octets)
        );
        assert_eq!(report.reports.len(), blocks.len());
        assert!(
            blocks
                .iter()
                .zip(&report.reports)
                .all(|(a, b)| is_same(a, b))
        );

        let bytes = written(|writer| writer.receiver_report(info.ssrc, &blocks));
        let report: ReceiverReport = theirs(&bytes);
        assert_eq!(report.ssrc, info.ssrc.0);
        assert!(
            blocks
                .iter()
                .zip(&report.reports)
                .all(|(a, b)| is_same(a, b))
        );
    }
}

#[test]
fn names_and_byes_have_the_same_meaning() {
    for name in ["", "a", "abc", "canonical@name"] {
        let bytes = written(|writer| writer.cname(Ssrc(7), name.as_bytes()));
        // They put a length into the padding, which has to be zeros.
        let description: SourceDescription = read(&bytes);
        assert_eq!(description.chunks[0].source, 7);
        assert_eq!(description.chunks[0].items[0].text, name);
    }
    let bytes = written(|writer| writer.bye(&[Ssrc(1), Ssrc(2)]));
    // They write an empty reason too.
    assert_eq!(read::<Goodbye>(&bytes).sources, [1, 2]);

    let with_reason = Goodbye {
        sources: vec![3, 4],
        reason: "tired".into(),
    };
    let bytes = with_reason.marshal().unwrap();
    let Some(Ok(RtcpPacket::Bye(bye))) = packets(&bytes).next() else {
        panic!("not a BYE");
    };
    assert_eq!(bye.ssrcs().collect::<Vec<_>>(), [Ssrc(3), Ssrc(4)]);
}

#[test]
fn requests_have_the_same_meaning() {
    let bytes = written(|writer| writer.picture_loss(Ssrc(1), Ssrc(2)));
    let loss: PictureLossIndication = theirs(&bytes);
    assert_eq!((loss.sender_ssrc, loss.media_ssrc), (1, 2));

    let entry = FullIntraEntry {
        ssrc: Ssrc(3),
        sequence: 4,
    };
    let bytes = written(|writer| writer.full_intra(Ssrc(1), entry));
    let request: FullIntraRequest = theirs(&bytes);
    assert_eq!(
        (request.fir[0].ssrc, request.fir[0].sequence_number),
        (3, 4)
    );

    let mut random = ChaCha20Rng::seed_from_u64(2);
    for _ in 0..200 {
        let mut number = u16::try_from(random.next_u32() >> 16).unwrap();
        let lost: Vec<_> = (0..random.next_u32() % 60)
            .map(|_| {
                number = number.wrapping_add(1 + u16::try_from(random.next_u32() % 12).unwrap());
                number
            })
            .collect();
        if lost.is_empty() {
            continue;
        }
        let bytes = written(|writer| writer.nack(Ssrc(1), Ssrc(2), &lost));
        let nack: TransportLayerNack = theirs(&bytes);
        let read: Vec<_> = nack
            .nacks
            .iter()
            .flat_map(|pair| pair.packet_list())
            .collect();
        assert_eq!(read, lost);
    }
}

#[test]
fn estimates_have_the_same_meaning() {
    // Nothing at all they take for 8,388,608 bit/s.
    for bitrate in [1, 64_000, 2_500_000, 262_143, 8_000_000_000] {
        let bytes = written(|writer| writer.remb(Ssrc(1), bitrate, &[Ssrc(2)]));
        let remb: ReceiverEstimatedMaximumBitrate = read(&bytes);
        assert_eq!(remb.ssrcs, [2]);
        let Some(Ok(RtcpPacket::Remb(ours))) = packets(&bytes).next() else {
            panic!("not a REMB");
        };
        #[expect(clippy::cast_precision_loss, reason = "18 bits fit into their f32")]
        let same = (ours.bitrate as f32 - remb.bitrate).abs() < 0.5;
        assert!(same, "{} and {}", ours.bitrate, remb.bitrate);
    }
}

#[test]
fn transport_feedback_has_the_same_meaning() {
    let mut random = ChaCha20Rng::seed_from_u64(3);
    for round in 0..500_u32 {
        let mut micros = u64::from(random.next_u32());
        let arrivals: Vec<_> = (0..200_u64)
            .filter_map(|sequence| {
                micros += u64::from(random.next_u32() % 100_000);
                let back = u64::from(random.next_u32() % 50_000);
                let lost = random.next_u32() % 100 < round % 100;
                (!lost).then(|| (65_500 + sequence, Time::from_micros(micros - back)))
            })
            .collect();
        if arrivals.is_empty() {
            continue;
        }
        let from = 65_500;
        let bytes = written(|writer| {
            writer
                .twcc(Ssrc(1), Ssrc(2), 9, from, arrivals.iter().copied())
                .is_some()
        });
        let Some(Ok(RtcpPacket::Twcc(ours))) = packets(&bytes).next() else {
            panic!("not transport feedback");
        };
        let theirs: TransportLayerCc = read(&bytes);
        assert_eq!((theirs.base_sequence_number, ours.base), (65_500, 65_500));
        assert_eq!(theirs.packet_status_count, ours.count);
        assert_eq!(theirs.fb_pkt_count, 9);
        let mut at = i64::from(theirs.reference_time) * 64_000;
        let theirs_at: Vec<_> = theirs
            .recv_deltas
            .iter()
            .map(|delta| {
                at += delta.delta;
                at
            })
            .collect();
        let ours_at: Vec<_> = ours
            .statuses()
            .filter_map(|status| status.arrival)
            .collect();
        assert_eq!(ours_at, theirs_at);
    }
}
