//! Fits the `dimpl` crate into [`DtlsEngine`] (RFC 6347, RFC 9147).
//!
//! What the crate wants of whoever drives it, measured against both browsers
//! (docs/adr/0005-dtls.md): after every call its outputs are drained until it names its next
//! deadline, once more after an error, since an alert may wait; the keys come after "connected" in
//! the same drain; any error ends the association. HelloVerifyRequest is off: only datagrams of
//! a path that ICE validated come here.
//!
//! One fault of the crate (0.9) is cured here. As a DTLS 1.3 server it looks only at the first
//! message of a record, and does not notice that Chromium, which sends its last flight in one
//! record, repeats it because our ACK was lost; minutes later Chromium gives up. So we keep the
//! first datagram after completion and repeat it for each handshake record that still comes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use core::fmt;
use core::time::Duration;

use dimpl::{Config, Dtls, Output, ProtocolVersion};

use super::{Certificate, DtlsEngine, DtlsEvent, DtlsVersion};
use crate::error::{Error, Result};
use crate::packet::Packet;
use crate::srtp::{KeyingMaterial, SrtpProfile};
use crate::time::Time;

/// What all associations of a process share.
#[derive(Clone)]
pub struct DimplFactory {
    config: Arc<Config>,
    version: DtlsVersion,
    certificate: Certificate,
    /// Our time zero in the crate's clock.
    base: Instant,
}

impl DimplFactory {
    /// `base` is the instant of [`Time::ZERO`].
    ///
    /// # Errors
    /// [`Error::Incompatible`] when the crate's cryptography cannot be set up.
    pub fn new(version: DtlsVersion, certificate: Certificate, base: Instant) -> Result<Self> {
        let config = Config::builder()
            .use_server_cookie(false)
            .flight_start_rto(FLIGHT_TIMEOUT)
            .flight_retries(FLIGHT_RETRIES)
            .handshake_timeout(HANDSHAKE_TIMEOUT)
            .build()
            .map_err(|_| Error::Incompatible("DTLS cannot be set up"))?;
        Ok(Self {
            config: Arc::new(config),
            version,
            certificate,
            base,
        })
    }

    /// A new association; `client` sends the first flight.
    pub fn make(&self, now: Time, client: bool) -> DimplEngine {
        let config = Arc::clone(&self.config);
        let certificate = (*self.certificate.inner).clone();
        let instant = instant_of(self.base, now);
        let mut dtls = match self.version {
            DtlsVersion::V1_2 => Dtls::new_12(config, certificate, instant),
            DtlsVersion::Auto => Dtls::new_auto(config, certificate, instant),
        };
        if client {
            dtls.set_active(true);
        }
        DimplEngine {
            dtls,
            base: self.base,
            client,
            buffer: vec![0; BUFFER_BYTES],
            out: VecDeque::new(),
            events: VecDeque::new(),
            deadline: None,
            certificate: None,
            phase: Phase::Handshake,
            last_flight: None,
            repeats: 0,
        }
    }
}

impl fmt::Debug for DimplFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "DimplFactory({:?}, {:?})",
            self.version, self.certificate
        )
    }
}

/// One association of `dimpl`.
pub struct DimplEngine {
    dtls: Dtls,
    base: Instant,
    client: bool,
    buffer: Vec<u8>,
    out: VecDeque<Packet>,
    events: VecDeque<DtlsEvent>,
    deadline: Option<Time>,
    certificate: Option<Vec<u8>>,
    phase: Phase,
    /// As a server of 1.3: our ACK of the client's last flight.
    last_flight: Option<Packet>,
    repeats: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Handshake,
    /// The crate is content; keys come in the same drain, or never.
    Connected,
    /// Keys were told.
    Completed,
    /// Failed or closed.
    Over,
}

impl DimplEngine {
    fn advance(&mut self, now: Time) {
        let result = self.dtls.handle_timeout(instant_of(self.base, now));
        self.follow(result);
    }

