//! Runs the bridge without touching the world: inputs come in with their time, outputs are pushed
//! into an [`Outbox`].
//!
//! [`Engine::handle`] takes what arrived and files media under its source; [`Engine::flush`] ends
//! a pass: receiver by receiver, so that packets of one receiver come in runs.
//! [`Engine::wakeup`] says when to call again at the latest.

mod audience;

#[cfg(feature = "unstable-toolbox")]
pub(crate) mod bench;

mod commands;

mod demux;

mod endpoint;

mod fan_out;

mod forward;

mod hold;

mod pace;

mod rest;

#[cfg(feature = "unstable-toolbox")]
pub(crate) mod fuzz;

mod rate;

mod receive;

mod timers;

pub(crate) mod transport;

pub use fan_out::FanOut;

use core::net::{IpAddr, SocketAddr};
use std::collections::{BTreeMap, BTreeSet};

use crate::command::{Command, Reply, Ticket};
use crate::config::EngineConfig;
use crate::error::{Discard, Result};
use crate::event::Event;
use crate::ice::StunLimiter;
use crate::id::{
    ConferenceId, ConferenceKey, EndpointAddress, EndpointId, EndpointKey, ShardId, SourceKey,
};
use crate::limits;
use crate::map::{Map, MapSeed};
use crate::packet::{Packet, Pool};
use crate::random::Random;
use crate::route::conference::{Conference, Owner};
use crate::route::last_n::SpeechOrder;
use crate::route::table::SenderConstraints;
use crate::slab::Slab;
use crate::srtp::{KeyingMaterial, SrtpProfile};
use crate::stats::BridgeStats;
use crate::time::Time;

use audience::Audience;
use demux::Demux;
use endpoint::Endpoint;
use fan_out::Backlog;
use hold::Hold;
use rest::Rest;
use timers::Deadlines;

/// Where a datagram came from and goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// The peer.
    pub remote: SocketAddr,
    /// Our address on the wire when it is known and matters (several interfaces); the kernel
    /// chooses otherwise.
    pub local: Option<IpAddr>,
}

/// Something that arrived.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input {
    /// A datagram of the media socket.
    Datagram {
        /// Where from.
        path: Path,
        /// The bytes.
        packet: Packet,
    },
    /// News of a DTLS handshake that stands beside the engine.
    Handshake(EndpointKey, HandshakeEvent),
    /// A message of another shard.
    Shard(ShardMessage),
    /// Something asked by signaling.
    Command(Ticket, Command),
}

/// What the engine asks of the handshake machine of an endpoint.
#[derive(Debug)]
#[non_exhaustive]
pub enum HandshakeRequest {
    /// The path is validated: begin. A client sends its ClientHello now, a server waits.
    Start {
        /// Whether we are the DTLS client.
        client: bool,
    },
    /// A DTLS datagram of the validated path.
    Datagram(Packet),
    /// The endpoint is gone: forget it, after a close_notify if it was up and there is a path.
    Stop {
        /// Where to say it, while the peer consents to be sent anything.
        path: Option<Path>,
    },
}

/// What the handshake machine of an endpoint tells the engine.
#[derive(Debug)]
#[non_exhaustive]
pub enum HandshakeEvent {
    /// Send this datagram to the peer.
    Datagram(Packet),
    /// The handshake is complete. The engine checks the certificate before it uses the keys.
    Completed {
        /// The peer's certificate (DER).
        certificate: Vec<u8>,
        /// Keys for both directions.
        keys: KeyingMaterial,
        /// Negotiated protection.
        profile: SrtpProfile,
    },
    /// The handshake failed or took too long.
    Failed,
    /// The peer closed the association.
    Closed,
    /// Send this last datagram where [`HandshakeRequest::Stop`] said; the endpoint is gone by now.
    Farewell {
        /// Where to.
        path: Path,
        /// A close_notify.
        packet: Packet,
    },
}

/// What shards tell each other.
#[derive(Debug)]
#[non_exhaustive]
pub enum ShardMessage {
    /// A datagram that the kernel gave to the wrong shard, read from its ufrag or path.
    Datagram {
        /// Where from.
        path: Path,
        /// The bytes.
        packet: Packet,
    },
    /// The path is the named shard's from now on: hand its datagrams over.
    Path {
        /// The path.
        path: Path,
        /// Its owner.
        owner: ShardId,
    },
    /// The path is no longer the named shard's.
    PathForgotten {
        /// The path.
        path: Path,
        /// Its former owner.
        owner: ShardId,
    },
    /// So many endpoints are on the named shard.
    Load {
        /// Which.
        shard: ShardId,
        /// How many.
        endpoints: usize,
    },
    /// About a conference that both shards hold.
    FanOut(FanOut),
}

