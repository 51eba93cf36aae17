//! AES in Galois/counter mode (RFC 7714), by `ring` or AWS-LC: which one seals faster depends on
//! the processor.

use crate::error::{Error, Result};
use crate::id::Ssrc;

/// The library that computes AES-GCM. Both give the same bytes; `ring` has the faster code for
/// AVX2, AWS-LC for AVX-512. The shell measures which is better here (`srtp/choice.rs`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum GcmBackend {
    /// `ring`.
    #[default]
    Ring,
    /// AWS-LC, by `aws-lc-rs`.
    AwsLc,
}

impl GcmBackend {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Ring, Self::AwsLc];

    /// Its name in the configuration and in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ring => "ring",
            Self::AwsLc => "aws-lc",
        }
    }
}

/// Session key and salt of RTP or RTCP of one direction.
pub(super) struct AesGcm {
    key: Key,
    salt: [u8; SALT_LENGTH],
}

/// A key with what is computed from it once, outside of the endpoint.
enum Key {
    Ring(Box<ring::aead::LessSafeKey>),
    AwsLc(aws_lc_rs::aead::LessSafeKey),
}

impl Key {
    /// Takes a key of 16 or 32 bytes.
    fn new(backend: GcmBackend, key: &[u8]) -> Option<Self> {
        let is_short = key.len() == 16;
        Some(match backend {
            GcmBackend::Ring => {
                use ring::aead::{AES_128_GCM, AES_256_GCM, LessSafeKey, UnboundKey};
                let algorithm = if is_short { &AES_128_GCM } else { &AES_256_GCM };
                let key = UnboundKey::new(algorithm, key).ok()?;
                Self::Ring(Box::new(LessSafeKey::new(key)))
            }
            GcmBackend::AwsLc => {
                use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, LessSafeKey, UnboundKey};
                let algorithm = if is_short { &AES_128_GCM } else { &AES_256_GCM };
                Self::AwsLc(LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?))
            }
        })
    }
}

impl AesGcm {
    /// Takes a session key of 16 or 32 bytes.
    pub(super) fn new(backend: GcmBackend, key: &[u8], salt: &[u8; SALT_LENGTH]) -> Result<Self> {
        let key = Key::new(backend, key).ok_or(Error::Misuse("AES-GCM key of another length"))?;
        Ok(Self { key, salt: *salt })
    }

    /// Encrypts `body` in place, and gives the tag over it and `clear`.
    pub(super) fn seal(
        &self,
        ssrc: Ssrc,
        index: u64,
        clear: &[u8],
        body: &mut [u8],
    ) -> Option<[u8; TAG_LENGTH]> {
        let nonce = self.nonce(ssrc, index);
        match &self.key {
            Key::Ring(key) => {
                use ring::aead::{Aad, Nonce};
                let nonce = Nonce::assume_unique_for_key(nonce);
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from(clear), body);
                tag.ok()?.as_ref().try_into().ok()
            }
            Key::AwsLc(key) => {
                use aws_lc_rs::aead::{Aad, Nonce};
                let nonce = Nonce::assume_unique_for_key(nonce);
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from(clear), body);
                tag.ok()?.as_ref().try_into().ok()
            }
        }
    }

    /// Decrypts `body` in place if `tag` fits; else `body` is worthless.
    pub(super) fn open(
        &self,
        ssrc: Ssrc,
        index: u64,
        clear: &[u8],
        body: &mut [u8],
        tag: &[u8],
    ) -> bool {
        let nonce = self.nonce(ssrc, index);
        match &self.key {
            Key::Ring(key) => {
                use ring::aead::{Aad, Nonce, Tag};
                let (nonce, clear) = (Nonce::assume_unique_for_key(nonce), Aad::from(clear));
                Tag::try_from(tag).is_ok_and(|tag| {
                    key.open_in_place_separate_tag(nonce, clear, tag, body, 0..)
                        .is_ok()
                })
            }
            Key::AwsLc(key) => {
                use aws_lc_rs::aead::{Aad, Nonce};
                let (nonce, clear) = (Nonce::assume_unique_for_key(nonce), Aad::from(clear));
                tag.len() == TAG_LENGTH
                    && key
                        .open_in_place_separate_tag(nonce, clear, tag, body)
                        .is_ok()
            }
        }
    }

    /// SSRC and 48-bit index behind two zeros, mixed with the salt (RFC 7714 section 8.1). The
    /// layout of SRTCP (section 9.1) is the same, since its index has 31 bits.
    fn nonce(&self, ssrc: Ssrc, index: u64) -> [u8; SALT_LENGTH] {
        let number = u128::from(ssrc.0) << 48 | u128::from(index & super::replay::INDEX_MAX);
        let [_, _, _, _, salted @ ..] = number.to_be_bytes();
        let mut nonce = self.salt;
        for (byte, salted) in nonce.iter_mut().zip(salted) {
            *byte ^= salted;
        }
        nonce
    }
}

