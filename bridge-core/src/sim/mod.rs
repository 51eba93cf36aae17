//! Simulates a bridge with its participants in virtual time: seeded, without sockets, clock and
//! threads, so that equal seeds give equal runs.
//!
//! The nodes are one engine and any number of scripted peers ([`Peer`]), joined by links that
//! delay, lose and reorder ([`Link`]). Peers judge what they receive ([`StreamReport`]).

mod check;

mod handshake;

mod media;

mod net;

mod node;

mod peer;

mod receiver;

mod rig;

mod sender;

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::command::{Command, EndpointOptions, Reply, Ticket};
use crate::config::{EngineConfig, LocalAddress};
use crate::description::{IceRole, TransportDescription};
use crate::dtls::Certificate;
use crate::engine::{Engine, HandshakeRequest, Input, Path};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::id::{ConferenceId, EndpointAddress, EndpointId, EndpointKey};
use crate::limits::Limits;
use crate::random::Random;
use crate::srtp::GcmBackend;
use crate::stats::BridgeStats;
use crate::time::Time;

use handshake::{Handshaker, Script};
use net::{Network, Pipe};

pub use check::StreamReport;
pub use handshake::RealHandshake;
pub use media::{Camera, Vp8Encoding};
pub use net::{Link, NodeId};
pub use node::Recorder;
pub use peer::{Peer, PeerCounters, PeerOptions};
pub use rig::Rig;

/// Settings of a simulation.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where all chance comes from.
    pub seed: u64,
    /// Bounds of the bridge.
    pub limits: Limits,
    /// See [`EngineConfig::initial_max_height`].
    pub initial_max_height: i32,
    /// See [`EngineConfig::trust_no_estimate`].
    pub trust_no_estimate: bool,
    /// See [`EngineConfig::gcm`].
    pub gcm: GcmBackend,
    /// Real DTLS handshakes, whose bytes differ from run to run; `None` is scripted ones. Peers
    /// must do the same.
    pub dtls: Option<RealHandshake>,
}

impl Settings {
    /// Default settings with this seed: every receiver wants everything.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            limits: Limits::default(),
            initial_max_height: -1,
            trust_no_estimate: false,
            gcm: GcmBackend::default(),
            dtls: None,
        }
    }
}

/// A bridge with its participants.
#[derive(Debug)]
pub struct Simulation {
    now: Time,
    engine: Engine,
    recorder: Recorder,
    network: Network,
    random: Random,
    peers: Vec<Node>,
    /// Bridge ends of the handshakes.
    handshakers: BTreeMap<EndpointKey, Handshaker>,
    dtls: Option<(RealHandshake, Certificate)>,
    by_address: BTreeMap<SocketAddr, NodeId>,
    next_ticket: u64,
    replies: BTreeMap<Ticket, Result<Reply>>,
    events: Vec<(Time, Event)>,
    trace: DefaultHasher,
    /// Datagrams to addresses of no participant, and how many of them are media.
    strangers: BTreeMap<SocketAddr, (u64, u64)>,
    tapped: Option<(NodeId, Vec<Vec<u8>>)>,
    bridge_address: SocketAddr,
}

/// A peer with its links.
#[derive(Debug)]
struct Node {
    peer: Peer,
    address: SocketAddr,
    up: Pipe,
    down: Pipe,
}

