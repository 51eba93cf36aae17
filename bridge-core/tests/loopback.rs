//! Meets over real sockets on loopback, with the real handshake: the bridge as it is deployed.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "real sockets need the real clock, and a helper may fail as a test does"
)]

use core::net::SocketAddr;
use core::time::Duration;
use std::net::UdpSocket;
use std::time::Instant;

use bridge_core::config::ConnectedSockets;
use bridge_core::engine::Path;
use bridge_core::event::TransportFailure;
use bridge_core::packet::Packet;
use bridge_core::sim::{Peer, PeerOptions, RealHandshake};
use bridge_core::{
    Bridge, BridgeBuilder, BridgeStats, Conference, Discard, DtlsVersion, EndpointOptions, Event,
    Events, Time, limits,
};

/// A scripted peer behind a real socket.
struct RealPeer {
    peer: Peer,
    socket: UdpSocket,
    start: Instant,
}

impl RealPeer {
    fn join(room: &Conference, number: u16, start: Instant, version: DtlsVersion) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let endpoint = room
            .endpoint_with(
                &format!("{number:08x}"),
                EndpointOptions {
                    loopback: true,
                    ..EndpointOptions::default()
                },
            )
            .unwrap();
        let options = PeerOptions {
            dtls: Some(RealHandshake {
                version,
                base: start,
            }),
            dtls_client: number.is_multiple_of(2),
            ..PeerOptions::default()
        };
        let now = Time::ZERO + start.elapsed();
        let address = endpoint.address().clone();
        let seed = [u8::try_from(number).unwrap(); 32];
        let host = socket.local_addr().unwrap();
        let mut peer = Peer::new(now, number, host, address, options, seed).unwrap();
        let local = endpoint.local_transport();
        assert!(
            local
                .candidates
                .iter()
                .any(|one| one.address.ip().is_loopback())
        );
        peer.connect(now, local).unwrap();
        endpoint.set_media(peer.media()).unwrap();
        endpoint.set_sources(peer.sources()).unwrap();
        endpoint.connect(&peer.description()).unwrap();
        Self {
            peer,
            socket,
            start,
        }
    }

    /// Takes what came, does what is due, sends what is ready; `true` if anything came.
    fn turn(&mut self) -> bool {
        let now = Time::ZERO + self.start.elapsed();
        let mut buffer = [0; 2_048];
        let mut any = false;
        while let Ok((length, remote)) = self.socket.recv_from(&mut buffer) {
            any = true;
            let path = Path {
                remote,
                local: None,
            };
            self.peer
                .handle_datagram(now, path, Packet::copy_of(&buffer[..length]));
        }
        if self.peer.deadline().is_some_and(|at| at <= now) {
            self.peer.handle_timeout(now);
        }
        while let Some((path, packet)) = self.peer.poll() {
            // What the system refuses is lost, as on any network.
            let _sent = self.socket.send_to(packet.bytes(), path.remote);
        }
        any
    }
}

/// Runs peers and events for some time of the real clock.
fn run(peers: &mut [RealPeer], events: &mut Events, span: Duration) -> Vec<Event> {
    let end = Instant::now() + span;
    let mut seen = Vec::new();
    while Instant::now() < end {
        let mut any = false;
        for peer in peers.iter_mut() {
            any |= peer.turn();
        }
        let patience = Duration::from_millis(u64::from(!any));
        while let Ok(Some(event)) = events.recv_timeout(patience) {
            for peer in peers.iter_mut() {
                peer.peer.learn(&event);
            }
            seen.push(event);
        }
    }
    seen
}

/// Lets as many pairs meet as there are `rooms`, each over all shards when they are `spread`.
fn meet(shards: usize, rooms: u16, version: DtlsVersion, spread: bool) -> BridgeStats {
    let builder = Bridge::builder()
        .udp(SocketAddr::from(([0, 0, 0, 0], 0)))
        .shards(shards)
        .dtls(version)
        .spread_from(if spread { 0 } else { limits::SPREAD_FROM });
    let [_, stats] = meet_at(builder, rooms, version);
    stats
}

