//! Seals RTP packets in place, one by one or several in lockstep (RFC 3711 section 3.3).

use super::aes_cm::AesCm;
use super::context::{Cipher, OutboundContext};
use super::replay::INDEX_MAX;
use crate::error::Discard;
use crate::id::Ssrc;
use crate::rtp::packet::FIXED_HEADER_LENGTH;
use crate::rtp::sequence;
use crate::wire;

/// A packet to be sealed, and by whose keys.
#[derive(Debug)]
pub struct Sealing<'a> {
    /// The keys of its receiver.
    pub context: &'a OutboundContext,
    /// Roll-over counter and sequence number, 48 bits. The first one of an SSRC is below 65,536,
    /// and none is ever used for two packets of one SSRC.
    pub index: u64,
    /// Header, payload and [`rtp_overhead`](super::SrtpProfile::rtp_overhead) bytes of room for
    /// the tag. The header has the sequence number of `index` already.
    pub segment: &'a mut [u8],
    /// Bytes of the header with its extension, which stay readable.
    pub header_length: usize,
}

impl OutboundContext {
    /// Encrypts the payload of an RTP packet in place, and writes the tag behind it; the
    /// arguments are those of [`Sealing`].
    ///
    /// # Errors
    /// [`Discard::RtpMalformed`] when the segment is too short, [`Discard::KeyExhausted`] when
    /// `index` has more than 48 bits. The segment is zeros then, so that nothing readable leaves.
    #[cfg(any(test, feature = "io", feature = "sim", feature = "unstable-toolbox"))]
    pub fn seal_rtp(
        &self,
        index: u64,
        segment: &mut [u8],
        header_length: usize,
    ) -> Result<(), Discard> {
        Split::new(Sealing {
            context: self,
            index,
            segment,
            header_length,
        })?
        .seal()
    }
}

/// Seals any number of packets, in counter mode two at a time in lockstep (Galois mode gains
/// nothing by it); `refused` hears of each that could not be sealed.
pub fn seal_rtp_all<'a>(
    packets: impl IntoIterator<Item = Sealing<'a>>,
    mut refused: impl FnMut(Discard),
) {
    let mut packets = packets.into_iter();
    while let Some(first) = packets.next() {
        let in_lockstep = matches!(first.context.rtp, Cipher::CounterMode(_));
        if in_lockstep && let Some(second) = packets.next() {
            seal_rtp_many([first, second])
                .into_iter()
                .filter_map(Result::err)
                .for_each(&mut refused);
        } else if let Err(reason) = Split::new(first).and_then(Split::seal) {
            refused(reason);
        }
    }
}

/// Seals several packets, of one receiver or of several. In counter mode their hashes are
/// computed in lockstep, which halves the cost of each when they are equally long; two or three
/// are best. Errors are those of [`OutboundContext::seal_rtp`], each packet's own.
pub fn seal_rtp_many<const K: usize>(packets: [Sealing<'_>; K]) -> [Result<(), Discard>; K] {
    let mut splits = packets.map(Split::new);
    let keys = splits
        .each_ref()
        .map(|split| split.as_ref().ok().and_then(Split::counter_mode));
    let Some(keys) = all(keys) else {
        return splits.map(|split| split?.seal());
    };
    for (split, key) in splits.iter_mut().flatten().zip(keys) {
        split.encrypt(key);
    }
    let messages = splits
        .each_ref()
        .map(|split| split.as_ref().map_or(&[][..], |split| &*split.plain));
    let tails = splits
        .each_ref()
        .map(|split| split.as_ref().map_or([0; 4], Split::rollover));
    let tags = AesCm::tags(keys, messages, tails);
    for (split, tag) in splits.iter_mut().flatten().zip(tags) {
        split.tag.copy_from_slice(&tag);
    }
    splits.map(|split| split.map(drop))
}

/// A packet taken apart, all its lengths checked.
struct Split<'a> {
    context: &'a OutboundContext,
    ssrc: Ssrc,
    index: u64,
    /// Header and payload.
    plain: &'a mut [u8],
    header_length: usize,
    tag: &'a mut [u8],
}

