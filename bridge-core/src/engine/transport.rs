//! Joins ICE, the DTLS handshake's result and SRTP of one endpoint into one machine.
//!
//! | state | what happens |
//! |---|---|
//! | `New` | no path yet; checks are answered and sent |
//! | `Connecting` | a path is validated, the handshake was asked to start |
//! | `Connected` | the certificate fits its fingerprint, SRTP contexts stand |
//! | `Failed` | nothing is sent any more but answers to checks; an ICE restart may revive it |
//!
//! The handshake itself runs beside the engine ([`HandshakeRequest`], [`HandshakeEvent`]). DTLS is
//! taken from validated paths only (RFC 8842, RFC 5764 section 5.1.1): what comes early from a path
//! whose check we have just answered waits for our own check, within bounds. Keys are used only
//! after the fingerprint check, so media before it finds no context and is discarded.

use core::time::Duration;
use std::collections::VecDeque;

use super::{HandshakeEvent, HandshakeRequest, Path};
use crate::description::{Candidate, Fingerprint, IceRole, Setup, TransportDescription};
use crate::dtls::fingerprint;
use crate::error::{Discard, Error, Result};
use crate::event::TransportFailure;
use crate::ice::{Agent, AgentEvent, AgentOptions, StunMessage, Token};
use crate::limits;
use crate::packet::Packet;
use crate::random::Random;
use crate::srtp::{GcmBackend, InboundContext, KeyingMaterial, OutboundContext, SrtpProfile};
use crate::time::Time;

/// What a transport is made of.
#[derive(Clone, Debug)]
pub(crate) struct TransportOptions {
    /// Finds this endpoint again in answers to our checks.
    pub(crate) token: Token,
    /// Our ICE role.
    pub(crate) role: IceRole,
    /// Our candidates.
    pub(crate) candidates: Vec<Candidate>,
    /// What seals and opens AES-GCM.
    pub(crate) gcm: GcmBackend,
}

/// A datagram to be sent to the peer.
#[expect(
    clippy::large_enum_variant,
    reason = "made, sent and dropped one at a time, some times a minute"
)]
#[derive(Debug)]
pub(crate) enum Datagram {
    /// Of the ICE agent.
    Stun {
        /// Where to.
        path: Path,
        /// The bytes.
        message: StunMessage,
    },
    /// Of the DTLS handshake.
    Dtls {
        /// Where to.
        path: Path,
        /// The bytes.
        packet: Packet,
    },
}

impl Datagram {
    /// Where to.
    pub(crate) const fn path(&self) -> Path {
        match self {
            Self::Stun { path, .. } | Self::Dtls { path, .. } => *path,
        }
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Stun { message, .. } => message.bytes(),
            Self::Dtls { packet, .. } => packet.bytes(),
        }
    }
}

/// What a transport tells the engine.
#[derive(Debug)]
pub(crate) enum TransportEvent {
    /// Hand this to the handshake machine of the endpoint.
    Handshake(HandshakeRequest),
    /// An authenticated check came from this path: find this endpoint by it, unless another
    /// endpoint holds the path (the check may be a replay).
    PathSeen(Path),
    /// A check of ours was answered there: the path is this endpoint's, whoever held it.
    PathValidated(Path),
    /// Forget the path, if it is still this endpoint's.
    PathForgotten(Path),
    /// A ufrag of before an ICE restart leads nowhere from now on.
    UfragForgotten(String),
    /// ICE, DTLS and keys are up, for the first time or again.
    Connected {
        /// Round trip of the check that validated the path.
        rtt: Option<Duration>,
    },
    /// The transport is dead. Told once for each life.
    Failed(TransportFailure),
}

/// How far a transport is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransportState {
    /// Looking for a path.
    New,
    /// A path works; keys are still missing.
    Connecting,
    /// A path and keys.
    Connected,
    /// Neither media nor DTLS is sent.
    Failed(TransportFailure),
}

/// The transport of one endpoint.
#[derive(Debug)]
pub(crate) struct Transport {
    agent: Agent,
    state: TransportState,
    /// Whether we are the DTLS client; fixed by the peer's first description.
    client: Option<bool>,
    fingerprints: Vec<Fingerprint>,
    is_handshake_asked: bool,
    /// DTLS datagrams whose path is seen but not validated yet.
    early: Vec<(Path, Packet)>,
    dtls_out: VecDeque<Packet>,
    gcm: GcmBackend,
    inbound: Option<InboundContext>,
    outbound: Option<OutboundContext>,
    rtt: Option<Duration>,
    /// When media or reports were last noted to flow to the peer.
    used: Time,
    events: VecDeque<TransportEvent>,
}

