//! Gives engines a world: sockets, threads and the clock.
//!
//! One shard is one thread with one engine and one socket; all sockets share one UDP port
//! (`SO_REUSEPORT`). One more thread runs the DTLS handshakes of all shards. A shard never waits
//! for another thread: commands, handshakes and messages of other shards come over bounded queues,
//! and a [`inbox::Doorbell`] wakes it when it sleeps.

pub(crate) mod batch;

#[cfg(feature = "unstable-toolbox")]
pub(crate) mod bench;

pub(crate) mod clock;

pub(crate) mod connected;

#[cfg(all(feature = "sim", feature = "unstable-toolbox"))]
pub(crate) mod crew;

pub(crate) mod handoff;

pub(crate) mod handshake;

pub(crate) mod inbox;

pub(crate) mod shard;

mod sys;

pub(crate) mod udp;

use core::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use mio::net::UdpSocket;
use mio::{Poll, Waker};

use crate::bridge::Homes;
use crate::config::{BridgeConfig, ConnectedSockets, EngineConfig, LocalAddress};
use crate::dtls::Certificate;
use crate::dtls::dimpl::DimplFactory;
use crate::dtls::driver::Driver;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::id::ShardId;
use crate::limits;
use crate::map::MapSeed;
use crate::srtp::GcmTimes;

use clock::Clock;
use connected::{Connected, Sockets};
use handshake::Handshakes;
use inbox::{Doorbell, Inbox};
use shard::{FIRST_CONNECTED, News, Shard, WAKE};

/// What a started bridge is made of.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) inboxes: Vec<Inbox>,
    pub(crate) threads: Vec<JoinHandle<()>>,
    pub(crate) media_address: SocketAddr,
}

/// Opens the sockets and starts the threads.
pub(crate) fn start(
    config: &BridgeConfig,
    events: &SyncSender<Event>,
    homes: &Arc<Homes>,
) -> Result<Started> {
    let clock = Clock::start();
    let certificate = Certificate::generate()?;
    let connected = connected_max(config, homes.shards())?;
    let sockets = udp::open(config.udp, homes.shards(), connected.is_some())?;
    let media_address = match sockets.first().map(UdpSocket::local_addr) {
        Some(Ok(address)) => address,
        Some(Err(error)) => return Err(Error::Io("read the media port", error)),
        None => return Err(Error::Misuse("a bridge has 1 to 64 shards")),
    };
    let (polls, bells) = polls(sockets.len())?;
    let factory = DimplFactory::new(config.dtls, certificate.clone(), clock.base())?;
    let (handshakes, answers, thread) = start_handshakes(Driver::new(factory), clock, &bells)?;
    let gcm = config.gcm.unwrap_or_else(|| {
        let times = GcmTimes::measure(|| clock.now());
        tracing::info!("AES-GCM by {times}");
        times.fastest()
    });
    let engine = EngineConfig {
        shards: u8::try_from(sockets.len()).unwrap_or(u8::MAX),
        addresses: local_addresses(media_address, &config.announce),
        fingerprint: Some(certificate.fingerprint()),
        limits: config.limits.clone(),
        initial_max_height: config.initial_max_height,
        spread_from: config.spread_from,
        trust_no_estimate: config.trust_no_estimate,
        gcm,
        evens_out: config.evens_out,
        hold: config.hold.min(limits::HOLD_MAX),
        ..EngineConfig::new([0; 32])
    };
    let mut threads = vec![thread];
    let mut inboxes = Vec::new();
    let rings = handoff::mesh(&bells);
    let parts = sockets
        .into_iter()
        .zip(polls)
        .zip(bells)
        .zip(rings.into_iter().zip(answers));
    for (id, (((socket, poll), bell), (rings, answers))) in (0..).map(ShardId).zip(parts) {
        let (inbox, orders) = inbox::inbox(Arc::clone(&bell));
        let shard = Shard {
            id,
            engine: Engine::new(EngineConfig {
                seed: seed()?,
                shard: id,
                ..engine.clone()
            }),
            sockets: sockets_of(config, media_address, socket, connected)?,
            poll,
            clock,
            bell,
            orders,
            rings,
            handshakes: handshakes.clone(),
            answers,
            events: events.clone(),
            homes: Arc::clone(homes),
        };
        threads.push(spawn(shard)?);
        inboxes.push(inbox);
    }
    Ok(Started {
        inboxes,
        threads,
        media_address,
    })
}

/// A poll for each shard, and the bell that wakes it.
fn polls(count: usize) -> Result<(Vec<Poll>, Vec<Arc<Doorbell>>)> {
    let mut polls = Vec::new();
    let mut bells = Vec::new();
    for _ in 0..count {
        let poll = Poll::new().map_err(|error| Error::Io("make a poll", error))?;
        let waker =
            Waker::new(poll.registry(), WAKE).map_err(|error| Error::Io("make a waker", error))?;
        bells.push(Arc::new(Doorbell::new(waker)));
        polls.push(poll);
    }
    Ok((polls, bells))
}

