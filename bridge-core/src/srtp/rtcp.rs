//! Seals and opens RTCP compounds in place (RFC 3711 section 3.4, RFC 7714 section 9).
//!
//! Behind the compound stands a word: a bit that says that it is encrypted, and a 31-bit index.
//! Counter mode puts its tag after the word, Galois mode before it. A compound that says it is not
//! encrypted is refused, whatever its tag.

use super::SrtpProfile;
use super::aes_gcm;
use super::context::{Cipher, InboundContext, OutboundContext};
use crate::error::Discard;
use crate::id::Ssrc;
use crate::packet::Packet;
use crate::wire;

impl OutboundContext {
    /// Encrypts the first `plain_length` bytes of `out`, an RTCP compound, in place, and writes
    /// index and tag behind it. Gives the length of all:
    /// [`rtcp_overhead`](SrtpProfile::rtcp_overhead) bytes more.
    ///
    /// # Errors
    /// Nothing must be sent then: [`Discard::RtcpMalformed`] when `out` has no room or the
    /// compound is no RTCP, [`Discard::KeyExhausted`] after 2^31 compounds.
    pub fn seal_rtcp(&mut self, out: &mut [u8], plain_length: usize) -> Result<usize, Discard> {
        let index = self.rtcp_index;
        if index > INDEX_MAX {
            return Err(Discard::KeyExhausted);
        }
        let length = plain_length
            .checked_add(self.profile().rtcp_overhead())
            .ok_or(Discard::RtcpMalformed)?;
        let parts = out
            .get_mut(..length)
            .and_then(|out| Parts::new(self.profile(), out))
            .ok_or(Discard::RtcpMalformed)?;
        // Whatever comes of it, the index counts as used.
        self.rtcp_index = index + 1;
        parts
            .seal(&self.rtcp, index)
            .ok_or(Discard::RtcpMalformed)?;
        Ok(length)
    }
}

impl InboundContext {
    /// Verifies and decrypts an RTCP compound in place, and cuts index and tag off.
    ///
    /// # Errors
    /// The packet is worthless then. [`Discard::SrtcpUnauthenticated`] when it is too short, not
    /// encrypted or the tag does not fit, [`Discard::SrtcpReplayed`], or [`Discard::TableFull`]
    /// when the peer has too many streams.
    pub fn unprotect_rtcp(&mut self, packet: &mut Packet) -> Result<(), Discard> {
        let parts = Parts::new(self.profile(), packet.bytes_mut())
            .filter(Parts::is_encrypted)
            .ok_or(Discard::SrtcpUnauthenticated)?;
        let (ssrc, index, length) = (parts.ssrc, u64::from(parts.index()), parts.plain.len());
        if let Some(window) = self.rtcp_streams.find(ssrc)?
            && !window.is_fresh(index)
        {
            return Err(Discard::SrtcpReplayed);
        }
        if !parts.open(&self.rtcp) {
            return Err(Discard::SrtcpUnauthenticated);
        }
        self.rtcp_streams.mark(ssrc, index);
        packet.set_len(length);
        Ok(())
    }
}

/// A protected compound taken apart, all its lengths checked.
struct Parts<'a> {
    ssrc: Ssrc,
    /// The compound: eight readable bytes, then what is encrypted.
    plain: &'a mut [u8],
    /// The bit that says that it is encrypted, and the index.
    word: &'a mut [u8; INDEX_LENGTH],
    tag: &'a mut [u8],
}

impl<'a> Parts<'a> {
    fn new(profile: SrtpProfile, bytes: &'a mut [u8]) -> Option<Self> {
        let length = bytes.len().checked_sub(profile.rtcp_overhead())?;
        let (plain, trailer) = bytes.split_at_mut_checked(length)?;
        let ssrc = Ssrc(wire::u32_at(plain, 4)?);
        let (word, tag) = match profile {
            SrtpProfile::Aes128CmSha1_80 => trailer.split_first_chunk_mut()?,
            SrtpProfile::AeadAes128Gcm | SrtpProfile::AeadAes256Gcm => {
                let (tag, word) = trailer.split_last_chunk_mut()?;
                (word, tag)
            }
        };
        Some(Self {
            ssrc,
            plain,
            word,
            tag,
        })
    }

    fn is_encrypted(&self) -> bool {
        u32::from_be_bytes(*self.word) & ENCRYPTED != 0
    }

    fn index(&self) -> u32 {
        u32::from_be_bytes(*self.word) & INDEX_MAX
    }