/// A contiguous piece of the send arena for one receiver: segments of equal length, but the last
/// may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where to.
    pub path: Path,
    /// Bytes of each segment.
    pub segment: usize,
    /// Bytes of all segments.
    pub total: usize,
}

/// Where an engine puts its outputs.
pub trait Outbox {
    /// Pieces of the send arena for `runs`, in order, to be filled by the caller. A full arena is
    /// sent to make room. `None` when the socket takes no more: counted, nothing is sent.
    fn reserve<const K: usize>(&mut self, runs: [Run; K]) -> Option<[&mut [u8]; K]>;

    /// Something for the handshake machine of an endpoint.
    fn handshake(&mut self, endpoint: EndpointKey, request: HandshakeRequest);

    /// Where the media of an endpoint goes from now on; `None`: nowhere any more. A shell may open
    /// a socket for the path; one that does not need to know ignores it, as here.
    fn media_path(&mut self, endpoint: EndpointKey, path: Option<Path>) {
        let _not_needed = (endpoint, path);
    }

    /// A message for another shard. Messages to one shard keep their order. Gives back what finds
    /// no room.
    fn shard(&mut self, to: ShardId, message: ShardMessage) -> Option<ShardMessage>;

    /// Something that happened.
    fn event(&mut self, event: Event);

    /// The answer to a command.
    fn reply(&mut self, ticket: Ticket, reply: Result<Reply>);
}

/// A bridge, or one shard of it, without sockets, clock and threads.
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    random: Random,
    pool: Pool,
    conferences: Slab<ConferenceKey, Room>,
    endpoints: Slab<EndpointKey, Endpoint>,
    /// Conferences whose home is here.
    names: Map<ConferenceId, ConferenceKey>,
    /// Endpoints of these conferences, of whichever shard.
    endpoint_names: Map<EndpointAddress, EndpointKey>,
    /// Parts of other shards' conferences, by the home shard's key.
    parts: Map<ConferenceKey, ConferenceKey>,
    /// Endpoints of each shard, as far as it is known here.
    loads: Vec<usize>,
    backlog: Backlog,
    ufrags: Map<String, EndpointKey>,
    demux: Demux,
    strangers: StunLimiter,
    deadlines: Deadlines,
    /// When conferences that are empty end.
    vacancies: BTreeSet<(Time, ConferenceKey)>,
    /// Conferences with packets that wait for the flush, each once.
    ready: Vec<ConferenceKey>,
    /// When the first of those that wait for pictures of other senders goes.
    held: Option<Time>,
    rest: Rest,
    map_seed: MapSeed,
    stats: BridgeStats,
}

/// A conference and what the engine notes beside it.
#[derive(Debug)]
struct Room {
    conference: Conference,
    /// Its key on its home shard.
    home: ConferenceKey,
    /// Endpoints of other shards; only the home shard has this.
    away: BTreeMap<EndpointKey, Owner>,
    /// Endpoints that other shards are making for the home shard.
    coming: Vec<(ShardId, EndpointId)>,
    /// [`Conference::edition`] when other shards were last told.
    told: u64,
    /// What receivers here want of other shards' sources, until it is passed on.
    foreign_wishes: Vec<(SourceKey, i32)>,
    /// What receivers of other shards want has changed.
    wishes_due: bool,
    /// Its sources by importance.
    order: SpeechOrder,
    /// What receivers ask of senders.
    wishes: SenderConstraints,
    /// When it ends if it stays empty; `None` while it is not.
    ends: Option<Time>,
    /// Whether it is among those that wait for the flush.
    is_ready: bool,
    /// How long.
    hold: Hold,
    /// [`Conference::changes`] when routes were last decided.
    decided: Option<u64>,
    /// Who gets what.
    audience: Audience,
    /// Receivers that have something to do in the flush even if nothing changes and no media
    /// comes; some may be named twice.
    due: Vec<EndpointKey>,
}

impl Room {
    fn new(conference: Conference, home: ConferenceKey) -> Self {
        Self {
            conference,
            home,
            away: BTreeMap::new(),
            coming: Vec::new(),
            told: 0,
            foreign_wishes: Vec::new(),
            wishes_due: false,
            order: SpeechOrder::default(),
            wishes: SenderConstraints::default(),
            ends: None,
            is_ready: false,
            hold: Hold::new(),
            decided: None,
            audience: Audience::default(),
            due: Vec::new(),
        }
    }
}

impl Engine {
    /// An empty engine.
    #[must_use]
    pub fn new(config: EngineConfig) -> Self {
        let mut random = Random::new(config.seed);
        let map_seed = MapSeed::new(random.u64());
        Self {
            strangers: StunLimiter::new(config.limits.stun_per_second, &mut random),
            pool: Pool::new(limits::POOL_PACKETS_MAX),
            conferences: Slab::of_shard(config.shard),
            endpoints: Slab::of_shard(config.shard),
            parts: map_seed.map(),
            loads: vec![0; usize::from(config.shards)],
            backlog: Backlog::default(),
            names: map_seed.map(),
            endpoint_names: map_seed.map(),
            ufrags: map_seed.map(),
            demux: Demux::new(map_seed),
            deadlines: Deadlines::default(),
            vacancies: BTreeSet::new(),
            ready: Vec::new(),
            held: None,
            rest: Rest::new(),
            map_seed,
            stats: BridgeStats::default(),
            random,
            config,
        }
    }

