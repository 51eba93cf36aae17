//! AES in Galois/counter mode (RFC 7714), by `ring`: the fastest in-place seal measured.

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};

use crate::error::{Error, Result};
use crate::id::Ssrc;

/// Session key and salt of RTP or RTCP of one direction.
pub(super) struct AesGcm {
    key: LessSafeKey,
    salt: [u8; SALT_LENGTH],
}

impl AesGcm {
    /// Takes a session key of 16 or 32 bytes.
    pub(super) fn new(key: &[u8], salt: &[u8; SALT_LENGTH]) -> Result<Self> {
        let algorithm = match key.len() {
            16 => &AES_128_GCM,
            _ => &AES_256_GCM,
        };
        let key = UnboundKey::new(algorithm, key)
            .map_err(|_| Error::Misuse("AES-GCM key of another length"))?;
        Ok(Self {
            key: LessSafeKey::new(key),
            salt: *salt,
        })
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
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(clear), body)
            .ok()?;
        tag.as_ref().try_into().ok()
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
        let Ok(tag) = Tag::try_from(tag) else {
            return false;
        };
        let nonce = self.nonce(ssrc, index);
        self.key
            .open_in_place_separate_tag(nonce, Aad::from(clear), tag, body, 0..)
            .is_ok()
    }

    /// SSRC and 48-bit index behind two zeros, mixed with the salt (RFC 7714 section 8.1). The
    /// layout of SRTCP (section 9.1) is the same, since its index has 31 bits.
    fn nonce(&self, ssrc: Ssrc, index: u64) -> Nonce {
        let number = u128::from(ssrc.0) << 48 | u128::from(index & super::replay::INDEX_MAX);
        let [_, _, _, _, salted @ ..] = number.to_be_bytes();
        let mut nonce = self.salt;
        for (byte, salted) in nonce.iter_mut().zip(salted) {
            *byte ^= salted;
        }
        Nonce::assume_unique_for_key(nonce)
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
        let salt = *b"Quid pro quo";
        let gcm = AesGcm::new(key, &salt).unwrap();
        let mut packet = bytes(RTP);
        let (header, body) = packet.split_at_mut(12);
        let (ssrc, index) = (Ssrc(0x5501_a0b2), 0xf17b);
        let tag = gcm.seal(ssrc, index, header, body).unwrap();
        assert_eq!([&*body, &tag].concat(), bytes(sealed));
        assert!(gcm.open(ssrc, index, header, body, &tag));
        assert_eq!(packet, bytes(RTP));
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
        let gcm = AesGcm::new(&[1; 16], &[2; 12]).unwrap();
        for length in [0, 15, 17] {
            assert!(!gcm.open(Ssrc(1), 1, &[], &mut [0; 4], &vec![0; length]));
        }
    }
}