impl<'a> Split<'a> {
    fn new(packet: Sealing<'a>) -> Result<Self, Discard> {
        let Sealing {
            context,
            index,
            segment,
            header_length,
        } = packet;
        let overhead = context.profile().rtp_overhead();
        let length = match segment.len().checked_sub(overhead) {
            _ if index > INDEX_MAX => Err(Discard::KeyExhausted),
            Some(length) if (FIXED_HEADER_LENGTH..=length).contains(&header_length) => Ok(length),
            _ => Err(Discard::RtpMalformed),
        };
        let length = length.inspect_err(|_| segment.fill(0))?;
        debug_assert_eq!(wire::u16_at(segment, 2), Some(sequence::wire(index)));
        let ssrc = wire::u32_at(segment, 8).ok_or(Discard::RtpMalformed)?;
        let (plain, tag) = segment
            .split_at_mut_checked(length)
            .ok_or(Discard::RtpMalformed)?;
        Ok(Self {
            context,
            ssrc: Ssrc(ssrc),
            index,
            plain,
            header_length,
            tag,
        })
    }

    fn seal(mut self) -> Result<(), Discard> {
        match &self.context.rtp {
            Cipher::CounterMode(cm) => {
                self.encrypt(cm);
                let tag = cm.tag(self.plain, self.rollover());
                self.tag.copy_from_slice(&tag);
            }
            Cipher::Galois(gcm) => {
                let (ssrc, index) = (self.ssrc, self.index);
                let tag = self
                    .plain
                    .split_at_mut_checked(self.header_length)
                    .and_then(|(header, payload)| gcm.seal(ssrc, index, header, payload));
                let Some(tag) = tag else {
                    self.plain.fill(0);
                    self.tag.fill(0);
                    return Err(Discard::RtpMalformed);
                };
                self.tag.copy_from_slice(&tag);
            }
        }
        Ok(())
    }

    fn encrypt(&mut self, cm: &AesCm) {
        if let Some(payload) = self.plain.get_mut(self.header_length..) {
            cm.apply_keystream(self.ssrc, self.index, payload);
        }
    }

    /// The keys, if they are for counter mode.
    fn counter_mode(&self) -> Option<&'a AesCm> {
        match &self.context.rtp {
            Cipher::CounterMode(cm) => Some(cm),
            Cipher::Galois(_) => None,
        }
    }

    fn rollover(&self) -> [u8; 4] {
        rollover(self.index)
    }
}

/// The roll-over counter of an index, which the tag of counter mode covers.
pub(super) const fn rollover(index: u64) -> [u8; 4] {
    let [_, _, a, b, c, d, _, _] = index.to_be_bytes();
    [a, b, c, d]
}

/// All of the values, if all are there.
fn all<T: Copy, const K: usize>(values: [Option<T>; K]) -> Option<[T; K]> {
    let one = values.iter().flatten().next().copied()?;
    let are_there = values.iter().all(Option::is_some);
    are_there.then(|| values.map(|value| value.unwrap_or(one)))
}

#[cfg(test)]
mod tests {
    use super::super::SrtpProfile;
    use super::super::context::tests::{PROFILES, pair};
    use super::*;

    const PLAIN: &[u8] = b"\x80\x60\x12\x34\0\0\0\x01\0\0\0\x02payload";

    fn segment(profile: SrtpProfile, plain: &[u8]) -> Vec<u8> {
        let mut segment = plain.to_vec();
        segment.resize(plain.len() + profile.rtp_overhead(), 0xee);
        segment
    }

    #[test]
    fn the_header_stays_and_the_payload_is_hidden() {
        for profile in PROFILES {
            let (outbound, _) = pair(profile);
            let mut segment = segment(profile, PLAIN);
            outbound.seal_rtp(0x1234, &mut segment, 12).unwrap();
            assert_eq!(segment[..12], PLAIN[..12]);
            assert_ne!(segment[12..19], PLAIN[12..]);
            assert_ne!(segment[19..], vec![0xee; profile.rtp_overhead()]);
        }
    }

    #[test]
    fn each_index_has_its_own_keystream() {
        for profile in PROFILES {
            let (outbound, _) = pair(profile);
            let sealed = [0x1234, 0x1_1234, 0xffff_ffff_1234].map(|index| {
                let mut segment = segment(profile, PLAIN);
                outbound.seal_rtp(index, &mut segment, 12).unwrap();
                segment[12..19].to_vec()
            });
            assert!(sealed[0] != sealed[1] && sealed[1] != sealed[2] && sealed[2] != sealed[0]);
        }
    }

