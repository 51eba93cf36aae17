//! Runs the bridge without touching the world: inputs come in with their time, outputs are pushed
//! into an [`Outbox`].
//!
//! [`Engine::handle`] takes what arrived and files media under its source; [`Engine::flush`] ends
//! a pass: receiver by receiver, so that packets of one receiver come in runs.
//! [`Engine::wakeup`] says when to call again at the latest.

pub(crate) mod transport;

use core::net::{IpAddr, SocketAddr};

use crate::command::{Command, Reply, Ticket};
use crate::error::Result;
use crate::event::Event;
use crate::id::{EndpointKey, ShardId};
use crate::packet::Packet;
use crate::srtp::{KeyingMaterial, SrtpProfile};

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
    /// The endpoint is gone: forget it, after a close_notify if it was up.
    Stop,
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

    /// A message for another shard; `false` if its ring is full.
    fn shard(&mut self, to: ShardId, message: ShardMessage) -> bool;

    /// Something that happened.
    fn event(&mut self, event: Event);

    /// The answer to a command.
    fn reply(&mut self, ticket: Ticket, reply: Result<Reply>);
}
