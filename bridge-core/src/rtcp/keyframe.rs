//! Requests for keyframes: PLI (RFC 4585 section 6.3.1) and FIR (RFC 5104 section 4.3.1).

use super::compound::{
    CompoundWriter, FEEDBACK_LENGTH, FULL_INTRA, FeedbackSsrcs, PAYLOAD_FEEDBACK, PICTURE_LOSS,
};
use crate::id::Ssrc;
use crate::wire;

/// A picture of one stream is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureLoss {
    /// Who lost it.
    pub sender: Ssrc,
    /// The stream.
    pub media: Ssrc,
}

/// Keyframes are wanted of several streams.
#[derive(Clone, Copy, Debug)]
pub struct FullIntra<'a> {
    /// Who wants them.
    pub sender: Ssrc,
    entries: &'a [u8],
}

/// One wanted keyframe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FullIntraEntry {
    /// The stream.
    pub ssrc: Ssrc,
    /// Tells a new request from a repeated one.
    pub sequence: u8,
}

impl PictureLoss {
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let FeedbackSsrcs { sender, media } = FeedbackSsrcs::parse(body)?;
        Some(Self { sender, media })
    }
}

impl<'a> FullIntra<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        let FeedbackSsrcs { sender, .. } = FeedbackSsrcs::parse(body)?;
        let entries = body.get(FEEDBACK_LENGTH..)?;
        if entries.is_empty() || !entries.len().is_multiple_of(ENTRY_LENGTH) {
            return None;
        }
        Some(Self { sender, entries })
    }

    /// The wanted keyframes.
    pub fn entries(&self) -> impl Iterator<Item = FullIntraEntry> + 'a {
        let (entries, _) = self.entries.as_chunks::<ENTRY_LENGTH>();
        entries
            .iter()
            .map(|[a, b, c, d, sequence, ..]| FullIntraEntry {
                ssrc: Ssrc(u32::from_be_bytes([*a, *b, *c, *d])),
                sequence: *sequence,
            })
    }
}

impl CompoundWriter<'_> {
    /// Adds a PLI for `media`.
    #[must_use]
    pub fn picture_loss(&mut self, sender: Ssrc, media: Ssrc) -> bool {
        let ssrcs = FeedbackSsrcs { sender, media };
        self.feedback(PAYLOAD_FEEDBACK, PICTURE_LOSS, ssrcs, 0)
            .is_some()
    }

    /// Adds a FIR for one stream.
    #[must_use]
    pub fn full_intra(&mut self, sender: Ssrc, entry: FullIntraEntry) -> bool {
        // The media SSRC is not used and is 0 (RFC 5104 section 4.3.1.2).
        let ssrcs = FeedbackSsrcs {
            sender,
            media: Ssrc(0),
        };
        let Some(body) = self.feedback(PAYLOAD_FEEDBACK, FULL_INTRA, ssrcs, ENTRY_LENGTH) else {
            return false;
        };
        wire::put(body, 0, &entry.ssrc.0.to_be_bytes());
        wire::put(body, 4, &[entry.sequence, 0, 0, 0])
    }
}

/// Bytes of a FIR entry: SSRC, sequence number, three reserved.
const ENTRY_LENGTH: usize = 8;

#[cfg(test)]
mod tests {
    use super::super::{RtcpPacket, packets};
    use super::*;

    #[test]
    fn a_pli_is_constructed_and_deconstructed() {
        let mut out = [0; 12];
        assert!(CompoundWriter::new(&mut out).picture_loss(Ssrc(1), Ssrc(2)));
        assert_eq!(out, [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
        let Some(Ok(RtcpPacket::PictureLoss(loss))) = packets(&out).next() else {
            panic!("not a PLI");
        };
        assert_eq!((loss.sender, loss.media), (Ssrc(1), Ssrc(2)));
    }

    #[test]
    fn a_fir_is_constructed_and_deconstructed() {
        let entry = FullIntraEntry {
            ssrc: Ssrc(2),
            sequence: 7,
        };
        let mut out = [0; 20];
        assert!(CompoundWriter::new(&mut out).full_intra(Ssrc(1), entry));
        let Some(Ok(RtcpPacket::FullIntra(intra))) = packets(&out).next() else {
            panic!("not a FIR");
        };
        assert_eq!(intra.sender, Ssrc(1));
        assert_eq!(intra.entries().collect::<Vec<_>>(), [entry]);
    }

    #[test]
    fn impossible_lengths_are_refused() {
        assert!(PictureLoss::parse(&[0; 7]).is_none());
        for length in [0, 7, 8, 12, 15] {
            assert!(
                FullIntra::parse(&[0; 16][..length]).is_none(),
                "{length} bytes"
            );
        }
    }
}