    /// Takes in what arrived. Media waits under its source for [`Engine::flush`].
    pub fn handle(&mut self, now: Time, input: Input, out: &mut impl Outbox) {
        match input {
            Input::Datagram { path, packet } => self.receive(now, path, packet, out),
            Input::Handshake(key, event) => self.receive_handshake(now, key, event, out),
            Input::Shard(message) => self.receive_shard(now, message, out),
            Input::Command(ticket, command) => {
                let reply = self.execute(now, ticket, command, out);
                // Without one, another shard will answer.
                if let Some(reply) = reply.transpose() {
                    out.reply(ticket, reply);
                }
            }
        }
    }

    /// Ends a pass: forwards what waits, receiver by receiver, and does what is due. What is held
    /// goes in a later one.
    pub fn flush(&mut self, now: Time, out: &mut impl Outbox) {
        self.forward(now, out);
        self.run_timers(now, out);
        self.forward(now, out);
        self.settle_shards(now, out);
    }

    /// When [`Engine::flush`] must be called at the latest; `None` when nothing is due ever.
    #[must_use]
    pub fn wakeup(&self) -> Option<Time> {
        let vacancy = self.vacancies.first().map(|(at, _)| *at);
        let timers = self.deadlines.next().into_iter();
        timers
            .chain(vacancy)
            .chain(self.backlog.due)
            .chain(self.held)
            .min()
    }

    /// Until when pictures wait for others ([`EngineConfig::hold`]); `wakeup` is no later. It is
    /// worth to be punctual.
    #[must_use]
    pub const fn held_until(&self) -> Option<Time> {
        self.held
    }

    /// Until when the shell may leave the socket alone after a pass, since more comes then than is
    /// worth a wake-up ([`EngineConfig::hold`]); `None` when it is to watch it.
    #[must_use]
    pub fn rest_until(&self) -> Option<Time> {
        let rest = self.rest.until(self.config.hold)?;
        Some(self.held.map_or(rest, |held| held.min(rest)))
    }

    /// The engine's buffers: datagrams are received into packets of this pool.
    pub fn pool(&mut self) -> &mut Pool {
        &mut self.pool
    }

    /// Counts a datagram that the shell could not take whole, and takes its buffer back.
    pub fn refuse(&mut self, packet: Packet, reason: Discard) {
        self.discard(packet, reason);
    }

    /// Counts what left the send arena: datagrams, their bytes, and those that the system refused.
    pub fn note_sent(&mut self, packets: u64, bytes: u64, refused: u64) {
        self.stats.packets_sent += packets;
        self.stats.bytes_sent += bytes;
        self.stats.discarded.count_many(Discard::SendFull, refused);
    }

    /// Counts system calls that received and sent datagrams.
    pub fn note_calls(&mut self, receive: u64, send: u64) {
        self.stats.calls_receive += receive;
        self.stats.calls_send += send;
    }

    /// Counts peers whose routes refuse segmentation.
    pub fn note_unsegmented(&mut self, peers: u64) {
        self.stats.peers_unsegmented += peers;
    }

    /// Counts what connected sockets did not take, and what they failed to read; `open` are there.
    pub fn note_sockets(&mut self, open: u64, refused: u64, errors: u64) {
        self.stats.peers_connected = open;
        self.stats.peers_unconnected += refused;
        self.stats.connected_errors += errors;
    }

    /// Ends everything. What the handshakes of the endpoints answer is still to be handled.
    pub fn close(&mut self, now: Time, out: &mut impl Outbox) {
        let all: Vec<ConferenceKey> = self.conferences.iter().map(|(key, _)| key).collect();
        for key in all {
            self.expire_conference(now, key, out);
        }
        self.settle_shards(now, out);
    }

    /// Whose key it is.
    #[cfg(feature = "sim")]
    pub(crate) fn address_of(&self, key: EndpointKey) -> Option<&EndpointAddress> {
        self.endpoints.get(key).map(|endpoint| &endpoint.address)
    }

    /// Whether an endpoint is on this shard.
    #[cfg(feature = "sim")]
    pub(crate) fn has(&self, address: &EndpointAddress) -> bool {
        let mut endpoints = self.endpoints.iter();
        endpoints.any(|(_, endpoint)| endpoint.address == *address)
    }

    fn discard(&mut self, packet: Packet, reason: Discard) {
        self.stats.discarded.count(reason);
        self.pool.give(packet);
    }
}
