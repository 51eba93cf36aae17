//! Collects every setting of an engine with its default, unit and reason.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use crate::description::Fingerprint;
use crate::dtls::DtlsVersion;
use crate::id::ShardId;
use crate::limits::{Limits, SPREAD_FROM};
use crate::srtp::GcmBackend;

/// An address under which clients may reach us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAddress {
    /// Where clients send to.
    pub address: SocketAddr,
    /// Whether it is announced: a router in front of us maps it to our port.
    pub announced: bool,
}

/// Settings of one engine. All shards of a bridge have the same, but for the seed and the number.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Where all random numbers come from. Equal seeds and inputs give equal outputs.
    pub seed: [u8; 32],
    /// Which shard the engine is. Default 0.
    pub shard: ShardId,
    /// How many shards there are, 1 to 64. Default 1.
    pub shards: u8,
    /// Where clients may reach us. Loopback addresses are told only to endpoints that are made
    /// for it. Default: none, clients must know.
    pub addresses: Vec<LocalAddress>,
    /// Hash of the certificate that the handshake machine shows.
    pub fingerprint: Option<Fingerprint>,
    /// Bounds.
    pub limits: Limits,
    /// Lines of every video that a receiver gets before it says what it wants; −1 is unlimited.
    /// Default 0: nothing, as in Jitsi's bridge.
    pub initial_max_height: i32,
    /// Endpoints of a conference from which on others join the shard that has the fewest. Default
    /// [`limits::SPREAD_FROM`](crate::limits::SPREAD_FROM).
    pub spread_from: usize,
    /// Whether a receiver that sends neither transport-cc nor REMB gets everything it wants.
    /// Default `false`: it is held to the start estimate. `true` is for load generators.
    pub trust_no_estimate: bool,
    /// What seals and opens AES-GCM. Default `ring`; the shell takes the faster one.
    pub gcm: GcmBackend,
    /// Whether packets of a picture are evened out with a few bytes of RTP padding, at most 1/128
    /// of their length, so that a frame leaves in one system call. Default `true`.
    pub evens_out: bool,
    /// How long pictures may wait for those of other senders, so that runs become longer; they
    /// wait only when several senders are busy. It also bounds how long a shard that many keep
    /// busy may leave its socket alone ([`crate::engine::Engine::rest_until`]). Default 0; the
    /// shell has another.
    pub hold: Duration,
}

impl EngineConfig {
    /// Default settings with this seed.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self {
            seed,
            shard: ShardId(0),
            shards: 1,
            addresses: Vec::new(),
            fingerprint: None,
            limits: Limits::default(),
            initial_max_height: 0,
            spread_from: SPREAD_FROM,
            trust_no_estimate: false,
            gcm: GcmBackend::default(),
            evens_out: true,
            hold: Duration::ZERO,
        }
    }
}

/// Settings of a whole bridge, sockets and threads included.
#[derive(Clone, Debug)]
pub struct BridgeConfig {
    /// The media address; port 0 takes a free port. Default `0.0.0.0:10000`, Jitsi's port.
    pub udp: SocketAddr,
    /// Addresses that are announced beside our own, because a router maps them to us.
    pub announce: Vec<IpAddr>,
    /// Threads that forward media, 1 to 64; 0, the default, is as many as processors.
    pub shards: usize,
    /// Which versions of DTLS are spoken.
    pub dtls: DtlsVersion,
    /// Bounds, for the whole bridge.
    pub limits: Limits,
    /// See [`EngineConfig::initial_max_height`].
    pub initial_max_height: i32,
    /// See [`EngineConfig::spread_from`].
    pub spread_from: usize,
    /// See [`EngineConfig::trust_no_estimate`].
    pub trust_no_estimate: bool,
    /// What seals and opens AES-GCM; `None`, the default, is what a measurement at the start finds
    /// to be faster.
    pub gcm: Option<GcmBackend>,
    /// See [`EngineConfig::evens_out`].
    pub evens_out: bool,
    /// See [`EngineConfig::hold`]; at most 20 ms. Default 1 ms.
    pub hold: Duration,
    /// Whether peers get connected sockets of their own, and for what.
    pub connected_sockets: ConnectedSockets,
}

/// What peers have sockets of their own for, each connected to its peer; a descriptor each, at most
/// [`CONNECTED_SOCKETS_MAX`](crate::limits::CONNECTED_SOCKETS_MAX). Linux alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectedSockets {
    /// Nothing: there are none.
    #[default]
    Off,
    /// Datagrams of a peer come to the shard that owns it. It is sent to by the shared socket, so
    /// that one call serves many.
    Receive,
    /// The peer is sent to by it as well: no route is looked for, but each peer takes a call.
    Both,
}

impl Default for BridgeConfig {
    fn default() -> Self {
        Self {
            udp: SocketAddr::from(([0, 0, 0, 0], 10_000)),
            announce: Vec::new(),
            shards: 0,
            dtls: DtlsVersion::default(),
            limits: Limits::default(),
            initial_max_height: 0,
            spread_from: SPREAD_FROM,
            trust_no_estimate: false,
            gcm: None,
            evens_out: true,
            hold: HOLD,
            connected_sockets: ConnectedSockets::Off,
        }
    }
}

/// The default hold of a bridge.
const HOLD: Duration = Duration::from_millis(1);
