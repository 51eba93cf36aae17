//! Tests what feedback of the receiver leads to: reports, retransmissions, keyframe requests.

use super::{pass, running, script, sequences, want};
use crate::description::{MediaKind, ReceiverConstraints, VideoConstraints};
use crate::egress::script::{FIRST_SEQUENCE, Received, Script, Vp8, media};
use crate::id::{SourceKey, Ssrc};
use crate::ingest::source::SenderClock;
use crate::rtcp::{CompoundWriter, FullIntraEntry, ReportBlock, RtcpPacket, packets};
use crate::rtp::extension;

#[test]
fn sender_reports_go_on_with_the_clock_of_the_stream() {
    let (mut script, source, first) = running(720, 1);
    assert!(script.report().is_empty(), "the sender has not reported");
    let now = script.now;
    let encoding = &mut script.sources.get_mut(source).unwrap().encodings[0];
    encoding.sender_report = Some(SenderClock {
        ntp: 0x1111_2222_3333_4444,
        rtp: 77_000,
        arrival: now,
    });
    script.wait_millis(600);
    let bytes = script.report();
    let Some(Ok(RtcpPacket::SenderReport(report))) = packets(&bytes).next() else {
        panic!("no sender report");
    };
    assert_eq!(report.info.ssrc, first.header.ssrc);
    assert_eq!(report.info.ntp, 0x1111_2222_3333_4444);
    assert_eq!(
        report.info.rtp_timestamp, 77_000,
        "the first epoch has no shift"
    );
    assert_eq!(report.info.packets, 1);
    script.wait_millis(600);
    assert!(script.report().is_empty(), "no news");
    let mut out = [0; 64];
    let mut writer = CompoundWriter::new(&mut out);
    let block = ReportBlock {
        ssrc: first.header.ssrc,
        fraction_lost: 0,
        cumulative_lost: 0,
        highest_sequence: 0,
        jitter: 0,
        last_sender_report: 0x2222_3333,
        delay_since_last: 0x8000,
    };
    assert!(writer.receiver_report(Ssrc(1), &[block]));
    let length = writer.len();
    script.feedback(&out[..length]);
    assert_eq!(
        script.receiver.rtt().unwrap().as_millis(),
        100,
        "600 less 500"
    );
}

pub(super) fn nack(script: &mut Script, ssrc: Ssrc, wanted: &[u16]) {
    let mut out = [0; 1_200];
    let mut writer = CompoundWriter::new(&mut out);
    assert!(writer.nack(Ssrc(1), ssrc, wanted));
    let length = writer.len();
    script.feedback(&out[..length]);
}

#[test]
fn a_nack_is_answered_by_rtx_once_per_round_trip() {
    let (mut script, source, first) = running(720, 1);
    let second = pass(&mut script, source, 0, Vp8::frame(1));
    let wanted = first.header.sequence;
    nack(&mut script, first.header.ssrc, &[wanted]);
    nack(&mut script, first.header.ssrc, &[wanted, wanted]);
    let again = script.flush();
    assert_eq!(again.len(), 1);
    let header = again[0].header;
    assert_eq!(header.payload_type.0, 96);
    assert_ne!(header.ssrc, first.header.ssrc);
    assert_eq!(header.timestamp, first.header.timestamp);
    assert_eq!(again[0].payload()[..2], wanted.to_be_bytes());
    assert_eq!(again[0].payload()[2..], *first.payload());
    script.wait_millis(150);
    nack(&mut script, first.header.ssrc, &[wanted, wanted + 1]);
    let again = script.flush();
    let numbers: Vec<u16> = again.iter().map(|packet| packet.header.sequence).collect();
    assert_eq!(numbers, [header.sequence + 1, header.sequence + 2]);
    assert_eq!(
        again[0].payload()[2..],
        *second[0].payload(),
        "newest first"
    );
    assert_eq!(script.stats.packets_retransmitted, 3);
}

#[test]
fn a_receiver_without_rtx_gets_the_same_bytes_again() {
    let mut script = script();
    let source = script.announce(MediaKind::Video, 1).unwrap();
    script
        .receiver
        .set_media(script.now, &[media(MediaKind::Video, false)]);
    want(&mut script, 720);
    let first = pass(&mut script, source, 0, Vp8::keyframe(0));
    let bytes = script.runs[0].1.clone();
    pass(&mut script, source, 0, Vp8::frame(1));
    nack(
        &mut script,
        first[0].header.ssrc,
        &[first[0].header.sequence],
    );
    script.wait_millis(77);
    script.flush();
    assert_eq!(script.runs.len(), 1);
    assert_eq!(script.runs[0].1, bytes, "one index never seals two packets");
}

/// The second of three frames is asked for: before it came, and when it came and is left out.
fn ask_for_what_is_left_out(script: &mut Script, source: SourceKey, first: &Received) {
    pass(script, source, 0, Vp8::frame(2));
    let wanted = first.header.sequence + 1;
    nack(script, first.header.ssrc, &[wanted]);
    assert!(script.flush().is_empty(), "it may still come");
    script.skip(source, 0, FIRST_SEQUENCE + 1);
    nack(script, first.header.ssrc, &[wanted, wanted]);
}

