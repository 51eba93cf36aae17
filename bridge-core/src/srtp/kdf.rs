//! Derives session keys from a master key (RFC 3711 section 4.3, RFC 6188 section 3).
//!
//! The function is the keystream of AES in counter mode, its key length that of the master key.
//! The key derivation rate is 0: keys are derived once.

use aes::cipher::consts::U16;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes256};

use zeroize::Zeroizing;

use super::SrtpProfile;
use super::aes_cm::apply_keystream;
use crate::error::{Error, Result};

/// What a derived key is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Label {
    RtpKey = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpKey = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

/// A master key with its salt, of the lengths that the profile wants.
pub(super) struct Master<'a> {
    key: &'a [u8],
    salt: [u8; SALT_LENGTH],
}

impl<'a> Master<'a> {
    pub(super) fn new(profile: SrtpProfile, key: &'a [u8], salt: &[u8]) -> Result<Self> {
        if key.len() != profile.key_length() || salt.len() != profile.salt_length() {
            return Err(Error::Misuse("SRTP master key or salt of another length"));
        }
        // A 96-bit salt is filled up with zeros on the right (RFC 7714 section 11).
        let mut padded = [0; SALT_LENGTH];
        crate::wire::put(&mut padded, 0, salt);
        Ok(Self { key, salt: padded })
    }

    /// The key of `label`, of `N` bytes, which are cleared when it is dropped.
    pub(super) fn derive<const N: usize>(&self, label: Label) -> Result<Zeroizing<[u8; N]>> {
        let mut counter = [0; 16];
        crate::wire::put(&mut counter, 0, &self.salt);
        if let Some(byte) = counter.get_mut(LABEL_AT) {
            *byte ^= label as u8;
        }
        let mut derived = Zeroizing::new([0; N]);
        match self.key.len() {
            16 => derive_with::<Aes128>(self.key, &counter, derived.as_mut_slice())?,
            _ => derive_with::<Aes256>(self.key, &counter, derived.as_mut_slice())?,
        }
        Ok(derived)
    }
}

fn derive_with<C>(key: &[u8], counter: &[u8; 16], derived: &mut [u8]) -> Result<()>
where
    C: KeyInit + BlockCipherEncrypt<BlockSize = U16>,
{
    let cipher =
        C::new_from_slice(key).map_err(|_| Error::Misuse("SRTP master key of another length"))?;
    apply_keystream(&cipher, counter, derived);
    Ok(())
}

/// Bytes of the longest master salt.
const SALT_LENGTH: usize = 14;

/// Where the label meets the salt: 48 bits of index follow it.
const LABEL_AT: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        super::super::context::tests::bytes(hex).try_into().unwrap()
    }

    #[test]
    fn keys_are_those_of_rfc_3711_appendix_b_3() {
        let key: [u8; 16] = bytes("e1f97a0d3e018be0d64fa32c06de4139");
        let salt: [u8; 14] = bytes("0ec675ad498afeebb6960b3aabe6");
        let master = Master::new(SrtpProfile::Aes128CmSha1_80, &key, &salt).unwrap();
        assert_eq!(
            *master.derive::<16>(Label::RtpKey).unwrap(),
            bytes("c61e7a93744f39ee10734afe3ff7a087")
        );
        assert_eq!(
            *master.derive::<14>(Label::RtpSalt).unwrap(),
            bytes("30cbbc08863d8c85d49db34a9ae1")
        );
        assert_eq!(
            *master.derive::<20>(Label::RtpAuthentication).unwrap(),
            bytes("cebe321f6ff7716b6fd4ab49af256a156d38baa4")
        );
    }

    #[test]
    fn keys_are_those_of_rfc_6188_section_7_2() {
        let key: [u8; 32] =
            bytes("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6");
        let salt: [u8; 14] = bytes("3b04803de51ee7c96423ab5b78d2");
        let master = Master { key: &key, salt };
        assert_eq!(
            *master.derive::<32>(Label::RtpKey).unwrap(),
            bytes("5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4")
        );
        assert_eq!(
            *master.derive::<14>(Label::RtpSalt).unwrap(),
            bytes("fa31791685ca444a9e07c6c64e93")
        );
    }

    #[test]
    fn keys_of_another_length_are_misuse() {
        for (key, salt) in [(15, 14), (16, 12), (32, 14), (0, 0)] {
            let (key, salt) = (vec![0; key], vec![0; salt]);
            let master = Master::new(SrtpProfile::Aes128CmSha1_80, &key, &salt);
            assert!(matches!(master, Err(Error::Misuse(_))));
        }
    }
}
