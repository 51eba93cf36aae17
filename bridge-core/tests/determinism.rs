//! Gives the same bytes at the same times for the same seed, and others for another.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper of a test may fail as a test does"
)]

use core::time::Duration;

use bridge_core::sim::{Camera, Link, PeerOptions, Settings, Simulation};
use bridge_core::{Command, ReceiverConstraints};

/// A meeting with everything that chance touches; gives the hash of all that the bridge put out.
fn trace(seed: u64) -> (u64, usize) {
    let mut sim = Simulation::new(&Settings::new(seed));
    let room = sim.conference("twice").unwrap();
    let link = Link {
        jitter: Duration::from_millis(3),
        reorder: 10_000,
        duplicate: 5_000,
        ..Link::lossy(3)
    };
    let mut nodes = Vec::new();
    for number in 0..5 {
        let options = PeerOptions {
            camera: Some(Camera::simulcast()),
            ssrc_rewriting: number % 2 == 0,
            bridge_controls: number % 3 != 0,
            dtls_client: number != 1,
            microphone: Some(20 + number * 5),
            ..PeerOptions::default()
        };
        nodes.push(sim.join(&room, options, link).unwrap());
        sim.run(Duration::from_millis(400));
    }
    let endpoint = sim.address(nodes[0]);
    sim.request(Command::SetConstraints {
        endpoint,
        constraints: ReceiverConstraints {
            last_n: Some(2),
            default_max_height: Some(360),
            ..ReceiverConstraints::default()
        },
    })
    .unwrap();
    sim.run(Duration::from_secs(1));
    for node in &nodes {
        sim.peer_mut(*node).mute_camera(true);
    }
    sim.vanish(nodes[4]);
    let endpoint = sim.address(nodes[3]);
    sim.request(Command::ExpireEndpoint { endpoint }).unwrap();
    sim.run(Duration::from_secs(65));
    (sim.trace(), sim.events().len())
}

#[test]
fn equal_seeds_give_equal_bytes() {
    let first = trace(7);
    assert_eq!(first, trace(7));
    assert_ne!(first.0, trace(8).0);
}
