//! Brings transports up in every constellation, and lets them go in every way.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a helper of a test may fail as a test does"
)]

use core::time::Duration;

use bridge_core::event::TransportFailure;
use bridge_core::sim::{Link, NodeId, PeerOptions, RealHandshake, Settings, Simulation};
use bridge_core::srtp::SrtpProfile;
use bridge_core::{Command, DtlsVersion, Error, Event, Reply};

fn alone(options: &PeerOptions, link: Link, settings: &Settings) -> (Simulation, NodeId) {
    let mut sim = Simulation::new(settings);
    let room = sim.conference("connect").unwrap();
    let node = sim.join(&room, options.clone(), link).unwrap();
    (sim, node)
}

fn count(sim: &Simulation, is_wanted: impl Fn(&Event) -> bool) -> usize {
    sim.events()
        .iter()
        .filter(|(_, event)| is_wanted(event))
        .count()
}

#[test]
fn either_side_may_control_and_either_may_start_the_handshake() {
    for bridge_controls in [true, false] {
        for dtls_client in [true, false] {
            for profile in [
                SrtpProfile::Aes128CmSha1_80,
                SrtpProfile::AeadAes128Gcm,
                SrtpProfile::AeadAes256Gcm,
            ] {
                let options = PeerOptions {
                    bridge_controls,
                    dtls_client,
                    profile,
                    ..PeerOptions::default()
                };
                let (mut sim, node) = alone(&options, Link::default(), &Settings::new(1));
                sim.run(Duration::from_secs(2));
                assert_eq!(sim.peer(node).counters().connected, 1, "{options:?}");
                assert_eq!(sim.peer(node).counters().stun_refused, 0, "{options:?}");
                assert_eq!(
                    count(&sim, |e| matches!(e, Event::EndpointConnected { .. })),
                    1
                );
                assert!(sim.stats().unwrap().packets_received > 50);
            }
        }
    }
}

#[test]
fn the_real_handshake_works_in_line_in_both_roles_and_versions() {
    for version in [DtlsVersion::V1_2, DtlsVersion::Auto] {
        let dtls = RealHandshake {
            version,
            base: std::time::Instant::now(),
        };
        for dtls_client in [true, false] {
            let options = PeerOptions {
                dtls: Some(dtls),
                dtls_client,
                ..PeerOptions::default()
            };
            let settings = Settings {
                dtls: Some(dtls),
                ..Settings::new(2)
            };
            let (mut sim, node) = alone(&options, Link::default(), &settings);
            sim.run(Duration::from_secs(2));
            assert_eq!(sim.peer(node).counters().connected, 1, "{options:?}");
            assert_eq!(sim.stats().unwrap().endpoints_connected, 1);
        }
    }
}

#[test]
fn a_bad_network_only_delays_it() {
    for seed in 1..=10 {
        let link = Link::lossy(20);
        let (mut sim, node) = alone(&PeerOptions::default(), link, &Settings::new(seed));
        sim.run(Duration::from_secs(8));
        assert_eq!(sim.peer(node).counters().connected, 1, "seed {seed}");
        assert_eq!(sim.stats().unwrap().endpoints_connected, 1, "seed {seed}");
    }
}

#[test]
fn an_endpoint_that_never_comes_is_expired_after_a_minute() {
    let (mut sim, _) = alone(&PeerOptions::default(), Link::lossy(100), &Settings::new(1));
    sim.run(Duration::from_secs(59));
    assert_eq!(sim.stats().unwrap().endpoints, 1);
    sim.run(Duration::from_secs(2));
    assert_eq!(sim.stats().unwrap().endpoints, 0);
    assert_eq!(
        count(&sim, |e| matches!(e, Event::EndpointExpired { .. })),
        1
    );
}

#[test]
fn silence_is_told_then_consent_ends_then_the_endpoint() {
    let (mut sim, node) = alone(&PeerOptions::default(), Link::default(), &Settings::new(4));
    sim.run(Duration::from_secs(5));
    sim.vanish(node);
    sim.run(Duration::from_secs(9));
    assert_eq!(
        count(&sim, |e| matches!(
            e,
            Event::EndpointActive { active: false, .. }
        )),
        1
    );
    sim.run(Duration::from_secs(24));
    let reason = TransportFailure::ConsentLost;
    let lost = count(
        &sim,
        |event| matches!(event, Event::EndpointFailed { reason: r, .. } if *r == reason),
    );
    assert_eq!(lost, 1, "{:?}", sim.events());
    sim.run(Duration::from_secs(30));
    assert_eq!(sim.stats().unwrap().endpoints, 0);
}

#[test]
fn an_endpoint_that_is_expired_is_told() {
    let real = RealHandshake {
        version: DtlsVersion::V1_2,
        base: std::time::Instant::now(),
    };
    for dtls in [None, Some(real)] {
        let settings = Settings {
            dtls,
            ..Settings::new(13)
        };
        let options = PeerOptions {
            dtls,
            ..PeerOptions::default()
        };
        let (mut sim, node) = alone(&options, Link::default(), &settings);
        sim.run(Duration::from_secs(2));
        assert_eq!(sim.peer(node).failure(), None);
        let endpoint = sim.address(node);
        sim.request(Command::ExpireEndpoint { endpoint }).unwrap();
        sim.run(Duration::from_millis(50));
        assert_eq!(sim.peer(node).failure(), Some(TransportFailure::Closed));
    }
}

