//! Makes and checks certificate fingerprints (RFC 8122 section 5), which tie a DTLS peer to what
//! signaling said of it.

use sha2::{Digest, Sha256, Sha384, Sha512};
use subtle::{Choice, ConstantTimeEq};

use crate::description::{Fingerprint, FingerprintHash};

/// The SHA-256 fingerprint of a certificate (DER).
pub(crate) fn of_certificate(certificate: &[u8]) -> Fingerprint {
    Fingerprint {
        hash: FingerprintHash::Sha256,
        value: Sha256::digest(certificate).to_vec(),
    }
}

/// Whether a certificate (DER) is the one announced. Of the announced fingerprints those of the
/// strongest hash decide, and one of them must fit: a peer may hold several certificates, but a
/// weak hash must not outvote a strong one. SHA-1 never decides: an attacker who could choose a
/// certificate's bytes could make two with one hash. Every browser of today sends SHA-256.
/// Without a fingerprint that counts nobody fits.
pub(crate) fn matches(certificate: &[u8], announced: &[Fingerprint]) -> bool {
    let Some(best) = announced
        .iter()
        .map(|f| f.hash)
        .filter(is_strong)
        .max_by_key(strength)
    else {
        return false;
    };
    let Some(actual) = digest(best, certificate) else {
        return false;
    };
    let same_hash = announced
        .iter()
        .filter(|fingerprint| fingerprint.hash == best);
    let fits = same_hash.fold(Choice::from(0), |fits, f| fits | f.value.ct_eq(&actual));
    fits.into()
}

/// Whether at least one of the fingerprints could ever fit.
pub(crate) fn is_usable(announced: &[Fingerprint]) -> bool {
    announced
        .iter()
        .any(|f| is_strong(&f.hash) && f.value.len() == f.hash.length())
}

fn is_strong(hash: &FingerprintHash) -> bool {
    strength(hash) > 0
}

const fn strength(hash: &FingerprintHash) -> usize {
    match hash {
        FingerprintHash::Sha1 => 0,
        strong => strong.length(),
    }
}

fn digest(hash: FingerprintHash, bytes: &[u8]) -> Option<Vec<u8>> {
    match hash {
        FingerprintHash::Sha1 => None,
        FingerprintHash::Sha256 => Some(Sha256::digest(bytes).to_vec()),
        FingerprintHash::Sha384 => Some(Sha384::digest(bytes).to_vec()),
        FingerprintHash::Sha512 => Some(Sha512::digest(bytes).to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(hash: FingerprintHash, bytes: &[u8]) -> Fingerprint {
        Fingerprint {
            hash,
            value: digest(hash, bytes).unwrap(),
        }
    }

    #[test]
    fn a_certificate_fits_by_each_strong_hash() {
        use FingerprintHash::{Sha256, Sha384, Sha512};
        for hash in [Sha256, Sha384, Sha512] {
            assert!(matches(b"certificate", &[of(hash, b"certificate")]));
            assert!(!matches(b"certificate", &[of(hash, b"other")]));
        }
        assert!(
            matches(b"b", &[of(Sha256, b"a"), of(Sha256, b"b")]),
            "one of several"
        );
    }

    #[test]
    fn nothing_fits_without_a_fingerprint_or_by_a_weak_one() {
        let sha1 = Fingerprint {
            hash: FingerprintHash::Sha1,
            value: vec![0; 20],
        };
        assert!(!matches(b"x", &[]));
        assert!(!matches(b"x", std::slice::from_ref(&sha1)));
        assert!(!is_usable(&[sha1]));
        let cut = Fingerprint {
            hash: FingerprintHash::Sha256,
            value: vec![0; 5],
        };
        assert!(!is_usable(std::slice::from_ref(&cut)));
        assert!(!matches(b"x", &[cut]));
    }

    #[test]
    fn the_strongest_hash_decides() {
        let strong_other = of(FingerprintHash::Sha512, b"other");
        let weak_same = of(FingerprintHash::Sha256, b"certificate");
        assert!(!matches(b"certificate", &[weak_same, strong_other]));
    }
}
