//! Receiver estimated maximum bitrate (draft-alvestrand-rmcat-remb-03).

use super::compound::{
    APPLICATION, CompoundWriter, FEEDBACK_LENGTH, FeedbackSsrcs, PAYLOAD_FEEDBACK,
};
use crate::id::Ssrc;
use crate::wire;

/// What a receiver believes it can take.
#[derive(Clone, Copy, Debug)]
pub struct Remb<'a> {
    /// Who says it.
    pub sender: Ssrc,
    /// Bits per second; what does not fit into 64 bits is the most that does.
    pub bitrate: u64,
    ssrcs: &'a [u8],
}

impl<'a> Remb<'a> {
    /// `None` when it is other application feedback, too.
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        let FeedbackSsrcs { sender, .. } = FeedbackSsrcs::parse(body)?;
        let body = body.get(FEEDBACK_LENGTH..)?;
        if wire::array_at(body, 0)? != NAME {
            return None;
        }
        let count = usize::from(*body.get(4)?);
        let number = wire::u24_at(body, 5)?;
        let (exponent, mantissa) = (number >> MANTISSA_BITS, number & MANTISSA_MAX);
        let bitrate = u128::from(mantissa) << exponent;
        let ssrcs = body.get(FIXED_LENGTH..)?.get(..4 * count)?;
        Some(Self {
            sender,
            bitrate: u64::try_from(bitrate).unwrap_or(u64::MAX),
            ssrcs,
        })
    }

    /// The streams that the estimate is shared by.
    pub fn ssrcs(&self) -> impl Iterator<Item = Ssrc> + 'a {
        let (words, _) = self.ssrcs.as_chunks();
        words.iter().map(|word| Ssrc(u32::from_be_bytes(*word)))
    }
}

impl CompoundWriter<'_> {
    /// Adds a REMB of `bitrate` bits per second, rounded down to 18 bits, for `ssrcs`.
    #[must_use]
    pub fn remb(&mut self, sender: Ssrc, bitrate: u64, ssrcs: &[Ssrc]) -> bool {
        let Ok(count) = u8::try_from(ssrcs.len()) else {
            return false;
        };
        let feedback = FeedbackSsrcs {
            sender,
            media: Ssrc(0),
        };
        let length = FIXED_LENGTH + 4 * ssrcs.len();
        let Some(body) = self.feedback(PAYLOAD_FEEDBACK, APPLICATION, feedback, length) else {
            return false;
        };
        let exponent = (u64::BITS - bitrate.leading_zeros()).saturating_sub(MANTISSA_BITS);
        let mantissa = u32::try_from(bitrate >> exponent).unwrap_or(MANTISSA_MAX);
        let [_, a, b, c] = (exponent << MANTISSA_BITS | mantissa).to_be_bytes();
        wire::put(body, 0, &NAME);
        wire::put(body, 4, &[count, a, b, c]);
        for (at, ssrc) in ssrcs.iter().enumerate() {
            wire::put(body, FIXED_LENGTH + 4 * at, &ssrc.0.to_be_bytes());
        }
        true
    }
}

const NAME: [u8; 4] = *b"REMB";

/// Bytes of name, count and bitrate.
const FIXED_LENGTH: usize = 8;

const MANTISSA_BITS: u32 = 18;

const MANTISSA_MAX: u32 = (1 << MANTISSA_BITS) - 1;

#[cfg(test)]
mod tests {
    use super::super::{RtcpPacket, packets};
    use super::*;

    #[test]
    fn a_remb_is_constructed_and_deconstructed() {
        let ssrcs = [Ssrc(2), Ssrc(3)];
        for bitrate in [0, 1, 262_143, 262_144, 2_500_000, 10_000_000_000, u64::MAX] {
            let mut out = [0; 28];
            assert!(CompoundWriter::new(&mut out).remb(Ssrc(1), bitrate, &ssrcs));
            let Some(Ok(RtcpPacket::Remb(remb))) = packets(&out).next() else {
                panic!("not a REMB");
            };
            assert_eq!(remb.sender, Ssrc(1));
            assert!(remb.bitrate <= bitrate && remb.bitrate >= bitrate - (bitrate >> 17));
            assert_eq!(remb.ssrcs().collect::<Vec<_>>(), ssrcs);
        }
    }

    #[test]
    fn the_largest_number_saturates() {
        let body = [&[0; 8][..], b"REMB\0\xff\xff\xff"].concat();
        assert_eq!(Remb::parse(&body).unwrap().bitrate, u64::MAX);
    }

    #[test]
    fn other_application_feedback_and_impossible_lengths_are_refused() {
        let body = [&[0; 8][..], b"REMB\x01\0\0\0", &[0; 4]].concat();
        assert!(Remb::parse(&body).is_some());
        for length in 0..body.len() {
            assert!(Remb::parse(&body[..length]).is_none(), "{length} bytes");
        }
        let other = [&[0; 8][..], b"AFB!\0\0\0\0"].concat();
        assert!(Remb::parse(&other).is_none());
    }
}
