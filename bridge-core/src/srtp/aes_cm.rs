//! AES in counter mode with HMAC-SHA1 cut to 80 bits (RFC 3711 sections 4.1.1 and 4.2.1).

use aes::Aes128;
use aes::cipher::consts::U16;
use aes::cipher::{BlockCipherEncrypt, InnerIvInit, KeyInit, StreamCipherCore};
use ctr::CtrCore;
use ctr::flavors::Ctr128BE;
use subtle::ConstantTimeEq;

use super::hmac_sha1::HmacSha1;
use crate::id::Ssrc;

/// Session keys and salt of RTP or RTCP of one direction.
pub(super) struct AesCm {
    cipher: Aes128,
    salt: [u8; SALT_LENGTH],
    hmac: HmacSha1,
}

impl AesCm {
    pub(super) fn new(
        key: &[u8; 16],
        salt: &[u8; SALT_LENGTH],
        authentication: &[u8; AUTHENTICATION_KEY_LENGTH],
    ) -> Self {
        Self {
            cipher: Aes128::new(key.into()),
            salt: *salt,
            hmac: HmacSha1::new(authentication),
        }
    }

    /// Encrypts or decrypts `body` in place.
    pub(super) fn apply_keystream(&self, ssrc: Ssrc, index: u64, body: &mut [u8]) {
        let number = u128::from(ssrc.0) << 64 | u128::from(index & super::replay::INDEX_MAX) << 16;
        let mut counter = number.to_be_bytes();
        for (byte, salt) in counter.iter_mut().zip(self.salt) {
            *byte ^= salt;
        }
        apply_keystream(&self.cipher, &counter, body);
    }

    /// The tag over `bytes` and then `tail`: the roll-over counter of RTP, the index of RTCP.
    pub(super) fn tag(&self, bytes: &[u8], tail: [u8; 4]) -> [u8; TAG_LENGTH] {
        let [tag] = Self::tags([self], [bytes], [tail]);
        tag
    }

    /// The tags of several packets, fastest when they are equally long.
    pub(super) fn tags<const K: usize>(
        keys: [&Self; K],
        bytes: [&[u8]; K],
        tails: [[u8; 4]; K],
    ) -> [[u8; TAG_LENGTH]; K] {
        HmacSha1::authenticate(keys.map(|key| &key.hmac), bytes, tails).map(|hash| {
            let [tag @ .., _, _, _, _, _, _, _, _, _, _] = hash;
            tag
        })
    }

    /// Whether `tag` is the one of `bytes` and `tail`; takes as long whatever the answer.
    pub(super) fn is_tag(&self, bytes: &[u8], tail: [u8; 4], tag: &[u8]) -> bool {
        self.tag(bytes, tail).ct_eq(tag).into()
    }
}

/// Mixes the keystream that starts at `counter` into `body`.
pub(super) fn apply_keystream<C>(cipher: &C, counter: &[u8; 16], body: &mut [u8])
where
    C: BlockCipherEncrypt<BlockSize = U16>,
{
    CtrCore::<&C, Ctr128BE>::inner_iv_init(cipher, counter.into())
        .apply_keystream_partial(body.into());
}

/// Bytes of the session salt.
pub(super) const SALT_LENGTH: usize = 14;

/// Bytes of the key of the hash.
pub(super) const AUTHENTICATION_KEY_LENGTH: usize = 20;

/// Bytes of the tag: half of the hash.
pub(super) const TAG_LENGTH: usize = 10;

#[cfg(test)]
mod tests {
    use super::super::context::tests::bytes;
    use super::*;

    #[test]
    fn the_keystream_is_that_of_rfc_3711_appendix_b_2() {
        let key = bytes("2b7e151628aed2a6abf7158809cf4f3c")
            .try_into()
            .unwrap();
        let salt = bytes("f0f1f2f3f4f5f6f7f8f9fafbfcfd").try_into().unwrap();
        let cm = AesCm::new(&key, &salt, &[0; 20]);
        let mut stream = vec![0; 0xff02 * 16];
        cm.apply_keystream(Ssrc(0), 0, &mut stream);
        let first = "e03ead0935c95e80e166b16dd92b4eb4\
            d23513162b02d0f72a43a2fe4a5f97ab\
            41e95b3bb0a2e8dd477901e4fca894c0";
        assert_eq!(stream[..48], bytes(first));
        let last = "ec8cdf7398607cb0f2d21675ea9ea1e4\
            362b7c3c6773516318a077d7fc5073ae\
            6a2cc3787889374fbeb4c81b17ba6c44";
        assert_eq!(stream[0xfeff * 16..], bytes(last));
    }

    #[test]
    fn a_tag_is_refused_when_any_bit_differs_or_it_is_cut() {
        let cm = AesCm::new(&[1; 16], &[2; 14], &[3; 20]);
        let tag = cm.tag(b"packet", [0; 4]);
        assert!(cm.is_tag(b"packet", [0; 4], &tag));
        assert!(!cm.is_tag(b"packet", [0, 0, 0, 1], &tag));
        assert!(!cm.is_tag(b"packet", [0; 4], &tag[..9]));
        assert!(!cm.is_tag(b"packet", [0; 4], &[]));
        for bit in 0..80 {
            let mut other = tag;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!cm.is_tag(b"packet", [0; 4], &other));
        }
    }
}
