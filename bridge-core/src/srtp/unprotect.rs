//! Opens RTP packets in place (RFC 3711 section 3.3).
//!
//! The order matters: the index is only estimated and looked up; it is remembered, and a new
//! stream entered, after the tag is verified. A flood of forged packets changes nothing.

use super::context::{Cipher, InboundContext};
use super::protect::rollover;
use crate::error::Discard;
use crate::packet::Packet;
use crate::rtp::RtpHeader;

impl InboundContext {
    /// Verifies and decrypts an RTP packet in place, and cuts its tag off. Gives its 48-bit index:
    /// roll-over counter and sequence number.
    ///
    /// # Errors
    /// The packet's payload is worthless then. [`Discard::RtpMalformed`] when it is too short,
    /// [`Discard::SrtpReplayed`], [`Discard::SrtpUnauthenticated`], or [`Discard::TableFull`] when
    /// the peer has too many streams.
    pub fn unprotect_rtp(
        &mut self,
        packet: &mut Packet,
        header: &RtpHeader,
    ) -> Result<u64, Discard> {
        let index = match self.rtp_streams.find(header.ssrc)? {
            None => u64::from(header.sequence),
            Some(window) => window
                .estimate(header.sequence)
                .filter(|index| window.is_fresh(*index))
                .ok_or(Discard::SrtpReplayed)?,
        };
        let length = self.open_rtp(packet.bytes_mut(), header, index)?;
        self.rtp_streams.mark(header.ssrc, index);
        packet.set_len(length);
        Ok(index)
    }

