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

/// Four peers meet; gives what the bridge forwarded.
fn meet(hold: Duration) -> bridge_core::Result<u64> {
    let mut sim = Simulation::new(&Settings {
        hold,
        trust_no_estimate: true,
        ..Settings::new(3)
    });
    let room = sim.conference("standup")?;
    let peers = [(); 4].map(|()| sim.join(&room, PeerOptions::default(), Link::default()));
    sim.run(Duration::from_millis(5_100));
    for peer in peers {
        let peer = peer?;
        for (_, is_video, report) in sim.peer(peer).streams() {
            assert_eq!(report.faults, Vec::<String>::new());
            assert_eq!((report.lost, report.undecodable), (0, 0));
            if is_video {
                assert!(report.longest_freeze < Duration::from_millis(80));
            }
        }
    }
    Ok(sim.stats()?.packets_forwarded)
}

#[test]
fn pictures_that_wait_for_each_other_all_arrive() {
    let at_once = meet(Duration::ZERO).unwrap();
    let held = meet(Duration::from_millis(5)).unwrap();
    assert!(held > 1_000);
    assert!(
        at_once.abs_diff(held) < at_once / 50,
        "{at_once} and {held}"
    );
}

#[test]
fn a_shard_rests_only_while_many_talk() {
    let rests = |peers: usize| {
        let mut sim = Simulation::new(&Settings {
            hold: Duration::from_millis(8),
            ..Settings::new(5)
        });
        let room = sim.conference("standup").unwrap();
        for _ in 0..peers {
            sim.join(&room, PeerOptions::default(), Link::default())
                .unwrap();
        }
        sim.run(Duration::from_secs(5));
        sim.rests()
    };
    // Each sends sound every 20 ms: a rest of a quarter of 8 ms finds that of several of twenty,
    // and seldom any of two.
    let few = rests(2);
    assert!(few < 50, "{few}");
    let many = rests(20);
    assert!(many > 200, "{many}");
}

#[test]
fn reports_of_both_kinds_share_their_datagrams() {
    let mut sim = Simulation::new(&Settings::new(4));
    let room = sim.conference("standup").unwrap();
    let options = PeerOptions {
        transport_feedback: false,
        ..PeerOptions::default()
    };
    let peers: Vec<_> = (0..3)
        .map(|_| sim.join(&room, options.clone(), Link::default()).unwrap())
        .collect();
    sim.run(Duration::from_secs(20));
    for peer in peers {
        let counters = sim.peer(peer).counters();
        // Every half second at most; each of four streams is reported on every second.
        assert!(counters.rtcp_received <= 2 * 20 + 1, "{counters:?}");
        assert!(counters.sender_reports >= 4 * 19, "{counters:?}");
    }
}
