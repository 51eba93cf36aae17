//! Holds one conference on several shards, and compares it with the same on one.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may fail as a test does"
)]

use core::time::Duration;

use bridge_core::sim::{Camera, Link, NodeId, PeerOptions, Settings, Simulation, StreamReport};
use bridge_core::{Command, ConferenceId, Discard, Error, Event, ReceiverConstraints, Reply};

/// A bridge whose conferences are spread from the first endpoint on.
fn spread(shards: u8, seed: u64) -> Simulation {
    Simulation::new(&Settings {
        shards,
        spread_from: 0,
        ..Settings::new(seed)
    })
}

fn settle(sim: &mut Simulation, seconds: u64) {
    sim.run(Duration::from_secs(seconds));
}

/// Peers of which some send much, some little, some only sound.
fn options(number: usize) -> PeerOptions {
    PeerOptions {
        camera: match number % 3 {
            0 => Some(Camera::simulcast()),
            1 => Some(Camera::single()),
            _ => None,
        },
        microphone: Some(if number == 0 { 20 } else { 90 }),
        ssrc_rewriting: number != 1,
        ..PeerOptions::default()
    }
}

fn meet(sim: &mut Simulation, count: usize, link: Link) -> (ConferenceId, Vec<NodeId>) {
    let room = sim.conference("spread").unwrap();
    let nodes = (0..count).map(|number| sim.join(&room, options(number), link).unwrap());
    let nodes = nodes.collect();
    (room, nodes)
}

/// What a receiver got, by sender and source.
fn received(sim: &Simulation, node: NodeId) -> Vec<StreamReport> {
    let streams = sim.peer(node).streams();
    let mut reports: Vec<_> = streams.map(|(_, _, report)| report.clone()).collect();
    reports.sort_by_key(|report| (report.sender, report.source));
    reports
}

fn speakers(sim: &Simulation) -> Vec<String> {
    let events = sim.events().iter();
    let speakers = events.filter_map(|(at, event)| match event {
        Event::DominantSpeaker { endpoint } => Some(format!("{at:?} {endpoint}")),
        _ => None,
    });
    speakers.collect()
}

/// The height that a sender was told last.
fn told(sim: &Simulation, sender: NodeId) -> Option<i32> {
    let sender = sim.address(sender);
    let events = sim.events().iter().rev();
    let mut told = events.filter_map(|(_, event)| match event {
        Event::SenderConstraints {
            endpoint,
            max_height,
            ..
        } if *endpoint == sender => Some(*max_height),
        _ => None,
    });
    told.next()
}

fn wish(sim: &mut Simulation, receiver: NodeId, height: i32) {
    let endpoint = sim.address(receiver);
    let constraints = ReceiverConstraints {
        default_max_height: Some(height),
        ..ReceiverConstraints::default()
    };
    sim.request(Command::SetConstraints {
        endpoint,
        constraints,
    })
    .unwrap();
}

fn watcher() -> PeerOptions {
    PeerOptions {
        microphone: None,
        camera: None,
        ..PeerOptions::default()
    }
}

/// What a watcher got of the only camera.
fn video(sim: &Simulation, watcher: NodeId) -> StreamReport {
    let mut streams = sim.peer(watcher).streams();
    let video = streams.find(|(_, is_video, _)| *is_video);
    video
        .map(|(_, _, report)| report.clone())
        .unwrap_or_default()
}

/// A sender at home and so many watchers spread over all shards.
fn show(sim: &mut Simulation, watchers: usize) -> (ConferenceId, NodeId, Vec<NodeId>) {
    let room = sim.conference("show").unwrap();
    let camera = PeerOptions {
        camera: Some(Camera::simulcast()),
        ..PeerOptions::default()
    };
    let sender = sim.join(&room, camera, Link::default()).unwrap();
    let join = |_| sim.join(&room, watcher(), Link::default()).unwrap();
    let watchers = (0..watchers).map(join).collect();
    (room, sender, watchers)
}