    /// Verifies and decrypts; gives the length without the tag.
    fn open_rtp(&self, bytes: &mut [u8], header: &RtpHeader, index: u64) -> Result<usize, Discard> {
        let (plain, tag) = bytes
            .len()
            .checked_sub(self.profile().rtp_overhead())
            .and_then(|length| bytes.split_at_mut_checked(length))
            .ok_or(Discard::RtpMalformed)?;
        if let Cipher::CounterMode(cm) = &self.rtp
            && !cm.is_tag(plain, rollover(index), tag)
        {
            return Err(Discard::SrtpUnauthenticated);
        }
        let length = plain.len();
        let (clear, payload) = plain
            .split_at_mut_checked(usize::from(header.length))
            .ok_or(Discard::RtpMalformed)?;
        match &self.rtp {
            Cipher::CounterMode(cm) => cm.apply_keystream(header.ssrc, index, payload),
            Cipher::Galois(gcm) => {
                if !gcm.open(header.ssrc, index, clear, payload, tag) {
                    return Err(Discard::SrtpUnauthenticated);
                }
            }
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::super::SrtpProfile;
    use super::super::context::tests::{PROFILES, pair};
    use super::*;
    use crate::id::Ssrc;
    use crate::limits::SRTP_STREAMS_MAX;
    use crate::rtp::packet::{set_sequence, set_ssrc};
    use crate::srtp::OutboundContext;

    const PLAIN: &[u8] = b"\x90\x60\0\0\0\0\0\x01\0\0\0\x02\xbe\xde\0\x01\x10\xaa\0\0payload";

    const HEADER_LENGTH: usize = 20;

    fn sealed(outbound: &OutboundContext, ssrc: u32, index: u64) -> Packet {
        let mut packet = Packet::copy_of(PLAIN);
        packet.set_len(PLAIN.len() + outbound.profile().rtp_overhead());
        set_ssrc(packet.bytes_mut(), Ssrc(ssrc));
        set_sequence(packet.bytes_mut(), crate::rtp::sequence::wire(index));
        outbound
            .seal_rtp(index, packet.bytes_mut(), HEADER_LENGTH)
            .unwrap();
        packet
    }

    fn open(inbound: &mut InboundContext, packet: &mut Packet) -> Result<u64, Discard> {
        let header = RtpHeader::parse(packet.bytes())?;
        inbound.unprotect_rtp(packet, &header)
    }

    #[test]
    fn a_sealed_packet_is_opened_once() {
        for profile in PROFILES {
            let (outbound, mut inbound) = pair(profile);
            let mut packet = sealed(&outbound, 2, 7);
            let mut again = Packet::copy_of(packet.bytes());
            assert_eq!(open(&mut inbound, &mut packet), Ok(7));
            assert_eq!(packet.bytes()[HEADER_LENGTH..], PLAIN[HEADER_LENGTH..]);
            assert_eq!(open(&mut inbound, &mut again), Err(Discard::SrtpReplayed));
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed_and_changes_nothing() {
        for profile in PROFILES {
            let (outbound, mut inbound) = pair(profile);
            let genuine = sealed(&outbound, 2, 7);
            for bit in 0..8 * genuine.bytes().len() {
                let mut forged = Packet::copy_of(genuine.bytes());
                forged.bytes_mut()[bit / 8] ^= 1 << (bit % 8);
                assert!(open(&mut inbound, &mut forged).is_err(), "bit {bit}");
                assert_eq!(inbound.rtp_streams.len(), 0);
            }
            let mut genuine = genuine;
            assert_eq!(open(&mut inbound, &mut genuine), Ok(7));
        }
    }

    #[test]
    fn every_length_is_taken_without_harm() {
        for profile in PROFILES {
            let (outbound, mut inbound) = pair(profile);
            let genuine = sealed(&outbound, 2, 7);
            for length in 0..genuine.bytes().len() {
                let mut cut = Packet::copy_of(&genuine.bytes()[..length]);
                assert!(open(&mut inbound, &mut cut).is_err(), "{length} bytes");
            }
        }
    }

    #[test]
    fn the_roll_over_counter_survives_wraps_with_loss_and_reordering() {
        let mut random = crate::random::Random::new([3; 32]);
        for profile in PROFILES {
            let (outbound, mut inbound) = pair(profile);
            let mut index = 65_535;
            let mut late = None;
            while index < 4 << 16 {
                if random.u32() % 10 >= 3 {
                    let mut packet = sealed(&outbound, 2, index);
                    assert_eq!(open(&mut inbound, &mut packet), Ok(index));
                }
                if let Some(old) = late.take() {
                    let mut packet = sealed(&outbound, 2, old);
                    let opened = open(&mut inbound, &mut packet);
                    assert!(opened == Ok(old) || opened == Err(Discard::SrtpReplayed));
                }
                late = Some(index + 1);
                index += 2 + u64::from(random.u32() % 700);
            }
        }
    }

    #[test]
    fn a_gap_of_half_the_space_is_still_bridged() {
        for (gap, opens) in [(32_767, true), (32_768, true), (32_769, false)] {
            let (outbound, mut inbound) = pair(SrtpProfile::AeadAes128Gcm);
            assert_eq!(open(&mut inbound, &mut sealed(&outbound, 2, 0)), Ok(0));
            let mut packet = sealed(&outbound, 2, gap);
            assert_eq!(open(&mut inbound, &mut packet).is_ok(), opens, "{gap}");
        }
    }

    #[test]
    fn a_packet_from_before_the_first_counter_is_refused() {
        let (outbound, mut inbound) = pair(SrtpProfile::Aes128CmSha1_80);
        assert_eq!(open(&mut inbound, &mut sealed(&outbound, 2, 3)), Ok(3));
        let mut packet = sealed(&outbound, 2, 65_535);
        assert_eq!(open(&mut inbound, &mut packet), Err(Discard::SrtpReplayed));
    }

    #[test]
    fn a_flood_of_forged_packets_leaves_no_trace() {
        for profile in PROFILES {
            let (outbound, mut inbound) = pair(profile);
            assert_eq!(open(&mut inbound, &mut sealed(&outbound, 2, 100)), Ok(100));
            for n in 0..10_000 {
                let mut forged = sealed(&outbound, if n % 2 == 0 { 2 } else { n }, 20_000);
                if let Some(last) = forged.bytes_mut().last_mut() {
                    *last ^= 1;
                }
                let opened = open(&mut inbound, &mut forged);
                assert_eq!(opened, Err(Discard::SrtpUnauthenticated));
            }
            assert_eq!(inbound.rtp_streams.len(), 1);
            for index in [99, 101, 102] {
                assert_eq!(
                    open(&mut inbound, &mut sealed(&outbound, 2, index)),
                    Ok(index)
                );
            }
        }
    }

    #[test]
    fn a_peer_has_so_many_streams_and_no_more() {
        let (outbound, mut inbound) = pair(SrtpProfile::AeadAes128Gcm);
        let streams = u32::try_from(SRTP_STREAMS_MAX).unwrap();
        for ssrc in (0..streams).rev() {
            assert_eq!(open(&mut inbound, &mut sealed(&outbound, ssrc, 1)), Ok(1));
        }
        let mut packet = sealed(&outbound, streams, 1);
        assert_eq!(open(&mut inbound, &mut packet), Err(Discard::TableFull));
        for ssrc in 0..streams {
            assert_eq!(open(&mut inbound, &mut sealed(&outbound, ssrc, 2)), Ok(2));
        }
    }
}
