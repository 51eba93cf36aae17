//! Generic NACK: lost packets that are wanted again (RFC 4585 section 6.2.1).

use super::compound::{CompoundWriter, FEEDBACK_LENGTH, FeedbackSsrcs, NACK, TRANSPORT_FEEDBACK};
use crate::id::Ssrc;
use crate::limits::NACK_ENTRIES_MAX;
use crate::wire;

/// Lost packets of one stream.
#[derive(Clone, Copy, Debug)]
pub struct Nack<'a> {
    /// Who wants them.
    pub sender: Ssrc,
    /// The stream.
    pub media: Ssrc,
    pairs: &'a [u8],
}

/// The sequence numbers of a NACK, at most [`NACK_ENTRIES_MAX`]: one packet of 1,200 bytes could
/// otherwise ask for 5,000.
#[derive(Clone, Debug)]
pub struct NackedSequences<'a> {
    rest: &'a [u8],
    base: u16,
    mask: u32,
    left: usize,
}

impl<'a> Nack<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        let FeedbackSsrcs { sender, media } = FeedbackSsrcs::parse(body)?;
        let pairs = body.get(FEEDBACK_LENGTH..)?;
        if pairs.is_empty() || !pairs.len().is_multiple_of(PAIR_LENGTH) {
            return None;
        }
        Some(Self {
            sender,
            media,
            pairs,
        })
    }

    /// The sequence numbers, as on the wire, in the packet's order.
    #[must_use]
    pub const fn sequences(&self) -> NackedSequences<'a> {
        NackedSequences {
            rest: self.pairs,
            base: 0,
            mask: 0,
            left: NACK_ENTRIES_MAX,
        }
    }
}

impl Iterator for NackedSequences<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        self.left = self.left.checked_sub(1)?;
        if self.mask == 0 {
            let (pair, rest) = self.rest.split_first_chunk::<PAIR_LENGTH>()?;
            self.rest = rest;
            self.base = wire::u16_at(pair, 0)?;
            // Bit 0 is the number itself, bit i the i-th after it.
            self.mask = u32::from(wire::u16_at(pair, 2)?) << 1 | 1;
        }
        let step = self.mask.trailing_zeros();
        self.mask &= self.mask.wrapping_sub(1);
        Some(self.base.wrapping_add(u16::try_from(step).unwrap_or(0)))
    }
}

impl CompoundWriter<'_> {
    /// Adds a NACK of `sequences`, which ascend. Nothing to name is nothing to write.
    #[must_use]
    pub fn nack(&mut self, sender: Ssrc, media: Ssrc, sequences: &[u16]) -> bool {
        let pairs = Pairs(sequences.iter().copied().peekable());
        let count = pairs.clone().count();
        if count == 0 {
            return true;
        }
        let ssrcs = FeedbackSsrcs { sender, media };
        let Some(body) = self.feedback(TRANSPORT_FEEDBACK, NACK, ssrcs, PAIR_LENGTH * count) else {
            return false;
        };
        for (at, (base, mask)) in pairs.enumerate() {
            wire::put(body, PAIR_LENGTH * at, &base.to_be_bytes());
            wire::put(body, PAIR_LENGTH * at + 2, &mask.to_be_bytes());
        }
        true
    }
}

/// Groups ascending numbers: each with those of the sixteen after it that are named too.
#[derive(Clone)]
struct Pairs<I: Iterator<Item = u16>>(core::iter::Peekable<I>);

impl<I: Iterator<Item = u16>> Iterator for Pairs<I> {
    type Item = (u16, u16);

    fn next(&mut self) -> Option<(u16, u16)> {
        let base = self.0.next()?;
        let mut mask = 0;
        let follows = |next: &u16| (1..=16).contains(&next.wrapping_sub(base));
        while let Some(next) = self.0.next_if(follows) {
            mask |= 1 << (next.wrapping_sub(base) - 1);
        }
        Some((base, mask))
    }
}

/// Bytes of a number and the mask of those after it.
const PAIR_LENGTH: usize = 4;

#[cfg(test)]
mod tests {
    use super::super::{RtcpPacket, packets};
    use super::*;

    #[test]
    fn a_nack_is_constructed_and_deconstructed() {
        let lost = [65_530, 65_531, 65_535, 0, 10, 11, 12, 28, 500];
        let mut out = [0; 64];
        let mut writer = CompoundWriter::new(&mut out);
        assert!(writer.nack(Ssrc(1), Ssrc(2), &lost));
        let length = writer.len();
        assert_eq!(length, 12 + 4 * 4, "65,530 to 10, 11 to 12, 28, 500");
        let Some(Ok(RtcpPacket::Nack(nack))) = packets(&out[..length]).next() else {
            panic!("not a NACK");
        };
        assert_eq!((nack.sender, nack.media), (Ssrc(1), Ssrc(2)));
        assert_eq!(nack.sequences().collect::<Vec<_>>(), lost);
    }

    #[test]
    fn nothing_lost_is_nothing_written() {
        let mut out = [0; 64];
        let mut writer = CompoundWriter::new(&mut out);
        assert!(writer.nack(Ssrc(1), Ssrc(2), &[]));
        assert!(writer.is_empty());
    }

    #[test]
    fn a_storm_is_cut_at_the_limit() {
        let body = [&[0; 8][..], &[0xff; 1_200]].concat();
        let nack = Nack::parse(&body).unwrap();
        assert_eq!(nack.sequences().count(), NACK_ENTRIES_MAX);
    }

    #[test]
    fn impossible_lengths_are_refused() {
        for length in [0, 4, 8, 9, 11] {
            assert!(Nack::parse(&[0; 12][..length]).is_none(), "{length} bytes");
        }
        assert!(Nack::parse(&[0; 12]).is_some());
    }
}
