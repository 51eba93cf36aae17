//! Lets many participants do nothing, and counts how often that wakes the bridge.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may fail as a test does"
)]

use core::time::Duration;

use bridge_core::description::ReceiverConstraints;
use bridge_core::event::TransportFailure;
use bridge_core::sim::{Link, NodeId, PeerOptions, Settings, Simulation};
use bridge_core::{Command, Event, Time};

/// Wake-ups of a shard in a second by its own timers.
const WAKEUPS_MAX: u64 = 1;

/// Rooms of `members` who neither send nor get anything.
fn idle(rooms: usize, members: usize) -> (Simulation, Vec<NodeId>) {
    let mut sim = Simulation::new(&Settings::new(1));
    let options = PeerOptions {
        microphone: None,
        camera: None,
        ..PeerOptions::default()
    };
    let mut nodes = Vec::new();
    for number in 0..rooms {
        let room = sim.conference(&format!("room{number}")).unwrap();
        // Room by room; chance alone would part their checks later.
        sim.run(Duration::from_millis(50));
        for _ in 0..members {
            nodes.push(sim.join(&room, options.clone(), Link::default()).unwrap());
        }
    }
    (sim, nodes)
}

#[test]
fn a_thousand_idle_endpoints_wake_their_shard_by_their_checks_alone_and_expire_in_time() {
    let (mut sim, nodes) = idle(20, 50);
    sim.run(Duration::from_secs(10));
    assert_eq!(sim.stats().unwrap().endpoints_connected, 1_000);
    let (woken, received) = (sim.wakeups(), sim.stats().unwrap().packets_received);
    sim.run(Duration::from_secs(20));
    let woken = sim.wakeups() - woken;
    assert!(woken <= 20 * WAKEUPS_MAX + 1, "{woken}");
    // A check of theirs every five seconds, and one of ours answered at every second or third of
    // them; these peers also report every second, on nothing.
    let received = sim.stats().unwrap().packets_received - received;
    let checks = received.saturating_sub(20 * 1_000);
    assert!((5_000..=6_200).contains(&checks), "{checks}");

    let left = sim.now();
    nodes.iter().for_each(|node| sim.vanish(*node));
    sim.run(Duration::from_secs(31));
    let lost: Vec<Time> = sim
        .events()
        .iter()
        .filter(|(_, event)| {
            let reason = TransportFailure::ConsentLost;
            matches!(event, Event::EndpointFailed { reason: r, .. } if *r == reason)
        })
        .map(|(at, _)| *at)
        .collect();
    assert_eq!(lost.len(), 1_000);
    for at in lost {
        // The last answer came up to seventeen seconds before.
        let span = at.since(left).as_millis();
        assert!((12_900..=30_100).contains(&span), "{span}");
    }
}

#[test]
fn a_muted_conference_wakes_nobody_for_reports_and_decisions() {
    let mut sim = Simulation::new(&Settings::new(2));
    let room = sim.conference("muted").unwrap();
    let join = |sim: &mut Simulation| {
        sim.join(&room, PeerOptions::default(), Link::default())
            .unwrap()
    };
    let nodes: Vec<_> = (0..8).map(|_| join(&mut sim)).collect();
    sim.run(Duration::from_secs(5));
    for node in &nodes {
        sim.peer_mut(*node).mute_microphone(true);
        sim.peer_mut(*node).mute_camera(true);
    }
    sim.run(Duration::from_secs(10));
    let woken = sim.wakeups();
    sim.run(Duration::from_secs(10));
    let woken = sim.wakeups() - woken;
    // Sixteen checks, and a look at each whether it is still there.
    assert!(woken <= 40, "{woken}");

    sim.peer_mut(nodes[0]).mute_microphone(false);
    sim.peer_mut(nodes[0]).mute_camera(false);
    let decoded = |sim: &Simulation| -> u64 {
        let streams = sim.peer(nodes[1]).streams();
        streams.map(|(_, _, report)| report.decoded).sum()
    };
    let before = decoded(&sim);
    sim.run(Duration::from_secs(3));
    assert!(decoded(&sim) > before + 150, "{}", decoded(&sim) - before);
    let reports = sim.peer(nodes[1]).counters().sender_reports;
    sim.run(Duration::from_secs(3));
    assert!(sim.peer(nodes[1]).counters().sender_reports > reports);
}

#[test]
fn who_gets_media_again_is_missed_as_soon_as_if_it_had_always_got_some() {
    let mut sim = Simulation::new(&Settings::new(4));
    let room = sim.conference("waking").unwrap();
    let options = [
        PeerOptions::default(),
        PeerOptions {
            microphone: None,
            camera: None,
            ..PeerOptions::default()
        },
    ];
    let [sender, receiver] = options.map(|it| sim.join(&room, it, Link::default()).unwrap());
    let mute = |sim: &mut Simulation, is_muted| {
        sim.peer_mut(sender).mute_microphone(is_muted);
        sim.peer_mut(sender).mute_camera(is_muted);
    };
    sim.run(Duration::from_secs(5));
    mute(&mut sim, true);
    sim.run(Duration::from_secs(25));
    mute(&mut sim, false);
    sim.run(Duration::from_millis(5_200));
    let left = sim.now();
    sim.vanish(receiver);
    sim.run(Duration::from_secs(31));
    let lost = sim.events().iter().find_map(|(at, event)| match event {
        Event::EndpointFailed { reason, .. } => Some((*at, *reason)),
        _ => None,
    });
    let (at, reason) = lost.unwrap();
    assert_eq!(reason, TransportFailure::ConsentLost);
    let span = at.since(left).as_millis();
    assert!((23_900..=30_100).contains(&span), "{span}");
}

#[test]
fn who_begins_to_look_is_served_and_who_stops_is_not() {
    let mut sim = Simulation::new(&Settings::new(3));
    let room = sim.conference("hall").unwrap();
    let mute = PeerOptions {
        microphone: None,
        ..PeerOptions::default()
    };
    let watcher = PeerOptions {
        camera: None,
        ..mute
    };
    sim.join(&room, mute, Link::default()).unwrap();
    let mut join = || sim.join(&room, watcher.clone(), Link::default()).unwrap();
    let nodes: Vec<_> = (0..12).map(|_| join()).collect();
    let look = |sim: &mut Simulation, node: NodeId, last_n| {
        let constraints = ReceiverConstraints {
            last_n: Some(last_n),
            ..ReceiverConstraints::default()
        };
        let endpoint = sim.address(node);
        let command = Command::SetConstraints {
            endpoint,
            constraints,
        };
        sim.request(command).unwrap();
    };
    nodes[2..].iter().for_each(|node| look(&mut sim, *node, 0));
    let received = |sim: &Simulation, node: NodeId| sim.peer(node).counters().rtp_received;
    sim.run(Duration::from_secs(3));
    for (at, node) in nodes.iter().enumerate() {
        assert_eq!(received(&sim, *node) > 40, at < 2, "{at}");
    }
    look(&mut sim, nodes[7], 1);
    look(&mut sim, nodes[0], 0);
    sim.run(Duration::from_millis(500));
    let before = received(&sim, nodes[0]);
    sim.run(Duration::from_secs(3));
    assert_eq!(received(&sim, nodes[0]), before);
    assert!(received(&sim, nodes[1]) > before + 40);
    assert!(received(&sim, nodes[7]) > 40);
    for (_, _, report) in sim.peer(nodes[7]).streams() {
        assert_eq!((report.lost, report.duplicates), (0, 0));
        assert!(report.decoded > 40, "{report:?}");
    }
}
