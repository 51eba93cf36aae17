//! Protects and unprotects RTP and RTCP in place (RFC 3711, RFC 7714).
//!
//! One [`InboundContext`] and one [`OutboundContext`] stand for the two directions of a DTLS
//! association. Nothing about a packet is remembered before its tag is verified, a packet is
//! refused rather than sealed twice with one index, and nothing is allocated for a packet of a
//! known stream.
//!
//! Left out on purpose: the null cipher, unencrypted SRTCP, MKI, key derivation rates and the
//! 32-bit tag. WebRTC needs none of them, and each has been a hole somewhere.

mod aes_cm;

mod aes_gcm;

#[cfg(any(feature = "io", feature = "unstable-toolbox"))]
mod choice;

mod context;

mod hmac_sha1;

mod kdf;

mod protect;

mod replay;

mod rtcp;

mod sha1_simd;

mod unprotect;

use zeroize::Zeroize;

pub use aes_gcm::GcmBackend;
#[cfg(any(feature = "io", feature = "unstable-toolbox"))]
pub use choice::GcmTimes;
pub use context::{InboundContext, OutboundContext};
pub use protect::{Sealing, seal_rtp_all, seal_rtp_many};

/// How packets are protected (RFC 5764 section 4.1.2, RFC 7714 section 14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SrtpProfile {
    /// AES-128 counter mode and HMAC-SHA1 cut to 80 bits.
    Aes128CmSha1_80,
    /// AES-128 in Galois/counter mode.
    AeadAes128Gcm,
    /// AES-256 in Galois/counter mode.
    AeadAes256Gcm,
}

impl SrtpProfile {
    /// Bytes of the master key.
    #[must_use]
    pub const fn key_length(self) -> usize {
        match self {
            Self::Aes128CmSha1_80 | Self::AeadAes128Gcm => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    /// Bytes of the master salt.
    #[must_use]
    pub const fn salt_length(self) -> usize {
        match self {
            Self::Aes128CmSha1_80 => 14,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
        }
    }

    /// Bytes that protection adds to an RTP packet: the tag.
    #[must_use]
    pub const fn rtp_overhead(self) -> usize {
        match self {
            Self::Aes128CmSha1_80 => aes_cm::TAG_LENGTH,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => aes_gcm::TAG_LENGTH,
        }
    }

    /// Bytes that protection adds to an RTCP compound: the tag and the index.
    #[must_use]
    pub const fn rtcp_overhead(self) -> usize {
        self.rtp_overhead() + rtcp::INDEX_LENGTH
    }
}

/// Keys of both directions as DTLS exports them (RFC 5764 section 4.2), already told apart.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyingMaterial {
    /// Master key for what we send: 16 or 32 bytes by the profile.
    pub local_key: Vec<u8>,
    /// Master salt for what we send: 14 bytes (CM) or 12 (GCM).
    pub local_salt: Vec<u8>,
    /// Master key for what the peer sends.
    pub remote_key: Vec<u8>,
    /// Master salt for what the peer sends.
    pub remote_salt: Vec<u8>,
}

impl Drop for KeyingMaterial {
    fn drop(&mut self) {
        self.local_key.zeroize();
        self.local_salt.zeroize();
        self.remote_key.zeroize();
        self.remote_salt.zeroize();
    }
}

impl core::fmt::Debug for KeyingMaterial {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("KeyingMaterial(secret)")
    }
}
