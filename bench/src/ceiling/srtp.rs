//! Protects and unprotects RTP as cheaply as this machine can (RFC 3711, RFC 7714).
//!
//! It stays as it is when the bridge's own crypto moves, so that a ratio means the same tomorrow.

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyIvInit, StreamCipher};
use bridge_core::SrtpProfile;
use ctr::Ctr128BE;
use hmac::{Hmac, KeyInit, Mac};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha1::Sha1;

/// Bytes of the longest tag.
pub(super) const TAG_MAX: usize = 16;

const CM_TAG: usize = 10;

/// Keys of one direction.
pub(super) enum Keys {
    Galois(Box<LessSafeKey>, [u8; 12]),
    CounterMode(Box<CounterMode>),
}

pub(super) struct CounterMode {
    key: [u8; 16],
    salt: [u8; 14],
    mac: Hmac<Sha1>,
}

impl Keys {
    /// Session keys from a master key and salt (RFC 3711 section 4.3).
    pub(super) fn new(profile: SrtpProfile, key: &[u8], salt: &[u8]) -> Option<Self> {
        match profile {
            SrtpProfile::AeadAes128Gcm => {
                let session = derive::<16>(key, salt, 0)?;
                let unbound = UnboundKey::new(&AES_128_GCM, &session).ok()?;
                let salt = derive(key, salt, 2)?;
                Some(Self::Galois(Box::new(LessSafeKey::new(unbound)), salt))
            }
            SrtpProfile::AeadAes256Gcm => {
                let session = derive::<32>(key, salt, 0)?;
                let unbound = UnboundKey::new(&AES_256_GCM, &session).ok()?;
                let salt = derive(key, salt, 2)?;
                Some(Self::Galois(Box::new(LessSafeKey::new(unbound)), salt))
            }
            SrtpProfile::Aes128CmSha1_80 => {
                let authentication = derive::<20>(key, salt, 1)?;
                Some(Self::CounterMode(Box::new(CounterMode {
                    key: derive(key, salt, 0)?,
                    salt: derive(key, salt, 2)?,
                    mac: Hmac::new_from_slice(&authentication).ok()?,
                })))
            }
            _ => None,
        }
    }

    /// Encrypts `bytes`, whose last [`TAG_MAX`] bytes are room; gives the length of the result.
    pub(super) fn seal(&self, bytes: &mut [u8], header: usize, index: u64) -> Option<usize> {
        let length = bytes.len().checked_sub(TAG_MAX)?;
        let (plain, room) = bytes.split_at_mut_checked(length)?;
        let ssrc = *plain.get(8..12)?.first_chunk()?;
        match self {
            Self::Galois(key, salt) => {
                let (clear, payload) = plain.split_at_mut_checked(header)?;
                let nonce = Nonce::assume_unique_for_key(galois_iv(salt, ssrc, index));
                let tag = key
                    .seal_in_place_separate_tag(nonce, Aad::from(&*clear), payload)
                    .ok()?;
                room.copy_from_slice(tag.as_ref());
                Some(length + TAG_MAX)
            }
            Self::CounterMode(keys) => {
                keys.apply(plain.get_mut(header..)?, ssrc, index);
                let tag = keys.tag(plain, index);
                room.get_mut(..CM_TAG)?.copy_from_slice(tag.get(..CM_TAG)?);
                Some(length + CM_TAG)
            }
        }
    }

    /// Decrypts `bytes`; gives the length of the result, or `None` for a false tag.
    pub(super) fn open(&self, bytes: &mut [u8], header: usize, index: u64) -> Option<usize> {
        let ssrc = *bytes.get(8..12)?.first_chunk()?;
        match self {
            Self::Galois(key, salt) => {
                let (clear, sealed) = bytes.split_at_mut_checked(header)?;
                let nonce = Nonce::assume_unique_for_key(galois_iv(salt, ssrc, index));
                let plain = key.open_in_place(nonce, Aad::from(&*clear), sealed).ok()?;
                Some(header + plain.len())
            }
            Self::CounterMode(keys) => {
                let length = bytes.len().checked_sub(CM_TAG)?;
                let (plain, tag) = bytes.split_at_mut_checked(length)?;
                if keys.tag(plain, index).get(..CM_TAG)? != tag {
                    return None;
                }
                keys.apply(plain.get_mut(header..)?, ssrc, index);
                Some(length)
            }
        }
    }
}

