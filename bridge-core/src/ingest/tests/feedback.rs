//! Checks what a sender is told, and when.

use core::time::Duration;

use crate::description::Feedback;
use crate::error::Discard;
use crate::id::Ssrc;
use crate::ingest::scene::{AUDIO, RTX, Scene, TRANSPORT_ID, VIDEO};
use crate::limits::{KEYFRAME_REQUEST_INTERVAL, MISSING_MAX, NACK_TRIES_MAX};

use super::scene::{DELTA_FRAME, KEYFRAME, PICTURE, REPEATED, SOUND, Sent, Told};

#[test]
fn a_lost_packet_is_asked_for_at_once_then_every_round_trip_until_it_comes() {
    let mut scene = Scene::new();
    scene.ingest.set_rtt(Duration::from_millis(50));
    scene.send(PICTURE.at(65_534)).unwrap();
    scene.send(PICTURE.at(2)).unwrap();
    let nack = |lost: &[u16]| vec![Told::Nack(VIDEO[0], lost.to_vec())];
    assert_eq!(scene.told(), nack(&[65_535, 0, 1]));
    assert!(scene.told().is_empty());
    scene.send(PICTURE.at(0)).unwrap();
    scene.pass(49);
    assert!(scene.told().is_empty());
    scene.pass(1);
    assert_eq!(scene.told(), nack(&[65_535, 1]));
    let payload = [&[255, 255], &DELTA_FRAME[..]].concat();
    let repeated = Sent {
        payload: &payload,
        ..REPEATED
    };
    scene.send(repeated).unwrap();
    scene.pass(50);
    assert_eq!(scene.told(), nack(&[1]));
    assert_eq!(scene.ingest.counters().packets_nacked, 6);
}

#[test]
fn a_packet_that_never_comes_is_given_up_for_a_keyframe() {
    let mut scene = Scene::new();
    scene.ingest.set_rtt(Duration::from_millis(20));
    scene.send(PICTURE.at(1)).unwrap();
    scene.send(PICTURE.at(3)).unwrap();
    let mut nacks = 0;
    let mut told = scene.told();
    while told == [Told::Nack(VIDEO[0], vec![2])] {
        nacks += 1;
        scene.pass(20);
        told = scene.told();
    }
    assert_eq!(nacks, usize::from(NACK_TRIES_MAX));
    assert_eq!(told, [Told::Pli(VIDEO[0])]);
}

#[test]
fn a_gap_too_long_to_mend_asks_for_a_keyframe_at_once() {
    let mut scene = Scene::new();
    scene.send(PICTURE.at(1)).unwrap();
    scene
        .send(PICTURE.at(3 + u16::try_from(MISSING_MAX).unwrap()))
        .unwrap();
    assert_eq!(scene.told(), [Told::Pli(VIDEO[0])]);
}

#[test]
fn sound_and_senders_without_nack_are_not_asked_again() {
    let mut scene = Scene::told_by(&[]);
    for sequence in [1, 5] {
        scene.send(SOUND.at(sequence)).unwrap();
        scene.send(PICTURE.at(sequence)).unwrap();
    }
    assert!(scene.told().is_empty());
}

/// What the scene's sender is told, but for reports, which go along.
fn wishes(scene: &mut Scene) -> Vec<Told> {
    let mut told = scene.told();
    told.retain(|told| !matches!(told, Told::Report(_)));
    told
}

#[test]
fn keyframe_wishes_are_coalesced_throttled_and_repeated_until_one_comes() {
    let mut scene = Scene::new();
    scene.wish(0);
    scene.wish(0);
    scene.wish(2);
    assert_eq!(scene.told(), [Told::Pli(VIDEO[0]), Told::Pli(VIDEO[2])]);
    scene.pass(50);
    scene.wish(0);
    scene.wish(1);
    assert!(scene.told().is_empty(), "throttled");
    scene.pass(150);
    let all = VIDEO.map(Told::Pli);
    assert_eq!(scene.told(), all);
    scene
        .send(Sent {
            payload: &KEYFRAME,
            ..PICTURE
        })
        .unwrap();
    scene.pass(400);
    assert_eq!(wishes(&mut scene), all[1..]);
    scene.wish(9);
    let mut asked = 0;
    for _ in 0..200 {
        scene.pass(100);
        let told = scene.told();
        asked += told
            .iter()
            .filter(|told| matches!(told, Told::Pli(_)))
            .count();
    }
    assert!((2..=20).contains(&asked), "given up in the end: {asked}");
    assert_eq!(
        scene.ingest.counters().keyframe_requests_sent,
        7 + asked as u64
    );
}

