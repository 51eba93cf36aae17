//! Simulates a bridge with its participants in virtual time: seeded, without sockets, clock and
//! threads, so that equal seeds give equal runs.
//!
//! The nodes are one engine for each shard and any number of scripted peers ([`Peer`]), joined by
//! links that delay, lose and reorder ([`Link`]). Shards tell each other things in no time; a
//! peer's datagrams come to any of them, as from a kernel that spreads them. Peers judge
//! what they receive ([`StreamReport`]).

mod check;

mod crowd;

mod handshake;

mod media;

mod net;

mod node;

mod peer;

mod receiver;

mod rig;

mod sender;

use core::net::{IpAddr, SocketAddr};
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
use crate::id::{ConferenceId, EndpointAddress, EndpointId, EndpointKey, ShardId};
use crate::limits::{Limits, SPREAD_FROM};
use crate::packet::Packet;
use crate::random::Random;
use crate::srtp::GcmBackend;
use crate::stats::BridgeStats;
use crate::time::Time;

use handshake::{Handshaker, Script};
use net::{Network, Pipe};

pub use check::StreamReport;
pub use crowd::Crowd;
pub use handshake::RealHandshake;
pub use media::{Camera, Vp8Encoding};
pub use net::{Link, NodeId};
pub use node::Recorder;
pub use peer::{Peer, PeerCounters, PeerOptions};
pub use rig::{Layout, Rig};

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
    /// See [`EngineConfig::hold`].
    pub hold: Duration,
    /// See [`EngineConfig::gcm`].
    pub gcm: GcmBackend,
    /// Real DTLS handshakes, whose bytes differ from run to run; `None` is scripted ones. Peers
    /// must do the same.
    pub dtls: Option<RealHandshake>,
    /// How many shards there are, 1 to 64.
    pub shards: u8,
    /// See [`EngineConfig::spread_from`].
    pub spread_from: usize,
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
            hold: Duration::ZERO,
            gcm: GcmBackend::default(),
            dtls: None,
            shards: 1,
            spread_from: SPREAD_FROM,
        }
    }
}

/// A bridge with its participants.
#[derive(Debug)]
pub struct Simulation {
    pub(crate) now: Time,
    pub(crate) shards: Vec<Shard>,
    /// The first shard of each conference.
    homes: BTreeMap<ConferenceId, usize>,
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
    wakeups: u64,
    rests: u64,
    bridge_address: SocketAddr,
}