impl CounterMode {
    fn apply(&self, payload: &mut [u8], ssrc: [u8; 4], index: u64) {
        let mut iv = [0; 16];
        mix(&mut iv, 0, &self.salt);
        mix(&mut iv, 4, &ssrc);
        mix(&mut iv, 6, &index.to_be_bytes());
        Ctr128BE::<Aes128>::new(&self.key.into(), &iv.into()).apply_keystream(payload);
    }

    fn tag(&self, plain: &[u8], index: u64) -> [u8; 20] {
        let [_, _, a, b, c, d, _, _] = index.to_be_bytes();
        let mut mac = self.mac.clone();
        mac.update(plain);
        mac.update(&[a, b, c, d]);
        mac.finalize().into_bytes().into()
    }
}

/// RFC 7714 section 8.1: two zeros, SSRC, roll-over counter, sequence number; and the salt.
fn galois_iv(salt: &[u8; 12], ssrc: [u8; 4], index: u64) -> [u8; 12] {
    let mut iv = *salt;
    let [_, _, index @ ..] = index.to_be_bytes();
    mix(&mut iv, 2, &ssrc);
    mix(&mut iv, 6, &index);
    iv
}

fn mix(bytes: &mut [u8], at: usize, with: &[u8]) {
    for (to, from) in bytes.iter_mut().skip(at).zip(with) {
        *to ^= from;
    }
}

/// The session key with that label (RFC 3711 section 4.3.1), by AES of the master key's length.
fn derive<const N: usize>(key: &[u8], salt: &[u8], label: u8) -> Option<[u8; N]> {
    let mut block = [0; 16];
    mix(&mut block, 0, salt);
    mix(&mut block, 7, &[label]);
    let mut out = [0; N];
    for (number, piece) in (0_u16..).zip(out.chunks_mut(16)) {
        let mut block = block;
        mix(&mut block, 14, &number.to_be_bytes());
        let mut block = block.into();
        match key.len() {
            16 => Aes128::new_from_slice(key).ok()?.encrypt_block(&mut block),
            32 => aes::Aes256::new_from_slice(key)
                .ok()?
                .encrypt_block(&mut block),
            _ => return None,
        }
        for (to, from) in piece.iter_mut().zip(block) {
            *to = from;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use bridge_core::packet::Packet;
    use bridge_core::rtp::RtpHeader;
    use bridge_core::srtp::{InboundContext, OutboundContext};

    use super::*;

    #[test]
    fn it_agrees_with_the_bridge_in_both_directions() {
        let profiles = [
            SrtpProfile::AeadAes128Gcm,
            SrtpProfile::AeadAes256Gcm,
            SrtpProfile::Aes128CmSha1_80,
        ];
        for profile in profiles {
            let key: Vec<u8> = (1..).take(profile.key_length()).collect();
            let salt: Vec<u8> = (100..).take(profile.salt_length()).collect();
            let keys = Keys::new(profile, &key, &salt).unwrap();
            let mut plain = vec![0x80, 100, 0, 7, 0, 0, 0, 9, 1, 2, 3, 4];
            plain.extend(0..200);
            let mut sealed = plain.clone();
            sealed.resize(plain.len() + TAG_MAX, 0);
            let length = keys.seal(&mut sealed, 12, 7).unwrap();
            let mut packet = Packet::copy_of(&sealed[..length]);
            let header = RtpHeader::parse(packet.bytes()).unwrap();
            let mut inbound = InboundContext::new(profile, &key, &salt).unwrap();
            assert_eq!(inbound.unprotect_rtp(&mut packet, &header), Ok(7));
            assert_eq!(packet.bytes(), plain);

            let outbound = OutboundContext::new(profile, &key, &salt).unwrap();
            let mut theirs = plain.clone();
            theirs.resize(plain.len() + profile.rtp_overhead(), 0);
            let index = 3 << 16 | 7;
            outbound.seal_rtp(index, &mut theirs, 12).unwrap();
            assert_eq!(keys.open(&mut theirs, 12, index), Some(plain.len()));
            assert_eq!(theirs[..plain.len()], plain);
            assert_eq!(keys.open(&mut theirs, 12, index), None, "no longer sealed");
        }
    }
}