#[test]
fn a_flood_of_wishes_reaches_the_sender_five_times_a_second() {
    let mut scene = Scene::new();
    let mut asked = 0;
    for _ in 0..10_000 {
        scene.now = scene.now + Duration::from_micros(100);
        scene.wish(0);
        asked += wishes(&mut scene).len();
        let key = Sent {
            payload: &KEYFRAME,
            ..PICTURE
        };
        let result = scene.send(key);
        assert!(matches!(result, Ok(()) | Err(Discard::Duplicate)));
    }
    let most = Duration::from_secs(1).as_millis() / KEYFRAME_REQUEST_INTERVAL.as_millis();
    assert!(asked as u128 <= most + 1, "{asked}");
}

#[test]
fn fir_is_used_when_nothing_else_is_negotiated_and_counts_wishes() {
    let mut scene = Scene::told_by(&[Feedback::CcmFir]);
    scene.wish(1);
    assert_eq!(scene.told(), [Told::Fir(VIDEO[1], 1)]);
    scene.pass(200);
    assert_eq!(scene.told(), [Told::Fir(VIDEO[1], 1)], "repeated");
    scene
        .send(Sent {
            ssrc: VIDEO[1],
            payload: &KEYFRAME,
            ..PICTURE
        })
        .unwrap();
    scene.pass(200);
    scene.wish(1);
    assert_eq!(scene.told(), [Told::Fir(VIDEO[1], 2)], "a new wish");
}

#[test]
fn reception_is_reported_twice_a_second_while_something_comes() {
    let mut scene = Scene::new();
    for sequence in [0, 1, 2, 3, 5, 6, 7, 9] {
        scene.send(SOUND.at(sequence)).unwrap();
    }
    assert!(scene.told().is_empty());
    scene.pass(500);
    assert_eq!(scene.told(), [Told::Report(vec![(AUDIO, 51, 2)])]);
    scene.pass(500);
    scene.send(SOUND.at(10)).unwrap();
    assert_eq!(scene.told(), [Told::Report(vec![(AUDIO, 0, 2)])]);
    scene.pass(6_000);
    assert!(scene.told().is_empty());
    assert_eq!(scene.ingest.deadline(), None, "nothing comes any more");
}

#[test]
fn a_report_goes_with_what_goes_anyway() {
    let mut scene = Scene::new();
    let mut told_after = |millis, sequence: u16| {
        scene.pass(millis);
        let number = sequence.to_be_bytes();
        let extension = Some((TRANSPORT_ID, &number[..]));
        let sound = Sent { extension, ..SOUND };
        scene.send(sound.at(sequence)).unwrap();
        let kinds = scene.told().into_iter().map(|told| match told {
            Told::Report(_) => 'r',
            Told::Arrivals(_) => 'a',
            _ => '?',
        });
        kinds.collect::<String>()
    };
    assert_eq!(told_after(0, 1), "");
    assert_eq!(told_after(200, 2), "a", "too early for a report");
    assert_eq!(told_after(100, 3), "ra");
    assert_eq!(told_after(200, 4), "a", "it was told");
}

