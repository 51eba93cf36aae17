//! Tests the way through one receiver as a whole.

mod assignment;

mod feedback;

mod runs;

use super::ReceiverOptions;
use super::script::{FIRST_SEQUENCE, Received, Script, Vp8};
use crate::description::{MediaKind, ReceiverConstraints, VideoConstraints};
use crate::event::Event;
use crate::id::{SourceKey, Ssrc};
use crate::ingest::source::SenderClock;
use crate::rtp::extension;

const REWRITING: ReceiverOptions = ReceiverOptions {
    ssrc_rewriting: true,
    initial_max_height: 0,
    trust_no_estimate: true,
    evens_out: true,
};

const PLAIN: ReceiverOptions = ReceiverOptions {
    ssrc_rewriting: false,
    initial_max_height: -1,
    trust_no_estimate: true,
    evens_out: true,
};

fn script() -> Script {
    Script::new(REWRITING).unwrap()
}

/// Sets how large the receiver wants every picture.
fn want(script: &mut Script, max_height: i32) {
    let constraints = ReceiverConstraints {
        default_max_height: Some(max_height),
        ..ReceiverConstraints::default()
    };
    script.receiver.set_constraints(script.now, &constraints);
    script.route();
}

/// Sends one packet and gives what came of it.
fn pass(script: &mut Script, source: SourceKey, encoding: u8, packet: Vp8) -> Vec<Received> {
    script.video(source, encoding, packet);
    script.wait_millis(33);
    script.flush()
}

/// A camera with `encodings`, wanted at `height`, whose first keyframe was forwarded.
fn running(height: i32, encodings: u8) -> (Script, SourceKey, Received) {
    let mut script = script();
    let source = script.announce(MediaKind::Video, encodings.into()).unwrap();
    want(&mut script, height);
    let encoding = match height {
        180 => 0,
        360 => 1,
        _ => encodings - 1,
    };
    let received = pass(&mut script, source, encoding, Vp8::keyframe(0));
    let first = received.into_iter().next().expect("the first keyframe");
    (script, source, first)
}

fn sequences(received: &[Received]) -> Vec<u64> {
    received.iter().map(|packet| packet.index).collect()
}

fn mapped_ssrc(script: &Script, source: SourceKey) -> Option<Ssrc> {
    let name = &script.sources.get(source)?.name;
    let events = script.events.iter().rev();
    let mapped = events.flat_map(|event| match event {
        Event::VideoSourcesMapped { mapped, .. } | Event::AudioSourcesMapped { mapped, .. } => {
            mapped.as_slice()
        }
        _ => &[],
    });
    mapped
        .filter(|mapped| mapped.source == *name)
        .map(|mapped| mapped.ssrc)
        .next()
}

#[test]
fn a_stream_starts_with_a_keyframe_that_is_asked_for() {
    let mut script = script();
    let source = script.announce(MediaKind::Video, 1).unwrap();
    want(&mut script, 720);
    assert_eq!(script.wishes(), [(source, 0)]);
    assert!(pass(&mut script, source, 0, Vp8::frame(0)).is_empty());
    assert!(script.wishes().is_empty(), "asked a moment ago");
    let received = pass(&mut script, source, 0, Vp8::keyframe(1));
    assert_eq!(received.len(), 1);
    let header = received[0].header;
    assert_eq!(Some(header.ssrc), mapped_ssrc(&script, source));
    assert_eq!(header.payload_type.0, 100);
    assert!(header.marker);
    let received = pass(&mut script, source, 0, Vp8::frame(2));
    assert_eq!(received[0].header.sequence, header.sequence + 1);
    assert_eq!(received[0].header.timestamp, header.timestamp + 3_000);
}

#[test]
fn nothing_is_sent_before_the_receiver_says_what_it_wants() {
    let mut script = script();
    let source = script.announce(MediaKind::Video, 1).unwrap();
    script.route();
    assert!(script.wishes().is_empty());
    assert!(pass(&mut script, source, 0, Vp8::keyframe(0)).is_empty());
    assert!(script.events.is_empty());
}

#[test]
fn the_receivers_extensions_are_written_in_the_fewest_bytes() {
    let (mut script, ..) = running(720, 1);
    let sound = script.announce(MediaKind::Audio, 1).unwrap();
    script.route();
    script.audio(sound, FIRST_SEQUENCE, 960, 33);
    let received = script.flush();
    let packet = &received[0];
    let find = |id| extension::find(&packet.bytes, &packet.header, id);
    assert_eq!(
        packet.header.length,
        12 + 4 + 8,
        "level 2, number 3, padding 3"
    );
    assert_eq!(find(1), Some(&[0x80 | 33][..]));
    assert_eq!(
        find(5),
        Some(&[0, 2][..]),
        "the second packet of the transport"
    );
    assert_eq!(find(10), None, "the sender's MID is not passed on");
    assert_eq!(packet.header.payload_type.0, 111);
    assert_eq!(packet.payload(), [0x78; 60]);
}