impl Simulation {
    /// A bridge without participants, at time zero.
    ///
    /// # Panics
    /// When the system gives no certificate for real handshakes.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test cannot go on without")]
    pub fn new(settings: &Settings) -> Self {
        let mut seed = [0; 32];
        for (byte, from) in seed.iter_mut().zip(settings.seed.to_be_bytes()) {
            *byte = from;
        }
        let mut random = Random::new(seed);
        let mut fresh = || {
            let mut seed = [0; 32];
            random.fill(&mut seed);
            seed
        };
        let bridge_address = SocketAddr::from(([203, 0, 113, 1], 10_000));
        let mut config = EngineConfig::new(fresh());
        config.addresses.push(LocalAddress {
            address: bridge_address,
            announced: false,
        });
        let dtls = settings
            .dtls
            .map(|how| (how, Certificate::generate().expect("a certificate")));
        config.fingerprint = Some(match &dtls {
            Some((_, certificate)) => certificate.fingerprint(),
            None => Script::bridge_fingerprint(),
        });
        config.limits = settings.limits.clone();
        config.initial_max_height = settings.initial_max_height;
        config.trust_no_estimate = settings.trust_no_estimate;
        config.gcm = settings.gcm;
        Self {
            now: Time::ZERO,
            engine: Engine::new(config),
            recorder: Recorder::new(),
            network: Network::new(fresh()),
            peers: Vec::new(),
            handshakers: BTreeMap::new(),
            dtls,
            by_address: BTreeMap::new(),
            next_ticket: 0,
            replies: BTreeMap::new(),
            events: Vec::new(),
            trace: DefaultHasher::new(),
            strangers: BTreeMap::new(),
            tapped: None,
            bridge_address,
            random,
        }
    }

    /// The virtual time.
    #[must_use]
    pub const fn now(&self) -> Time {
        self.now
    }

    /// Where the bridge is.
    #[must_use]
    pub const fn bridge_address(&self) -> SocketAddr {
        self.bridge_address
    }

    /// Asks the bridge for something, now.
    ///
    /// # Errors
    /// What the command may end in.
    pub fn request(&mut self, command: Command) -> Result<Reply> {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.engine.handle(
            self.now,
            Input::Command(ticket, command),
            &mut self.recorder,
        );
        self.pass();
        self.replies.remove(&ticket).unwrap_or(Err(Error::Stopped))
    }

    /// Makes a conference.
    ///
    /// # Errors
    /// Those of [`Command::CreateConference`].
    pub fn conference(&mut self, name: &str) -> Result<ConferenceId> {
        let conference = ConferenceId::new(name)?;
        self.request(Command::CreateConference {
            conference: conference.clone(),
        })?;
        Ok(conference)
    }

    /// Lets a peer join: endpoint, transport, media and sources, as signaling would.
    ///
    /// # Errors
    /// Those of the commands.
    pub fn join(
        &mut self,
        conference: &ConferenceId,
        options: PeerOptions,
        link: Link,
    ) -> Result<NodeId> {
        let node = NodeId(self.peers.len());
        let number = u16::try_from(node.0).map_err(|_| Error::Limit("peers"))?;
        let address = EndpointAddress {
            conference: conference.clone(),
            endpoint: EndpointId::new(&format!("{number:08x}"))?,
        };
        let [high, low] = number.to_be_bytes();
        let host = SocketAddr::from(([198, 51, high, low], 50_000));
        let reply = self.request(Command::CreateEndpoint {
            endpoint: address.clone(),
            options: EndpointOptions {
                ice_role: if options.bridge_controls {
                    IceRole::Controlling
                } else {
                    IceRole::Controlled
                },
                ssrc_rewriting: options.ssrc_rewriting,
                loopback: false,
            },
        })?;
        let Reply::Endpoint { transport, .. } = reply else {
            return Err(Error::Stopped);
        };
        let mut seed = [0; 32];
        self.random.fill(&mut seed);
        let mut peer = Peer::new(self.now, number, host, address.clone(), options, seed)?;
        for other in &mut self.peers {
            for source in peer.sources() {
                other.peer.learn_source(&source);
            }
            for source in other.peer.sources() {
                peer.learn_source(&source);
            }
        }
        let (description, media) = (peer.description(), peer.media());
        let sources = peer.sources();
        peer.connect(self.now, &transport)?;
        self.peers.push(Node {
            peer,
            address: host,
            up: Pipe::new(link),
            down: Pipe::new(link),
        });
        self.by_address.insert(host, node);
        self.request(Command::SetMedia {
            endpoint: address.clone(),
            media,
        })?;
        self.request(Command::SetSources {
            endpoint: address.clone(),
            sources,
        })?;
        self.request(Command::SetTransport {
            endpoint: address,
            transport: description,
        })?;
        Ok(node)
    }

    /// A participant.
    ///
    /// # Panics
    /// When the node is of another simulation.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "nodes are never removed")]
    pub fn peer(&self, node: NodeId) -> &Peer {
        &self.peers[node.0].peer
    }