#[test]
fn arrivals_are_told_for_all_streams_of_the_transport() {
    let mut scene = Scene::new();
    let numbers = [
        (65_534_u16, SOUND),
        (65_535, PICTURE),
        (1, PICTURE),
        (2, SOUND),
    ];
    for (sequence, (number, sent)) in (0..).zip(numbers) {
        let number = number.to_be_bytes();
        let extension = Some((TRANSPORT_ID, &number[..]));
        scene.send(Sent { extension, ..sent }.at(sequence)).unwrap();
        scene.pass(1);
    }
    let unknown = Sent {
        ssrc: Ssrc(99),
        extension: Some((TRANSPORT_ID, &[0, 3])),
        ..SOUND
    };
    assert!(scene.send(unknown).is_err());
    scene.pass(95);
    assert!(scene.told().is_empty());
    scene.pass(1);
    let came = [
        (65_534, true),
        (65_535, true),
        (0, false),
        (1, true),
        (2, true),
        (3, true),
    ];
    assert_eq!(scene.told(), [Told::Arrivals(came.to_vec())]);
    assert!(scene.told().is_empty());
    let late = Sent {
        extension: Some((TRANSPORT_ID, &[0, 0])),
        ..SOUND
    };
    scene.send(late.at(9)).unwrap();
    scene.pass(100);
    let came = [(0, true), (1, true), (2, true), (3, true)];
    assert_eq!(scene.told(), [Told::Arrivals(came.to_vec())], "a late one");
}

#[test]
fn a_sender_without_transport_cc_is_told_the_bound() {
    let mut scene = Scene::told_by(&[Feedback::Remb]);
    scene.send(PICTURE.at(1)).unwrap();
    scene.pass(500);
    let told = scene.told();
    let bounds = told.iter().filter(|told| matches!(told, Told::Bound(_)));
    assert_eq!(bounds.count(), 1);
    let mut scene = Scene::new();
    scene.send(PICTURE.at(1)).unwrap();
    scene.pass(500);
    assert!(
        !scene
            .told()
            .iter()
            .any(|told| matches!(told, Told::Bound(_)))
    );
}

#[test]
fn a_sender_clock_counts_when_it_agrees_with_the_packets() {
    let mut scene = Scene::new();
    assert_eq!(
        scene.sender_report(Ssrc(99), 7, 0),
        Err(Discard::UnknownSsrc)
    );
    scene.sender_report(AUDIO, 7, 0).unwrap();
    let clock = |scene: &mut Scene| {
        let clock = scene.source("a0").encodings[0].sender_report;
        clock.map(|clock| (clock.ntp, clock.rtp))
    };
    assert_eq!(clock(&mut scene), None, "no packet yet");
    let start = u32::MAX - 100;
    scene
        .send(Sent {
            timestamp: start,
            ..SOUND
        })
        .unwrap();
    scene.pass(1_000);
    let cases = [
        (1, 48_000, true),
        (2, 48_000 * 10, true),
        (3, 48_000 * 12, false),
        (4, -48_000 * 8, true),
        (5, -48_000 * 10, false),
        (0, 48_000, false),
    ];
    let mut last = None;
    for (ntp, distance, counts) in cases {
        let rtp = start.wrapping_add_signed(distance);
        scene.sender_report(AUDIO, ntp, rtp).unwrap();
        last = if counts { Some((ntp, rtp)) } else { last };
        assert_eq!(clock(&mut scene), last, "{distance} ticks away");
    }
}

#[test]
fn a_stream_that_says_goodbye_ends_and_stays_announced() {
    let mut scene = Scene::new();
    scene.send(PICTURE.at(1)).unwrap();
    let before = scene.conference.changes;
    let foreign = scene.send_rtcp(|writer| assert!(writer.bye(&[Ssrc(99)])));
    assert_eq!(foreign, Err(Discard::UnknownSsrc));
    let both = scene.send_rtcp(|writer| assert!(writer.bye(&[Ssrc(99), VIDEO[0], RTX[0]])));
    assert_eq!(both, Err(Discard::UnknownSsrc), "and its own end");
    scene.told();
    assert!(!scene.video(0).live);
    assert_eq!(scene.conference.changes, before + 1);
    scene.send(PICTURE.at(2)).unwrap();
    assert!(scene.video(0).live);
}
