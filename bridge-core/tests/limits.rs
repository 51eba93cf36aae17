//! Holds every bound that an operator may set, and says which one was reached.

use core::time::Duration;

use bridge_core::limits::{self, Limits};
use bridge_core::sim::{Link, PeerOptions, Settings, Simulation};
use bridge_core::{Command, Error};

fn limited(limits: Limits) -> Simulation {
    Simulation::new(&Settings {
        limits,
        ..Settings::new(1)
    })
}

#[test]
fn conferences_are_limited() {
    let mut sim = limited(Limits {
        conferences: 2,
        ..Limits::default()
    });
    let first = sim.conference("one").unwrap();
    sim.conference("two").unwrap();
    assert!(matches!(sim.conference("three"), Err(Error::Limit(_))));
    sim.request(Command::ExpireConference { conference: first })
        .unwrap();
    sim.conference("three").unwrap();
}

#[test]
fn endpoints_are_limited_in_a_conference_and_in_all() {
    let mut sim = limited(Limits {
        endpoints: 3,
        endpoints_per_conference: 2,
        ..Limits::default()
    });
    let one = sim.conference("one").unwrap();
    let two = sim.conference("two").unwrap();
    let join = |sim: &mut Simulation, room| {
        sim.join(room, PeerOptions::default(), Link::default())
            .map(|_| ())
    };
    join(&mut sim, &one).unwrap();
    join(&mut sim, &one).unwrap();
    assert!(matches!(join(&mut sim, &one), Err(Error::Limit(_))));
    join(&mut sim, &two).unwrap();
    assert!(matches!(join(&mut sim, &two), Err(Error::Limit(_))));
}

#[test]
fn sources_are_limited() {
    let mut sim = limited(Limits::default());
    let room = sim.conference("sources").unwrap();
    let node = sim
        .join(&room, PeerOptions::default(), Link::default())
        .unwrap();
    let endpoint = sim.address(node);
    let one = sim.peer(node).sources().remove(0);
    let sources = (0..=limits::SOURCES_PER_ENDPOINT_MAX)
        .map(|number| {
            let mut source = one.clone();
            source.name = bridge_core::SourceName::new(&format!("a{number}")).unwrap();
            source.ssrcs = vec![bridge_core::id::Ssrc(u32::try_from(number).unwrap() + 1)];
            source
        })
        .collect();
    let reply = sim.request(Command::SetSources { endpoint, sources });
    assert!(matches!(reply, Err(Error::Limit(_))), "{reply:?}");
}

#[test]
fn a_long_meeting_makes_no_more_packets_than_a_short_one() {
    let mut sim = limited(Limits::default());
    let room = sim.conference("steady").unwrap();
    for _ in 0..3 {
        sim.join(&room, PeerOptions::default(), Link::lossy(1))
            .unwrap();
    }
    sim.run(Duration::from_secs(10));
    let made = sim.packets_made();
    sim.run(Duration::from_secs(20));
    // The simulator brings a packet of its own with each datagram, so the pool only ever takes.
    assert_eq!(sim.packets_made(), made);
}