/// The same at any bridge; gives its counters after two seconds and after three.
fn meet_at(builder: BridgeBuilder, rooms: u16, version: DtlsVersion) -> [BridgeStats; 2] {
    let (bridge, mut events) = builder.initial_max_height(-1).start().unwrap();
    let start = Instant::now();
    let rooms: Vec<Conference> = (0..rooms)
        .map(|number| bridge.conference(&format!("loopback {number}")).unwrap())
        .collect();
    let mut peers: Vec<RealPeer> = (0..)
        .zip(rooms.iter().flat_map(|room| [room, room]))
        .map(|(number, room)| RealPeer::join(room, number, start, version))
        .collect();
    let mut seen = run(&mut peers, &mut events, Duration::from_secs(2));
    let early = bridge.stats().unwrap();
    seen.extend(run(&mut peers, &mut events, Duration::from_secs(1)));
    let connected = seen
        .iter()
        .filter(|event| matches!(event, Event::EndpointConnected { .. }));
    assert_eq!(connected.count(), peers.len(), "{seen:?}");
    for real in &peers {
        let streams: Vec<_> = real.peer.streams().collect();
        assert_eq!(streams.len(), 2);
        for (_, is_video, report) in streams {
            assert_eq!(report.faults, Vec::<String>::new());
            let least = if is_video { 20 } else { 70 };
            assert!(report.decoded > least, "{report:?}");
        }
    }
    let stats = bridge.stats().unwrap();
    let count = |count: usize| u64::try_from(count).unwrap();
    assert_eq!(stats.conferences, count(rooms.len()));
    assert_eq!(stats.endpoints_connected, count(peers.len()));
    assert!(stats.packets_sent > 500);
    for room in rooms {
        room.close().unwrap();
    }
    run(&mut peers, &mut events, Duration::from_millis(300));
    are_told(&peers);
    assert!(
        bridge.drain(Duration::from_secs(5)),
        "no conference is left"
    );
    assert!(
        bridge.conference("late").is_err(),
        "a draining bridge takes nothing new"
    );
    bridge.shutdown();
    assert!(bridge.stats().is_err());
    [early, stats]
}

/// Whether a close_notify reached every peer.
fn are_told(peers: &[RealPeer]) {
    for real in peers {
        assert_eq!(real.peer.failure(), Some(TransportFailure::Closed));
    }
}

#[test]
fn a_bridge_that_stops_tells_all_peers() {
    for shards in [1, 2] {
        let (bridge, mut events) = Bridge::builder()
            .udp(SocketAddr::from(([127, 0, 0, 1], 0)))
            .shards(shards)
            .start()
            .unwrap();
        let start = Instant::now();
        let rooms = [0, 1, 2].map(|number| bridge.conference(&format!("stop {number}")).unwrap());
        let mut peers: Vec<RealPeer> = (0..)
            .zip(&rooms)
            .map(|(number, room)| RealPeer::join(room, number, start, DtlsVersion::V1_2))
            .collect();
        run(&mut peers, &mut events, Duration::from_secs(1));
        assert_eq!(bridge.stats().unwrap().endpoints_connected, 3);
        let stopping = Instant::now();
        bridge.shutdown();
        assert!(
            stopping.elapsed() < Duration::from_millis(400),
            "no shard waited in vain"
        );
        run(&mut peers, &mut events, Duration::from_millis(100));
        are_told(&peers);
    }
}

#[test]
fn peers_meet_over_one_socket() {
    let stats = meet(1, 2, DtlsVersion::V1_2, false);
    assert_eq!(stats.packets_handed_over, 0);
}

#[test]
fn peers_meet_over_two_shards_though_their_datagrams_stray() {
    // The kernel chooses a socket by the peer's port: of so many some choose the other shard's.
    let stats = meet(2, 8, DtlsVersion::V1_2, false);
    assert!(stats.packets_handed_over > 100, "{stats:?}");
    assert_eq!(stats.packets_fanned_out, 0, "a pair is no large conference");
}

#[test]
fn peers_meet_though_each_is_on_a_shard_of_its_own() {
    let stats = meet(2, 2, DtlsVersion::V1_2, true);
    assert!(stats.packets_fanned_out > 400, "{stats:?}");
    assert_eq!(stats.discarded.get(Discard::HandoffFull), 0);
}

#[test]
#[cfg(target_os = "linux")]
fn peers_with_sockets_of_their_own_meet_and_stray_no_more() {
    // For all addresses, and for one, where the kernel keeps all sockets in one group.
    let cases = [
        ([0, 0, 0, 0], ConnectedSockets::Receive),
        ([127, 0, 0, 1], ConnectedSockets::Both),
    ];
    for (address, uses) in cases {
        let builder = Bridge::builder()
            .udp(SocketAddr::from((address, 0)))
            .shards(2)
            .connected_sockets(uses);
        let [early, stats] = meet_at(builder, 8, DtlsVersion::V1_2);
        assert_eq!(early.peers_connected, 16);
        assert_eq!((stats.peers_unconnected, stats.connected_errors), (0, 0));
        assert!(early.packets_handed_over > 20, "they had none at first");
        assert_eq!(stats.packets_handed_over, early.packets_handed_over);
        assert!(stats.packets_received > early.packets_received + 500);
    }
}

#[test]
fn peers_meet_with_dtls_1_3() {
    meet(1, 2, DtlsVersion::Auto, false);
}
