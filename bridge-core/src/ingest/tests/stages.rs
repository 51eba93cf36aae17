//! Walks packets through the stages of ingest.

use crate::description::MediaKind;
use crate::error::{Discard, Error};
use crate::id::{EndpointId, Ssrc};
use crate::ingest::Ingest;
use crate::ingest::scene::{
    AUDIO, LEVEL_ID, OPUS, RTX, Scene, TRANSPORT_ID, VIDEO, VP8, VP8_RTX, endpoint, media, sources,
};
use crate::ingest::store::Entry;
use crate::limits::{HISTORY_PACKETS_MAX, SILENT_PACKETS_MAX};
use crate::packet::Packet;
use crate::rtp::RtpHeader;

use super::scene::{DELTA_FRAME, KEYFRAME, PICTURE, REPEATED, SOUND, Sent, source};

#[test]
fn packets_wait_under_their_source_in_the_order_of_arrival() {
    let mut scene = Scene::new();
    for sequence in [7, 9, 8] {
        scene.send(PICTURE.at(sequence)).unwrap();
    }
    let source = scene.source("v0");
    let pending: Vec<_> = source
        .pending
        .iter()
        .map(|one| source.encodings[0].store.get(one.sequence).unwrap())
        .map(|packet| packet.header.sequence)
        .collect();
    assert_eq!(pending, [7, 9, 8]);
    assert!(scene.source("a0").pending.is_empty());
}

#[test]
fn what_was_not_announced_or_negotiated_goes_no_further() {
    let cases = [
        (
            Sent {
                ssrc: Ssrc(99),
                ..SOUND
            },
            Discard::UnknownSsrc,
        ),
        (
            Sent {
                ssrc: Ssrc(2),
                ..PICTURE
            },
            Discard::UnknownSsrc,
        ),
        (
            Sent {
                payload_type: 0,
                ..SOUND
            },
            Discard::UnknownPayloadType,
        ),
        (
            Sent {
                payload_type: VP8,
                ..SOUND
            },
            Discard::UnknownPayloadType,
        ),
        (
            Sent {
                payload_type: OPUS,
                ..PICTURE
            },
            Discard::UnknownPayloadType,
        ),
        (
            Sent {
                payload_type: VP8_RTX,
                ..PICTURE
            },
            Discard::UnknownPayloadType,
        ),
        (
            Sent {
                payload_type: VP8,
                ..REPEATED
            },
            Discard::UnknownPayloadType,
        ),
        (
            Sent {
                payload: &[0x90],
                ..PICTURE
            },
            Discard::PayloadMalformed,
        ),
    ];
    let mut scene = Scene::new();
    for (sent, reason) in cases {
        assert_eq!(scene.send(sent), Err(reason));
        assert!(scene.source("v0").pending.is_empty());
        assert!(scene.source("a0").pending.is_empty());
    }
    let mut padded = PICTURE.bytes();
    padded[0] |= 0x20;
    padded.push(0);
    assert_eq!(scene.send_bytes(&padded), Err(Discard::RtpMalformed));
    assert_eq!(scene.pool.made(), 1, "each discarded packet is used again");
}

#[test]
fn nobody_sends_in_the_name_of_another() {
    let mut scene = Scene::new();
    let mut other = Ingest::new(endpoint(1), EndpointId::new("other").unwrap(), 1);
    for description in media(&[]) {
        other.set_media(&description).unwrap();
    }
    let bytes = SOUND.bytes();
    let header = RtpHeader::parse(&bytes).unwrap();
    let (conference, pool) = (&mut scene.conference, &mut scene.pool);
    let packet = Packet::copy_of(&bytes);
    let result = other.handle_rtp(scene.now, packet, &header, conference, pool);
    assert_eq!(result, Err(Discard::UnknownSsrc));
    let claim = [source("mine", MediaKind::Audio, &[AUDIO])];
    let result = other.set_sources(conference, &claim, pool);
    assert!(matches!(result, Err(Error::Exists("SSRC"))));
    let claim = [source("a0", MediaKind::Audio, &[Ssrc(77)])];
    let result = other.set_sources(conference, &claim, pool);
    assert!(matches!(result, Err(Error::Exists("source"))));
    let claim = [source("mine", MediaKind::Video, &[Ssrc(2)])];
    let result = other.set_sources(conference, &claim, pool);
    assert!(matches!(result, Err(Error::Exists("SSRC"))), "our own");
}