#[test]
fn each_receiver_gets_the_same_over_any_number_of_shards() {
    let play = |shards| {
        let mut sim = spread(shards, 11);
        let (_, nodes) = meet(&mut sim, 6, Link::default());
        settle(&mut sim, 6);
        let on: Vec<usize> = nodes
            .iter()
            .map(|node| sim.shard_of(*node).unwrap())
            .collect();
        let got: Vec<_> = nodes.iter().map(|node| received(&sim, *node)).collect();
        let stats = sim.stats().unwrap();
        (got, speakers(&sim), on, stats)
    };
    let (alone, speakers, _, _) = play(1);
    for report in alone.iter().flatten() {
        assert_eq!(report.faults, Vec::<String>::new());
        assert_eq!((report.lost, report.undecodable), (0, 0), "{report:?}");
    }
    assert_eq!(
        alone.iter().map(Vec::len).collect::<Vec<_>>(),
        [8, 8, 9, 8, 8, 9]
    );
    for shards in [2, 3] {
        let (spread, theirs, on, stats) = play(shards);
        assert_eq!(
            on,
            (0..6)
                .map(|at| at % usize::from(shards))
                .collect::<Vec<_>>()
        );
        assert_eq!(spread, alone, "{shards} shards");
        assert_eq!(theirs, speakers, "{shards} shards");
        assert!(stats.packets_fanned_out > 1_000, "{stats:?}");
        assert_eq!((stats.conferences, stats.endpoints), (1, 6));
        assert_eq!(stats.largest_conference, 6);
        assert_eq!(stats.discarded.get(Discard::HandoffFull), 0);
    }
}

#[test]
fn a_small_conference_stays_on_one_shard() {
    let mut sim = Simulation::new(&Settings {
        shards: 2,
        spread_from: 5,
        ..Settings::new(3)
    });
    let (_, nodes) = meet(&mut sim, 6, Link::default());
    let on: Vec<_> = nodes.iter().map(|node| sim.shard_of(*node)).collect();
    assert_eq!(
        on,
        [0, 0, 0, 0, 0, 1].map(Some),
        "the sixth is one too many"
    );
    let mut sim = Simulation::new(&Settings {
        shards: 2,
        ..Settings::new(3)
    });
    meet(&mut sim, 5, Link::default());
    settle(&mut sim, 2);
    assert_eq!(sim.stats().unwrap().packets_fanned_out, 0);
}

#[test]
fn what_is_lost_on_the_way_to_a_receiver_comes_again_from_its_own_shard() {
    let mut sim = spread(2, 5);
    let (_, sender, watchers) = show(&mut sim, 3);
    for node in &watchers {
        sim.set_links(*node, Link::default(), Link::lossy(5));
    }
    settle(&mut sim, 10);
    for node in watchers {
        let report = video(&sim, node);
        assert_eq!(report.faults, Vec::<String>::new());
        assert!(report.recovered > 10 && report.decoded > 200, "{report:?}");
        assert!(report.lost < report.recovered / 10, "{report:?}");
    }
    assert_eq!(
        sim.peer(sender).counters().nacked,
        0,
        "the sender lost nothing"
    );
}

#[test]
fn keyframe_requests_of_all_shards_reach_the_sender_throttled() {
    let mut sim = spread(3, 7);
    let (room, sender, _) = show(&mut sim, 3);
    settle(&mut sim, 3);
    let requests = |sim: &Simulation| sim.peer(sender).counters().keyframe_requests;
    let before = requests(&sim);
    let join = |_| sim.join(&room, watcher(), Link::default()).unwrap();
    let watchers: Vec<_> = (0..30).map(join).collect();
    settle(&mut sim, 3);
    let asked = requests(&sim) - before;
    assert!((1..=6).contains(&asked), "three encodings, twice: {asked}");
    for watcher in watchers {
        let report = video(&sim, watcher);
        assert!(report.decoded > 30, "{report:?}");
        assert_eq!(report.faults, Vec::<String>::new());
    }
    let beggar = PeerOptions {
        begs_for_keyframes: true,
        ..watcher()
    };
    for _ in 0..3 {
        sim.join(&room, beggar.clone(), Link::default()).unwrap();
    }
    settle(&mut sim, 2);
    let before = requests(&sim);
    settle(&mut sim, 10);
    let asked = requests(&sim) - before;
    assert!(asked <= 50, "never more than one in 200 ms: {asked}");
}

