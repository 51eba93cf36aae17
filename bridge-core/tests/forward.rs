//! Forwards sound and pictures between scripted peers, without loss.

use core::time::Duration;

use bridge_core::sim::{Link, NodeId, PeerOptions, Settings, Simulation};

/// Checks that `receiver` got everything that its one partner sent, and that all of it was right.
fn got_everything(sim: &Simulation, receiver: NodeId) {
    let peer = sim.peer(receiver);
    assert_eq!(peer.counters().connected, 1);
    assert_eq!(peer.counters().unauthenticated, 0);
    let streams: Vec<_> = peer.streams().collect();
    assert_eq!(streams.len(), 2, "one of sound, one of pictures");
    for (_, is_video, report) in streams {
        assert_eq!(report.faults, Vec::<String>::new());
        assert_eq!(
            (report.lost, report.duplicates, report.undecodable),
            (0, 0, 0)
        );
        let expected = if is_video { 15 * 10 } else { 50 * 10 };
        assert!(report.decoded >= expected, "{report:?}");
        if is_video {
            assert_eq!(report.keyframes, 1);
            assert!(report.longest_freeze < Duration::from_millis(70));
        }
    }
}

#[test]
fn two_peers_hear_and_see_each_other() {
    let mut sim = Simulation::new(&Settings::new(1));
    let room = sim.conference("standup").unwrap();
    let alice = sim
        .join(&room, PeerOptions::default(), Link::default())
        .unwrap();
    let bob = sim
        .join(&room, PeerOptions::default(), Link::default())
        .unwrap();
    sim.run(Duration::from_millis(10_100));
    got_everything(&sim, alice);
    got_everything(&sim, bob);
    let stats = sim.stats().unwrap();
    assert_eq!(
        (
            stats.conferences,
            stats.endpoints,
            stats.endpoints_connected
        ),
        (1, 2, 2)
    );
    assert!(stats.packets_forwarded >= 1_900);
}