impl Transport {
    /// A new transport with new ICE credentials.
    ///
    /// # Errors
    /// None in practice: credentials of ours are fit.
    pub(crate) fn new(now: Time, options: TransportOptions, random: &mut Random) -> Result<Self> {
        let TransportOptions {
            token,
            role,
            candidates,
            gcm,
        } = options;
        Ok(Self {
            agent: Agent::new(
                now,
                AgentOptions {
                    token,
                    role,
                    candidates,
                },
                random,
            )?,
            state: TransportState::New,
            client: None,
            fingerprints: Vec::new(),
            is_handshake_asked: false,
            early: Vec::new(),
            dtls_out: VecDeque::new(),
            gcm,
            inbound: None,
            outbound: None,
            rtt: None,
            used: now,
            events: VecDeque::new(),
        })
    }

    /// Our end, for signaling; `certificate` is the fingerprint of the process' certificate.
    pub(crate) fn description(&self, certificate: &Fingerprint) -> TransportDescription {
        TransportDescription {
            fingerprints: vec![certificate.clone()],
            setup: match self.client {
                None => Setup::Actpass,
                Some(true) => Setup::Active,
                Some(false) => Setup::Passive,
            },
            ..self.agent.description()
        }
    }

    /// The ufrags of ours that lead to this transport. After [`Self::restart_ice`] there is a new
    /// one; [`TransportEvent::UfragForgotten`] ends an old one.
    pub(crate) fn ufrags(&self) -> impl Iterator<Item = &str> {
        self.agent.ufrags()
    }

    /// How far it is.
    #[cfg(test)]
    pub(crate) const fn state(&self) -> TransportState {
        self.state
    }

    /// Where to send, while the peer consents to it.
    #[cfg(test)]
    pub(crate) fn path(&self) -> Option<Path> {
        self.agent.selected()
    }

    /// Where a last word may be sent: as long as anything may.
    pub(crate) fn farewell_path(&self) -> Option<Path> {
        match self.state {
            TransportState::Failed(_) => None,
            _ => self.agent.selected(),
        }
    }

    /// What opens the peer's packets, once its certificate is checked.
    pub(crate) const fn inbound(&mut self) -> Option<&mut InboundContext> {
        self.inbound.as_mut()
    }

    /// Where to send media and what seals it, while that is possible and allowed.
    pub(crate) fn outbound(&mut self) -> Option<(Path, &mut OutboundContext)> {
        if self.state != TransportState::Connected {
            return None;
        }
        Some((self.agent.selected()?, self.outbound.as_mut()?))
    }

    /// Notes that media or reports flow to the peer, to be called every second or so while they do.
    /// `true` when the path had rested: [`Self::deadline`] may be earlier now.
    pub(crate) const fn note_use(&mut self, now: Time) -> bool {
        self.used = now;
        !self.agent.set_in_use(true)
    }

    /// Lets the path rest when nothing flowed for a while.
    fn follow_use(&mut self, now: Time) {
        self.agent.set_in_use(now.since(self.used) < USE_SPAN);
    }

    /// Takes the peer's end: credentials, fingerprints, DTLS role, and candidates, which may come
    /// in several calls. A description without fingerprints leaves those that are known; the
    /// handshake does not start before there are some.
    ///
    /// # Errors
    /// [`Error::Misbehaved`] for credentials that are not fit, [`Error::Incompatible`] when no
    /// fingerprint is of a hash that counts, [`Error::Misuse`] for another role or certificate
    /// once the handshake began (that takes a new endpoint). Nothing changes then.
    pub(crate) fn set_remote(&mut self, now: Time, remote: &TransportDescription) -> Result<()> {
        // We offer both roles. A peer that leaves the choice to us is served.
        let client = match remote.setup {
            Setup::Actpass => self.client.unwrap_or(false),
            Setup::Active => false,
            Setup::Passive => true,
        };
        let is_new = !remote.fingerprints.is_empty() && remote.fingerprints != self.fingerprints;
        if is_new && !fingerprint::is_usable(&remote.fingerprints) {
            return Err(Error::Incompatible("fingerprint hash"));
        }
        if self.is_handshake_asked && (is_new || self.client != Some(client)) {
            return Err(Error::Misuse(
                "another DTLS role or certificate after the handshake began",
            ));
        }
        let is_restart = self.agent.set_remote(now, remote)?;
        self.client = Some(client);
        if is_new {
            self.fingerprints.clone_from(&remote.fingerprints);
        }
        if is_restart {
            self.revive();
        }
        self.follow_agent();
        Ok(())
    }