#[test]
fn the_largest_height_that_any_shard_wants_is_told_and_what_nobody_wants_does_not_cross() {
    let mut sim = spread(3, 9);
    let (_, sender, watchers) = show(&mut sim, 3);
    settle(&mut sim, 3);
    assert_eq!(told(&sim, sender), Some(-1));
    for (node, height) in watchers.iter().zip([180, 720, 360]) {
        wish(&mut sim, *node, height);
    }
    settle(&mut sim, 4);
    assert_eq!(told(&sim, sender), Some(720));
    let [low, high, _] = [0, 1, 2].map(|at| video(&sim, watchers[at]));
    assert!(low.by_encoding[0] > 30 && high.by_encoding[2] > 30);
    for node in &watchers {
        wish(&mut sim, *node, 0);
    }
    assert_eq!(told(&sim, sender), Some(0));
    let mute = sim.peer_mut(sender);
    mute.mute_microphone(true);
    settle(&mut sim, 1);
    let before = sim.stats().unwrap().packets_fanned_out;
    settle(&mut sim, 2);
    assert_eq!(
        sim.stats().unwrap().packets_fanned_out,
        before,
        "for nobody"
    );
    for at in [0, 1, 2] {
        sim.peer_mut(watchers[at]).forget_freezes();
        wish(&mut sim, watchers[at], 360);
        settle(&mut sim, 3);
        let report = video(&sim, watchers[at]);
        assert!(report.by_encoding[1] > 50, "{at}: {report:?}");
        assert_eq!(report.faults, Vec::<String>::new());
    }
}

#[test]
fn receivers_of_other_shards_follow_when_a_sender_stops_an_encoding() {
    let mut sim = spread(2, 13);
    let (_, sender, watchers) = show(&mut sim, 2);
    settle(&mut sim, 4);
    sim.peer_mut(sender).stop_encoding(2, true);
    settle(&mut sim, 4);
    let before: Vec<_> = watchers.iter().map(|node| video(&sim, *node)).collect();
    settle(&mut sim, 2);
    for (node, before) in watchers.iter().zip(before) {
        let now = video(&sim, *node);
        assert!(now.by_encoding[1] > before.by_encoding[1] + 30, "{now:?}");
        assert_eq!(now.faults, Vec::<String>::new());
    }
}

#[test]
fn all_shards_show_the_speaker_first() {
    let mut sim = spread(2, 15);
    let room = sim.conference("speech").unwrap();
    let quiet = PeerOptions {
        microphone: Some(127),
        ..PeerOptions::default()
    };
    let join = |_| sim.join(&room, quiet.clone(), Link::default()).unwrap();
    let nodes: Vec<_> = (0..4).map(join).collect();
    for node in &nodes {
        let endpoint = sim.address(*node);
        let constraints = ReceiverConstraints {
            last_n: Some(1),
            ..ReceiverConstraints::default()
        };
        sim.request(Command::SetConstraints {
            endpoint,
            constraints,
        })
        .unwrap();
    }
    settle(&mut sim, 2);
    for speaker in [1, 2, 3] {
        sim.peer_mut(nodes[speaker]).set_level(20);
        settle(&mut sim, 4);
        sim.peer_mut(nodes[speaker]).set_level(127);
        let name = sim.address(nodes[speaker]);
        let last = |node: &NodeId| {
            let receiver = sim.address(*node);
            let events = sim.events().iter().rev();
            let mut shown = events.filter_map(|(_, event)| match event {
                Event::ForwardedSources { endpoint, sources } if *endpoint == receiver => {
                    Some(sources.clone())
                }
                _ => None,
            });
            shown.next().unwrap_or_default()
        };
        for (at, node) in nodes.iter().enumerate().filter(|(at, _)| *at != speaker) {
            let [shown] = &last(node)[..] else {
                panic!("one is shown");
            };
            let expected = name.endpoint.as_str();
            assert!(shown.as_str().starts_with(expected), "{at} sees {shown:?}");
        }
    }
}