#[test]
fn picture_and_layer_numbers_go_on_across_a_switch() {
    let (mut script, source, first) = running(180, 3);
    let vp8 = first.vp8().unwrap();
    assert_eq!(vp8.picture_id.unwrap().value, 0);
    want(&mut script, 720);
    assert_eq!(script.wishes(), [(source, 0)], "another may come at once");
    let other = Vp8 {
        sequence: 3 * FIRST_SEQUENCE + 65_535,
        timestamp: 4_000_000_000,
        picture_id: 0x7fff,
        tl0_index: 255,
        ..Vp8::keyframe(0)
    };
    let delta = Vp8 {
        keyframe: false,
        ..other
    };
    assert!(
        pass(&mut script, source, 2, delta).is_empty(),
        "no keyframe yet"
    );
    let kept = pass(&mut script, source, 0, Vp8::frame(1));
    assert_eq!(sequences(&kept), [first.index + 1], "the old one goes on");
    let key = Vp8 {
        sequence: other.sequence + 1,
        ..other
    };
    let switched = pass(&mut script, source, 2, key);
    assert_eq!(sequences(&switched), [first.index + 2]);
    let vp8 = switched[0].vp8().unwrap();
    assert_eq!(vp8.picture_id.unwrap().value, 2);
    assert_eq!(vp8.tl0_picture_index, Some(2));
    assert_eq!(switched[0].header.ssrc, first.header.ssrc);
    assert!(pass(&mut script, source, 0, Vp8::frame(2)).is_empty());
    let next = Vp8 {
        sequence: key.sequence + 1,
        timestamp: key.timestamp.wrapping_add(3_000),
        picture_id: 0,
        tl0_index: 0,
        ..Vp8::frame(0)
    };
    let after = pass(&mut script, source, 2, next);
    assert_eq!(sequences(&after), [first.index + 3]);
    let vp8 = after[0].vp8().unwrap();
    assert_eq!(vp8.picture_id.unwrap().value, 3, "15 bits wrapped");
    assert_eq!(vp8.tl0_picture_index, Some(3), "8 bits wrapped");
}

#[test]
fn switching_down_keeps_the_base_layer_until_the_keyframe() {
    let (mut script, source, first) = running(720, 3);
    want(&mut script, 180);
    let upper = Vp8 {
        layer: 2,
        ..Vp8::frame(1)
    };
    assert!(pass(&mut script, source, 2, upper).is_empty());
    let base = pass(&mut script, source, 2, Vp8::frame(2));
    assert_eq!(
        sequences(&base),
        [first.index + 1],
        "numbers closed over the layer"
    );
    assert!(pass(&mut script, source, 1, Vp8::frame(0)).is_empty());
    let between = pass(&mut script, source, 1, Vp8::keyframe(1));
    assert_eq!(
        sequences(&between),
        [first.index + 2],
        "nearer to the target"
    );
    let target = pass(&mut script, source, 0, Vp8::keyframe(0));
    assert_eq!(sequences(&target), [first.index + 3]);
    assert!(
        pass(&mut script, source, 1, Vp8::keyframe(9)).is_empty(),
        "above the target"
    );
}

#[test]
fn within_the_keyframe_window_nothing_more_is_asked_and_the_quality_rises() {
    let mut script = script();
    let source = script.announce(MediaKind::Video, 3).unwrap();
    want(&mut script, 720);
    script.wait_millis(1_100);
    script.wishes();
    assert_eq!(pass(&mut script, source, 0, Vp8::keyframe(0)).len(), 1);
    assert!(
        script.wishes().is_empty(),
        "the others' keyframes are on their way"
    );
    assert_eq!(pass(&mut script, source, 2, Vp8::keyframe(0)).len(), 1);
    assert!(
        pass(&mut script, source, 1, Vp8::keyframe(0)).is_empty(),
        "below what it has"
    );
    script.wait_millis(5_000);
    pass(&mut script, source, 2, Vp8::frame(1));
    assert!(script.wishes().is_empty(), "it has what it wants");
}

#[test]
fn an_awaited_keyframe_is_asked_for_again_while_packets_come() {
    let (mut script, source, _) = running(180, 3);
    want(&mut script, 720);
    script.wishes();
    for at in 1..100 {
        pass(&mut script, source, 0, Vp8::frame(at));
    }
    assert_eq!(script.wishes(), [(source, 2); 3], "once a second");
}