/// Bytes of the salt, which are those of the nonce.
pub(super) const SALT_LENGTH: usize = 12;

/// Bytes of the tag.
pub(super) const TAG_LENGTH: usize = 16;

#[cfg(test)]
mod tests {
    use super::super::context::tests::bytes;
    use super::*;

    /// "Gallia est omnis divisa in partes tres" behind a header.
    const RTP: &str = "8040f17b8041f8d35501a0b2\
        47616c6c696120657374206f6d6e69732064697669736120\
        696e207061727465732074726573";

    fn check(key: &[u8], sealed: &str) {
        for backend in GcmBackend::ALL {
            let gcm = AesGcm::new(backend, key, b"Quid pro quo").unwrap();
            let mut packet = bytes(RTP);
            let (header, body) = packet.split_at_mut(12);
            let (ssrc, index) = (Ssrc(0x5501_a0b2), 0xf17b);
            let tag = gcm.seal(ssrc, index, header, body).unwrap();
            assert_eq!([&*body, &tag].concat(), bytes(sealed));
            assert!(gcm.open(ssrc, index, header, body, &tag));
            assert_eq!(packet, bytes(RTP));
        }
    }

    #[test]
    fn packets_are_those_of_rfc_7714_section_16() {
        let key: Vec<u8> = (0..32).collect();
        check(
            &key[..16],
            "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833\
             899d7f27beb16a9152cf765ee4390cce",
        );
        check(
            &key,
            "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b\
             7aa3db36dfffd6b0f9bb7878d7a76c13",
        );
    }

    #[test]
    fn a_tag_of_another_length_does_not_fit() {
        for backend in GcmBackend::ALL {
            let gcm = AesGcm::new(backend, &[1; 16], &[2; 12]).unwrap();
            for length in [0, 15, 17] {
                assert!(!gcm.open(Ssrc(1), 1, &[], &mut [0; 4], &vec![0; length]));
            }
        }
    }

    #[test]
    fn keys_of_another_length_are_refused_by_both() {
        for backend in GcmBackend::ALL {
            for length in [0, 15, 17, 24, 31, 33] {
                assert!(AesGcm::new(backend, &vec![1; length], &[2; 12]).is_err());
            }
        }
    }

    #[test]
    fn what_one_backend_seals_the_other_opens() {
        let mut random = crate::random::Random::new([7; 32]);
        let [mut key, mut salt] = [[0; 32], [0; 32]];
        let lengths = (0..=130).chain([255, 256, 257, 1_199, 1_200, 1_460]);
        for (round, length) in lengths.enumerate() {
            random.fill(&mut key);
            random.fill(&mut salt);
            let (salt, _) = salt.split_first_chunk().unwrap();
            let key = &key[..if round % 2 == 0 { 16 } else { 32 }];
            let [ring, aws] = GcmBackend::ALL.map(|one| AesGcm::new(one, key, salt).unwrap());
            let (ssrc, index) = (Ssrc(random.u32()), u64::from(random.u32()) << 16 | 7);
            let mut plain = vec![0; length];
            random.fill(&mut plain);
            let mut clear = vec![0; 12 + round % 40];
            random.fill(&mut clear);
            let [mut one, mut other] = [plain.clone(), plain.clone()];
            let tag = ring.seal(ssrc, index, &clear, &mut one).unwrap();
            assert_eq!(aws.seal(ssrc, index, &clear, &mut other), Some(tag));
            assert_eq!(one, other, "{length} bytes");
            assert!(aws.open(ssrc, index, &clear, &mut one, &tag));
            assert!(ring.open(ssrc, index, &clear, &mut other, &tag));
            assert!(one == plain && other == plain);
            let mut forged = tag;
            forged[round % 16] ^= 1 << (round % 8);
            for gcm in [&ring, &aws] {
                assert!(!gcm.open(ssrc, index, &clear, &mut plain.clone(), &forged));
            }
        }
    }
}
