//! Sender and receiver reports (RFC 3550 sections 6.4.1 and 6.4.2).

use super::compound::{CompoundWriter, RECEIVER_REPORT, SENDER_REPORT};
use crate::id::Ssrc;
use crate::wire;

/// What a sender says of its stream: sent amounts, and one instant on two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// The stream.
    pub ssrc: Ssrc,
    /// Wall clock: seconds since 1900 and 2^-32 fractions of a second.
    pub ntp: u64,
    /// The same instant on the media clock.
    pub rtp_timestamp: u32,
    /// Packets sent so far.
    pub packets: u32,
    /// Payload bytes sent so far.
    pub octets: u32,
}

/// How one stream is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream.
    pub ssrc: Ssrc,
    /// Loss since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost so far: 24 bits, negative with duplicates.
    pub cumulative_lost: i32,
    /// Highest sequence number received: cycles in the upper half.
    pub highest_sequence: u32,
    /// Interarrival jitter in media clock units.
    pub jitter: u32,
    /// Middle 32 bits of the last sender report's wall clock; 0 before the first.
    pub last_sender_report: u32,
    /// Time since that report arrived, in 1/65,536 s.
    pub delay_since_last: u32,
}

/// A sender report and its blocks.
#[derive(Clone, Copy, Debug)]
pub struct SenderReport<'a> {
    /// What is said of the sender's stream.
    pub info: SenderInfo,
    blocks: &'a [u8],
}

/// A receiver report and its blocks.
#[derive(Clone, Copy, Debug)]
pub struct ReceiverReport<'a> {
    /// Who reports.
    pub sender: Ssrc,
    blocks: &'a [u8],
}

/// The blocks of a report.
#[derive(Clone, Debug)]
pub struct ReportBlocks<'a> {
    rest: &'a [u8],
}

impl<'a> SenderReport<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Option<Self> {
        let blocks = body.get(INFO_LENGTH..)?;
        let info = SenderInfo {
            ssrc: Ssrc(wire::u32_at(body, 0)?),
            ntp: wire::u64_at(body, 4)?,
            rtp_timestamp: wire::u32_at(body, 12)?,
            packets: wire::u32_at(body, 16)?,
            octets: wire::u32_at(body, 20)?,
        };
        let blocks = blocks.get(..usize::from(count) * BLOCK_LENGTH)?;
        Some(Self { info, blocks })
    }

    /// How the sender receives others.
    #[must_use]
    pub const fn blocks(&self) -> ReportBlocks<'a> {
        ReportBlocks { rest: self.blocks }
    }
}

impl<'a> ReceiverReport<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Option<Self> {
        let sender = Ssrc(wire::u32_at(body, 0)?);
        let blocks = body.get(4..)?.get(..usize::from(count) * BLOCK_LENGTH)?;
        Some(Self { sender, blocks })
    }

    /// How each stream is received.
    #[must_use]
    pub const fn blocks(&self) -> ReportBlocks<'a> {
        ReportBlocks { rest: self.blocks }
    }
}

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.rest.split_first_chunk::<BLOCK_LENGTH>()?;
        self.rest = rest;
        Some(ReportBlock {
            ssrc: Ssrc(wire::u32_at(block, 0)?),
            fraction_lost: *block.get(4)?,
            cumulative_lost: (wire::u24_at(block, 5)? << 8).cast_signed() >> 8,
            highest_sequence: wire::u32_at(block, 8)?,
            jitter: wire::u32_at(block, 12)?,
            last_sender_report: wire::u32_at(block, 16)?,
            delay_since_last: wire::u32_at(block, 20)?,
        })
    }
}

impl ReportBlock {
    fn emit(&self, out: &mut [u8]) {
        let lost = self.cumulative_lost.clamp(-LOST_MAX - 1, LOST_MAX);
        let [_, a, b, c] = lost.to_be_bytes();
        wire::put(out, 0, &self.ssrc.0.to_be_bytes());
        wire::put(out, 4, &[self.fraction_lost, a, b, c]);
        wire::put(out, 8, &self.highest_sequence.to_be_bytes());
        wire::put(out, 12, &self.jitter.to_be_bytes());
        wire::put(out, 16, &self.last_sender_report.to_be_bytes());
        wire::put(out, 20, &self.delay_since_last.to_be_bytes());
    }
}