#[test]
fn late_packets_find_their_place_and_duplicates_do_not() {
    let (mut script, source, first) = running(720, 1);
    let ahead = pass(&mut script, source, 0, Vp8::frame(3));
    assert_eq!(sequences(&ahead), [first.index + 3]);
    let late = pass(&mut script, source, 0, Vp8::frame(1));
    assert_eq!(sequences(&late), [first.index + 1]);
    assert!(pass(&mut script, source, 0, Vp8::frame(1)).is_empty());
    let late = pass(&mut script, source, 0, Vp8::frame(2));
    assert_eq!(sequences(&late), [first.index + 2]);
    let next = pass(&mut script, source, 0, Vp8::frame(4));
    assert_eq!(sequences(&next), [first.index + 4]);
}

#[test]
fn a_keyframe_whose_first_packet_comes_last_is_sent_whole() {
    let mut script = script();
    let source = script.announce(MediaKind::Video, 1).unwrap();
    want(&mut script, 720);
    let part = |at: u64, marker| Vp8 {
        sequence: FIRST_SEQUENCE + at,
        starts_frame: at == 0,
        marker,
        ..Vp8::keyframe(0)
    };
    script.video(source, 0, part(2, true));
    script.video(source, 0, part(1, false));
    assert!(script.flush().is_empty());
    script.video(
        source,
        0,
        Vp8 {
            sequence: FIRST_SEQUENCE + 3,
            ..Vp8::frame(1)
        },
    );
    script.video(source, 0, part(0, false));
    let received = script.flush();
    let first = received[0].index;
    assert_eq!(
        sequences(&received),
        [first, first + 1, first + 2, first + 3]
    );
}

#[test]
fn an_incomplete_frame_leaves_one_number_free_at_a_switch() {
    let (mut script, source, first) = running(180, 3);
    want(&mut script, 720);
    let cut = Vp8 {
        marker: false,
        ..Vp8::frame(1)
    };
    pass(&mut script, source, 0, cut);
    let switched = pass(&mut script, source, 2, Vp8::keyframe(0));
    assert_eq!(sequences(&switched), [first.index + 3]);
    assert!(
        pass(&mut script, source, 0, Vp8::frame(2)).is_empty(),
        "the old epoch is closed"
    );
}

#[test]
fn numbers_close_over_what_came_and_is_never_forwarded() {
    let (mut script, source, first) = running(720, 1);
    script.skip(source, 0, FIRST_SEQUENCE + 1);
    script.skip(source, 0, FIRST_SEQUENCE + 2);
    let next = pass(&mut script, source, 0, Vp8::frame(3));
    assert_eq!(sequences(&next), [first.index + 1]);
}

#[test]
fn an_endless_gap_is_a_gap_of_one() {
    let (mut script, source, first) = running(720, 1);
    let next = pass(&mut script, source, 0, Vp8::frame(20_000));
    assert_eq!(sequences(&next), [first.index + 2]);
    let next = pass(&mut script, source, 0, Vp8::frame(20_001));
    assert_eq!(sequences(&next), [first.index + 3]);
    assert!(pass(&mut script, source, 0, Vp8::frame(5)).is_empty());
}

#[test]
fn outgoing_numbers_wrap_with_a_roll_over_counter() {
    let (mut script, source, first) = running(720, 1);
    for at in 1..=65_000 {
        script.video(source, 0, Vp8::frame(at));
        if at % 16 == 0 {
            script.flush();
        }
    }
    script.video(
        source,
        0,
        Vp8 {
            sequence: FIRST_SEQUENCE + 65_001,
            ..Vp8::frame(65_001)
        },
    );
    let last = script.flush();
    assert_eq!(last.last().unwrap().index, first.index + 65_001);
    assert_eq!(script.stats.packets_forwarded, 65_002);
}

#[test]
fn seven_bit_picture_ids_keep_their_width() {
    let mut script = script();
    let source = script.announce(MediaKind::Video, 2).unwrap();
    want(&mut script, 180);
    let narrow = |at, packet: Vp8| Vp8 {
        is_15_bit: false,
        picture_id: at,
        ..packet
    };
    pass(&mut script, source, 0, narrow(127, Vp8::keyframe(0)));
    let next = pass(&mut script, source, 0, narrow(0, Vp8::frame(1)));
    assert_eq!(next[0].vp8().unwrap().picture_id.unwrap().value, 0);
    want(&mut script, 720);
    let switched = pass(&mut script, source, 1, narrow(90, Vp8::keyframe(0)));
    let id = switched[0].vp8().unwrap().picture_id.unwrap();
    assert_eq!((id.value, id.is_15_bit), (1, false));
}