#[test]
fn a_retransmission_becomes_its_original() {
    let mut scene = Scene::new();
    scene.send(PICTURE.at(65_535)).unwrap();
    scene.send(PICTURE.at(1)).unwrap();
    let original = Sent {
        timestamp: 3_000,
        extension: Some((TRANSPORT_ID, &[0, 7])),
        padding: 3,
        ..PICTURE
    };
    let payload = [&[0, 0], &DELTA_FRAME[..]].concat();
    let repeated = Sent {
        payload_type: VP8_RTX,
        ssrc: RTX[0],
        payload: &payload,
        ..original
    };
    scene.send(repeated.at(500)).unwrap();
    let source = scene.source("v0");
    let last = *source.pending.last().unwrap();
    assert_eq!(last.sequence, source.pending[0].sequence + 1);
    let packet = source.encodings[0].store.get(last.sequence).unwrap();
    assert_eq!(packet.packet.bytes(), original.at(0).bytes());
    let header = RtpHeader::parse(packet.packet.bytes()).unwrap();
    assert_eq!(packet.header, header);
    assert_eq!(usize::from(packet.payload_length), DELTA_FRAME.len());
    assert_eq!(scene.ingest.counters().packets_recovered, 1);
}

#[test]
fn retransmissions_without_an_original_go_no_further() {
    let mut scene = Scene::new();
    scene.send(PICTURE.at(5)).unwrap();
    let cases: [(&[u8], u8, Discard); 5] = [
        (&[], 200, Discard::PaddingOnly),
        (&[], 0, Discard::PaddingOnly),
        (&[0], 0, Discard::RtxUnexpected),
        (&[0, 5, 0x10, 1], 0, Discard::Duplicate),
        (&[0, 6], 0, Discard::PaddingOnly),
    ];
    for (sequence, (payload, padding, reason)) in (0..).zip(cases) {
        let sent = Sent {
            payload,
            padding,
            ..REPEATED
        };
        assert_eq!(scene.send(sent.at(sequence)), Err(reason), "{payload:?}");
    }
    assert_eq!(scene.source("v0").pending.len(), 1);
    assert_eq!(scene.ingest.counters().packets_recovered, 0);
}

#[test]
fn padding_is_skipped_and_is_not_missing() {
    let mut scene = Scene::new();
    scene.send(PICTURE.at(1)).unwrap();
    let padding = Sent {
        payload: &[],
        padding: 255,
        ..PICTURE
    };
    assert_eq!(scene.send(padding.at(2)), Err(Discard::PaddingOnly));
    assert_eq!(scene.send(padding.at(2)), Err(Discard::Duplicate));
    scene.send(PICTURE.at(3)).unwrap();
    let source = scene.source("v0");
    assert_eq!(source.pending.len(), 2);
    let first = source.pending[0].sequence;
    let store = &source.encodings[0].store;
    assert!(matches!(store.entry(first + 1), Entry::Skipped));
    assert!(scene.told().is_empty());
}

#[test]
fn only_the_first_silent_packets_in_a_row_are_forwarded() {
    let mut scene = Scene::new();
    let mut sequence = 0;
    let mut send = |level: u8, count: usize| {
        let level = [level];
        let sound = Sent {
            extension: Some((LEVEL_ID, &level)),
            ..SOUND
        };
        let results = (0..count).map(|_| {
            sequence += 1;
            scene.send(sound.at(sequence))
        });
        results.filter(Result::is_ok).count()
    };
    let first = usize::from(SILENT_PACKETS_MAX);
    assert_eq!(send(127, 10), first);
    assert_eq!(send(126, 10), 10);
    assert_eq!(send(127, 10), first);
    assert_eq!(send(0x80 | 30, 1), 1, "voice");
    assert_eq!(send(127, 1), 1);
    assert_eq!(scene.send(SOUND.at(100)), Ok(()), "no level");
}

#[test]
fn what_a_moderator_muted_is_neither_forwarded_nor_missed() {
    let mut scene = Scene::new();
    scene.send(PICTURE.at(1)).unwrap();
    scene.wish(0);
    scene
        .ingest
        .force_mute(&mut scene.conference, None, Some(true));
    assert_eq!(scene.send(PICTURE.at(5)), Err(Discard::Muted));
    scene.wish(0);
    assert!(scene.told().is_empty());
    scene.send(SOUND.at(1)).unwrap();
    scene
        .ingest
        .force_mute(&mut scene.conference, None, Some(false));
    scene.send(PICTURE.at(6)).unwrap();
    assert!(scene.told().is_empty());
    let mute = (Some(true), Some(true));
    let conference = &mut scene.conference;
    scene.ingest.force_mute(conference, mute.0, mute.1);
    let mut more = sources().unwrap();
    more.push(source("v1", MediaKind::Video, &[Ssrc(50)]));
    let result = scene.ingest.set_sources(conference, &more, &mut scene.pool);
    assert!(result.is_ok());
    assert!(scene.source("v1").muted);
}

