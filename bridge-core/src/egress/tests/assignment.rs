//! Tests which sources get which slots, and in which order they are sent.

use super::feedback::nack;
use super::{PLAIN, mapped_ssrc, pass, running, script, sequences, want};
use crate::description::{MediaKind, ReceiverConstraints, VideoType};
use crate::egress::script::{FIRST_SEQUENCE, Script, Vp8};
use crate::event::Event;
use crate::id::{SourceKey, SourceName, Ssrc};
use crate::limits::{AUDIO_SLOTS_MAX, VIDEO_SLOTS_MAX};

#[test]
fn a_slot_is_given_away_only_when_its_source_is_not_forwarded() {
    let mut script = script();
    let many: Vec<SourceKey> = (0..VIDEO_SLOTS_MAX + 2)
        .map(|_| script.announce(MediaKind::Video, 1).unwrap())
        .collect();
    want(&mut script, 720);
    let first = pass(&mut script, many[0], 0, Vp8::keyframe(0));
    let outside = many[VIDEO_SLOTS_MAX];
    assert_eq!(
        mapped_ssrc(&script, outside),
        None,
        "more sources than slots"
    );
    let names: Vec<SourceName> = [outside]
        .iter()
        .map(|key| script.sources.get(*key).unwrap().name.clone())
        .collect();
    script.receiver.set_constraints(
        script.now,
        &ReceiverConstraints {
            selected_sources: Some(names),
            ..ReceiverConstraints::default()
        },
    );
    script.events.clear();
    script.route();
    let ssrc = mapped_ssrc(&script, outside).expect("a slot");
    let kept = pass(&mut script, many[0], 0, Vp8::frame(1));
    assert_eq!(kept[0].header.ssrc, first[0].header.ssrc);
    assert_ne!(ssrc, first[0].header.ssrc);
    let loser = many[VIDEO_SLOTS_MAX - 1];
    assert!(pass(&mut script, loser, 0, Vp8::keyframe(0)).is_empty());
    assert!(
        pass(&mut script, outside, 0, Vp8::frame(0)).is_empty(),
        "no keyframe"
    );
    let received = pass(&mut script, outside, 0, Vp8::keyframe(1));
    assert_eq!(received[0].header.ssrc, ssrc);
}

#[test]
fn a_slot_goes_on_as_one_stream_when_another_source_has_it() {
    let (mut script, source, first) = running(720, 1);
    let other = script.announce(MediaKind::Video, 1).unwrap();
    nack(&mut script, first.header.ssrc, &[first.header.sequence]);
    script.sources.remove(source);
    script.wait_millis(1_000);
    script.route();
    assert_eq!(mapped_ssrc(&script, other), Some(first.header.ssrc));
    let key = Vp8 {
        timestamp: 5,
        picture_id: 1_000,
        ..Vp8::keyframe(0)
    };
    let received = pass(&mut script, other, 0, key);
    assert_eq!(
        sequences(&received),
        [first.index + 1],
        "nothing of the old one again"
    );
    let ahead = received[0].header.timestamp - first.header.timestamp;
    assert!(
        (90_000..=96_000).contains(&ahead),
        "{ahead}: by the time that passed"
    );
    assert_eq!(received[0].vp8().unwrap().picture_id.unwrap().value, 1);
}

#[test]
fn without_rewriting_a_source_keeps_its_ssrc_and_its_numbers_never_repeat() {
    let mut script = Script::new(PLAIN).unwrap();
    let source = script.announce(MediaKind::Video, 3).unwrap();
    script.route();
    let first = pass(&mut script, source, 2, Vp8::keyframe(0));
    assert_eq!(first[0].header.ssrc, Ssrc(10), "the first of its SIM group");
    assert!(
        script
            .events
            .iter()
            .all(|event| !matches!(event, Event::VideoSourcesMapped { .. }))
    );
    let again = script.sources.remove(source).unwrap();
    script.route();
    let source = script.sources.insert_with(|_| again);
    script.route();
    let key = Vp8::keyframe(5);
    let second = pass(&mut script, source, 2, key);
    assert_eq!(second[0].header.ssrc, Ssrc(10));
    assert_eq!(second[0].index, first[0].index + 1);
}