#[test]
fn what_is_asked_of_the_home_shard_holds_on_all() {
    let mut sim = spread(2, 17);
    let (room, nodes) = meet(&mut sim, 4, Link::default());
    settle(&mut sim, 2);
    let [home, away] = [sim.address(nodes[0]), sim.address(nodes[1])];
    assert_eq!(sim.shard_of(nodes[1]), Some(1));
    let sources = sim.peer(nodes[0]).sources();
    let stolen = sim.request(Command::SetSources {
        endpoint: away.clone(),
        sources,
    });
    assert!(
        matches!(stolen, Err(Error::Exists(_))),
        "another shard's SSRC"
    );
    let twice = sim.request(Command::CreateEndpoint {
        endpoint: away.clone(),
        options: bridge_core::EndpointOptions::default(),
    });
    assert!(matches!(twice, Err(Error::Exists(_))));
    let restarted = sim.request(Command::RestartIce {
        endpoint: away.clone(),
    });
    let Ok(Reply::Transport(transport)) = restarted else {
        panic!("{restarted:?}");
    };
    let transport = sim.restart_ice(nodes[1], &transport).unwrap();
    sim.request(Command::SetTransport {
        endpoint: away.clone(),
        transport,
    })
    .unwrap();
    settle(&mut sim, 2);
    for (muted, endpoint) in [(nodes[0], home), (nodes[1], away.clone())] {
        sim.request(Command::ForceMute {
            endpoint,
            audio: Some(true),
            video: Some(true),
        })
        .unwrap();
        settle(&mut sim, 1);
        let number = u16::try_from(nodes.iter().position(|node| *node == muted).unwrap());
        let of = |sim: &Simulation, node| {
            let reports = received(sim, node);
            let theirs = reports.into_iter().filter(|one| one.sender == number.ok());
            theirs.map(|report| report.packets).sum::<u64>()
        };
        let before = nodes.iter().map(|node| of(&sim, *node));
        let before: Vec<_> = before.collect();
        settle(&mut sim, 1);
        let after: Vec<_> = nodes.iter().map(|node| of(&sim, *node)).collect();
        assert_eq!(before, after, "nobody hears it, wherever");
    }
    sim.request(Command::ExpireEndpoint {
        endpoint: away.clone(),
    })
    .unwrap();
    let unknown = sim.request(Command::RestartIce { endpoint: away });
    assert!(matches!(unknown, Err(Error::Unknown(_))));
    assert_eq!(sim.stats().unwrap().endpoints, 3);
    sim.request(Command::ExpireConference {
        conference: room.clone(),
    })
    .unwrap();
    let stats = sim.stats().unwrap();
    assert_eq!((stats.endpoints, stats.conferences), (0, 0));
    sim.conference(room.as_str()).unwrap();
}

#[test]
fn who_vanishes_is_gone_on_all_shards_and_an_empty_conference_ends() {
    let mut sim = spread(2, 19);
    let (_, nodes) = meet(&mut sim, 4, Link::default());
    settle(&mut sim, 2);
    sim.vanish(nodes[1]);
    sim.vanish(nodes[2]);
    settle(&mut sim, 65);
    assert_eq!(sim.stats().unwrap().endpoints, 2);
    assert_eq!([1, 2].map(|at| sim.shard_of(nodes[at])), [None, None]);
    sim.vanish(nodes[0]);
    sim.vanish(nodes[3]);
    settle(&mut sim, 130);
    let stats = sim.stats().unwrap();
    assert_eq!((stats.endpoints, stats.conferences), (0, 0));
    let expired = sim.events().iter().filter(|(_, event)| {
        matches!(
            event,
            Event::EndpointExpired { .. } | Event::ConferenceExpired { .. }
        )
    });
    assert_eq!(expired.count(), 5, "each once");
    assert!(sim.is_idle(), "no shard remembers anything");
}

#[test]
fn a_full_ring_loses_media_and_counts_it_and_nothing_else() {
    let mut sim = spread(2, 21);
    let (_, sender, watchers) = show(&mut sim, 4);
    settle(&mut sim, 3);
    assert_eq!(sim.shard_of(watchers[0]), Some(1));
    sim.set_ring(0);
    let stalled = video(&sim, watchers[0]).decoded;
    let at_home = video(&sim, watchers[1]).decoded;
    sim.request(Command::ExpireEndpoint {
        endpoint: sim.address(watchers[3]),
    })
    .unwrap();
    settle(&mut sim, 1);
    assert!(video(&sim, watchers[0]).decoded <= stalled + 2);
    assert!(video(&sim, watchers[1]).decoded > at_home + 20);
    let lost = sim.stats().unwrap().discarded.get(Discard::HandoffFull);
    assert!(lost > 30, "{lost}");
    sim.set_ring(bridge_core::limits::HANDOFF_MAX);
    settle(&mut sim, 4);
    let stats = sim.stats().unwrap();
    assert_eq!(stats.discarded.get(Discard::HandoffFull), lost);
    let healed = video(&sim, watchers[0]);
    assert!(healed.decoded > stalled + 60, "{healed:?}");
    assert_eq!(stats.endpoints, 4);
    assert!(sim.peer(sender).counters().rtp_sent > 0);
}

#[test]
fn packets_that_crossed_are_used_again() {
    let mut sim = spread(2, 23);
    meet(&mut sim, 4, Link::default());
    settle(&mut sim, 10);
    let made = sim.packets_made();
    settle(&mut sim, 20);
    assert_eq!(sim.packets_made(), made, "none is made in the steady state");
}
