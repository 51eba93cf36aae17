//! Tells who speaks, and shows speakers first when not all can be shown.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may fail as a test does"
)]

use core::time::Duration;

use bridge_core::sim::{Link, NodeId, PeerOptions, Settings, Simulation};
use bridge_core::{Command, EndpointAddress, Event, ReceiverConstraints};

fn dominant(sim: &Simulation) -> Option<EndpointAddress> {
    sim.events()
        .iter()
        .rev()
        .find_map(|(_, event)| match event {
            Event::DominantSpeaker { endpoint } => Some(endpoint.clone()),
            _ => None,
        })
}

/// A conference of silent peers.
fn silent(count: usize) -> (Simulation, Vec<NodeId>) {
    let mut sim = Simulation::new(&Settings::new(1));
    let room = sim.conference("speakers").unwrap();
    let options = PeerOptions {
        microphone: Some(127),
        ..PeerOptions::default()
    };
    let nodes = (0..count)
        .map(|_| sim.join(&room, options.clone(), Link::default()).unwrap())
        .collect();
    sim.run(Duration::from_secs(2));
    (sim, nodes)
}

#[test]
fn whoever_speaks_becomes_dominant_and_a_cough_does_not() {
    let (mut sim, nodes) = silent(3);
    for node in [nodes[1], nodes[2]] {
        sim.peer_mut(node).set_level(20);
        sim.run(Duration::from_secs(4));
        assert_eq!(dominant(&sim), Some(sim.address(node)));
        sim.peer_mut(node).set_level(127);
        sim.run(Duration::from_secs(1));
    }
    sim.peer_mut(nodes[0]).set_level(10);
    sim.run(Duration::from_millis(100));
    sim.peer_mut(nodes[0]).set_level(127);
    sim.run(Duration::from_secs(2));
    assert_eq!(
        dominant(&sim),
        Some(sim.address(nodes[2])),
        "a cough changes nothing"
    );
    assert!(sim.stats().unwrap().dominant_speaker_changes >= 2);
}

#[test]
fn the_one_place_of_last_n_is_the_speakers() {
    let (mut sim, nodes) = silent(4);
    let endpoint = sim.address(nodes[0]);
    sim.request(Command::SetConstraints {
        endpoint: endpoint.clone(),
        constraints: ReceiverConstraints {
            last_n: Some(1),
            ..ReceiverConstraints::default()
        },
    })
    .unwrap();
    for speaker in [nodes[2], nodes[3]] {
        sim.peer_mut(speaker).set_level(15);
        sim.run(Duration::from_secs(4));
        sim.peer_mut(speaker).set_level(127);
        sim.run(Duration::from_secs(1));
        let shown = sim
            .events()
            .iter()
            .rev()
            .find_map(|(_, event)| match event {
                Event::ForwardedSources {
                    endpoint: receiver,
                    sources,
                } if *receiver == endpoint => Some(sources.clone()),
                _ => None,
            });
        let expected = format!("{}-v0", sim.address(speaker).endpoint);
        let shown: Vec<_> = shown.iter().flatten().map(|name| name.as_str()).collect();
        assert_eq!(shown, [expected]);
    }
}

#[test]
fn nothing_comes_from_whom_a_moderator_muted() {
    let (mut sim, nodes) = silent(2);
    sim.peer_mut(nodes[0]).set_level(20);
    sim.run(Duration::from_secs(2));
    let endpoint = sim.address(nodes[0]);
    let mute = |muted| Command::ForceMute {
        endpoint: endpoint.clone(),
        audio: Some(muted),
        video: Some(muted),
    };
    sim.request(mute(true)).unwrap();
    sim.run(Duration::from_millis(100));
    let heard = |sim: &Simulation| sim.peer(nodes[1]).counters().rtp_received;
    let before = heard(&sim);
    sim.run(Duration::from_secs(3));
    assert_eq!(heard(&sim), before, "not a packet");
    sim.request(mute(false)).unwrap();
    sim.run(Duration::from_secs(3));
    for (_, is_video, report) in sim.peer(nodes[1]).streams() {
        assert_eq!(report.faults, Vec::<String>::new());
        assert!(sim.now().since(report.last_decoded.unwrap()) < Duration::from_millis(100));
        if is_video {
            assert!(report.keyframes >= 2, "it comes back with a keyframe");
        }
    }
}
