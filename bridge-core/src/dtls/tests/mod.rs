//! Runs handshakes against ourselves and independent peers, hostile ones among them.

use core::net::SocketAddr;
use core::time::Duration;
use std::time::Instant;

use super::dimpl::DimplFactory;
use super::driver::Driver;
use super::epoch::any_instant;
use super::{Certificate, DtlsVersion, fingerprint};
use crate::engine::{HandshakeEvent, HandshakeRequest, Path};
use crate::id::{EndpointKey, Key, ShardId};
use crate::limits;
use crate::packet::Packet;
use crate::srtp::{KeyingMaterial, SrtpProfile};
use crate::time::Time;

mod hostile;

mod peers;

/// A driver with a certificate of its own, in virtual time.
pub(super) struct Side {
    pub(super) driver: Driver,
    pub(super) certificate: Certificate,
    pub(super) base: Instant,
    pub(super) events: Vec<(u32, Told)>,
}

/// What a driver told of one handshake, datagrams aside.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    Completed {
        certificate: Vec<u8>,
        keys: KeyingMaterial,
        profile: SrtpProfile,
    },
    Failed,
    Closed,
}

pub(super) fn side(version: DtlsVersion) -> Side {
    let certificate = Certificate::generate().unwrap();
    let base = any_instant();
    let factory = DimplFactory::new(version, certificate.clone(), base).unwrap();
    Side {
        driver: Driver::new(factory),
        certificate,
        base,
        events: Vec::new(),
    }
}

pub(super) fn key(index: u32) -> (ShardId, EndpointKey) {
    (
        ShardId(3),
        EndpointKey(Key {
            index,
            generation: 1,
        }),
    )
}

impl Side {
    /// What is to be sent, with whose it is; the rest is noted.
    pub(super) fn poll(&mut self) -> Vec<(u32, Vec<u8>)> {
        let mut out = Vec::new();
        while let Some(((shard, EndpointKey(key)), event)) = self.driver.poll() {
            assert_eq!(shard, ShardId(3));
            let told = match event {
                HandshakeEvent::Datagram(packet) | HandshakeEvent::Farewell { packet, .. } => {
                    out.push((key.index, packet.bytes().to_vec()));
                    continue;
                }
                HandshakeEvent::Completed {
                    certificate,
                    keys,
                    profile,
                } => Told::Completed {
                    certificate,
                    keys,
                    profile,
                },
                HandshakeEvent::Failed => Told::Failed,
                HandshakeEvent::Closed => Told::Closed,
            };
            self.events.push((key.index, told));
        }
        out
    }

    pub(super) fn start(&mut self, now: Time, index: u32, client: bool) {
        self.driver
            .handle(now, key(index), HandshakeRequest::Start { client });
    }

    pub(super) fn stop(&mut self, now: Time, index: u32) {
        let path = Some(Path {
            remote: SocketAddr::from(([192, 0, 2, 1], 9)),
            local: None,
        });
        self.driver
            .handle(now, key(index), HandshakeRequest::Stop { path });
    }

    pub(super) fn feed(&mut self, now: Time, index: u32, bytes: &[u8]) {
        let request = HandshakeRequest::Datagram(Packet::copy_of(bytes));
        self.driver.handle(now, key(index), request);
    }

    pub(super) fn completed(&self, index: u32) -> Option<(&[u8], &KeyingMaterial, SrtpProfile)> {
        self.events.iter().find_map(|(of, told)| match told {
            Told::Completed {
                certificate,
                keys,
                profile,
            } if *of == index => Some((certificate.as_slice(), keys, *profile)),
            _ => None,
        })
    }
}

