//! Holds the keys and the state of one direction of a DTLS association.

use core::fmt;

use super::SrtpProfile;
use super::aes_cm::AesCm;
use super::aes_gcm::{AesGcm, GcmBackend};
use super::kdf::{Label, Master};
use super::replay::ReplayWindow;
use crate::error::{Discard, Result};
use crate::id::Ssrc;
use crate::limits::SRTP_STREAMS_MAX;

/// What opens the packets of a peer.
pub struct InboundContext {
    pub(super) rtp: Cipher,
    pub(super) rtcp: Cipher,
    pub(super) rtp_streams: Streams,
    pub(super) rtcp_streams: Streams,
    profile: SrtpProfile,
}

/// What seals the packets that we send to a peer.
pub struct OutboundContext {
    pub(super) rtp: Cipher,
    pub(super) rtcp: Cipher,
    /// Index of the next SRTCP packet, over all sources: no two have the same.
    pub(super) rtcp_index: u32,
    profile: SrtpProfile,
}

impl InboundContext {
    /// Derives the session keys from the peer's master key and salt.
    ///
    /// # Errors
    /// [`Error::Misuse`](crate::Error::Misuse) when key or salt have another length than the
    /// profile wants.
    #[cfg(any(test, feature = "unstable-toolbox"))]
    pub fn new(profile: SrtpProfile, key: &[u8], salt: &[u8]) -> Result<Self> {
        Self::with_gcm(GcmBackend::default(), profile, key, salt)
    }

    /// The same, with this library if the profile is one of Galois mode.
    ///
    /// # Errors
    /// [`Error::Misuse`](crate::Error::Misuse) when key or salt have another length than the
    /// profile wants.
    pub fn with_gcm(
        gcm: GcmBackend,
        profile: SrtpProfile,
        key: &[u8],
        salt: &[u8],
    ) -> Result<Self> {
        let (rtp, rtcp) = Cipher::pair(gcm, profile, key, salt)?;
        Ok(Self {
            rtp,
            rtcp,
            rtp_streams: Streams::default(),
            rtcp_streams: Streams::default(),
            profile,
        })
    }

    /// How packets are protected.
    #[must_use]
    pub const fn profile(&self) -> SrtpProfile {
        self.profile
    }
}

impl OutboundContext {
    /// Derives the session keys from our master key and salt.
    ///
    /// # Errors
    /// [`Error::Misuse`](crate::Error::Misuse) when key or salt have another length than the
    /// profile wants.
    #[cfg(any(test, feature = "unstable-toolbox"))]
    pub fn new(profile: SrtpProfile, key: &[u8], salt: &[u8]) -> Result<Self> {
        Self::with_gcm(GcmBackend::default(), profile, key, salt)
    }

    /// The same, with this library if the profile is one of Galois mode.
    ///
    /// # Errors
    /// [`Error::Misuse`](crate::Error::Misuse) when key or salt have another length than the
    /// profile wants.
    pub fn with_gcm(
        gcm: GcmBackend,
        profile: SrtpProfile,
        key: &[u8],
        salt: &[u8],
    ) -> Result<Self> {
        let (rtp, rtcp) = Cipher::pair(gcm, profile, key, salt)?;
        Ok(Self {
            rtp,
            rtcp,
            rtcp_index: 0,
            profile,
        })
    }

    /// How packets are protected.
    #[must_use]
    pub const fn profile(&self) -> SrtpProfile {
        self.profile
    }
}

impl fmt::Debug for InboundContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InboundContext({:?}, secret)", self.profile)
    }
}

impl fmt::Debug for OutboundContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutboundContext({:?}, secret)", self.profile)
    }
}

/// Session keys of RTP or RTCP of one direction.
pub(super) enum Cipher {
    CounterMode(Box<AesCm>),
    Galois(AesGcm),
}

impl Cipher {
    /// The keys for RTP and for RTCP.
    fn pair(
        gcm: GcmBackend,
        profile: SrtpProfile,
        key: &[u8],
        salt: &[u8],
    ) -> Result<(Self, Self)> {
        let master = Master::new(profile, key, salt)?;
        let rtp = [Label::RtpKey, Label::RtpSalt, Label::RtpAuthentication];
        let rtcp = [Label::RtcpKey, Label::RtcpSalt, Label::RtcpAuthentication];
        Ok((
            Self::derive(gcm, profile, &master, rtp)?,
            Self::derive(gcm, profile, &master, rtcp)?,
        ))
    }