    /// A participant, to be told what to do.
    ///
    /// # Panics
    /// When the node is of another simulation.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "nodes are never removed")]
    pub fn peer_mut(&mut self, node: NodeId) -> &mut Peer {
        &mut self.peers[node.0].peer
    }

    /// The name of a participant.
    #[must_use]
    pub fn address(&self, node: NodeId) -> EndpointAddress {
        self.peer(node).endpoint.clone()
    }

    /// Where a participant sends from.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "nodes are never removed")]
    pub fn host(&self, node: NodeId) -> SocketAddr {
        self.peers[node.0].address
    }

    /// Changes a participant's links, to the bridge and from it.
    pub fn set_links(&mut self, node: NodeId, up: Link, down: Link) {
        if let Some(node) = self.peers.get_mut(node.0) {
            node.up.link = up;
            node.down.link = down;
        }
    }

    /// Lets a participant vanish without a word.
    pub fn vanish(&mut self, node: NodeId) {
        self.peer_mut(node).gone = true;
    }

    /// What happened so far, and when.
    #[must_use]
    pub fn events(&self) -> &[(Time, Event)] {
        &self.events
    }

    /// The bridge's counters.
    ///
    /// # Errors
    /// None in practice.
    pub fn stats(&mut self) -> Result<BridgeStats> {
        match self.request(Command::Stats)? {
            Reply::Stats(stats) => Ok(*stats),
            _ => Err(Error::Stopped),
        }
    }

    /// Packets that the bridge ever made; it grows no more in the steady state.
    pub fn packets_made(&mut self) -> u64 {
        self.engine.pool().made()
    }

    /// A hash of everything that the bridge has sent and told so far, with its times.
    #[must_use]
    pub fn trace(&self) -> u64 {
        self.trace.finish()
    }

    /// Lets a participant answer the bridge's new end of the transport with a new end of its own.
    ///
    /// # Errors
    /// By what is wrong with the bridge's.
    pub fn restart_ice(
        &mut self,
        node: NodeId,
        transport: &TransportDescription,
    ) -> Result<TransportDescription> {
        let now = self.now;
        let peer = self.peer_mut(node);
        peer.restart_ice(now, transport)?;
        Ok(peer.description())
    }

    /// Begins to copy what a participant sends.
    pub fn tap(&mut self, node: NodeId) {
        self.tapped = Some((node, Vec::new()));
    }

    /// What the tapped participant has sent since then; the tap ends.
    pub fn tapped(&mut self) -> Vec<Vec<u8>> {
        self.tapped
            .take()
            .map(|(_, datagrams)| datagrams)
            .unwrap_or_default()
    }

    /// How many media packets the bridge has sent to an address that is no participant's.
    #[must_use]
    pub fn media_sent_to(&self, stranger: SocketAddr) -> u64 {
        self.strangers.get(&stranger).map_or(0, |(_, media)| *media)
    }

    /// How many datagrams the bridge has sent to addresses that are no participant's.
    #[must_use]
    pub fn datagrams_to_strangers(&self) -> u64 {
        self.strangers.values().map(|(all, _)| all).sum()
    }