    /// Makes new ICE credentials of ours; the association and its keys stay, and media goes on
    /// over the old path until the new one works.
    ///
    /// # Errors
    /// None in practice: credentials of ours are fit.
    pub(crate) fn restart_ice(&mut self, now: Time) -> Result<()> {
        self.agent.restart(now)?;
        self.revive();
        self.follow_agent();
        Ok(())
    }

    /// Takes a STUN datagram that names one of our ufrags or carries our token.
    ///
    /// # Errors
    /// What it is counted as when the agent does not take it.
    pub(crate) fn handle_stun(
        &mut self,
        now: Time,
        path: Path,
        bytes: &[u8],
    ) -> Result<(), Discard> {
        self.follow_use(now);
        let taken = self.agent.handle_stun(now, path, bytes);
        self.follow_agent();
        taken
    }

    /// Takes a DTLS datagram of a path that is seen or validated.
    ///
    /// # Errors
    /// The packet back, and what it is counted as, when it is not expected.
    pub(crate) fn handle_dtls(
        &mut self,
        path: Path,
        packet: Packet,
    ) -> Result<(), (Packet, Discard)> {
        if let TransportState::Failed(_) = self.state {
            return Err((packet, Discard::DtlsUnexpected));
        }
        if !self.agent.is_known(path) {
            return Err((packet, Discard::UnknownPath));
        }
        if self.is_handshake_asked && self.agent.is_validated(path) {
            self.events
                .push_back(TransportEvent::Handshake(HandshakeRequest::Datagram(
                    packet,
                )));
        } else if self.early.len() < limits::EARLY_DTLS_MAX {
            self.early.push((path, packet));
        } else {
            return Err((packet, Discard::DtlsUnexpected));
        }
        Ok(())
    }

    /// Takes news of the handshake.
    pub(crate) fn handle_handshake(&mut self, event: HandshakeEvent) {
        match event {
            HandshakeEvent::Datagram(packet) => {
                if self.dtls_out.len() < limits::DTLS_QUEUE_MAX {
                    self.dtls_out.push_back(packet);
                }
            }
            HandshakeEvent::Completed {
                certificate,
                keys,
                profile,
            } => {
                if !fingerprint::matches(&certificate, &self.fingerprints) {
                    self.fail(TransportFailure::Fingerprint);
                } else if self.install(&keys, profile).is_err() {
                    self.fail(TransportFailure::Dtls);
                } else if self.state == TransportState::Connecting {
                    self.state = TransportState::Connected;
                    self.events
                        .push_back(TransportEvent::Connected { rtt: self.rtt });
                }
            }
            HandshakeEvent::Failed => self.fail(TransportFailure::Dtls),
            HandshakeEvent::Closed => self.fail(TransportFailure::Closed),
            // Of an association that was before this one.
            HandshakeEvent::Farewell { .. } => {}
        }
    }

    fn install(&mut self, keys: &KeyingMaterial, profile: SrtpProfile) -> Result<()> {
        let (key, salt) = (&keys.remote_key, &keys.remote_salt);
        let inbound = InboundContext::with_gcm(self.gcm, profile, key, salt)?;
        let (key, salt) = (&keys.local_key, &keys.local_salt);
        let outbound = OutboundContext::with_gcm(self.gcm, profile, key, salt)?;
        self.inbound = Some(inbound);
        self.outbound = Some(outbound);
        Ok(())
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, now: Time) {
        self.follow_use(now);
        self.agent.handle_timeout(now);
        self.follow_agent();
    }