#[test]
fn a_pause_in_the_network_is_told_and_so_is_its_end() {
    let (mut sim, node) = alone(&PeerOptions::default(), Link::default(), &Settings::new(4));
    sim.run(Duration::from_secs(3));
    sim.set_links(node, Link::lossy(100), Link::default());
    sim.run(Duration::from_secs(10));
    sim.set_links(node, Link::default(), Link::default());
    sim.run(Duration::from_secs(5));
    let told: Vec<bool> = sim
        .events()
        .iter()
        .filter_map(|(_, event)| match event {
            Event::EndpointActive { active, .. } => Some(*active),
            _ => None,
        })
        .collect();
    assert_eq!(told, [false, true]);
    assert_eq!(sim.peer(node).counters().failed, 0);
}

#[test]
fn an_ice_restart_of_ours_keeps_media_going() {
    let mut sim = Simulation::new(&Settings::new(9));
    let room = sim.conference("restart").unwrap();
    let [sender, receiver] = [(); 2].map(|()| {
        sim.join(&room, PeerOptions::default(), Link::default())
            .unwrap()
    });
    sim.run(Duration::from_secs(3));
    let endpoint = sim.address(receiver);
    let reply = sim.request(Command::RestartIce {
        endpoint: endpoint.clone(),
    });
    let Ok(Reply::Transport(transport)) = reply else {
        panic!("no new transport: {reply:?}");
    };
    let answer = sim.restart_ice(receiver, &transport).unwrap();
    sim.request(Command::SetTransport {
        endpoint,
        transport: answer,
    })
    .unwrap();
    sim.run(Duration::from_secs(5));
    let video = sim
        .peer(receiver)
        .streams()
        .find(|stream| stream.1)
        .unwrap()
        .2;
    assert!(
        video.longest_freeze < Duration::from_millis(100),
        "{video:?}"
    );
    assert_eq!(video.keyframes, 1, "the keys went on");
    assert_eq!(sim.peer(sender).counters().failed, 0);
    assert_eq!(sim.peer(receiver).counters().failed, 0);
}

#[test]
fn a_shell_is_told_where_media_goes_and_when_it_ends() {
    let (mut sim, node) = alone(&PeerOptions::default(), Link::default(), &Settings::new(4));
    sim.run(Duration::from_secs(2));
    let endpoint = sim.address(node);
    sim.request(Command::RestartIce { endpoint }).unwrap();
    sim.run(Duration::from_secs(2));
    let remotes = |sim: &Simulation| -> Vec<_> {
        let paths = sim.media_paths();
        paths.map(|(_, path)| path.map(|it| it.remote)).collect()
    };
    let there = Some(sim.host(node));
    assert_eq!(remotes(&sim), [there], "once, whatever the agent does");
    sim.vanish(node);
    sim.run(Duration::from_secs(40));
    assert_eq!(remotes(&sim), [there, None], "consent has ended");
    sim.run(Duration::from_secs(30));
    assert_eq!(sim.stats().unwrap().endpoints, 0);
    assert_eq!(remotes(&sim), [there, None]);

    let (mut sim, node) = alone(&PeerOptions::default(), Link::default(), &Settings::new(4));
    sim.run(Duration::from_secs(2));
    let endpoint = sim.address(node);
    sim.request(Command::ExpireEndpoint { endpoint }).unwrap();
    assert_eq!(remotes(&sim), [Some(sim.host(node)), None]);
}

#[test]
fn a_wrong_certificate_is_refused_before_any_media() {
    let mut sim = Simulation::new(&Settings::new(9));
    let room = sim.conference("forged").unwrap();
    let options = PeerOptions {
        false_fingerprint: true,
        ..PeerOptions::default()
    };
    let node = sim.join(&room, options, Link::default()).unwrap();
    sim.run(Duration::from_secs(5));
    let reason = TransportFailure::Fingerprint;
    let refused = count(
        &sim,
        |event| matches!(event, Event::EndpointFailed { reason: r, .. } if *r == reason),
    );
    assert_eq!(refused, 1);
    let stats = sim.stats().unwrap();
    assert_eq!((stats.endpoints_connected, stats.dtls_failed), (0, 1));
    assert_eq!(sim.peer(node).counters().rtp_received, 0);
}

#[test]
fn what_is_asked_of_nobody_is_an_error() {
    let (mut sim, node) = alone(&PeerOptions::default(), Link::default(), &Settings::new(1));
    let endpoint = sim.address(node);
    let again = sim.request(Command::CreateConference {
        conference: endpoint.conference.clone(),
    });
    assert!(matches!(again, Err(Error::Exists(_))));
    sim.request(Command::ExpireEndpoint {
        endpoint: endpoint.clone(),
    })
    .unwrap();
    let gone = sim.request(Command::RestartIce {
        endpoint: endpoint.clone(),
    });
    assert!(matches!(gone, Err(Error::Unknown(_))));
    sim.request(Command::ExpireConference {
        conference: endpoint.conference.clone(),
    })
    .unwrap();
    assert_eq!(
        count(&sim, |e| matches!(e, Event::ConferenceExpired { .. })),
        1
    );
    let gone = sim.request(Command::ExpireConference {
        conference: endpoint.conference,
    });
    assert!(matches!(gone, Err(Error::Unknown(_))));
}