    fn derive(
        gcm: GcmBackend,
        profile: SrtpProfile,
        master: &Master<'_>,
        labels: [Label; 3],
    ) -> Result<Self> {
        let [key, salt, authentication] = labels;
        Ok(match profile {
            SrtpProfile::Aes128CmSha1_80 => Self::CounterMode(Box::new(AesCm::new(
                &*master.derive(key)?,
                &*master.derive(salt)?,
                &*master.derive(authentication)?,
            ))),
            SrtpProfile::AeadAes128Gcm => Self::Galois(AesGcm::new(
                gcm,
                &*master.derive::<16>(key)?,
                &*master.derive(salt)?,
            )?),
            SrtpProfile::AeadAes256Gcm => Self::Galois(AesGcm::new(
                gcm,
                &*master.derive::<32>(key)?,
                &*master.derive(salt)?,
            )?),
        })
    }
}

/// The replay windows of a peer's streams, sorted by SSRC; a stream is entered when its first
/// packet is verified.
#[derive(Default)]
pub(super) struct Streams(Vec<(Ssrc, ReplayWindow)>);

impl Streams {
    /// The window of `ssrc`, or `None` for a stream that is new.
    ///
    /// # Errors
    /// [`Discard::TableFull`] when it is new and there is no room for it.
    pub(super) fn find(&self, ssrc: Ssrc) -> Result<Option<&ReplayWindow>, Discard> {
        match self.0.binary_search_by_key(&ssrc, |(ssrc, _)| *ssrc) {
            Ok(place) => Ok(self.0.get(place).map(|(_, window)| window)),
            Err(_) if self.0.len() < SRTP_STREAMS_MAX => Ok(None),
            Err(_) => Err(Discard::TableFull),
        }
    }

    /// Remembers a packet whose tag is verified.
    pub(super) fn mark(&mut self, ssrc: Ssrc, index: u64) {
        match self.0.binary_search_by_key(&ssrc, |(ssrc, _)| *ssrc) {
            Ok(place) => {
                if let Some((_, window)) = self.0.get_mut(place) {
                    window.mark(index);
                }
            }
            Err(place) => self.0.insert(place, (ssrc, ReplayWindow::new(index))),
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::error::Error;

    pub(in super::super) const PROFILES: [SrtpProfile; 3] = [
        SrtpProfile::Aes128CmSha1_80,
        SrtpProfile::AeadAes128Gcm,
        SrtpProfile::AeadAes256Gcm,
    ];

    /// The bytes that hexadecimal digits stand for.
    pub(in super::super) fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<_> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
        digits
            .chunks(2)
            .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap())
            .collect()
    }

    /// Both ends of one direction, keyed alike.
    pub(in super::super) fn pair(profile: SrtpProfile) -> (OutboundContext, InboundContext) {
        let key = vec![0x4b; profile.key_length()];
        let salt = vec![0x53; profile.salt_length()];
        // Each backend at one end.
        (
            OutboundContext::with_gcm(GcmBackend::Ring, profile, &key, &salt).unwrap(),
            InboundContext::with_gcm(GcmBackend::AwsLc, profile, &key, &salt).unwrap(),
        )
    }

    #[test]
    fn keys_of_another_length_are_misuse() {
        for profile in PROFILES {
            let (key, salt) = (profile.key_length(), profile.salt_length());
            for (key, salt) in [(key - 1, salt), (key, salt + 1), (0, 0)] {
                let (key, salt) = (vec![0; key], vec![0; salt]);
                let inbound = InboundContext::new(profile, &key, &salt);
                assert!(matches!(inbound, Err(Error::Misuse(_))));
                let outbound = OutboundContext::new(profile, &key, &salt);
                assert!(matches!(outbound, Err(Error::Misuse(_))));
            }
        }
    }

    #[test]
    fn no_key_is_shown() {
        let (outbound, inbound) = pair(SrtpProfile::AeadAes128Gcm);
        assert_eq!(
            format!("{outbound:?}"),
            "OutboundContext(AeadAes128Gcm, secret)"
        );
        assert_eq!(
            format!("{inbound:?}"),
            "InboundContext(AeadAes128Gcm, secret)"
        );
    }
}
