//! Runs DTLS handshakes for SRTP keys beside the engine (RFC 5764, RFC 8842).
//!
//! A [`DtlsEngine`] is one association as a machine: datagrams in, datagrams and three facts out
//! (the peer's certificate, the protection profile, the keys). [`dimpl`] is the one backend of the
//! product. [`driver`] holds many of them within limits; `io/handshake.rs` gives it a thread, the
//! simulator drives it in line. Handshakes stand beside the engine because key exchange and
//! signatures take the system's randomness whatever the seed, and because a join must not hold up a
//! thread that forwards media.
//!
//! Certificates are not judged here: whether one is the announced one is the engine's to check
//! (`dtls/fingerprint.rs`), before it uses a key.

use core::fmt;
use std::sync::Arc;

use crate::description::Fingerprint;
use crate::error::{Error, Result};
use crate::packet::Packet;
use crate::srtp::{KeyingMaterial, SrtpProfile};
use crate::time::Time;

pub mod dimpl;

pub mod driver;

#[cfg(any(test, feature = "unstable-toolbox"))]
pub(crate) mod epoch;

pub(crate) mod fingerprint;

#[cfg(feature = "unstable-toolbox")]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests;

/// One DTLS association. After every call but the polls, poll datagrams and events until there are
/// none, then ask for the deadline.
pub trait DtlsEngine: fmt::Debug + Send {
    /// Begins: a client queues its first flight, a server waits for one.
    fn start(&mut self, now: Time);

    /// Takes a datagram of the peer's address.
    fn handle_datagram(&mut self, now: Time, datagram: &[u8]);

    /// Does what is due: repeats a flight, gives up.
    fn handle_timeout(&mut self, now: Time);

    /// Ends the association; a close_notify is queued if it stood.
    fn close(&mut self, now: Time);

    /// The next datagram for the peer.
    fn poll_datagram(&mut self) -> Option<Packet>;

    /// The next thing that happened.
    fn poll_event(&mut self) -> Option<DtlsEvent>;

    /// When to call [`Self::handle_timeout`] at the latest.
    fn deadline(&self) -> Option<Time>;
}

/// What became of an association.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DtlsEvent {
    /// It stands. Told once.
    Completed {
        /// The peer's certificate (DER), proven to be the peer's.
        certificate: Vec<u8>,
        /// Keys of both directions.
        keys: KeyingMaterial,
        /// Negotiated protection.
        profile: SrtpProfile,
    },
    /// It failed, before or after it stood. Nothing follows.
    Failed,
    /// The peer closed it. Nothing follows.
    Closed,
}

/// Which versions of DTLS are spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DtlsVersion {
    /// 1.2 alone. Browsers then take AES-256-GCM, which forwards a fifth to a third cheaper than
    /// the HMAC-SHA1 that Chromium takes over 1.3 (docs/adr/0005-dtls.md).
    #[default]
    V1_2,
    /// 1.3 where the peer has it, else 1.2.
    Auto,
}

/// A certificate with its private key. One serves a whole process, so that it must be made once
/// and the fingerprint is the same for everybody.
#[derive(Clone)]
pub struct Certificate {
    inner: Arc<::dimpl::DtlsCertificate>,
}

impl Certificate {
    /// Makes a self-signed one with a new ECDSA P-256 key, from the system's randomness.
    ///
    /// # Errors
    /// [`Error::Incompatible`] when the system refuses.
    pub fn generate() -> Result<Self> {
        let inner = ::dimpl::certificate::generate_self_signed_certificate()
            .map_err(|_| Error::Incompatible("no certificate could be made"))?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// What signaling says of it.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint::of_certificate(&self.inner.certificate)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.fingerprint())
    }
}