#[test]
fn temporal_layers_follow_the_frame_rate_and_rise_at_the_base_layer() {
    let (mut script, source, first) = running(720, 1);
    let name = script.sources.get(source).unwrap().name.clone();
    let rate = |max_frame_rate| ReceiverConstraints {
        constraints: Some(vec![(
            name.clone(),
            VideoConstraints {
                max_height: 720,
                max_frame_rate,
            },
        )]),
        ..ReceiverConstraints::default()
    };
    let frame = |at: u16, layer| Vp8 {
        layer,
        ..Vp8::frame(at)
    };
    let mut highest = first.index;
    let mut next = |script: &mut Script, packet, goes_on: bool| {
        let received = pass(script, source, 0, packet);
        assert_eq!(received.len(), usize::from(goes_on), "{packet:?}");
        for packet in received {
            assert_eq!(packet.index, highest + 1, "no gap over what is left out");
            highest = packet.index;
        }
    };
    next(&mut script, frame(1, 2), true);
    script.receiver.set_constraints(script.now, &rate(15));
    script.route();
    next(&mut script, frame(2, 2), false);
    next(&mut script, frame(3, 1), true);
    next(&mut script, frame(4, 2), false);
    next(&mut script, frame(5, 0), true);
    script.receiver.set_constraints(script.now, &rate(-1));
    script.route();
    next(&mut script, frame(6, 2), false);
    next(&mut script, frame(7, 0), true);
    next(&mut script, frame(8, 2), true);
}

#[test]
fn a_muted_source_stops_at_once_and_comes_back_with_a_keyframe() {
    let (mut script, source, first) = running(720, 1);
    script.sources.get_mut(source).unwrap().muted = true;
    script.route();
    assert!(pass(&mut script, source, 0, Vp8::frame(1)).is_empty());
    script.wait_millis(5_000);
    script.sources.get_mut(source).unwrap().muted = false;
    script.wishes();
    script.route();
    assert_eq!(script.wishes(), [(source, 0)]);
    assert!(pass(&mut script, source, 0, Vp8::frame(2)).is_empty());
    let back = pass(&mut script, source, 0, Vp8::keyframe(152));
    assert_eq!(sequences(&back), [first.index + 1]);
    assert_eq!(
        back[0]
            .header
            .timestamp
            .wrapping_sub(first.header.timestamp),
        152 * 3_000,
        "the same encoding keeps its clock"
    );
    let forwarded: Vec<usize> = script
        .events
        .iter()
        .filter_map(|event| match event {
            Event::ForwardedSources { sources, .. } => Some(sources.len()),
            _ => None,
        })
        .collect();
    assert_eq!(forwarded, [1, 0, 1]);
    let maps = |event: &&Event| matches!(event, Event::VideoSourcesMapped { .. });
    assert_eq!(
        script.events.iter().filter(maps).count(),
        1,
        "it kept its slot"
    );
}

#[test]
fn a_new_epoch_follows_the_sender_reports_of_both_encodings() {
    let (mut script, source, first) = running(180, 2);
    let now = script.now;
    let clock = |seconds: u64, rtp| {
        Some(SenderClock {
            ntp: seconds << 32,
            rtp,
            arrival: now,
        })
    };
    let encodings = &mut script.sources.get_mut(source).unwrap().encodings;
    // One second after the first frame of the small one, the large one shows 500,000.
    encodings[0].sender_report = clock(50, first.header.timestamp);
    encodings[1].sender_report = clock(51, 500_000);
    want(&mut script, 720);
    script.wait_millis(1_000);
    let key = Vp8 {
        timestamp: 500_000,
        ..Vp8::keyframe(0)
    };
    let switched = pass(&mut script, source, 1, key);
    assert_eq!(
        switched[0].header.timestamp,
        first.header.timestamp + 90_000
    );
}

#[test]
fn a_new_epoch_is_never_before_the_last_frame_nor_far_ahead() {
    for (report, least, most) in [(0_u64, 1, 1), (1_000, 90_000 / 8, 90_000 / 5)] {
        let (mut script, source, first) = running(180, 2);
        let now = script.now;
        let encodings = &mut script.sources.get_mut(source).unwrap().encodings;
        for (encoding, ntp) in encodings.iter_mut().zip([500, report]) {
            encoding.sender_report = Some(SenderClock {
                ntp: ntp << 32,
                rtp: first.header.timestamp,
                arrival: now,
            });
        }
        want(&mut script, 720);
        script.wait_millis(100);
        let key = Vp8 {
            timestamp: first.header.timestamp,
            ..Vp8::keyframe(0)
        };
        let switched = pass(&mut script, source, 1, key);
        let ahead = switched[0].header.timestamp - first.header.timestamp;
        assert!((least..=most).contains(&ahead), "{ahead} ticks");
    }
}