    /// Whether nothing is due ever, and nothing is on its way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.engine.wakeup().is_none() && self.network.next().is_none()
    }

    /// Lets a datagram of a stranger's making arrive at the bridge, now.
    pub fn inject(&mut self, from: SocketAddr, bytes: &[u8]) {
        let path = Path {
            remote: from,
            local: None,
        };
        let packet = crate::packet::Packet::copy_of(bytes);
        self.engine.handle(
            self.now,
            Input::Datagram { path, packet },
            &mut self.recorder,
        );
        self.pass();
    }

    /// Lets so much time pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(next) = self.next_time().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.step();
        }
        self.now = end;
    }

    fn next_time(&self) -> Option<Time> {
        let peers = self.peers.iter().filter_map(|node| node.peer.deadline());
        let handshakes = self.handshakers.values().filter_map(Handshaker::deadline);
        let others = [self.network.next(), self.engine.wakeup()]
            .into_iter()
            .flatten();
        peers.chain(handshakes).chain(others).min()
    }

    /// Does everything that is due now.
    fn step(&mut self) {
        let now = self.now;
        while let Some(delivery) = self.network.deliver(now) {
            if let Some(node) = self.peers.get_mut(delivery.to.0) {
                node.peer
                    .handle_datagram(now, delivery.path, delivery.packet);
            } else {
                let input = Input::Datagram {
                    path: delivery.path,
                    packet: delivery.packet,
                };
                self.engine.handle(now, input, &mut self.recorder);
            }
        }
        for handshaker in self.handshakers.values_mut() {
            handshaker.handle_timeout(now);
        }
        for node in &mut self.peers {
            if node.peer.deadline().is_some_and(|at| at <= now) {
                node.peer.handle_timeout(now);
            }
        }
        self.pass();
        self.send_of_peers();
    }

    /// Ends the engine's pass, and moves what it put out.
    fn pass(&mut self) {
        self.engine.flush(self.now, &mut self.recorder);
        while self.move_handshakes() {
            self.engine.flush(self.now, &mut self.recorder);
        }
        for (path, bytes) in self.recorder.datagrams() {
            (self.now.as_nanos(), path.remote, bytes).hash(&mut self.trace);
            let to = self.by_address.get(&path.remote).copied();
            let Some((to, node)) = to.and_then(|to| Some((to, self.peers.get_mut(to.0)?))) else {
                let (all, media) = self.strangers.entry(path.remote).or_default();
                *all += 1;
                *media += u64::from(bytes.first().is_some_and(|first| *first >= 128));
                continue;
            };
            let back = Path {
                remote: self.bridge_address,
                local: None,
            };
            self.network.send(self.now, &mut node.down, to, back, bytes);
        }
        self.recorder.clear_datagrams();
        for event in self.recorder.events.drain(..) {
            format!("{event:?}").hash(&mut self.trace);
            for node in &mut self.peers {
                node.peer.learn(&event);
            }
            self.events.push((self.now, event));
        }
        self.replies.extend(self.recorder.replies.drain(..));
    }

    /// Lets the bridge ends of handshakes answer; `true` if there was something.
    fn move_handshakes(&mut self) -> bool {
        for (key, request) in core::mem::take(&mut self.recorder.handshakes) {
            let Some(address) = self.engine.address_of(key) else {
                self.end_handshake(key, request);
                continue;
            };
            let Some(node) = self
                .peers
                .iter()
                .find(|node| node.peer.endpoint == *address)
            else {
                continue;
            };
            let handshaker = match self.handshakers.entry(key) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    match Handshaker::of_bridge(&node.peer.handshaker, self.dtls.as_ref()) {
                        Ok(handshaker) => entry.insert(handshaker),
                        // The peer's transport never comes up, which any test notices.
                        Err(_) => continue,
                    }
                }
            };
            handshaker.handle(self.now, request);
        }
        let mut any = false;
        for (key, handshaker) in &mut self.handshakers {
            while let Some(event) = handshaker.poll() {
                any = true;
                let input = Input::Handshake(*key, event);
                self.engine.handle(self.now, input, &mut self.recorder);
            }
        }
        any
    }

    /// Lets the bridge end of a handshake whose endpoint is gone say its last words.
    fn end_handshake(&mut self, key: EndpointKey, request: HandshakeRequest) {
        if let Some(mut handshaker) = self.handshakers.remove(&key) {
            handshaker.handle(self.now, request);
            while let Some(event) = handshaker.poll() {
                let input = Input::Handshake(key, event);
                self.engine.handle(self.now, input, &mut self.recorder);
            }
        }
    }

    /// Sends what the peers have ready.
    fn send_of_peers(&mut self) {
        let bridge = NodeId(usize::MAX);
        for (number, node) in self.peers.iter_mut().enumerate() {
            let path = Path {
                remote: node.address,
                local: None,
            };
            while let Some((to, packet)) = node.peer.poll() {
                if let Some((tapped, datagrams)) = &mut self.tapped
                    && tapped.0 == number
                {
                    datagrams.push(packet.bytes().to_vec());
                }
                if to.remote == self.bridge_address {
                    self.network
                        .send(self.now, &mut node.up, bridge, path, packet.bytes());
                }
            }
        }
    }
}