/// An engine and what it puts out.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) engine: Engine,
    pub(crate) recorder: Recorder,
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
        config.hold = settings.hold;
        config.gcm = settings.gcm;
        config.spread_from = settings.spread_from;
        config.shards = settings.shards;
        let shards = (0..settings.shards).map(|shard| {
            let mut config = config.clone();
            config.shard = ShardId(shard);
            // The others' seeds are told apart here: peers are to be the same for any number.
            let [first, ..] = &mut config.seed;
            *first ^= shard;
            Shard {
                engine: Engine::new(config),
                recorder: Recorder::new(),
            }
        });
        Self {
            now: Time::ZERO,
            shards: shards.collect(),
            homes: BTreeMap::new(),
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
            wakeups: 0,
            rests: 0,
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
        let home = match command.conference() {
            Some(conference) => {
                let next = self.homes.len() % self.shards.len().max(1);
                *self.homes.entry(conference.clone()).or_insert(next)
            }
            None => 0,
        };
        self.request_of(home, command)
    }

    /// Asks one shard for something, now.
    fn request_of(&mut self, shard: usize, command: Command) -> Result<Reply> {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        let now = self.now;
        if let Some(shard) = self.shards.get_mut(shard) {
            shard.handle(now, Input::Command(ticket, command));
        }
        self.pass();
        self.replies.remove(&ticket).unwrap_or(Err(Error::Stopped))
    }

    /// On which shard a participant is, by its number; `None` while it is not there.
    #[must_use]
    pub fn shard_of(&self, node: NodeId) -> Option<usize> {
        let endpoint = &self.peer(node).endpoint;
        self.shards
            .iter()
            .position(|shard| shard.engine.has(endpoint))
    }

    /// Lets each shard take so many messages of another in a pass.
    pub fn set_ring(&mut self, messages: usize) {
        for shard in &mut self.shards {
            shard.recorder.messages_max = messages;
        }
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
                ..EndpointOptions::default()
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

    /// Where the media of the bridge's endpoints went, as shells are told, shard by shard.
    pub fn media_paths(&self) -> impl Iterator<Item = (EndpointKey, Option<Path>)> {
        let shards = self.shards.iter();
        shards.flat_map(|shard| shard.recorder.media_paths.iter().copied())
    }

    /// The bridge's counters.
    ///
    /// # Errors
    /// None in practice.
    pub fn stats(&mut self) -> Result<BridgeStats> {
        let mut sum = BridgeStats::default();
        for shard in 0..self.shards.len() {
            match self.request_of(shard, Command::Stats)? {
                Reply::Stats(stats) => sum.add(&stats),
                _ => return Err(Error::Stopped),
            }
        }
        Ok(sum)
    }

    /// Packets that the bridge ever made; it grows no more in the steady state.
    pub fn packets_made(&mut self) -> u64 {
        let shards = self.shards.iter_mut();
        shards.map(|shard| shard.engine.pool().made()).sum()
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
        let mut engines = self.shards.iter().map(|shard| &shard.engine);
        engines.all(|engine| engine.wakeup().is_none()) && self.network.next().is_none()
    }

    /// How often a shard woke by itself so far: something was due, whatever came meanwhile.
    #[must_use]
    pub const fn wakeups(&self) -> u64 {
        self.wakeups
    }

    /// Lets a datagram of a stranger's making arrive at the bridge, now.
    pub fn inject(&mut self, from: SocketAddr, bytes: &[u8]) {
        let path = Path {
            remote: from,
            local: None,
        };
        let packet = Packet::copy_of(bytes);
        self.receive(path, packet);
        self.pass();
    }

    /// After how many passes a shard said that its socket may be left alone. Here it never is.
    #[must_use]
    pub const fn rests(&self) -> u64 {
        self.rests
    }

    /// Lets so much time pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(next) = self.next_time().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            let engines = self.shards.iter().map(|shard| &shard.engine);
            let due = engines.filter(|engine| engine.wakeup().is_some_and(|at| at <= self.now));
            self.wakeups += u64::try_from(due.count()).unwrap_or(0);
            self.step();
        }
        self.now = end;
    }

    fn next_time(&self) -> Option<Time> {
        let peers = self.peers.iter().filter_map(|node| node.peer.deadline());
        let handshakes = self.handshakers.values().filter_map(Handshaker::deadline);
        let engines = self.shards.iter().filter_map(|shard| shard.engine.wakeup());
        let others = self.network.next().into_iter().chain(engines);
        peers.chain(handshakes).chain(others).min()
    }

    /// Gives a datagram to a shard that depends on where it is from, and need not be the right
    /// one.
    fn receive(&mut self, path: Path, packet: Packet) {
        let host = match path.remote.ip() {
            IpAddr::V4(host) => u32::from(host),
            IpAddr::V6(_) => 0,
        };
        let count = self.shards.len().max(1);
        let at = usize::try_from(host).unwrap_or(0) % count;
        if let Some(shard) = self.shards.get_mut(at) {
            shard.handle(self.now, Input::Datagram { path, packet });
        }
    }

    /// Does everything that is due now.
    fn step(&mut self) {
        let now = self.now;
        while let Some(delivery) = self.network.deliver(now) {
            if let Some(node) = self.peers.get_mut(delivery.to.0) {
                node.peer
                    .handle_datagram(now, delivery.path, delivery.packet);
            } else {
                self.receive(delivery.path, delivery.packet);
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

    /// Ends the pass, and moves what the engines put out.
    fn pass(&mut self) {
        let now = self.now;
        loop {
            for shard in &mut self.shards {
                shard.engine.flush(now, &mut shard.recorder);
            }
            let has_news = self.move_handshakes();
            if !self.move_messages() && !has_news {
                break;
            }
        }
        for shard in &mut self.shards {
            let rest = shard.engine.rest_until();
            self.rests += u64::from(rest.is_some_and(|until| until > now));
            for (path, bytes) in shard.recorder.datagrams() {
                (now.as_nanos(), path.remote, bytes).hash(&mut self.trace);
                let to = self.by_address.get(&path.remote).copied();
                let to = to.and_then(|to| Some((to, self.peers.get_mut(to.0)?)));
                let Some((to, node)) = to else {
                    let (all, media) = self.strangers.entry(path.remote).or_default();
                    *all += 1;
                    *media += u64::from(bytes.first().is_some_and(|first| *first >= 128));
                    continue;
                };
                let back = Path {
                    remote: self.bridge_address,
                    local: None,
                };
                self.network.send(now, &mut node.down, to, back, bytes);
            }
            shard.recorder.clear_datagrams();
            for event in shard.recorder.events.drain(..) {
                format!("{event:?}").hash(&mut self.trace);
                for node in &mut self.peers {
                    node.peer.learn(&event);
                }
                self.events.push((now, event));
            }
            self.replies.extend(shard.recorder.replies.drain(..));
        }
    }

    /// Brings shards what others have for them; `true` if there was something.
    fn move_messages(&mut self) -> bool {
        let mut any = false;
        for from in 0..self.shards.len() {
            let sent = self.shards.get_mut(from);
            let sent = sent.map(|shard| core::mem::take(&mut shard.recorder.messages));
            for (to, message) in sent.unwrap_or_default() {
                any = true;
                if let Some(shard) = self.shards.get_mut(usize::from(to.0)) {
                    shard.handle(self.now, Input::Shard(message));
                }
            }
        }
        any
    }

    /// Lets the bridge ends of handshakes answer; `true` if there was something.
    fn move_handshakes(&mut self) -> bool {
        let recorders = self.shards.iter_mut().map(|shard| &mut shard.recorder);
        let asked = recorders.flat_map(|recorder| recorder.handshakes.drain(..));
        for (key, request) in asked.collect::<Vec<_>>() {
            let shard = self.shards.get(usize::from(key.0.shard().0));
            let Some(address) = shard.and_then(|shard| shard.engine.address_of(key)) else {
                self.end_handshake(key, request);
                continue;
            };
            let mut nodes = self.peers.iter();
            let Some(node) = nodes.find(|node| node.peer.endpoint == *address) else {
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
            let at = usize::from(key.0.shard().0);
            while let Some(event) = handshaker.poll() {
                any = true;
                if let Some(shard) = self.shards.get_mut(at) {
                    shard.handle(self.now, Input::Handshake(*key, event));
                }
            }
        }
        any
    }

    /// Lets the bridge end of a handshake whose endpoint is gone say its last words.
    fn end_handshake(&mut self, key: EndpointKey, request: HandshakeRequest) {
        if let Some(mut handshaker) = self.handshakers.remove(&key) {
            handshaker.handle(self.now, request);
            let mut shard = self.shards.get_mut(usize::from(key.0.shard().0));
            while let (Some(event), Some(shard)) = (handshaker.poll(), shard.as_deref_mut()) {
                shard.handle(self.now, Input::Handshake(key, event));
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

impl Shard {
    fn handle(&mut self, now: Time, input: Input) {
        self.engine.handle(now, input, &mut self.recorder);
    }
}