/// Lets two drivers talk, 5 ms each way, until nothing moves or time is up. `is_lost` says by
/// number and direction (0 is from the server) what does not arrive.
pub(super) fn converse(
    server: &mut Side,
    client: &mut Side,
    until: Time,
    is_lost: impl Fn(u32, usize) -> bool,
) -> Time {
    let mut now = Time::ZERO;
    let mut flying: Vec<(Time, usize, u32, Vec<u8>)> = Vec::new();
    let mut sent = [0; 2];
    loop {
        for (from, side) in [&mut *server, &mut *client].into_iter().enumerate() {
            for (index, bytes) in side.poll() {
                sent[from] += 1;
                if !is_lost(sent[from], from) {
                    flying.push((now + Duration::from_millis(5), 1 - from, index, bytes));
                }
            }
        }
        let arrivals = flying.iter().map(|(at, ..)| *at);
        let deadlines = [server.driver.deadline(), client.driver.deadline()];
        let next = arrivals.chain(deadlines.into_iter().flatten()).min();
        let Some(next) = next.filter(|next| *next <= until) else {
            return now;
        };
        now = now.max(next);
        let (due, later): (Vec<_>, Vec<_>) = flying.into_iter().partition(|(at, ..)| *at <= now);
        flying = later;
        for (_, to, index, bytes) in due {
            [&mut *server, &mut *client][to].feed(now, index, &bytes);
        }
        server.driver.handle_timeout(now);
        client.driver.handle_timeout(now);
    }
}

fn seconds(n: u64) -> Time {
    Time::ZERO + Duration::from_secs(n)
}

fn assert_paired(server: &Side, client: &Side, index: u32) -> SrtpProfile {
    let (at_server, ours, profile) = server.completed(index).expect("the server has keys");
    let (at_client, theirs, same) = client.completed(index).expect("the client has keys");
    assert!(fingerprint::matches(
        at_server,
        &[client.certificate.fingerprint()]
    ));
    assert!(fingerprint::matches(
        at_client,
        &[server.certificate.fingerprint()]
    ));
    assert_eq!(ours.local_key, theirs.remote_key);
    assert_eq!(ours.remote_salt, theirs.local_salt);
    assert_ne!(ours.local_key, ours.remote_key);
    assert_eq!(profile, same);
    profile
}

#[test]
fn both_versions_agree_on_keys_in_both_roles() {
    use DtlsVersion::{Auto, V1_2};
    for (s, c) in [(V1_2, V1_2), (Auto, Auto), (V1_2, Auto), (Auto, V1_2)] {
        let (mut server, mut client) = (side(s), side(c));
        server.start(Time::ZERO, 1, false);
        client.start(Time::ZERO, 1, true);
        let now = converse(&mut server, &mut client, seconds(1), |_, _| false);
        assert!(now < seconds(1) || server.completed(1).is_some());
        assert_paired(&server, &client, 1);
        assert_eq!(
            (server.driver.half_open(), client.driver.half_open()),
            (0, 0)
        );
    }
}

#[test]
fn as_a_server_of_1_2_we_take_the_strongest_profile() {
    let (mut server, mut client) = (side(DtlsVersion::V1_2), side(DtlsVersion::V1_2));
    server.start(Time::ZERO, 1, false);
    client.start(Time::ZERO, 1, true);
    converse(&mut server, &mut client, seconds(1), |_, _| false);
    assert_eq!(
        assert_paired(&server, &client, 1),
        SrtpProfile::AeadAes256Gcm
    );
}

#[test]
fn every_third_datagram_may_be_lost() {
    for version in [DtlsVersion::V1_2, DtlsVersion::Auto] {
        for phase in 0..3 {
            let (mut server, mut client) = (side(version), side(version));
            server.start(Time::ZERO, 1, false);
            client.start(Time::ZERO, 1, true);
            converse(&mut server, &mut client, seconds(20), |n, _| {
                (n + phase) % 3 == 0
            });
            assert_paired(&server, &client, 1);
        }
    }
}