/// Starts the handshake thread; gives the way to it, and each shard's queue of its news.
fn start_handshakes(
    driver: Driver,
    clock: Clock,
    bells: &[Arc<Doorbell>],
) -> Result<(Handshakes, Vec<Receiver<News>>, JoinHandle<()>)> {
    let (senders, receivers): (Vec<_>, Vec<_>) = bells
        .iter()
        .map(|_| sync_channel(limits::HANDSHAKE_ANSWERS_MAX))
        .unzip();
    let bells = bells.to_vec();
    let answer = move |shard: ShardId, endpoint, event| {
        let at = usize::from(shard.0);
        if let (Some(queue), Some(bell)) = (senders.get(at), bells.get(at)) {
            // Waits while the shard is far behind; a shard that is gone needs no news.
            drop(queue.send((endpoint, event)));
            bell.ring();
        }
    };
    let (handshakes, thread) = handshake::start(driver, move || clock.now(), answer)?;
    Ok((handshakes, receivers, thread))
}

fn spawn(shard: Shard) -> Result<JoinHandle<()>> {
    thread::Builder::new()
        .name(format!("shard-{}", shard.id.0))
        .spawn(move || shard.run())
        .map_err(|error| Error::Io("start a shard's thread", error))
}

/// A shard's sockets; `connected` is how many peers get one of their own.
fn sockets_of(
    config: &BridgeConfig,
    bound: SocketAddr,
    shared: UdpSocket,
    connected: Option<usize>,
) -> Result<Sockets> {
    let sends = config.connected_sockets == ConnectedSockets::Both;
    let connected = connected.map(|most| {
        let seed = getrandom::u64()
            .map_err(|error| Error::Io("take a seed from the system", error.into()))?;
        let seed = MapSeed::new(seed);
        Ok(Connected::new(bound, FIRST_CONNECTED, most, seed))
    });
    Ok(Sockets {
        shared,
        connected: connected.transpose()?,
        sends,
    })
}

/// How many peers of each shard get a socket of their own, if any: half of the descriptors stay
/// for others.
fn connected_max(config: &BridgeConfig, shards: usize) -> Result<Option<usize>> {
    if config.connected_sockets == ConnectedSockets::Off {
        return Ok(None);
    }
    if !sys::PREFERS_CONNECTED {
        return Err(Error::Misuse("connected sockets need Linux"));
    }
    let descriptors = sys::descriptors_max()
        .map_err(|error| Error::Io("read the limit of descriptors", error))?;
    let half = usize::try_from(descriptors / 2).unwrap_or(usize::MAX);
    let most = half.min(limits::CONNECTED_SOCKETS_MAX);
    Ok(Some(most / shards.max(1)))
}

fn seed() -> Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| Error::Io("take a seed from the system", error.into()))?;
    Ok(seed)
}

/// Where clients may reach us: the address we are bound to, or every interface's, and what is
/// announced.
fn local_addresses(bound: SocketAddr, announced: &[IpAddr]) -> Vec<LocalAddress> {
    let port = bound.port();
    let hosts = if bound.ip().is_unspecified() {
        sys::interface_addresses().unwrap_or_else(|error| {
            tracing::warn!(%error, "the addresses of this machine are not known");
            Vec::new()
        })
    } else {
        vec![bound.ip()]
    };
    let hosts = hosts
        .into_iter()
        .filter(|ip| is_candidate(*ip, bound.is_ipv6()));
    let hosts = hosts.map(|ip| LocalAddress {
        address: SocketAddr::new(ip, port),
        announced: false,
    });
    let announced = announced.iter().map(|ip| LocalAddress {
        address: SocketAddr::new(*ip, port),
        announced: true,
    });
    hosts.chain(announced).collect()
}

/// Whether clients can be told an address of ours: the socket must speak its version, and
/// link-local addresses mean something only with an interface.
fn is_candidate(ip: IpAddr, speaks_ipv6: bool) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_link_local(),
        IpAddr::V6(ip) => speaks_ipv6 && !ip.is_unicast_link_local(),
    }
}

/// How many shards there are when nothing is said: as many as processors.
pub(crate) fn shards_by_processors() -> usize {
    thread::available_parallelism()
        .map_or(1, core::num::NonZero::get)
        .min(limits::SHARDS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_for_all_addresses_has_a_candidate_for_each_interface() {
        let addresses = local_addresses(
            "0.0.0.0:7".parse().unwrap(),
            &["192.0.2.9".parse().unwrap()],
        );
        let loopback = LocalAddress {
            address: "127.0.0.1:7".parse().unwrap(),
            announced: false,
        };
        let outer = LocalAddress {
            address: "192.0.2.9:7".parse().unwrap(),
            announced: true,
        };
        assert!(addresses.contains(&loopback));
        assert_eq!(addresses.last(), Some(&outer));
        assert!(addresses.iter().all(|local| local.address.is_ipv4()));
    }

    #[test]
    fn a_socket_for_one_address_has_that_candidate_alone() {
        let bound: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let addresses = local_addresses(bound, &[]);
        assert_eq!(addresses.len(), 1);
        assert_eq!(addresses[0].address, bound);
    }
}