    /// Drains after a call, and ends the association if the call failed.
    fn follow(&mut self, result: core::result::Result<(), dimpl::Error>) {
        self.drain();
        if let Err(error) = result {
            tracing::debug!(%error, "a DTLS association failed");
            self.end(DtlsEvent::Failed);
        }
    }

    fn end(&mut self, event: DtlsEvent) {
        if self.phase != Phase::Over {
            self.phase = Phase::Over;
            self.deadline = None;
            self.events.push_back(event);
        }
    }

    fn drain(&mut self) {
        let mut buffer = core::mem::take(&mut self.buffer);
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::BufferTooSmall { needed } if needed <= BUFFER_BYTES_MAX => {
                    buffer.resize(needed, 0);
                }
                Output::BufferTooSmall { .. } => {
                    self.end(DtlsEvent::Failed);
                    break;
                }
                Output::Packet(bytes) => {
                    let packet = Packet::copy_of(bytes);
                    self.keep_last_flight(bytes);
                    self.out.push_back(packet);
                }
                Output::PeerCert(der) => self.certificate = Some(der.to_vec()),
                Output::Connected => self.phase = Phase::Connected,
                Output::KeyingMaterial(bytes, profile) => self.complete(&bytes, profile),
                Output::CloseNotify => self.end(DtlsEvent::Closed),
                Output::Timeout(at) => {
                    self.deadline = Some(time_of(self.base, at));
                    break;
                }
                // Data channels are not there yet: nobody asked for data.
                _ => {}
            }
        }
        self.buffer = buffer;
        match self.phase {
            // The peer did not agree to SRTP.
            Phase::Connected => self.end(DtlsEvent::Failed),
            Phase::Over => self.deadline = None,
            Phase::Handshake | Phase::Completed => {}
        }
    }

    fn keep_last_flight(&mut self, bytes: &[u8]) {
        let is_due = matches!(self.phase, Phase::Connected | Phase::Completed)
            && !self.client
            && self.last_flight.is_none()
            && self.dtls.protocol_version() == Some(ProtocolVersion::DTLS1_3);
        if is_due {
            self.last_flight = Some(Packet::copy_of(bytes));
        }
    }

    /// Repeats our ACK if the peer repeats its last flight: a record of epoch 2, by its first byte
    /// (RFC 9147 section 4: three fixed bits, and the epoch's low two).
    fn repeat_last_flight(&mut self, datagram: &[u8]) {
        let is_handshake = datagram.first().is_some_and(|first| first & 0xe3 == 0x22);
        if let Some(last) = &self.last_flight
            && is_handshake
            && self.repeats < REPEATS_MAX
        {
            self.repeats += 1;
            self.out.push_back(Packet::copy_of(last.bytes()));
        }
    }

    fn complete(&mut self, bytes: &[u8], profile: dimpl::SrtpProfile) {
        let profile = match profile {
            dimpl::SrtpProfile::AES128_CM_SHA1_80 => SrtpProfile::Aes128CmSha1_80,
            dimpl::SrtpProfile::AEAD_AES_128_GCM => SrtpProfile::AeadAes128Gcm,
            dimpl::SrtpProfile::AEAD_AES_256_GCM => SrtpProfile::AeadAes256Gcm,
            _ => return self.end(DtlsEvent::Failed),
        };
        let keys = keys_of(bytes, profile, self.client);
        match (keys, self.certificate.take()) {
            (Some(keys), Some(certificate)) if self.phase == Phase::Connected => {
                self.phase = Phase::Completed;
                self.events.push_back(DtlsEvent::Completed {
                    certificate,
                    keys,
                    profile,
                });
            }
            _ => self.end(DtlsEvent::Failed),
        }
    }
}

impl DtlsEngine for DimplEngine {
    fn start(&mut self, now: Time) {
        self.advance(now);
    }

