//! Recovers from loss on the way to the bridge and from it: by retransmission, else by keyframes.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may fail as a test does"
)]

use core::time::Duration;

use bridge_core::description::VideoConstraints;
use bridge_core::sim::{Camera, Link, PeerOptions, Settings, Simulation};
use bridge_core::{Command, ReceiverConstraints};

/// Two peers with the same link both ways, for half a minute after they met.
fn meet(seed: u64, link: Link) -> (Simulation, [bridge_core::sim::NodeId; 2]) {
    let mut sim = Simulation::new(&Settings::new(seed));
    let room = sim.conference("lossy").unwrap();
    let nodes = [(); 2].map(|()| sim.join(&room, PeerOptions::default(), link).unwrap());
    sim.run(Duration::from_secs(31));
    (sim, nodes)
}

#[test]
fn two_percent_loss_each_way_freezes_no_picture() {
    for seed in 1..=10 {
        let (mut sim, nodes) = meet(seed, Link::lossy(2));
        for node in nodes {
            let peer = sim.peer(node);
            assert_eq!(peer.counters().connected, 1, "seed {seed}");
            for (_, is_video, report) in peer.streams() {
                assert_eq!(report.faults, Vec::<String>::new(), "seed {seed}");
                if is_video {
                    assert!(report.decoded > 430, "seed {seed}: {report:?}");
                    assert!(report.recovered > 10, "seed {seed}: {report:?}");
                    assert!(
                        report.longest_freeze < Duration::from_millis(600),
                        "seed {seed}: {report:?}"
                    );
                } else {
                    assert!(report.decoded > 1_400, "seed {seed}: {report:?}");
                }
            }
        }
        let stats = sim.stats().unwrap();
        assert!(stats.packets_nacked > 0, "the bridge asks senders again");
        assert!(stats.packets_recovered > 0, "and gets what it asked for");
        assert!(stats.packets_retransmitted > 0, "and answers receivers");
    }
}

#[test]
fn reordering_and_duplicates_lose_nothing() {
    let link = Link {
        reorder: 50_000,
        duplicate: 20_000,
        jitter: Duration::from_millis(4),
        ..Link::default()
    };
    for seed in 1..=5 {
        let (sim, nodes) = meet(seed, link);
        for node in nodes {
            for (_, is_video, report) in sim.peer(node).streams() {
                assert_eq!(report.faults, Vec::<String>::new(), "seed {seed}");
                assert_eq!(
                    (report.lost, report.undecodable),
                    (0, 0),
                    "seed {seed} {is_video}"
                );
            }
        }
    }
}

#[test]
fn no_number_is_asked_for_in_vain() {
    // What is held back comes after the next frame.
    let overtaken = Link {
        delay: Duration::from_millis(60),
        reorder: 50_000,
        ..Link::default()
    };
    for rtx in [true, false] {
        let mut sim = Simulation::new(&Settings::new(4));
        let room = sim.conference("padded").unwrap();
        let sender = PeerOptions {
            camera: Some(Camera::simulcast()),
            padding: true,
            ..PeerOptions::default()
        };
        let watcher = PeerOptions {
            rtx,
            ..PeerOptions::default()
        };
        let sender = sim.join(&room, sender, overtaken).unwrap();
        let receiver = sim.join(&room, watcher, Link::default()).unwrap();
        let source = sim.peer(sender).sources().pop().unwrap().name;
        sim.request(Command::SetConstraints {
            endpoint: sim.address(receiver),
            constraints: ReceiverConstraints {
                constraints: Some(vec![(
                    source,
                    VideoConstraints {
                        max_height: 180,
                        max_frame_rate: 15,
                    },
                )]),
                ..ReceiverConstraints::default()
            },
        })
        .unwrap();
        sim.run(Duration::from_secs(20));
        let mut streams = sim.peer(receiver).streams();
        let video = streams.find(|stream| stream.1).unwrap().2;
        assert_eq!(video.faults, Vec::<String>::new());
        assert!(video.decoded > 250, "{video:?}");
        assert!(video.empty > 10, "{video:?}");
        assert_eq!((video.lost, video.undecodable), (0, 0), "{video:?}");
    }
}

#[test]
fn a_burst_that_cannot_be_repaired_costs_one_keyframe() {
    let mut sim = Simulation::new(&Settings::new(3));
    let room = sim.conference("burst").unwrap();
    let nodes = [(); 2].map(|()| {
        sim.join(&room, PeerOptions::default(), Link::default())
            .unwrap()
    });
    sim.run(Duration::from_secs(5));
    let [_, receiver] = nodes;
    sim.set_links(receiver, Link::default(), Link::lossy(100));
    sim.run(Duration::from_secs(2));
    sim.set_links(receiver, Link::default(), Link::default());
    sim.run(Duration::from_secs(5));
    let video = sim
        .peer(receiver)
        .streams()
        .find(|stream| stream.1)
        .unwrap()
        .2;
    assert_eq!(video.faults, Vec::<String>::new());
    assert!(video.keyframes >= 2, "{video:?}");
    assert!(
        video.longest_freeze < Duration::from_millis(3_500),
        "{video:?}"
    );
    let last = video.last_decoded.unwrap();
    assert!(
        sim.now().since(last) < Duration::from_millis(100),
        "it plays again"
    );
}
