//! Switches between simulcast encodings on wishes and bandwidth, at keyframes, without a seam.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may fail as a test does"
)]

use core::time::Duration;

use bridge_core::sim::{Camera, Link, NodeId, PeerOptions, Settings, Simulation, StreamReport};
use bridge_core::{Command, ReceiverConstraints};

fn meet(settings: &Settings, options: &PeerOptions) -> (Simulation, NodeId, NodeId) {
    let mut sim = Simulation::new(settings);
    let room = sim.conference("layers").unwrap();
    let sender = PeerOptions {
        camera: Some(Camera::simulcast()),
        ..PeerOptions::default()
    };
    let sender = sim.join(&room, sender, Link::default()).unwrap();
    let receiver = sim.join(&room, options.clone(), Link::default()).unwrap();
    (sim, sender, receiver)
}

fn wish(sim: &mut Simulation, receiver: NodeId, height: i32) {
    let endpoint = sim.address(receiver);
    sim.request(Command::SetConstraints {
        endpoint,
        constraints: ReceiverConstraints {
            default_max_height: Some(height),
            ..ReceiverConstraints::default()
        },
    })
    .unwrap();
}

fn video(sim: &Simulation, receiver: NodeId) -> StreamReport {
    sim.peer(receiver)
        .streams()
        .find(|stream| stream.1)
        .unwrap()
        .2
        .clone()
}

fn is_clean(report: &StreamReport) {
    assert_eq!(report.faults, Vec::<String>::new());
    assert_eq!((report.lost, report.undecodable), (0, 0), "{report:?}");
}

#[test]
fn each_wish_gets_its_encoding_without_a_seam() {
    for rewriting in [true, false] {
        let options = PeerOptions {
            ssrc_rewriting: rewriting,
            ..PeerOptions::default()
        };
        let (mut sim, _, receiver) = meet(&Settings::new(5), &options);
        wish(&mut sim, receiver, 180);
        sim.run(Duration::from_secs(6));
        let before = video(&sim, receiver);
        is_clean(&before);
        assert!(before.by_encoding[0] > 100, "{before:?}");
        assert_eq!(before.by_encoding[1..], [0, 0]);
        wish(&mut sim, receiver, 720);
        sim.run(Duration::from_secs(6));
        let after = video(&sim, receiver);
        is_clean(&after);
        assert!(after.by_encoding[2] > 100, "{after:?}");
        assert!(
            after.longest_freeze < Duration::from_millis(150),
            "{after:?}"
        );
        wish(&mut sim, receiver, 360);
        sim.run(Duration::from_secs(6));
        let last = video(&sim, receiver);
        is_clean(&last);
        assert!(last.by_encoding[1] > 100, "{last:?}");
        assert!(last.longest_freeze < Duration::from_millis(150), "{last:?}");
    }
}

#[test]
fn a_wish_of_nothing_stops_and_another_starts_with_a_keyframe() {
    let (mut sim, _, receiver) = meet(&Settings::new(6), &PeerOptions::default());
    sim.run(Duration::from_secs(4));
    wish(&mut sim, receiver, 0);
    sim.run(Duration::from_millis(300));
    let stopped = video(&sim, receiver);
    sim.run(Duration::from_secs(3));
    assert_eq!(
        video(&sim, receiver).packets,
        stopped.packets,
        "nothing comes"
    );
    wish(&mut sim, receiver, 720);
    sim.run(Duration::from_secs(3));
    let again = video(&sim, receiver);
    is_clean(&again);
    assert!(again.keyframes > stopped.keyframes);
    assert!(again.decoded > stopped.decoded + 50, "{again:?}");
}

#[test]
fn a_narrow_link_gets_a_smaller_encoding() {
    let (mut sim, _, receiver) = meet(&Settings::new(7), &PeerOptions::default());
    let narrow = Link {
        rate: Some(900_000),
        ..Link::default()
    };
    sim.set_links(receiver, Link::default(), narrow);
    wish(&mut sim, receiver, 720);
    sim.run(Duration::from_secs(25));
    let before = video(&sim, receiver);
    sim.run(Duration::from_secs(10));
    let report = video(&sim, receiver);
    assert_eq!(report.faults, Vec::<String>::new());
    let gained = |encoding: usize| report.by_encoding[encoding] - before.by_encoding[encoding];
    assert!(gained(0) + gained(1) > 200, "{before:?} {report:?}");
    assert!(gained(2) < 30, "{before:?} {report:?}");
}

/// A slow link, or one that loses a lot: the picture settles on an encoding that fits.
#[test]
fn a_slow_link_gets_a_picture_that_goes_on() {
    for (rate, smaller_than) in [(300_000, 1), (600_000, 2), (1_000_000, 2), (2_000_000, 3)] {
        let (mut sim, _, receiver) = meet(&Settings::new(8), &PeerOptions::default());
        let slow = Link {
            rate: Some(rate),
            ..Link::default()
        };
        sim.set_links(receiver, Link::default(), slow);
        sim.run(Duration::from_secs(10));
        let begun = video(&sim, receiver);
        sim.peer_mut(receiver).forget_freezes();
        sim.run(Duration::from_secs(60));
        let report = video(&sim, receiver);
        assert_eq!(report.faults, Vec::<String>::new());
        assert!(
            report.longest_freeze < Duration::from_secs(2),
            "{rate}: {report:?}"
        );
        let gained: Vec<_> = report
            .by_encoding
            .iter()
            .zip(begun.by_encoding)
            .map(|(after, before)| after - before)
            .collect();
        let fitting: u64 = gained.iter().take(smaller_than).sum();
        assert!(fitting > 1_200, "{rate}: {gained:?} {report:?}");
    }
}

#[test]
fn a_link_that_loses_a_lot_gets_a_picture_that_goes_on() {
    let (mut sim, _, receiver) = meet(&Settings::new(9), &PeerOptions::default());
    sim.set_links(receiver, Link::default(), Link::lossy(15));
    sim.run(Duration::from_secs(10));
    sim.peer_mut(receiver).forget_freezes();
    sim.run(Duration::from_secs(30));
    let report = video(&sim, receiver);
    assert_eq!(report.faults, Vec::<String>::new());
    assert!(report.longest_freeze < Duration::from_secs(2), "{report:?}");
    assert!(report.decoded > 900, "{report:?}");
}

#[test]
fn an_encoding_that_stops_is_replaced_by_a_smaller_one() {
    let (mut sim, sender, receiver) = meet(&Settings::new(10), &PeerOptions::default());
    sim.run(Duration::from_secs(5));
    let before = video(&sim, receiver);
    sim.peer_mut(sender).stop_encoding(2, true);
    sim.peer_mut(receiver).forget_freezes();
    sim.run(Duration::from_secs(5));
    let fallen = video(&sim, receiver);
    is_clean(&fallen);
    assert!(fallen.by_encoding[1] > before.by_encoding[1] + 100);
    assert!(
        fallen.longest_freeze < Duration::from_millis(1_100),
        "{fallen:?}"
    );
    sim.peer_mut(sender).stop_encoding(2, false);
    sim.peer_mut(receiver).forget_freezes();
    sim.run(Duration::from_secs(5));
    let risen = video(&sim, receiver);
    is_clean(&risen);
    assert!(
        risen.by_encoding[2] > fallen.by_encoding[2] + 60,
        "{risen:?}"
    );
    assert!(
        risen.longest_freeze < Duration::from_millis(150),
        "{risen:?}"
    );
}
