//! Sources that leave (RFC 3550 section 6.6). A reason's text is not read.

use super::compound::{BYE, CompoundWriter};
use crate::id::Ssrc;
use crate::wire;

/// Sources that leave.
#[derive(Clone, Copy, Debug)]
pub struct Bye<'a> {
    ssrcs: &'a [u8],
}

impl<'a> Bye<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Option<Self> {
        let ssrcs = body.get(..4 * usize::from(count))?;
        Some(Self { ssrcs })
    }

    /// The sources; whether the packet's sender owns them is for the caller to check.
    pub fn ssrcs(&self) -> impl Iterator<Item = Ssrc> + 'a {
        let (words, _) = self.ssrcs.as_chunks();
        words.iter().map(|word| Ssrc(u32::from_be_bytes(*word)))
    }
}

impl CompoundWriter<'_> {
    /// Adds a BYE of at most 31 sources.
    #[must_use]
    pub fn bye(&mut self, ssrcs: &[Ssrc]) -> bool {
        let Some(count) = u8::try_from(ssrcs.len()).ok().filter(|count| *count < 32) else {
            return false;
        };
        let Some(body) = self.packet(BYE, count, 4 * ssrcs.len()) else {
            return false;
        };
        for (at, ssrc) in ssrcs.iter().enumerate() {
            wire::put(body, 4 * at, &ssrc.0.to_be_bytes());
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::{RtcpPacket, packets};
    use super::*;

    #[test]
    fn a_bye_is_constructed_and_deconstructed() {
        let mut out = [0; 12];
        let mut writer = CompoundWriter::new(&mut out);
        assert!(writer.bye(&[Ssrc(1), Ssrc(2)]));
        assert_eq!(out, [0x82, 203, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
        let Some(Ok(RtcpPacket::Bye(bye))) = packets(&out).next() else {
            panic!("not a BYE");
        };
        assert_eq!(bye.ssrcs().collect::<Vec<_>>(), [Ssrc(1), Ssrc(2)]);
    }

    #[test]
    fn impossible_lengths_are_refused() {
        assert!(Bye::parse(2, &[0; 7]).is_none());
        assert!(Bye::parse(1, b"ssrc\x03why").is_some(), "a reason follows");
        assert!(!CompoundWriter::new(&mut [0; 200]).bye(&[Ssrc(1); 32]));
    }
}