#[test]
fn many_handshakes_do_not_mix() {
    let (mut server, mut client) = (side(DtlsVersion::V1_2), side(DtlsVersion::V1_2));
    for index in 0..20 {
        server.start(Time::ZERO, index, false);
        client.start(Time::ZERO, index, true);
    }
    converse(&mut server, &mut client, seconds(1), |_, _| false);
    for index in 0..20 {
        assert_paired(&server, &client, index);
    }
    let first = server
        .completed(0)
        .map(|(_, keys, _)| keys.local_key.clone());
    assert_ne!(
        first,
        server
            .completed(1)
            .map(|(_, keys, _)| keys.local_key.clone())
    );
}

#[test]
fn a_peer_that_never_answers_is_given_up_and_forgotten() {
    let (mut server, mut client) = (side(DtlsVersion::V1_2), side(DtlsVersion::V1_2));
    server.start(Time::ZERO, 1, false);
    client.start(Time::ZERO, 1, true);
    converse(&mut server, &mut client, seconds(60), |_, _| true);
    assert_eq!(server.events, [(1, Told::Failed)]);
    assert_eq!(client.events, [(1, Told::Failed)]);
    assert_eq!(
        (server.driver.half_open(), client.driver.half_open()),
        (0, 0)
    );
    assert_eq!(
        (server.driver.deadline(), client.driver.deadline()),
        (None, None)
    );
}

#[test]
fn a_stop_tells_the_peer() {
    let (mut server, mut client) = (side(DtlsVersion::V1_2), side(DtlsVersion::V1_2));
    server.start(Time::ZERO, 1, false);
    client.start(Time::ZERO, 1, true);
    converse(&mut server, &mut client, seconds(1), |_, _| false);
    server.stop(seconds(1), 1);
    for (_, bytes) in server.poll() {
        client.feed(seconds(1), 1, &bytes);
    }
    client.poll();
    assert_eq!(client.events.last(), Some(&(1, Told::Closed)));
    server.feed(seconds(2), 1, &[22; 100]);
    assert!(server.poll().is_empty(), "it is forgotten");
    let gone = HandshakeRequest::Stop { path: None };
    client.driver.handle(seconds(2), key(1), gone);
    assert!(client.poll().is_empty(), "nobody to be told");
}

#[test]
fn too_many_half_open_handshakes_are_refused() {
    let mut server = side(DtlsVersion::V1_2);
    let max = u32::try_from(limits::HALF_OPEN_HANDSHAKES_MAX).unwrap();
    for index in 0..max + 3 {
        server.start(Time::ZERO, index, false);
    }
    server.poll();
    assert_eq!(server.driver.half_open(), limits::HALF_OPEN_HANDSHAKES_MAX);
    assert_eq!(server.events.len(), 3);
    server.driver.handle_timeout(seconds(31));
    assert_eq!(
        server.driver.half_open(),
        0,
        "they are over after their time"
    );
}

/// The backend looks at the first message of a record only and would not repeat it by itself.
#[test]
fn as_a_server_of_1_3_the_last_ack_is_repeated_as_often_as_a_client_may_need() {
    let (mut server, mut client) = (side(DtlsVersion::Auto), side(DtlsVersion::Auto));
    server.start(Time::ZERO, 1, false);
    client.start(Time::ZERO, 1, true);
    converse(&mut server, &mut client, seconds(1), |_, _| false);
    let told = server.events.len();
    let mut repeats = Vec::new();
    for n in 0..50 {
        // A record of epoch 2 that nobody could open.
        server.feed(
            seconds(2),
            1,
            &[0x2e, 0, n, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
        );
        repeats.extend(server.poll());
        // Data records, of epoch 3, do not count.
        server.feed(seconds(2), 1, &[0x2f, 0, n, 0, 4, 1, 2, 3, 4]);
    }
    assert_eq!(repeats.len(), 16);
    assert!(repeats.iter().all(|repeat| *repeat == repeats[0]));
    assert_eq!(server.events.len(), told, "the association stands");
}
