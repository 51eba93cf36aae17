//! Asks senders for keyframes when they help, once, however many receivers wish.

use core::time::Duration;

use bridge_core::sim::{Camera, Link, NodeId, PeerOptions, Settings, Simulation};

fn watcher() -> PeerOptions {
    PeerOptions {
        microphone: None,
        camera: None,
        ..PeerOptions::default()
    }
}

fn requests(sim: &Simulation, node: NodeId) -> u64 {
    sim.peer(node).counters().keyframe_requests
}

#[test]
fn one_request_serves_all_who_come_at_once() {
    let mut sim = Simulation::new(&Settings::new(1));
    let room = sim.conference("audience").unwrap();
    let sender = sim
        .join(&room, PeerOptions::default(), Link::default())
        .unwrap();
    sim.run(Duration::from_secs(3));
    let before = requests(&sim, sender);
    let watchers: Vec<_> = (0..20)
        .map(|_| sim.join(&room, watcher(), Link::default()).unwrap())
        .collect();
    sim.run(Duration::from_secs(3));
    assert!(
        requests(&sim, sender) - before <= 2,
        "{}",
        requests(&sim, sender) - before
    );
    for watcher in watchers {
        let video = sim
            .peer(watcher)
            .streams()
            .find(|stream| stream.1)
            .unwrap()
            .2;
        assert!(video.decoded > 30, "{video:?}");
        assert_eq!(video.faults, Vec::<String>::new());
    }
}

#[test]
fn a_receiver_that_lost_its_picture_gets_one_and_cannot_flood() {
    let mut sim = Simulation::new(&Settings::new(2));
    let room = sim.conference("flood").unwrap();
    let sender = sim
        .join(&room, PeerOptions::default(), Link::default())
        .unwrap();
    let options = PeerOptions {
        begs_for_keyframes: true,
        ..watcher()
    };
    let beggar = sim.join(&room, options, Link::default()).unwrap();
    sim.run(Duration::from_secs(2));
    let before = requests(&sim, sender);
    sim.run(Duration::from_secs(20));
    let asked = requests(&sim, sender) - before;
    assert!(
        (3..=8).contains(&asked),
        "3 in 10 s for one receiver: {asked}"
    );
    let stats = sim.stats().unwrap();
    assert!(
        stats.keyframe_requests_received > 200,
        "it asked every 50 ms"
    );
    assert!(
        sim.peer(beggar)
            .streams()
            .any(|stream| stream.2.keyframes > 3)
    );
}

#[test]
fn a_lost_request_is_repeated() {
    let mut sim = Simulation::new(&Settings::new(3));
    let room = sim.conference("deaf").unwrap();
    let sender = PeerOptions {
        camera: Some(Camera::single()),
        ..PeerOptions::default()
    };
    let sender = sim.join(&room, sender, Link::default()).unwrap();
    sim.run(Duration::from_secs(2));
    // The sender hears nothing for a while, so the first requests are lost.
    sim.set_links(sender, Link::default(), Link::lossy(100));
    let receiver = sim.join(&room, watcher(), Link::default()).unwrap();
    sim.run(Duration::from_millis(800));
    sim.set_links(sender, Link::default(), Link::default());
    sim.run(Duration::from_secs(3));
    let video = sim
        .peer(receiver)
        .streams()
        .find(|stream| stream.1)
        .unwrap()
        .2;
    assert!(video.decoded > 15, "{video:?}");
}