#[test]
fn sound_is_sent_first_and_to_all_but_its_owner() {
    let (mut script, video, _) = running(720, 1);
    let sound = script.announce(MediaKind::Audio, 1).unwrap();
    script.route();
    script.video(video, 0, Vp8::frame(1));
    script.audio(sound, FIRST_SEQUENCE, 0, 20);
    script.audio(sound, FIRST_SEQUENCE + 1, 960, 20);
    let received = script.flush();
    let types: Vec<u8> = received
        .iter()
        .map(|one| one.header.payload_type.0)
        .collect();
    assert_eq!(types, [111, 111, 100]);
    assert_eq!(script.runs.len(), 2, "one run of sound, one of picture");
    script.sources.get_mut(sound).unwrap().owner.0.index = 0;
    script.route();
    script.audio(sound, FIRST_SEQUENCE + 2, 1_920, 20);
    assert!(script.flush().is_empty(), "it is the receiver's own");
}

#[test]
fn of_too_many_sounds_those_who_spoke_have_the_slots() {
    let mut script = script();
    let many: Vec<SourceKey> = (0..AUDIO_SLOTS_MAX + 1)
        .map(|_| script.announce(MediaKind::Audio, 1).unwrap())
        .collect();
    script.route();
    let last = many[AUDIO_SLOTS_MAX];
    script.audio(last, FIRST_SEQUENCE, 0, 20);
    assert!(script.flush().is_empty(), "no slot");
    script.speakers = vec![script.sources.get(last).unwrap().owner];
    script.route();
    let loser = many[AUDIO_SLOTS_MAX - 1];
    script.audio(loser, FIRST_SEQUENCE, 0, 20);
    script.audio(last, FIRST_SEQUENCE + 1, 960, 20);
    let received = script.flush();
    assert_eq!(received.len(), 1, "one in, one out");
    assert_eq!(Some(received[0].header.ssrc), mapped_ssrc(&script, last));
}

#[test]
fn runs_are_of_equal_length_with_one_shorter_at_the_end() {
    let (mut script, source, _) = running(720, 1);
    for (at, length) in [(1, 90), (2, 90), (3, 80), (4, 80), (5, 100), (6, 70)] {
        script.video(
            source,
            0,
            Vp8 {
                length,
                ..Vp8::frame(at)
            },
        );
    }
    assert_eq!(script.flush().len(), 6, "each can be decrypted");
    let counts: Vec<usize> = script
        .runs
        .iter()
        .map(|(run, bytes)| bytes.chunks(run.segment).count())
        .collect();
    assert_eq!(counts, [3, 1, 2]);
}

#[test]
fn last_n_is_filled_with_those_who_spoke() {
    let mut script = script();
    let keys: Vec<SourceKey> = (0..3)
        .map(|_| script.announce(MediaKind::Video, 1).unwrap())
        .collect();
    script.sources.get_mut(keys[1]).unwrap().video_type = VideoType::None;
    script.receiver.set_constraints(
        script.now,
        &ReceiverConstraints {
            last_n: Some(1),
            ..ReceiverConstraints::default()
        },
    );
    let forwarded = |script: &Script| match script.events.last() {
        Some(Event::ForwardedSources { sources, .. }) => sources[0].as_str().to_owned(),
        other => panic!("{other:?}"),
    };
    script.route();
    assert_eq!(forwarded(&script), "e1-v0", "the first to join");
    script.speakers = [1, 2]
        .map(|at| script.sources.get(keys[at]).unwrap().owner)
        .to_vec();
    script.route();
    assert_eq!(
        forwarded(&script),
        "e3-v0",
        "the latest speaker shows nothing"
    );
}

#[test]
fn what_a_mapped_source_shows_is_told_again_when_it_changes() {
    let (mut script, source, first) = running(720, 1);
    script.events.clear();
    script.route();
    assert!(script.events.is_empty(), "nothing new");
    script.sources.get_mut(source).unwrap().video_type = VideoType::Desktop;
    script.route();
    let told = script.events.iter().find_map(|event| match event {
        Event::VideoSourcesMapped { mapped, .. } => mapped.first(),
        _ => None,
    });
    let told = told.expect("the new kind");
    assert_eq!(told.video_type, VideoType::Desktop);
    assert_eq!(told.ssrc, first.header.ssrc, "in the same slot");
    script.events.clear();
    script.route();
    assert!(script.events.is_empty(), "once");
}
