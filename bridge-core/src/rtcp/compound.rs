//! Walks through a compound RTCP packet, and builds one (RFC 3550 section 6.1, RFC 5506).

use super::{Bye, FullIntra, Nack, PictureLoss, ReceiverReport, Remb, Sdes, SenderReport, Twcc};
use crate::error::Discard;
use crate::wire;

/// One packet of a compound.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum RtcpPacket<'a> {
    /// What a sender sent, and how its clocks relate.
    SenderReport(SenderReport<'a>),
    /// How a receiver receives.
    ReceiverReport(ReceiverReport<'a>),
    /// Names of sources.
    Sdes(Sdes<'a>),
    /// Sources that leave.
    Bye(Bye<'a>),
    /// Lost packets that are wanted again.
    Nack(Nack<'a>),
    /// A picture is lost: a keyframe is wanted.
    PictureLoss(PictureLoss),
    /// Keyframes are wanted.
    FullIntra(FullIntra<'a>),
    /// When packets of a transport arrived.
    Twcc(Twcc<'a>),
    /// The receiver's own estimate.
    Remb(Remb<'a>),
    /// Well formed and of no interest.
    Unknown {
        /// RTCP packet type.
        packet_type: u8,
        /// Count or feedback format: the low five bits of the first byte.
        format: u8,
    },
}

/// The packets of a compound; the first one that cannot be read is the last item.
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    rest: &'a [u8],
}

/// Reads the compound `bytes`. Any packet may come first (RFC 5506); reading has to be done on
/// authenticated bytes only, since it stops at the first fault.
#[must_use]
pub const fn packets(bytes: &[u8]) -> Packets<'_> {
    Packets { rest: bytes }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<RtcpPacket<'a>, Discard>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let packet = self.read();
        if packet.is_none() {
            self.rest = &[];
        }
        Some(packet.ok_or(Discard::RtcpMalformed))
    }
}

impl<'a> Packets<'a> {
    fn read(&mut self) -> Option<RtcpPacket<'a>> {
        let [first, packet_type] = wire::array_at(self.rest, 0)?;
        let words = wire::u16_at(self.rest, 2)?;
        let (packet, rest) = self.rest.split_at_checked(4 * (usize::from(words) + 1))?;
        if first >> 6 != VERSION {
            return None;
        }
        let mut body = packet.get(HEADER_LENGTH..)?;
        if first & PADDING_FLAG != 0 {
            // Only the last packet may be padded (RFC 3550 section 6.4.1). Its length has to be a
            // multiple of four, but peers exist that pad by one to three bytes.
            let padding = usize::from(*body.last()?);
            if !rest.is_empty() || padding == 0 {
                return None;
            }
            body = body.get(..body.len().checked_sub(padding)?)?;
        }
        self.rest = rest;
        RtcpPacket::parse(packet_type, first & 0x1f, body)
    }
}

impl<'a> RtcpPacket<'a> {
    fn parse(packet_type: u8, format: u8, body: &'a [u8]) -> Option<Self> {
        Some(match (packet_type, format) {
            (SENDER_REPORT, count) => Self::SenderReport(SenderReport::parse(count, body)?),
            (RECEIVER_REPORT, count) => Self::ReceiverReport(ReceiverReport::parse(count, body)?),
            (SDES, count) => Self::Sdes(Sdes::parse(count, body)?),
            (BYE, count) => Self::Bye(Bye::parse(count, body)?),
            (TRANSPORT_FEEDBACK, NACK) => Self::Nack(Nack::parse(body)?),
            (TRANSPORT_FEEDBACK, TWCC) => Self::Twcc(Twcc::parse(body)?),
            (PAYLOAD_FEEDBACK, PICTURE_LOSS) => Self::PictureLoss(PictureLoss::parse(body)?),
            (PAYLOAD_FEEDBACK, FULL_INTRA) => Self::FullIntra(FullIntra::parse(body)?),
            (PAYLOAD_FEEDBACK, APPLICATION) => match Remb::parse(body) {
                Some(remb) => Self::Remb(remb),
                None => Self::Unknown {
                    packet_type,
                    format,
                },
            },
            _ => Self::Unknown {
                packet_type,
                format,
            },
        })
    }
}

/// Builds a compound packet in a buffer. Each method adds one packet and says whether there was
/// room; when there was none, nothing changes.
#[derive(Debug)]
pub struct CompoundWriter<'a> {
    out: &'a mut [u8],
    length: usize,
}

impl<'a> CompoundWriter<'a> {
    /// Writes from the beginning of `out`.
    #[must_use]
    pub const fn new(out: &'a mut [u8]) -> Self {
        Self { out, length: 0 }
    }

    /// Bytes written, a multiple of four.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing was written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Bytes of body that one more packet can have.
    pub(super) const fn body_room(&self) -> usize {
        self.out.len().saturating_sub(self.length + HEADER_LENGTH)
    }

    /// Adds a packet's header, and gives the body of `length` bytes (a multiple of four).
    pub(super) fn packet(
        &mut self,
        packet_type: u8,
        format: u8,
        length: usize,
    ) -> Option<&mut [u8]> {
        debug_assert!(length.is_multiple_of(4) && format < 32);
        let words = u16::try_from(length / 4).ok()?;
        let end = self.length + HEADER_LENGTH + length;
        let packet = self.out.get_mut(self.length..end)?;
        let (header, body) = packet.split_at_mut_checked(HEADER_LENGTH)?;
        wire::put(header, 0, &[VERSION << 6 | format & 0x1f, packet_type]);
        wire::put(header, 2, &words.to_be_bytes());
        self.length = end;
        Some(body)
    }

    /// Adds a feedback packet from `sender` about `media`, and gives the body behind the two.
    pub(super) fn feedback(
        &mut self,
        packet_type: u8,
        format: u8,
        ssrcs: FeedbackSsrcs,
        length: usize,
    ) -> Option<&mut [u8]> {
        let body = self.packet(packet_type, format, FEEDBACK_LENGTH + length)?;
        wire::put(body, 0, &ssrcs.sender.0.to_be_bytes());
        wire::put(body, 4, &ssrcs.media.0.to_be_bytes());
        body.get_mut(FEEDBACK_LENGTH..)
    }
}

/// Who sends a feedback packet, and about which stream (RFC 4585 section 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FeedbackSsrcs {
    pub(super) sender: crate::id::Ssrc,
    pub(super) media: crate::id::Ssrc,
}

impl FeedbackSsrcs {
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        Some(Self {
            sender: crate::id::Ssrc(wire::u32_at(body, 0)?),
            media: crate::id::Ssrc(wire::u32_at(body, 4)?),
        })
    }
}