    fn seal(self, cipher: &Cipher, index: u32) -> Option<()> {
        *self.word = (ENCRYPTED | index).to_be_bytes();
        let index = u64::from(index);
        match cipher {
            Cipher::CounterMode(cm) => {
                let (_, body) = self.plain.split_at_mut_checked(CLEAR_LENGTH)?;
                cm.apply_keystream(self.ssrc, index, body);
                self.tag.copy_from_slice(&cm.tag(self.plain, *self.word));
            }
            Cipher::Galois(gcm) => {
                let (clear, body) = self.plain.split_first_chunk_mut()?;
                let tag = gcm.seal(self.ssrc, index, &additional(clear, self.word), body)?;
                self.tag.copy_from_slice(&tag);
            }
        }
        Some(())
    }

    fn open(self, cipher: &Cipher) -> bool {
        let index = u64::from(self.index());
        match cipher {
            Cipher::CounterMode(cm) => {
                if !cm.is_tag(self.plain, *self.word, self.tag) {
                    return false;
                }
                let body = self.plain.get_mut(CLEAR_LENGTH..).unwrap_or_default();
                cm.apply_keystream(self.ssrc, index, body);
                true
            }
            Cipher::Galois(gcm) => {
                let Some((clear, body)) = self.plain.split_first_chunk_mut() else {
                    return false;
                };
                let clear = additional(clear, self.word);
                gcm.open(self.ssrc, index, &clear, body, self.tag)
            }
        }
    }
}

/// What Galois mode authenticates and does not encrypt: the first eight bytes and the word.
fn additional(
    clear: &[u8; CLEAR_LENGTH],
    word: &[u8; INDEX_LENGTH],
) -> [u8; CLEAR_LENGTH + INDEX_LENGTH] {
    let mut additional = [0; CLEAR_LENGTH + INDEX_LENGTH];
    wire::put(&mut additional, 0, clear);
    wire::put(&mut additional, CLEAR_LENGTH, word);
    additional
}

/// Bytes of the word with the index.
pub(super) const INDEX_LENGTH: usize = 4;

/// Bytes of a compound that stay readable: the first header and SSRC.
const CLEAR_LENGTH: usize = 8;

/// The bit that says that a compound is encrypted.
const ENCRYPTED: u32 = 1 << 31;

/// The largest index.
const INDEX_MAX: u32 = ENCRYPTED - 1;

const _: () = assert!(aes_gcm::TAG_LENGTH + INDEX_LENGTH <= crate::limits::TAILROOM_BYTES);

#[cfg(test)]
mod tests {
    use super::super::aes_gcm::{AesGcm, GcmBackend};
    use super::super::context::tests::{PROFILES, bytes, pair};
    use super::*;
    use crate::limits::SRTP_STREAMS_MAX;

    const PLAIN: &[u8] = b"\x81\xc9\0\x07\0\0\0\x02a report block of 24 byte";

    fn sealed(outbound: &mut OutboundContext) -> Packet {
        let mut packet = Packet::copy_of(PLAIN);
        let length = outbound.seal_rtcp(packet.room_mut(), PLAIN.len()).unwrap();
        packet.set_len(length);
        packet
    }

    #[test]
    fn a_sealed_compound_is_opened_once() {
        for profile in PROFILES {
            let (mut outbound, mut inbound) = pair(profile);
            for _ in 0..3 {
                let mut packet = sealed(&mut outbound);
                assert_eq!(packet.bytes().len(), PLAIN.len() + profile.rtcp_overhead());
                assert_eq!(packet.bytes()[..8], PLAIN[..8]);
                let mut again = Packet::copy_of(packet.bytes());
                assert_eq!(inbound.unprotect_rtcp(&mut packet), Ok(()));
                assert_eq!(packet.bytes(), PLAIN);
                let replayed = inbound.unprotect_rtcp(&mut again);
                assert_eq!(replayed, Err(Discard::SrtcpReplayed));
            }
        }
    }

    #[test]
    fn compounds_are_those_of_rfc_7714_section_17() {
        let plain = bytes(
            "81c8000d4d6172734e5450314e545032525450200000042a0000e930\
             4c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
        );
        let key: Vec<u8> = (0..32).collect();
        let cases = [
            (
                &key[..16],
                SrtpProfile::AeadAes128Gcm,
                "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1\
                 730d6fda4ce09b4686303ded0bb9275bc84aa45896cf4d2fc5abf87245d9eade800005d4",
            ),
            (
                &key[..],
                SrtpProfile::AeadAes256Gcm,
                "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1\
                 110555be8415f658c61de0476f1b6fad1d1eb30c4446839f57ff6f6cb26ac3be800005d4",
            ),
        ];
        for (key, profile, expected) in cases {
            for backend in GcmBackend::ALL {
                let gcm = AesGcm::new(backend, key, b"Quid pro quo").unwrap();
                let cipher = Cipher::Galois(gcm);
                let mut out = plain.clone();
                out.resize(plain.len() + profile.rtcp_overhead(), 0);
                let parts = Parts::new(profile, &mut out).unwrap();
                parts.seal(&cipher, 0x5d4).unwrap();
                assert_eq!(out, bytes(expected));
                let parts = Parts::new(profile, &mut out).unwrap();
                assert!(parts.is_encrypted() && parts.open(&cipher));
                assert_eq!(out[..plain.len()], plain);
            }
        }
    }

