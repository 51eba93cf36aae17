//! Stands in for the DTLS machines of both ends: by script with fixed keys, so that bytes can be
//! compared, or with the real one in line.

use core::time::Duration;
use std::time::Instant;

use crate::description::Fingerprint;
use crate::dtls::dimpl::DimplFactory;
use crate::dtls::driver::{Driver, HandshakeKey};
use crate::dtls::{Certificate, DtlsVersion, fingerprint};
use crate::engine::{HandshakeEvent, HandshakeRequest};
use crate::error::{Error, Result};
use crate::id::{EndpointKey, Key, ShardId};
use crate::packet::Packet;
use crate::srtp::{KeyingMaterial, SrtpProfile};
use crate::time::Time;

/// A scripted client repeats its hello after so long.
const REPEAT: Duration = Duration::from_millis(200);

/// How real handshakes are done. Their bytes differ from run to run.
#[derive(Clone, Copy, Debug)]
pub struct RealHandshake {
    /// Which versions are spoken.
    pub version: DtlsVersion,
    /// The instant of [`Time::ZERO`], since the DTLS machine counts in those; any will do where
    /// time is virtual.
    pub base: Instant,
}

/// One end of a handshake.
#[derive(Debug)]
pub(super) enum Handshaker {
    /// By script.
    Script(Script),
    /// The real machine.
    Real(Box<Real>),
}

/// One end of a real handshake.
#[derive(Debug)]
pub(super) struct Real {
    driver: Driver,
    certificate: Certificate,
}

/// The driver holds this one handshake alone.
const REAL_KEY: HandshakeKey = (
    ShardId(0),
    EndpointKey(Key {
        index: 0,
        generation: 0,
    }),
);

impl Handshaker {
    /// A real end that shows `certificate`.
    pub(super) fn real(how: RealHandshake, certificate: &Certificate) -> Result<Self> {
        let factory = DimplFactory::new(how.version, certificate.clone(), how.base)?;
        Ok(Self::Real(Box::new(Real {
            driver: Driver::new(factory),
            certificate: certificate.clone(),
        })))
    }

    /// The bridge's end of a handshake with `peer`; `real` is how the bridge does real ones.
    pub(super) fn of_bridge(
        peer: &Self,
        real: Option<&(RealHandshake, Certificate)>,
    ) -> Result<Self> {
        match (peer, real) {
            (Self::Script(script), None) => Ok(Self::Script(script.other_end())),
            (Self::Real(_), Some((how, certificate))) => Self::real(*how, certificate),
            _ => Err(Error::Misuse("a scripted and a real end of one handshake")),
        }
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        match self {
            Self::Script(script) => script.fingerprint(),
            Self::Real(real) => real.certificate.fingerprint(),
        }
    }

    pub(super) fn handle(&mut self, now: Time, request: HandshakeRequest) {
        match self {
            Self::Script(script) => script.handle(now, request),
            Self::Real(real) => real.driver.handle(now, REAL_KEY, request),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Time) {
        match self {
            Self::Script(script) => script.handle_timeout(now),
            Self::Real(real) => real.driver.handle_timeout(now),
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        match self {
            Self::Script(script) => script.repeat,
            Self::Real(real) => real.driver.deadline(),
        }
    }

    pub(super) fn poll(&mut self) -> Option<HandshakeEvent> {
        match self {
            Self::Script(script) => (!script.events.is_empty()).then(|| script.events.remove(0)),
            Self::Real(real) => real.driver.poll().map(|(_, event)| event),
        }
    }
}

/// One end of a scripted handshake: the client says hello, the server answers, both have keys that
/// are made of the peer's number.
#[derive(Debug)]
pub(super) struct Script {
    /// Number of the peer, whichever end this is.
    number: u16,
    is_bridge: bool,
    profile: SrtpProfile,
    role: Option<bool>,
    done: bool,
    /// When the hello is to be repeated.
    repeat: Option<Time>,
    events: Vec<HandshakeEvent>,
}

impl Script {
    /// The peer's end.
    pub(super) const fn scripted(number: u16, profile: SrtpProfile) -> Self {
        Self {
            number,
            is_bridge: false,
            profile,
            role: None,
            done: false,
            repeat: None,
            events: Vec::new(),
        }
    }

    /// The bridge's end of the same handshake.
    fn other_end(&self) -> Self {
        Self {
            is_bridge: true,
            ..Self::scripted(self.number, self.profile)
        }
    }

    /// The certificate that this end shows.
    fn certificate(number: u16, is_bridge: bool) -> Vec<u8> {
        let mut certificate = b"a scripted certificate of ".to_vec();
        if is_bridge {
            certificate.extend_from_slice(b"the bridge");
        } else {
            certificate.extend_from_slice(format!("peer {number}").as_bytes());
        }
        certificate
    }

    /// The fingerprint of the bridge's scripted certificate.
    pub(super) fn bridge_fingerprint() -> Fingerprint {
        fingerprint::of_certificate(&Self::certificate(0, true))
    }

    fn fingerprint(&self) -> Fingerprint {
        fingerprint::of_certificate(&Self::certificate(self.number, self.is_bridge))
    }

    fn handle(&mut self, now: Time, request: HandshakeRequest) {
        match request {
            HandshakeRequest::Start { client } => {
                self.role = Some(client);
                if client {
                    self.say_hello(now);
                }
            }
            HandshakeRequest::Datagram(packet) => match (self.role, packet.bytes()) {
                (Some(false), HELLO) => {
                    self.events
                        .push(HandshakeEvent::Datagram(Packet::copy_of(ANSWER)));
                    self.complete();
                }
                (Some(true), ANSWER) => {
                    self.repeat = None;
                    self.complete();
                }
                (Some(_), FAREWELL) => self.events.push(HandshakeEvent::Closed),
                _ => {}
            },
            HandshakeRequest::Stop { path } => {
                self.role = None;
                self.repeat = None;
                let packet = Packet::copy_of(FAREWELL);
                let farewell = path.map(|path| HandshakeEvent::Farewell { path, packet });
                self.events.extend(farewell.filter(|_| self.done));
            }
        }
    }

    fn handle_timeout(&mut self, now: Time) {
        if self.repeat.is_some_and(|at| at <= now) {
            self.say_hello(now);
        }
    }

    fn say_hello(&mut self, now: Time) {
        self.events
            .push(HandshakeEvent::Datagram(Packet::copy_of(HELLO)));
        self.repeat = Some(now + REPEAT);
    }

    fn complete(&mut self) {
        if core::mem::replace(&mut self.done, true) {
            return;
        }
        let [high, low] = self.number.to_be_bytes();
        let bytes = |is_bridge: bool, length: usize, what: u8| -> Vec<u8> {
            let seed = [high, low, u8::from(is_bridge), what];
            seed.into_iter().cycle().take(length).collect()
        };
        let (key, salt) = (self.profile.key_length(), self.profile.salt_length());
        self.events.push(HandshakeEvent::Completed {
            certificate: Self::certificate(self.number, !self.is_bridge),
            keys: KeyingMaterial {
                local_key: bytes(self.is_bridge, key, 1),
                local_salt: bytes(self.is_bridge, salt, 2),
                remote_key: bytes(!self.is_bridge, key, 1),
                remote_salt: bytes(!self.is_bridge, salt, 2),
            },
            profile: self.profile,
        });
    }
}

/// Datagrams that pass for DTLS by their first byte.
const HELLO: &[u8] = b"\x16hello";

const ANSWER: &[u8] = b"\x16answer";

const FAREWELL: &[u8] = b"\x15farewell";
