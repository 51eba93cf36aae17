//! Protects and unprotects RTP and RTCP in place (RFC 3711, RFC 7714).

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

impl core::fmt::Debug for KeyingMaterial {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("KeyingMaterial(secret)")
    }
}
