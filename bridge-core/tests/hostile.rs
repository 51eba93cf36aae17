//! Meets bytes and participants that mean harm: nothing panics, nothing grows, the meeting goes on.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may fail as a test does"
)]

use core::net::SocketAddr;
use core::time::Duration;

use bridge_core::sim::{Link, NodeId, PeerOptions, Settings, Simulation};
use bridge_core::{Discard, Error};

/// A small generator, so that a failure can be repeated from its seed alone.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        self.0 >> 33
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next()).unwrap() % end.max(1)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

fn meeting() -> (Simulation, [NodeId; 2]) {
    let mut sim = Simulation::new(&Settings::new(21));
    let room = sim.conference("hostile").unwrap();
    let nodes = [(); 2].map(|()| {
        sim.join(&room, PeerOptions::default(), Link::default())
            .unwrap()
    });
    sim.run(Duration::from_secs(2));
    (sim, nodes)
}

/// Neither of the two has noticed anything.
fn goes_on(sim: &mut Simulation, nodes: [NodeId; 2]) {
    sim.run(Duration::from_secs(1));
    for node in nodes {
        assert_eq!(sim.peer(node).counters().failed, 0);
        for (_, is_video, report) in sim.peer(node).streams() {
            assert_eq!(report.faults, Vec::<String>::new());
            assert_eq!((report.lost, report.undecodable), (0, 0));
            let fresh = sim.now().since(report.last_decoded.unwrap());
            assert!(fresh < Duration::from_millis(100));
            assert!(!is_video || report.longest_freeze < Duration::from_millis(100));
        }
    }
}

#[test]
fn random_bytes_from_strangers_change_nothing() {
    let (mut sim, nodes) = meeting();
    let mut dice = Dice(1);
    for round in 0..20_000_u32 {
        let length = dice.below(200);
        let mut bytes: Vec<u8> = (0..length).map(|_| dice.byte()).collect();
        // Half of them pass for one of the kinds.
        if let (Some(first), true) = (bytes.first_mut(), round % 2 == 0) {
            *first = [0, 1, 22, 128, 144][dice.below(5)];
        }
        let port = u16::try_from(1 + round % 60_000).unwrap();
        let from = SocketAddr::from(([192, 0, dice.byte(), dice.byte()], port));
        sim.inject(from, &bytes);
    }
    goes_on(&mut sim, nodes);
    let stats = sim.stats().unwrap();
    assert_eq!(stats.endpoints, 2);
}

#[test]
fn mutated_datagrams_from_a_participants_own_address_change_nothing() {
    let (mut sim, nodes) = meeting();
    sim.tap(nodes[0]);
    sim.run(Duration::from_secs(6));
    let sent = sim.tapped();
    let host = sim.host(nodes[0]);
    let mut dice = Dice(2);
    for _ in 0..10_000 {
        let mut bytes = sent[dice.below(sent.len())].clone();
        match dice.below(4) {
            0 => bytes.truncate(dice.below(bytes.len())),
            1 => bytes.extend((0..dice.below(60)).map(|_| 0)),
            _ => {
                for _ in 0..=dice.below(4) {
                    let at = dice.below(bytes.len());
                    bytes[at] = dice.byte();
                }
            }
        }
        sim.inject(host, &bytes);
        if dice.below(40) == 0 {
            // Slowly enough for its limit, so that all are looked at.
            sim.run(Duration::from_millis(7));
        }
    }
    goes_on(&mut sim, nodes);
}

#[test]
fn checks_for_unknown_ufrags_get_no_answer_and_make_no_state() {
    let (mut sim, nodes) = meeting();
    let made = sim.packets_made();
    let mut check = vec![0, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42];
    check.extend([7; 12]);
    check.extend([0, 6, 0, 8]);
    check.extend(b"Axyz:abc");
    for number in 0..2_000_u32 {
        let [a, b, c, d] = number.to_be_bytes();
        sim.inject(
            SocketAddr::from(([10, b, c, d], 5_000 + u16::from(a))),
            &check,
        );
    }
    let stats = sim.stats().unwrap();
    let silent = [Discard::StunUnknownUfrag, Discard::StunRateLimited]
        .map(|reason| stats.discarded.get(reason));
    assert_eq!(silent.iter().sum::<u64>(), 2_000);
    assert!(
        silent[1] > 0,
        "a network that asks too often is not even read"
    );
    assert_eq!(sim.datagrams_to_strangers(), 0);
    assert_eq!(sim.packets_made(), made);
    goes_on(&mut sim, nodes);
}

#[test]
fn a_flood_from_one_participant_is_cut_to_its_limit() {
    let (mut sim, nodes) = meeting();
    let host = sim.host(nodes[0]);
    let before = sim.stats().unwrap().discarded.get(Discard::RateLimited);
    for _ in 0..20_000 {
        sim.inject(host, &[0x90, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    let limited = sim.stats().unwrap().discarded.get(Discard::RateLimited) - before;
    assert!(limited > 15_000, "{limited}");
    // The flood costs its sender, whose own packets are cut too; nobody else.
    sim.run(Duration::from_secs(2));
    for (_, _, report) in sim.peer(nodes[0]).streams() {
        assert_eq!((report.lost, report.undecodable), (0, 0));
    }
    for node in nodes {
        for (_, _, report) in sim.peer(node).streams() {
            assert!(sim.now().since(report.last_decoded.unwrap()) < Duration::from_millis(200));
        }
    }
}

#[test]
fn nobody_can_announce_anothers_stream() {
    let (mut sim, nodes) = meeting();
    let theirs = sim.peer(nodes[0]).sources();
    let reply = sim.request(bridge_core::Command::SetSources {
        endpoint: sim.address(nodes[1]),
        sources: theirs,
    });
    assert!(matches!(reply, Err(Error::Exists(_))), "{reply:?}");
    goes_on(&mut sim, nodes);
}

#[test]
fn when_the_last_leaves_nothing_is_left() {
    let (mut sim, nodes) = meeting();
    for node in nodes {
        let endpoint = sim.address(node);
        sim.vanish(node);
        sim.request(bridge_core::Command::ExpireEndpoint { endpoint })
            .unwrap();
    }
    sim.run(Duration::from_secs(61));
    let stats = sim.stats().unwrap();
    assert_eq!(
        (stats.conferences, stats.endpoints),
        (0, 0),
        "an empty conference expires"
    );
    assert!(sim.is_idle(), "no timer is set");
}
