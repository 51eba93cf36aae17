//! Lets nothing in twice, and nothing that was tampered with, whatever comes how often.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may fail as a test does"
)]

use core::time::Duration;

use bridge_core::sim::{Link, NodeId, PeerOptions, Settings, Simulation};
use bridge_core::{BridgeStats, Discard};

/// Two peers, and everything that the first sent in one second.
fn recorded() -> (Simulation, [NodeId; 2], Vec<Vec<u8>>) {
    let mut sim = Simulation::new(&Settings::new(11));
    let room = sim.conference("replay").unwrap();
    let nodes = [(); 2].map(|()| {
        sim.join(&room, PeerOptions::default(), Link::default())
            .unwrap()
    });
    sim.run(Duration::from_secs(2));
    sim.tap(nodes[0]);
    sim.run(Duration::from_secs(1));
    let sent = sim.tapped();
    sim.run(Duration::from_millis(50));
    (sim, nodes, sent)
}

fn stats(sim: &mut Simulation) -> BridgeStats {
    sim.stats().unwrap()
}

#[test]
fn replayed_media_is_counted_and_goes_no_further() {
    let (mut sim, nodes, sent) = recorded();
    let host = sim.host(nodes[0]);
    let media: Vec<_> = sent.iter().filter(|bytes| bytes[0] >= 128).collect();
    assert!(media.len() > 60);
    let before = stats(&mut sim);
    for bytes in &media {
        sim.inject(host, bytes);
    }
    let after = stats(&mut sim);
    let replayed = [Discard::SrtpReplayed, Discard::SrtcpReplayed]
        .map(|reason| after.discarded.get(reason) - before.discarded.get(reason));
    assert_eq!(
        replayed.iter().sum::<u64>(),
        u64::try_from(media.len()).unwrap()
    );
    assert_eq!(after.packets_forwarded, before.packets_forwarded);
}

#[test]
fn media_from_another_address_is_not_looked_at() {
    let (mut sim, _, sent) = recorded();
    let before = stats(&mut sim);
    for bytes in sent.iter().filter(|bytes| bytes[0] >= 128) {
        sim.inject("192.0.2.66:4000".parse().unwrap(), bytes);
    }
    let after = stats(&mut sim);
    let stray = Discard::UnknownPath;
    assert!(after.discarded.get(stray) > before.discarded.get(stray) + 60);
    assert_eq!(after.packets_forwarded, before.packets_forwarded);
}

#[test]
fn every_flipped_bit_is_noticed_and_the_call_goes_on() {
    let (mut sim, nodes, sent) = recorded();
    let host = sim.host(nodes[0]);
    let before = stats(&mut sim);
    let mut tampered = 0;
    for bytes in sent.iter().filter(|bytes| bytes[0] >= 128).take(4) {
        for bit in 0..bytes.len() * 8 {
            // What makes it another kind of datagram is not for SRTP to notice.
            if bit >= 16 {
                let mut forged = bytes.clone();
                forged[bit / 8] ^= 1 << (bit % 8);
                sim.inject(host, &forged);
                tampered += 1;
            }
        }
        sim.run(Duration::from_secs(1));
    }
    assert!(tampered > 2_000);
    let after = stats(&mut sim);
    let passed = after.packets_forwarded - before.packets_forwarded;
    assert!(
        passed < 4 * 110 * 2,
        "only what both sent in four seconds: {passed}"
    );
    for node in nodes {
        for (_, _, report) in sim.peer(node).streams() {
            assert_eq!(report.faults, Vec::<String>::new());
            assert!(sim.now().since(report.last_decoded.unwrap()) < Duration::from_millis(100));
        }
    }
}

#[test]
fn a_replayed_check_from_another_address_moves_nothing() {
    let (mut sim, nodes, _) = recorded();
    sim.tap(nodes[0]);
    sim.run(Duration::from_secs(10));
    let checks: Vec<_> = sim
        .tapped()
        .into_iter()
        .filter(|bytes| bytes[0] < 4)
        .collect();
    assert!(!checks.is_empty());
    let thief = "192.0.2.66:4000".parse().unwrap();
    for bytes in &checks {
        sim.inject(thief, bytes);
    }
    sim.run(Duration::from_secs(5));
    for node in nodes {
        for (_, _, report) in sim.peer(node).streams() {
            assert!(sim.now().since(report.last_decoded.unwrap()) < Duration::from_millis(100));
        }
    }
    assert_eq!(sim.media_sent_to(thief), 0, "no media for the thief");
}