    fn handle_datagram(&mut self, now: Time, datagram: &[u8]) {
        self.repeat_last_flight(datagram);
        self.handle_timeout(now);
        if self.phase != Phase::Over {
            let result = self.dtls.handle_packet(datagram);
            self.follow(result);
        }
    }

    fn handle_timeout(&mut self, now: Time) {
        if self.phase != Phase::Over {
            self.advance(now);
        }
    }

    fn close(&mut self, now: Time) {
        self.handle_timeout(now);
        if self.phase != Phase::Over {
            self.phase = Phase::Over;
            // An error means that there is nothing to close.
            drop(self.dtls.close());
            self.drain();
        }
    }

    fn poll_datagram(&mut self) -> Option<Packet> {
        self.out.pop_front()
    }

    fn poll_event(&mut self) -> Option<DtlsEvent> {
        self.events.pop_front()
    }

    fn deadline(&self) -> Option<Time> {
        self.deadline
    }
}

impl fmt::Debug for DimplEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DimplEngine")
            .field("client", &self.client)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

/// Tells the exported bytes apart (RFC 5764 section 4.2): client key, server key, client salt,
/// server salt. `None` unless there are exactly so many.
fn keys_of(bytes: &[u8], profile: SrtpProfile, client: bool) -> Option<KeyingMaterial> {
    let (key, salt) = match profile {
        SrtpProfile::Aes128CmSha1_80 => (16, 14),
        SrtpProfile::AeadAes128Gcm => (16, 12),
        SrtpProfile::AeadAes256Gcm => (32, 12),
    };
    let (client_key, rest) = bytes.split_at_checked(key)?;
    let (server_key, rest) = rest.split_at_checked(key)?;
    let (client_salt, server_salt) = rest.split_at_checked(salt)?;
    let of_client = (client_key, client_salt);
    let of_server = (server_key, server_salt);
    let (local, remote) = if client {
        (of_client, of_server)
    } else {
        (of_server, of_client)
    };
    (server_salt.len() == salt).then(|| KeyingMaterial {
        local_key: local.0.to_vec(),
        local_salt: local.1.to_vec(),
        remote_key: remote.0.to_vec(),
        remote_salt: remote.1.to_vec(),
    })
}

fn instant_of(base: Instant, time: Time) -> Instant {
    let elapsed = Duration::from_nanos(time.as_nanos());
    base.checked_add(elapsed).unwrap_or(base)
}

fn time_of(base: Instant, instant: Instant) -> Time {
    Time::ZERO + instant.saturating_duration_since(base)
}

/// Time after which a flight is sent again; it doubles. A browser repeats after 50 ms to 1 s.
const FLIGHT_TIMEOUT: Duration = Duration::from_millis(200);
/// How often a flight is sent again: the last after 25 s.
const FLIGHT_RETRIES: usize = 8;
/// Time for a whole handshake, from the first flight on.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// Times that a lost ACK is made good.
const REPEATS_MAX: u32 = 16;
/// Holds every datagram of ours and most certificates.
const BUFFER_BYTES: usize = 2_048;
/// Holds every certificate that we are willing to look at.
const BUFFER_BYTES_MAX: usize = 32_768;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_reads_with_what_the_other_writes_with() {
        let bytes: Vec<u8> = (0..60).collect();
        let client = keys_of(&bytes, SrtpProfile::Aes128CmSha1_80, true).unwrap();
        let server = keys_of(&bytes, SrtpProfile::Aes128CmSha1_80, false).unwrap();
        assert_eq!(client.local_key, bytes[..16]);
        assert_eq!(client.local_key, server.remote_key);
        assert_eq!(client.local_salt, bytes[32..46]);
        assert_eq!(client.local_salt, server.remote_salt);
        assert_eq!(client.remote_key, server.local_key);
        assert_eq!(client.remote_salt, server.local_salt);
        assert!(keys_of(&bytes[..59], SrtpProfile::Aes128CmSha1_80, true).is_none());
        assert!(keys_of(&bytes, SrtpProfile::AeadAes128Gcm, true).is_none());
    }
}