    #[test]
    fn a_compound_that_says_it_is_not_encrypted_is_refused_with_a_valid_tag_too() {
        for profile in PROFILES {
            let (outbound, mut inbound) = pair(profile);
            let mut packet = Packet::copy_of(PLAIN);
            packet.set_len(PLAIN.len() + profile.rtcp_overhead());
            let parts = Parts::new(profile, packet.bytes_mut()).unwrap();
            *parts.word = 5_u32.to_be_bytes();
            let tag = match &outbound.rtcp {
                Cipher::CounterMode(cm) => cm.tag(parts.plain, *parts.word).to_vec(),
                Cipher::Galois(gcm) => {
                    let clear = [&*parts.plain, &*parts.word].concat();
                    gcm.seal(parts.ssrc, 5, &clear, &mut []).unwrap().to_vec()
                }
            };
            parts.tag.copy_from_slice(&tag);
            let opened = inbound.unprotect_rtcp(&mut packet);
            assert_eq!(opened, Err(Discard::SrtcpUnauthenticated));
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed_and_changes_nothing() {
        for profile in PROFILES {
            let (mut outbound, mut inbound) = pair(profile);
            let mut genuine = sealed(&mut outbound);
            for bit in 0..8 * genuine.bytes().len() {
                let mut forged = Packet::copy_of(genuine.bytes());
                forged.bytes_mut()[bit / 8] ^= 1 << (bit % 8);
                let opened = inbound.unprotect_rtcp(&mut forged);
                assert_eq!(opened, Err(Discard::SrtcpUnauthenticated), "bit {bit}");
            }
            assert_eq!(inbound.rtcp_streams.len(), 0);
            assert_eq!(inbound.unprotect_rtcp(&mut genuine), Ok(()));
        }
    }

    #[test]
    fn every_length_is_taken_without_harm() {
        for profile in PROFILES {
            let (mut outbound, mut inbound) = pair(profile);
            let genuine = sealed(&mut outbound);
            for length in 0..genuine.bytes().len() {
                let mut cut = Packet::copy_of(&genuine.bytes()[..length]);
                assert!(inbound.unprotect_rtcp(&mut cut).is_err(), "{length} bytes");
            }
            for length in (0..64).chain(600..620) {
                let mut room = vec![0x80; 610];
                let sealed = outbound.seal_rtcp(&mut room, length);
                let fits = length >= 8 && length + profile.rtcp_overhead() <= 610;
                assert_eq!(sealed.is_ok(), fits, "{length} bytes");
            }
            assert!(outbound.seal_rtcp(&mut [0; 64], usize::MAX).is_err());
        }
    }

    #[test]
    fn the_index_ends_and_never_wraps() {
        for profile in PROFILES {
            let (mut outbound, mut inbound) = pair(profile);
            outbound.rtcp_index = INDEX_MAX;
            let mut last = sealed(&mut outbound);
            assert_eq!(inbound.unprotect_rtcp(&mut last), Ok(()));
            for _ in 0..2 {
                let refused = outbound.seal_rtcp(&mut [0x80; 64], 8);
                assert_eq!(refused, Err(Discard::KeyExhausted));
            }
        }
    }

    #[test]
    fn a_peer_has_so_many_senders_and_no_more() {
        let (mut outbound, mut inbound) = pair(SrtpProfile::Aes128CmSha1_80);
        let mut results = Vec::new();
        for sender in 0..=SRTP_STREAMS_MAX {
            let mut packet = Packet::copy_of(PLAIN);
            let ssrc = u32::try_from(sender).unwrap().to_be_bytes();
            packet.bytes_mut()[4..8].copy_from_slice(&ssrc);
            let length = outbound.seal_rtcp(packet.room_mut(), PLAIN.len()).unwrap();
            packet.set_len(length);
            results.push(inbound.unprotect_rtcp(&mut packet));
        }
        assert_eq!(results.pop(), Some(Err(Discard::TableFull)));
        assert!(results.iter().all(Result::is_ok));
    }
}