const VERSION: u8 = 2;

const PADDING_FLAG: u8 = 0x20;

const HEADER_LENGTH: usize = 4;

/// Bytes of the two SSRCs that every feedback packet begins with.
pub(super) const FEEDBACK_LENGTH: usize = 8;

pub(super) const SENDER_REPORT: u8 = 200;

pub(super) const RECEIVER_REPORT: u8 = 201;

pub(super) const SDES: u8 = 202;

pub(super) const BYE: u8 = 203;

pub(super) const TRANSPORT_FEEDBACK: u8 = 205;

pub(super) const PAYLOAD_FEEDBACK: u8 = 206;

pub(super) const NACK: u8 = 1;

pub(super) const TWCC: u8 = 15;

pub(super) const PICTURE_LOSS: u8 = 1;

pub(super) const FULL_INTRA: u8 = 4;

/// Application layer feedback (RFC 4585 section 6.4), of which REMB is one.
pub(super) const APPLICATION: u8 = 15;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Ssrc;

    #[test]
    fn a_compound_is_constructed_and_deconstructed() {
        let mut out = [0; 64];
        let mut writer = CompoundWriter::new(&mut out);
        assert!(writer.is_empty());
        assert!(writer.receiver_report(Ssrc(1), &[]));
        assert!(writer.picture_loss(Ssrc(1), Ssrc(2)));
        assert!(writer.bye(&[Ssrc(1)]));
        let length = writer.len();
        assert_eq!(length, 8 + 12 + 8);
        let mut packets = packets(&out[..length]);
        assert!(matches!(
            packets.next(),
            Some(Ok(RtcpPacket::ReceiverReport(_)))
        ));
        assert!(matches!(
            packets.next(),
            Some(Ok(RtcpPacket::PictureLoss(_)))
        ));
        assert!(matches!(packets.next(), Some(Ok(RtcpPacket::Bye(_)))));
        assert!(packets.next().is_none());
    }

    #[test]
    fn a_packet_without_room_changes_nothing() {
        let mut out = [0xaa; 16];
        let mut writer = CompoundWriter::new(&mut out);
        assert!(writer.receiver_report(Ssrc(1), &[]));
        assert!(!writer.picture_loss(Ssrc(1), Ssrc(2)));
        assert!(writer.bye(&[Ssrc(1)]));
        assert_eq!(writer.len(), 16);
    }

    #[test]
    fn reading_stops_at_the_first_fault() {
        let mut out = [0; 32];
        let mut writer = CompoundWriter::new(&mut out);
        assert!(writer.bye(&[Ssrc(1)]));
        assert!(writer.picture_loss(Ssrc(1), Ssrc(2)));
        let length = writer.len();
        for cut in 9..length {
            let mut packets = packets(&out[..cut]);
            assert!(matches!(packets.next(), Some(Ok(_))));
            assert!(matches!(packets.next(), Some(Err(Discard::RtcpMalformed))));
            assert!(packets.next().is_none());
        }
        out[0] = 0x41;
        assert!(
            matches!(packets(&out[..length]).next(), Some(Err(_))),
            "version 1"
        );
    }

    #[test]
    fn only_the_last_packet_may_be_padded() {
        let padded = [0xa1, 203, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4];
        let Some(Ok(RtcpPacket::Bye(bye))) = packets(&padded).next() else {
            panic!("a padded BYE is fine");
        };
        assert_eq!(bye.ssrcs().collect::<Vec<_>>(), [Ssrc(1)]);
        let odd = [0xa1, 203, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3];
        assert!(matches!(packets(&odd).next(), Some(Ok(RtcpPacket::Bye(_)))));
        let twice = [padded, padded].concat();
        assert!(matches!(packets(&twice).next(), Some(Err(_))));
        for padding in [0, 9, 12, 255] {
            let mut wrong = padded;
            wrong[11] = padding;
            assert!(matches!(packets(&wrong).next(), Some(Err(_))), "{padding}");
        }
    }

    #[test]
    fn unknown_types_are_passed_over() {
        let bytes = [0x81, 207, 0, 0, 0x82, 192, 0, 1, 1, 2, 3, 4];
        let seen: Vec<_> = packets(&bytes)
            .map(|packet| match packet {
                Ok(RtcpPacket::Unknown {
                    packet_type,
                    format,
                }) => (packet_type, format),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(seen, [(207, 1), (192, 2)]);
    }
}
