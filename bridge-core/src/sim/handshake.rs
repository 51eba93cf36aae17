//! Stands in for the DTLS machines of both ends: by script with fixed keys, so that bytes can be
//! compared, or with the real one in line.

use core::time::Duration;

use crate::description::Fingerprint;
use crate::dtls::fingerprint;
use crate::engine::{HandshakeEvent, HandshakeRequest};
use crate::packet::Packet;
use crate::srtp::{KeyingMaterial, SrtpProfile};
use crate::time::Time;

/// A scripted client repeats its hello after so long.
const REPEAT: Duration = Duration::from_millis(200);

/// One end of a scripted handshake: the client says hello, the server answers, both have keys that
/// are made of the peer's number.
#[derive(Debug)]
pub(super) struct Handshaker {
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

impl Handshaker {
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
    pub(super) fn other_end(&self) -> Self {
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

    pub(super) fn bridge_fingerprint() -> Fingerprint {
        fingerprint::of_certificate(&Self::certificate(0, true))
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        fingerprint::of_certificate(&Self::certificate(self.number, self.is_bridge))
    }

    pub(super) fn handle(&mut self, now: Time, request: HandshakeRequest) {
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
                _ => {}
            },
            HandshakeRequest::Stop => {
                self.role = None;
                self.repeat = None;
            }
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Time) {
        if self.repeat.is_some_and(|at| at <= now) {
            self.say_hello(now);
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.repeat
    }

    pub(super) fn poll(&mut self) -> Option<HandshakeEvent> {
        (!self.events.is_empty()).then(|| self.events.remove(0))
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