#[test]
fn a_nack_of_what_is_left_out_is_answered_by_an_empty_packet() {
    let (mut script, source, first) = running(720, 1);
    ask_for_what_is_left_out(&mut script, source, &first);
    let again = script.flush();
    assert_eq!(again.len(), 1, "once");
    assert_eq!(again[0].header.payload_type.0, 96);
    let wanted = first.header.sequence + 1;
    assert_eq!(again[0].payload(), wanted.to_be_bytes());
    nack(&mut script, first.header.ssrc, &[wanted]);
    assert!(script.flush().is_empty(), "under way");
    script.wait_millis(150);
    nack(&mut script, first.header.ssrc, &[wanted]);
    assert_eq!(script.flush().len(), 1);
    assert!(
        pass(&mut script, source, 0, Vp8::frame(1)).is_empty(),
        "the number is used up"
    );
}

#[test]
fn without_rtx_what_is_left_out_is_padding_of_the_same_bytes() {
    let (mut script, source, first) = running(720, 1);
    let plain = media(MediaKind::Video, false);
    script
        .receiver
        .set_media(script.now, core::slice::from_ref(&plain));
    ask_for_what_is_left_out(&mut script, source, &first);
    let padding = script.flush().remove(0);
    let bytes = script.runs[0].1.clone();
    assert_eq!(padding.header.ssrc, first.header.ssrc);
    assert_eq!(padding.index, first.index + 1);
    assert_eq!(padding.header.payload_type, first.header.payload_type);
    assert!(padding.header.has_padding);
    assert!(padding.payload().is_empty());
    script.wait_millis(150);
    let wanted = [first.header.sequence + 1];
    nack(&mut script, first.header.ssrc, &wanted);
    script.flush();
    assert_eq!(script.runs[0].1, bytes, "one index never seals two packets");
    script
        .receiver
        .set_media(script.now, &[media(MediaKind::Video, true)]);
    script.receiver.set_media(script.now, &[plain]);
    nack(&mut script, first.header.ssrc, &wanted);
    assert!(
        script.flush().is_empty(),
        "what is forgotten is not made anew"
    );
}

#[test]
fn a_late_packet_of_a_layer_that_is_dropped_leaves_an_empty_place() {
    let (mut script, source, first) = running(720, 1);
    let name = script.sources.get(source).unwrap().name.clone();
    let constraints = VideoConstraints {
        max_height: 720,
        max_frame_rate: 15,
    };
    let wish = ReceiverConstraints {
        constraints: Some(vec![(name, constraints)]),
        ..ReceiverConstraints::default()
    };
    script.receiver.set_constraints(script.now, &wish);
    script.route();
    pass(&mut script, source, 0, Vp8::frame(2));
    let dropped = Vp8 {
        layer: 2,
        ..Vp8::frame(1)
    };
    assert!(pass(&mut script, source, 0, dropped).is_empty());
    let wanted = first.header.sequence + 1;
    nack(&mut script, first.header.ssrc, &[wanted]);
    assert_eq!(script.flush()[0].payload(), wanted.to_be_bytes());
}

#[test]
fn what_found_no_place_is_sent_when_it_is_asked_for() {
    let (mut script, source, first) = running(720, 1);
    script.has_room = false;
    assert!(pass(&mut script, source, 0, Vp8::frame(1)).is_empty());
    script.has_room = true;
    let third = pass(&mut script, source, 0, Vp8::frame(2));
    assert_eq!(sequences(&third), [first.index + 2]);
    assert_eq!(
        extension::find(&third[0].bytes, &third[0].header, 5),
        Some(&[0, 2][..]),
        "no transport-wide number was lost"
    );
    nack(&mut script, first.header.ssrc, &[first.header.sequence + 1]);
    assert_eq!(script.flush().len(), 1);
}

#[test]
fn hostile_nacks_are_bounded() {
    let (mut script, source, first) = running(720, 1);
    for at in 1..400 {
        script.video(
            source,
            0,
            Vp8 {
                length: 1_000,
                ..Vp8::frame(at)
            },
        );
    }
    script.flush();
    let everything: Vec<u16> = (0..400).map(|at| first.header.sequence + at).collect();
    let mut resent = 0;
    for _ in 0..30 {
        nack(&mut script, first.header.ssrc, &everything);
        nack(&mut script, Ssrc(first.header.ssrc.0 ^ 1), &everything);
        nack(
            &mut script,
            first.header.ssrc,
            &[first.header.sequence.wrapping_sub(9)],
        );
        nack(
            &mut script,
            first.header.ssrc,
            &[first.header.sequence + 500],
        );
        resent += script.flush().len();
        script.wait_millis(20);
    }
    assert!(
        (200..=400).contains(&resent),
        "{resent}: a burst and a share, no more"
    );
    script.wait_millis(2_000);
    nack(&mut script, first.header.ssrc, &everything);
    assert!(script.flush().is_empty(), "too old");
}

#[test]
fn a_receivers_keyframe_requests_are_throttled() {
    let (mut script, source, first) = running(720, 1);
    script.wishes();
    let mut out = [0; 64];
    let mut writer = CompoundWriter::new(&mut out);
    assert!(writer.picture_loss(Ssrc(1), first.header.ssrc));
    let entry = FullIntraEntry {
        ssrc: first.header.ssrc,
        sequence: 1,
    };
    assert!(writer.full_intra(Ssrc(1), entry));
    assert!(writer.picture_loss(Ssrc(1), Ssrc(99)));
    let length = writer.len();
    let mut asked = Vec::new();
    for step in 0..200_u32 {
        script.feedback(&out[..length]);
        asked.extend(script.wishes().iter().map(|_| step * 100));
        script.wait_millis(100);
    }
    assert_eq!(asked, [200, 1_200, 2_200, 4_200, 8_200, 12_200, 16_200]);
    assert_eq!(script.stats.keyframe_requests_received, 600);
    assert_eq!(script.sources.get(source).unwrap().encodings.len(), 1);
}