    /// When to call [`Self::handle_timeout`] at the latest.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.agent.deadline()
    }

    /// The next datagram to be sent. Poll after every call until there is none.
    pub(crate) fn poll_datagram(&mut self) -> Option<Datagram> {
        if let Some((path, message)) = self.agent.poll_message() {
            return Some(Datagram::Stun { path, message });
        }
        let packet = self.dtls_out.pop_front()?;
        match self.agent.selected() {
            Some(path) => Some(Datagram::Dtls { path, packet }),
            None => {
                self.dtls_out.clear();
                None
            }
        }
    }

    /// The next thing that happened. Poll after every call until there is none.
    pub(crate) fn poll_event(&mut self) -> Option<TransportEvent> {
        self.events.pop_front()
    }

    fn follow_agent(&mut self) {
        while let Some(event) = self.agent.poll_event() {
            match event {
                AgentEvent::PathSeen(path) => {
                    self.events.push_back(TransportEvent::PathSeen(path));
                }
                AgentEvent::PathValidated(path) => {
                    self.events.push_back(TransportEvent::PathValidated(path));
                }
                AgentEvent::PathForgotten(path) => {
                    self.early.retain(|(of, _)| *of != path);
                    self.events.push_back(TransportEvent::PathForgotten(path));
                }
                AgentEvent::Selected { rtt, .. } => {
                    self.rtt = rtt.or(self.rtt);
                    self.begin();
                }
                AgentEvent::UfragForgotten(ufrag) => {
                    self.events.push_back(TransportEvent::UfragForgotten(ufrag));
                }
                AgentEvent::Failed(reason) => self.fail(reason),
            }
        }
        self.ask_handshake();
    }

    /// A path works.
    fn begin(&mut self) {
        if self.state == TransportState::New {
            if self.outbound.is_some() {
                self.state = TransportState::Connected;
                self.events
                    .push_back(TransportEvent::Connected { rtt: self.rtt });
            } else {
                self.state = TransportState::Connecting;
            }
        }
    }

    /// Starts the handshake when a path works and the certificate to expect is known, and lets
    /// through what waited for that.
    fn ask_handshake(&mut self) {
        if self.state == TransportState::Connecting
            && !self.is_handshake_asked
            && !self.fingerprints.is_empty()
        {
            self.is_handshake_asked = true;
            let client = self.client.unwrap_or(false);
            self.events
                .push_back(TransportEvent::Handshake(HandshakeRequest::Start {
                    client,
                }));
        }
        if self.is_handshake_asked && !self.early.is_empty() {
            for (path, packet) in core::mem::take(&mut self.early) {
                if self.agent.is_validated(path) {
                    let request = HandshakeRequest::Datagram(packet);
                    self.events.push_back(TransportEvent::Handshake(request));
                } else {
                    self.early.push((path, packet));
                }
            }
        }
    }

    /// A transport that lost its path, but not its association, looks for a new one.
    fn revive(&mut self) {
        if let TransportState::Failed(TransportFailure::Ice | TransportFailure::ConsentLost) =
            self.state
        {
            self.state = if self.is_handshake_asked && self.outbound.is_none() {
                TransportState::Connecting
            } else {
                TransportState::New
            };
        }
    }

    fn fail(&mut self, reason: TransportFailure) {
        if let TransportState::Failed(_) = self.state {
            return;
        }
        self.state = TransportState::Failed(reason);
        self.early.clear();
        let has_path_only = matches!(
            reason,
            TransportFailure::Ice | TransportFailure::ConsentLost
        );
        if !has_path_only {
            self.inbound = None;
            self.outbound = None;
            if self.is_handshake_asked {
                let path = self.agent.selected();
                self.events
                    .push_back(TransportEvent::Handshake(HandshakeRequest::Stop { path }));
            }
        }
        self.events.push_back(TransportEvent::Failed(reason));
    }
}

