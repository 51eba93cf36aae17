//! Tests how packets are laid out in runs and evened out.

use super::feedback::nack;
use super::*;
use crate::egress::script::media;

/// What leaves of a frame whose packets have these bytes behind the descriptor.
fn frame(script: &mut Script, source: SourceKey, first: u16, lengths: &[usize]) -> Vec<Received> {
    for (at, length) in (first..).zip(lengths) {
        let packet = Vp8 {
            length: *length,
            ..Vp8::frame(at)
        };
        script.video(source, 0, packet);
    }
    script.flush()
}

fn shapes(script: &Script) -> Vec<(usize, usize)> {
    let shapes = script.runs.iter();
    shapes.map(|(run, _)| (run.segment, run.total)).collect()
}

const UNEVEN: [usize; 4] = [1_100, 1_099, 1_100, 1_099];

/// A receiver that asks for packets again by their own number.
fn without_rtx() -> (Script, SourceKey, Received) {
    let (mut script, source, first) = running(720, 1);
    script
        .receiver
        .set_media(script.now, &[media(MediaKind::Video, false)]);
    (script, source, first)
}

#[test]
fn an_uneven_frame_leaves_in_one_run_with_legal_padding() {
    let (mut script, source, _) = running(720, 1);
    let even = frame(&mut script, source, 1, &[1_100; 4]);
    let expected: Vec<usize> = even.iter().map(|packet| packet.payload().len()).collect();
    let [(segment, total)] = shapes(&script)[..] else {
        panic!("one run");
    };
    assert_eq!(total, 4 * segment);
    let uneven = frame(&mut script, source, 5, &UNEVEN);
    assert_eq!(shapes(&script), [(segment, total - 1)]);
    let padded: Vec<bool> = uneven.iter().map(|one| one.header.has_padding).collect();
    assert_eq!(padded, [false, true, false, false]);
    for ((packet, even), shorter) in uneven.iter().zip(expected).zip([0, 1, 0, 1]) {
        assert_eq!(packet.payload().len(), even - shorter);
        assert!(packet.payload().ends_with(&[0x55; 1_000]));
    }
    assert_eq!(uneven[1].bytes.last(), Some(&1), "RFC 3550 section 5.1");
}

#[test]
fn nothing_is_padded_when_that_is_off() {
    let mut script = Script::new(ReceiverOptions {
        evens_out: false,
        ..REWRITING
    })
    .unwrap();
    let source = script.announce(MediaKind::Video, 1).unwrap();
    want(&mut script, 720);
    pass(&mut script, source, 0, Vp8::keyframe(0));
    let received = frame(&mut script, source, 1, &UNEVEN);
    assert_eq!(received.len(), 4);
    assert_eq!(script.runs.len(), 2);
    assert!(received.iter().all(|packet| !packet.header.has_padding));
}

#[test]
fn sound_is_never_padded() {
    let mut script = script();
    let sound = script.announce(MediaKind::Audio, 1).unwrap();
    let source = script.announce(MediaKind::Video, 1).unwrap();
    want(&mut script, 720);
    script.audio(sound, FIRST_SEQUENCE, 960, 33);
    script.video(source, 0, Vp8::keyframe(0));
    let received = script.flush();
    assert_eq!(received.len(), 2);
    assert!(received.iter().all(|packet| !packet.header.has_padding));
    assert_eq!(received[0].header.payload_type.0, 111, "and goes first");
}

#[test]
fn a_padded_packet_goes_again_with_its_padding_or_by_rtx_without() {
    let (mut script, source, first) = without_rtx();
    frame(&mut script, source, 1, &UNEVEN);
    let segment = script.runs[0].0.segment;
    let padded = script.runs[0].1[segment..2 * segment].to_vec();
    nack(&mut script, first.header.ssrc, &[first.header.sequence + 2]);
    script.flush();
    assert_eq!(
        script.runs[0].1, padded,
        "one index never seals two packets"
    );

    let (mut script, source, first) = running(720, 1);
    let sent = frame(&mut script, source, 1, &UNEVEN);
    nack(&mut script, first.header.ssrc, &[first.header.sequence + 2]);
    let again = script.flush().remove(0);
    assert!(!again.header.has_padding);
    assert_eq!(again.payload()[2..], *sent[1].payload());
}

#[test]
fn a_packet_asked_for_before_it_came_is_sealed_once() {
    let (mut script, source, first) = without_rtx();
    frame(&mut script, source, 2, &[1_100]);
    nack(&mut script, first.header.ssrc, &[first.header.sequence + 1]);
    // It comes late, is padded for what follows, and its request still stands.
    for (at, length) in [(1, 1_099), (3, 1_100)] {
        let packet = Vp8 {
            length,
            ..Vp8::frame(at)
        };
        script.video(source, 0, packet);
    }
    let received = script.flush();
    let mut indices = sequences(&received);
    indices.sort_unstable();
    indices.dedup();
    assert_eq!(indices.len(), received.len());
    let (run, bytes) = &script.runs[0];
    let late = &bytes[..run.segment];
    assert!(received[0].header.has_padding);
    let others = script.runs.iter().skip(1);
    assert!(
        others
            .into_iter()
            .all(|(_, again)| again == late || again.iter().all(|b| *b == 0))
    );
}