#[test]
fn a_keyframe_tells_the_height_and_what_came_before_is_not_missed() {
    let mut scene = Scene::new();
    scene.send(PICTURE.at(1)).unwrap();
    let before = scene.conference.changes;
    let key = Sent {
        payload: &KEYFRAME,
        ..PICTURE
    };
    scene.send(key.at(9)).unwrap();
    assert_eq!(scene.video(0).height, Some(360));
    assert_eq!(scene.conference.changes, before + 1);
    assert!(scene.told().is_empty());
    scene.send(key.at(10)).unwrap();
    assert_eq!(scene.conference.changes, before + 1, "as before");
}

#[test]
fn an_encoding_that_others_overtake_is_not_live_any_more() {
    let mut scene = Scene::new();
    for frame in 0..60_u16 {
        let timestamp = u32::from(frame) * 3_000;
        for (encoding, ssrc) in VIDEO.into_iter().enumerate() {
            if encoding < 2 || frame < 30 {
                let picture = Sent {
                    ssrc,
                    timestamp,
                    ..PICTURE
                };
                scene.send(picture.at(frame)).unwrap();
            }
        }
        scene.pass(33);
        scene.told();
    }
    scene.pass(400);
    scene.told();
    let live = [0, 1, 2].map(|encoding| scene.video(encoding).live);
    assert_eq!(live, [true, true, false]);
    assert!(matches!(scene.video(2).store.entry(65_536), Entry::Gone));
}

#[test]
fn a_still_picture_at_one_frame_a_second_stays_live() {
    let mut scene = Scene::new();
    for frame in 0..20_u16 {
        for ssrc in VIDEO {
            let timestamp = u32::from(frame) * 90_000;
            let picture = Sent {
                ssrc,
                timestamp,
                ..PICTURE
            };
            scene.send(picture.at(frame)).unwrap();
            scene.told();
        }
        for _ in 0..10 {
            scene.pass(100);
            scene.told();
            for encoding in 0..3 {
                assert!(scene.video(encoding).live, "frame {frame}");
            }
        }
    }
    scene.pass(5_000);
    scene.told();
    assert!(!scene.video(0).live, "all are silent for long");
}

#[test]
fn packets_go_back_to_the_pool_when_a_source_is_withdrawn() {
    let mut scene = Scene::new();
    for sequence in 0..300 {
        scene.send(PICTURE.at(sequence)).unwrap();
    }
    scene.source("v0").pending.clear();
    let made = scene.pool.made();
    let (conference, pool) = (&mut scene.conference, &mut scene.pool);
    scene.ingest.set_sources(conference, &[], pool).unwrap();
    assert!(scene.ingest.sources.is_empty());
    assert_eq!(scene.send(PICTURE), Err(Discard::UnknownSsrc));
    for _ in 0..made {
        let packet = scene.pool.take();
        core::mem::forget(packet);
    }
    assert_eq!(scene.pool.made(), made);
}

#[test]
fn no_numbers_of_a_hostile_sender_cost_more_than_the_bounds() {
    let mut scene = Scene::new();
    let mut number = 1_u16;
    for step in 0..20_000_u32 {
        number = number.wrapping_mul(25_173).wrapping_add(13_849);
        let extension = number.to_be_bytes();
        let payload = [&number.swap_bytes().to_be_bytes()[..], &KEYFRAME].concat();
        let sent = Sent {
            sequence: number,
            timestamp: step.wrapping_mul(0x9e37_79b9),
            extension: Some((TRANSPORT_ID, &extension)),
            payload: &payload[2..],
            ..PICTURE
        };
        let repeated = Sent {
            payload: &payload,
            ..REPEATED
        };
        for sent in [sent, repeated.at(number)] {
            let result = scene.send(sent);
            assert!(matches!(result, Ok(()) | Err(Discard::Duplicate)));
        }
        if step % 16 == 0 {
            scene.pass(3);
            scene.told();
            scene.source("v0").pending.clear();
        }
    }
    let bound = HISTORY_PACKETS_MAX as u64 + 1;
    assert!(scene.pool.made() <= bound, "{}", scene.pool.made());
}