/// How long a path is in use after something flowed: longer than the time between two reports.
const USE_SPAN: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use core::net::SocketAddr;

    use super::*;
    use crate::dtls::fingerprint::of_certificate;
    use crate::ice::local_candidates;
    use crate::id::{EndpointKey, Key, ShardId};

    /// A transport behind one address, whose handshake is scripted.
    struct End {
        transport: Transport,
        address: SocketAddr,
        certificate: &'static [u8],
        events: Vec<TransportEvent>,
        /// Does not answer: a peer that vanished.
        is_gone: bool,
    }

    fn end(index: u8, role: IceRole, address: &str, certificate: &'static [u8]) -> End {
        let address: SocketAddr = address.parse().unwrap();
        let endpoint = EndpointKey(Key {
            index: index.into(),
            generation: 0,
        });
        let options = TransportOptions {
            token: Token {
                shard: ShardId(0),
                endpoint,
            },
            role,
            candidates: local_candidates(&[address], &[]),
            gcm: GcmBackend::default(),
        };
        let transport = Transport::new(Time::ZERO, options, &mut Random::new([index; 32])).unwrap();
        End {
            transport,
            address,
            certificate,
            events: Vec::new(),
            is_gone: false,
        }
    }

    fn pair() -> [End; 2] {
        [
            end(1, IceRole::Controlling, "192.0.2.1:10000", b"ours"),
            end(2, IceRole::Controlled, "198.51.100.2:4000", b"theirs"),
        ]
    }

    fn description(end: &End) -> TransportDescription {
        let mut description = end.transport.description(&of_certificate(end.certificate));
        if description.setup == Setup::Actpass && end.certificate == b"theirs" {
            description.setup = Setup::Active;
        }
        description
    }

    fn introduce(ends: &mut [End; 2], now: Time) {
        let [mut ours, theirs] = [description(&ends[0]), description(&ends[1])];
        ours.setup = Setup::Passive;
        ends[1].transport.set_remote(now, &ours).unwrap();
        ends[0].transport.set_remote(now, &theirs).unwrap();
    }

    /// Lets the ends talk without delay, step by step of 10 ms.
    fn run(ends: &mut [End; 2], from: Time, until: Time) {
        let mut now = from;
        while now < until {
            for which in 0..2 {
                ends[which].transport.handle_timeout(now);
                let local = Some(ends[1 - which].address.ip());
                let remote = ends[which].address;
                while let Some(datagram) = ends[which].transport.poll_datagram() {
                    let path = Path { remote, local };
                    assert_eq!(datagram.path().remote, ends[1 - which].address);
                    if !ends[1 - which].is_gone && !ends[which].is_gone {
                        let other = &mut ends[1 - which].transport;
                        let _counted = match datagram {
                            Datagram::Stun { message, .. } => {
                                other.handle_stun(now, path, message.bytes())
                            }
                            Datagram::Dtls { packet, .. } => other
                                .handle_dtls(path, packet)
                                .map_err(|(_, reason)| reason),
                        };
                    }
                }
                let end = &mut ends[which];
                end.events
                    .extend(core::iter::from_fn(|| end.transport.poll_event()));
            }
            now = now + Duration::from_millis(10);
        }
    }

    fn completed(certificate: &[u8]) -> HandshakeEvent {
        HandshakeEvent::Completed {
            certificate: certificate.to_vec(),
            keys: KeyingMaterial {
                local_key: vec![1; 16],
                local_salt: vec![2; 12],
                remote_key: vec![3; 16],
                remote_salt: vec![4; 12],
            },
            profile: SrtpProfile::AeadAes128Gcm,
        }
    }

    fn starts(end: &End) -> Vec<bool> {
        let start = |event: &TransportEvent| match event {
            TransportEvent::Handshake(HandshakeRequest::Start { client }) => Some(*client),
            _ => None,
        };
        end.events.iter().filter_map(start).collect()
    }

    fn connections(end: &mut End) -> usize {
        end.events
            .extend(core::iter::from_fn(|| end.transport.poll_event()));
        let is_connected = |e: &&TransportEvent| matches!(e, TransportEvent::Connected { .. });
        end.events.iter().filter(is_connected).count()
    }

    const SECOND: Time = Time::from_millis(1_000);

    #[test]
    fn the_handshake_starts_once_a_path_works_and_in_the_role_that_was_agreed() {
        let mut ends = pair();
        introduce(&mut ends, Time::ZERO);
        assert_eq!(ends[0].transport.state(), TransportState::New);
        run(&mut ends, Time::ZERO, SECOND);
        assert_eq!(starts(&ends[0]), [false], "the peer is active: we serve");
        assert_eq!(starts(&ends[1]), [true]);
        assert_eq!(description(&ends[0]).setup, Setup::Passive);
        assert!(
            ends[0].transport.inbound().is_none(),
            "no keys: media is discarded"
        );
        ends[0].transport.handle_handshake(completed(b"theirs"));
        assert_eq!(connections(&mut ends[0]), 1);
        assert!(ends[0].transport.inbound().is_some());
        let (path, _) = ends[0].transport.outbound().unwrap();
        assert_eq!(path.remote, ends[1].address);
    }

    #[test]
    fn another_certificate_gives_no_keys_and_fails() {
        let mut ends = pair();
        introduce(&mut ends, Time::ZERO);
        run(&mut ends, Time::ZERO, SECOND);
        ends[0]
            .transport
            .handle_handshake(completed(b"somebody else's"));
        assert_eq!(
            ends[0].transport.state(),
            TransportState::Failed(TransportFailure::Fingerprint)
        );
        assert!(ends[0].transport.inbound().is_none() && ends[0].transport.outbound().is_none());
        ends[0].transport.handle_handshake(completed(b"theirs"));
        assert!(ends[0].transport.outbound().is_none(), "no second try");
        assert_eq!(connections(&mut ends[0]), 0);
    }

    #[test]
    fn without_a_fingerprint_no_handshake_starts() {
        let mut ends = pair();
        let mut theirs = description(&ends[1]);
        theirs.fingerprints.clear();
        ends[0].transport.set_remote(Time::ZERO, &theirs).unwrap();
        let ours = description(&ends[0]);
        ends[1].transport.set_remote(Time::ZERO, &ours).unwrap();
        run(&mut ends, Time::ZERO, SECOND);
        assert!(starts(&ends[0]).is_empty());
        introduce(&mut ends, SECOND);
        run(&mut ends, SECOND, SECOND + Duration::from_secs(1));
        assert_eq!(starts(&ends[0]), [false]);
    }

    #[test]
    fn dtls_waits_for_its_path_and_strangers_are_refused() {
        let mut ends = pair();
        introduce(&mut ends, Time::ZERO);
        let stranger = Path {
            remote: "203.0.113.1:1".parse().unwrap(),
            local: None,
        };
        let refused = ends[0]
            .transport
            .handle_dtls(stranger, Packet::copy_of(&[22]));
        assert_eq!(refused.unwrap_err().1, Discard::UnknownPath);
        // The client's check is here, our own is not answered yet.
        let check = ends[1].transport.poll_datagram().unwrap();
        let path = Path {
            remote: ends[1].address,
            local: Some(ends[0].address.ip()),
        };
        ends[0]
            .transport
            .handle_stun(Time::ZERO, path, check.bytes())
            .unwrap();
        for n in 0..10 {
            let taken = ends[0]
                .transport
                .handle_dtls(path, Packet::copy_of(&[22, n]));
            assert_eq!(taken.is_ok(), usize::from(n) < limits::EARLY_DTLS_MAX);
        }
        run(&mut ends, Time::ZERO, SECOND);
        let passed: Vec<_> = ends[0]
            .events
            .iter()
            .filter_map(|event| match event {
                TransportEvent::Handshake(HandshakeRequest::Start { .. }) => Some(255),
                TransportEvent::Handshake(HandshakeRequest::Datagram(p)) => Some(p.bytes()[1]),
                _ => None,
            })
            .collect();
        assert_eq!(
            passed,
            [255, 0, 1, 2, 3],
            "the start first, then what waited"
        );
    }

    #[test]
    fn lost_consent_stops_media_and_a_restart_brings_it_back_with_the_same_keys() {
        let mut ends = pair();
        introduce(&mut ends, Time::ZERO);
        run(&mut ends, Time::ZERO, SECOND);
        ends[0].transport.handle_handshake(completed(b"theirs"));
        ends[1].transport.handle_handshake(completed(b"ours"));
        ends[1].is_gone = true;
        let minute = SECOND + Duration::from_secs(60);
        run(&mut ends, SECOND, minute);
        let lost = TransportState::Failed(TransportFailure::ConsentLost);
        assert_eq!(ends[0].transport.state(), lost);
        assert!(ends[0].transport.outbound().is_none() && ends[0].transport.path().is_none());
        ends[1].is_gone = false;
        ends[0].transport.restart_ice(minute).unwrap();
        ends[1].transport.restart_ice(minute).unwrap();
        introduce(&mut ends, minute);
        run(&mut ends, minute, minute + Duration::from_secs(2));
        assert_eq!(ends[0].transport.state(), TransportState::Connected);
        assert_eq!(connections(&mut ends[0]), 2);
        assert_eq!(starts(&ends[0]).len(), 1, "no second handshake");
    }

    #[test]
    fn role_and_certificate_are_fixed_once_the_handshake_began() {
        let mut ends = pair();
        introduce(&mut ends, Time::ZERO);
        run(&mut ends, Time::ZERO, SECOND);
        let same = description(&ends[1]);
        ends[0].transport.set_remote(SECOND, &same).unwrap();
        let mut other = same.clone();
        other.setup = Setup::Passive;
        assert!(ends[0].transport.set_remote(SECOND, &other).is_err());
        let mut other = same;
        other.fingerprints = vec![of_certificate(b"new")];
        assert!(ends[0].transport.set_remote(SECOND, &other).is_err());
    }
}