    #[test]
    fn what_is_too_short_or_beyond_the_key_is_refused_and_cleared() {
        for profile in PROFILES {
            let (outbound, _) = pair(profile);
            let whole = segment(profile, PLAIN);
            for (index, length, header_length, reason) in [
                (
                    0x1234,
                    12 + profile.rtp_overhead() - 1,
                    12,
                    Discard::RtpMalformed,
                ),
                (0x1234, whole.len(), 20, Discard::RtpMalformed),
                (0x1234, whole.len(), 11, Discard::RtpMalformed),
                (0x1234, whole.len(), usize::MAX, Discard::RtpMalformed),
                (0x1_0000_0000_1234, whole.len(), 12, Discard::KeyExhausted),
            ] {
                let mut segment = whole[..length].to_vec();
                let result = outbound.seal_rtp(index, &mut segment, header_length);
                assert_eq!(result, Err(reason));
                assert!(segment.iter().all(|byte| *byte == 0));
            }
        }
    }

    #[test]
    fn several_packets_are_sealed_as_one_by_one() {
        let (cm, _) = pair(SrtpProfile::Aes128CmSha1_80);
        let (gcm, _) = pair(SrtpProfile::AeadAes128Gcm);
        for contexts in [[&cm, &cm, &cm], [&gcm, &gcm, &gcm], [&cm, &gcm, &cm]] {
            for length in [12, 13, 60, 1_200] {
                let mut plain = PLAIN.to_vec();
                plain.resize(length, 7);
                let mut together = contexts.map(|context| segment(context.profile(), &plain));
                let mut alone = together.clone();
                let indices = [0x1234, 0x2_1234, 0x3_1234];
                let mut lanes = contexts.iter().zip(&mut together).zip(indices);
                let packets = core::array::from_fn::<_, 3, _>(|_| {
                    let ((context, segment), index) = lanes.next().unwrap();
                    Sealing {
                        context,
                        index,
                        segment,
                        header_length: 12,
                    }
                });
                assert_eq!(seal_rtp_many(packets), [Ok(()); 3]);
                for ((context, segment), index) in contexts.iter().zip(&mut alone).zip(indices) {
                    context.seal_rtp(index, segment, 12).unwrap();
                }
                assert_eq!(together, alone);
            }
        }
    }

    #[test]
    fn any_number_of_packets_is_sealed() {
        for profile in PROFILES {
            let (context, _) = pair(profile);
            for count in 0..6 {
                let mut segments = vec![segment(profile, PLAIN); count];
                if let Some(segment) = segments.get_mut(3) {
                    segment.truncate(12);
                }
                let packets = segments.iter_mut().map(|segment| Sealing {
                    context: &context,
                    index: 0x1234,
                    segment,
                    header_length: 12,
                });
                let mut refused = Vec::new();
                seal_rtp_all(packets, |reason| refused.push(reason));
                assert_eq!(refused, vec![Discard::RtpMalformed; usize::from(count > 3)]);
                let mut alone = segment(profile, PLAIN);
                context.seal_rtp(0x1234, &mut alone, 12).unwrap();
                for (at, segment) in segments.into_iter().enumerate() {
                    let expected = if at == 3 { vec![0; 12] } else { alone.clone() };
                    assert_eq!(segment, expected);
                }
            }
        }
    }

    #[test]
    fn a_packet_that_is_refused_does_not_hinder_the_others() {
        let (context, _) = pair(SrtpProfile::Aes128CmSha1_80);
        let mut good = segment(SrtpProfile::Aes128CmSha1_80, PLAIN);
        let mut short = good[..15].to_vec();
        let (good, short) = (good.as_mut_slice(), short.as_mut_slice());
        let packets = [good, short].map(|segment| Sealing {
            context: &context,
            index: 0x1234,
            segment,
            header_length: 12,
        });
        assert_eq!(seal_rtp_many(packets), [Ok(()), Err(Discard::RtpMalformed)]);
    }
}