impl CompoundWriter<'_> {
    /// Adds a sender report with at most 31 blocks.
    #[must_use]
    pub fn sender_report(&mut self, info: &SenderInfo, blocks: &[ReportBlock]) -> bool {
        let Some(body) = self.report(SENDER_REPORT, INFO_LENGTH, blocks) else {
            return false;
        };
        wire::put(body, 0, &info.ssrc.0.to_be_bytes());
        wire::put(body, 4, &info.ntp.to_be_bytes());
        wire::put(body, 12, &info.rtp_timestamp.to_be_bytes());
        wire::put(body, 16, &info.packets.to_be_bytes());
        wire::put(body, 20, &info.octets.to_be_bytes());
        true
    }

    /// Adds a receiver report with at most 31 blocks.
    #[must_use]
    pub fn receiver_report(&mut self, sender: Ssrc, blocks: &[ReportBlock]) -> bool {
        let Some(body) = self.report(RECEIVER_REPORT, 4, blocks) else {
            return false;
        };
        wire::put(body, 0, &sender.0.to_be_bytes())
    }

    fn report(
        &mut self,
        packet_type: u8,
        start: usize,
        blocks: &[ReportBlock],
    ) -> Option<&mut [u8]> {
        let count = u8::try_from(blocks.len())
            .ok()
            .filter(|count| *count <= BLOCKS_MAX)?;
        let body = self.packet(packet_type, count, start + blocks.len() * BLOCK_LENGTH)?;
        let places = body.get_mut(start..)?.chunks_exact_mut(BLOCK_LENGTH);
        for (place, block) in places.zip(blocks) {
            block.emit(place);
        }
        Some(body)
    }
}

/// Bytes of what a sender says of itself.
const INFO_LENGTH: usize = 24;

/// Bytes of a report block.
const BLOCK_LENGTH: usize = 24;

/// Blocks that the five bits of a report's count can say.
const BLOCKS_MAX: u8 = 31;

/// The most that 24 signed bits can say.
const LOST_MAX: i32 = 0x7f_ffff;

#[cfg(test)]
mod tests {
    use super::super::{RtcpPacket, packets};
    use super::*;

    const INFO: SenderInfo = SenderInfo {
        ssrc: Ssrc(0x0102_0304),
        ntp: 0x1122_3344_5566_7788,
        rtp_timestamp: 90_000,
        packets: 12,
        octets: 3_456,
    };

    const BLOCK: ReportBlock = ReportBlock {
        ssrc: Ssrc(9),
        fraction_lost: 64,
        cumulative_lost: -2,
        highest_sequence: 0x0001_ffff,
        jitter: 7,
        last_sender_report: 0x3344_5566,
        delay_since_last: 65_536,
    };

    #[test]
    fn a_sender_report_is_constructed_and_deconstructed() {
        let mut out = [0; 128];
        let mut writer = CompoundWriter::new(&mut out);
        assert!(writer.sender_report(&INFO, &[BLOCK, BLOCK]));
        let length = writer.len();
        assert_eq!(out[..4], [0x82, 200, 0, 18]);
        let Some(Ok(RtcpPacket::SenderReport(report))) = packets(&out[..length]).next() else {
            panic!("not a sender report");
        };
        assert_eq!(report.info, INFO);
        assert_eq!(report.blocks().collect::<Vec<_>>(), [BLOCK, BLOCK]);
    }

    #[test]
    fn a_receiver_report_is_constructed_and_deconstructed() {
        let mut out = [0; 128];
        let mut writer = CompoundWriter::new(&mut out);
        assert!(writer.receiver_report(Ssrc(5), &[BLOCK]));
        let length = writer.len();
        let Some(Ok(RtcpPacket::ReceiverReport(report))) = packets(&out[..length]).next() else {
            panic!("not a receiver report");
        };
        assert_eq!(report.sender, Ssrc(5));
        assert_eq!(report.blocks().collect::<Vec<_>>(), [BLOCK]);
    }

    #[test]
    fn loss_beyond_24_bits_is_clamped() {
        for (lost, said) in [(i32::MAX, 0x7f_ffff), (i32::MIN, -0x80_0000), (-1, -1)] {
            let mut out = [0; 24];
            ReportBlock {
                cumulative_lost: lost,
                ..BLOCK
            }
            .emit(&mut out);
            let block = ReportBlocks { rest: &out }.next().unwrap();
            assert_eq!(block.cumulative_lost, said);
        }
    }

    #[test]
    fn impossible_lengths_are_refused() {
        assert!(SenderReport::parse(0, &[0; 23]).is_none());
        assert!(SenderReport::parse(1, &[0; 47]).is_none());
        assert!(
            SenderReport::parse(1, &[0; 52]).is_some(),
            "profile-specific extension"
        );
        assert!(ReceiverReport::parse(0, &[0; 3]).is_none());
        assert!(ReceiverReport::parse(2, &[0; 51]).is_none());
        let mut out = [0; 1_000];
        assert!(!CompoundWriter::new(&mut out).receiver_report(Ssrc(1), &[BLOCK; 32]));
    }
}
