//! Plays a scripted sender and reads what it is told.

use core::time::Duration;

use crate::description::{Feedback, MediaKind, SourceDescription};
use crate::error::Discard;
use crate::id::{PayloadType, SourceName, Ssrc};
use crate::ingest::scene::{AUDIO, FEEDBACK, OPUS, RTX, Scene, VIDEO, VP8, VP8_RTX};
use crate::ingest::source::{Encoding, Source};
use crate::limits::FEEDBACK_BYTES_MAX;
use crate::rtcp::{CompoundWriter, RtcpPacket, SenderInfo, packets};
use crate::rtp::RtpHeader;
use crate::rtp::extension::ExtensionWriter;

pub(super) const KEYFRAME: [u8; 11] = [0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 2, 0x68, 1];

pub(super) const DELTA_FRAME: [u8; 4] = [0x10, 0x01, 0, 0];

/// What a test packet holds.
#[derive(Clone, Copy)]
pub(super) struct Sent<'a> {
    pub(super) payload_type: u8,
    pub(super) ssrc: Ssrc,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) extension: Option<(u8, &'a [u8])>,
    pub(super) payload: &'a [u8],
    pub(super) padding: u8,
}

pub(super) const SOUND: Sent<'_> = Sent {
    payload_type: OPUS,
    ssrc: AUDIO,
    sequence: 0,
    timestamp: 0,
    extension: None,
    payload: &[1, 2, 3],
    padding: 0,
};

pub(super) const PICTURE: Sent<'_> = Sent {
    payload_type: VP8,
    ssrc: VIDEO[0],
    payload: &DELTA_FRAME,
    ..SOUND
};

pub(super) const REPEATED: Sent<'_> = Sent {
    payload_type: VP8_RTX,
    ssrc: RTX[0],
    ..PICTURE
};

impl Sent<'_> {
    pub(super) fn at(self, sequence: u16) -> Self {
        Self { sequence, ..self }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let header = RtpHeader {
            marker: false,
            payload_type: PayloadType(self.payload_type),
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
            csrc_count: 0,
            has_padding: self.padding > 0,
            extension: None,
            length: 12,
        };
        let mut bytes = vec![0; 64];
        header.emit_fixed(&mut bytes).unwrap();
        let mut length = 12;
        if let Some((id, value)) = self.extension {
            let mut writer = ExtensionWriter::new(&mut bytes[12..]);
            assert!(writer.push(id, value));
            length += writer.finish();
            bytes[0] |= 0x10;
        }
        bytes.truncate(length);
        bytes.extend(self.payload);
        bytes.extend((0..self.padding).map(|_| self.padding));
        bytes
    }
}

impl Scene {
    pub(super) fn new() -> Self {
        Self::told_by(FEEDBACK)
    }

    pub(super) fn told_by(feedback: &[Feedback]) -> Self {
        Self::with_feedback(feedback).unwrap()
    }

    pub(super) fn pass(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
    }

    pub(super) fn send(&mut self, sent: Sent<'_>) -> Result<(), Discard> {
        self.send_bytes(&sent.bytes())
    }

    pub(super) fn send_rtcp(
        &mut self,
        write: impl FnOnce(&mut CompoundWriter<'_>),
    ) -> Result<(), Discard> {
        let mut bytes = [0; 200];
        let mut writer = CompoundWriter::new(&mut bytes);
        write(&mut writer);
        let length = writer.len();
        self.send_rtcp_bytes(&bytes[..length])
    }

    pub(super) fn sender_report(
        &mut self,
        ssrc: Ssrc,
        ntp: u64,
        rtp_timestamp: u32,
    ) -> Result<(), Discard> {
        let info = SenderInfo {
            ssrc,
            ntp,
            rtp_timestamp,
            packets: 0,
            octets: 0,
        };
        self.send_rtcp(|writer| assert!(writer.sender_report(&info, &[])))
    }

    pub(super) fn source(&mut self, name: &str) -> &mut Source {
        let name = SourceName::new(name).unwrap();
        let key = self.conference.named(&name).unwrap();
        self.conference.sources.get_mut(key).unwrap()
    }

    pub(super) fn video(&mut self, encoding: usize) -> &mut Encoding {
        &mut self.source("v0").encodings[encoding]
    }

    /// Everything that the sender is told now, but for empty reports and names.
    pub(super) fn told(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        let mut out = [0; FEEDBACK_BYTES_MAX];
        while let Some(compound) = self.poll(&mut out) {
            assert!(!compound.is_empty());
            told.extend(packets(compound).filter_map(|packet| Told::read(packet.unwrap())));
        }
        if let Some(deadline) = self.ingest.deadline() {
            assert!(deadline > self.now, "nothing is due after a poll");
        }
        told
    }
}

/// One thing that a sender was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Report(Vec<(Ssrc, u8, i32)>),
    Nack(Ssrc, Vec<u16>),
    Pli(Ssrc),
    Fir(Ssrc, u8),
    Arrivals(Vec<(u16, bool)>),
    Bound(u64),
}

impl Told {
    pub(super) fn read(packet: RtcpPacket<'_>) -> Option<Self> {
        match packet {
            RtcpPacket::ReceiverReport(report) => {
                assert_eq!(report.sender, Ssrc(2), "reporter");
                let blocks: Vec<_> = report
                    .blocks()
                    .map(|block| (block.ssrc, block.fraction_lost, block.cumulative_lost))
                    .collect();
                (!blocks.is_empty()).then_some(Self::Report(blocks))
            }
            RtcpPacket::Sdes(_) => None,
            RtcpPacket::Nack(nack) => Some(Self::Nack(nack.media, nack.sequences().collect())),
            RtcpPacket::PictureLoss(loss) => Some(Self::Pli(loss.media)),
            RtcpPacket::FullIntra(intra) => {
                let entry = intra.entries().next().unwrap();
                Some(Self::Fir(entry.ssrc, entry.sequence))
            }
            RtcpPacket::Twcc(twcc) => {
                let statuses = twcc.statuses();
                let came = statuses.map(|status| (status.sequence, status.arrival.is_some()));
                Some(Self::Arrivals(came.collect()))
            }
            RtcpPacket::Remb(remb) => Some(Self::Bound(remb.bitrate)),
            other => panic!("{other:?}"),
        }
    }
}

pub(super) fn source(name: &str, kind: MediaKind, ssrcs: &[Ssrc]) -> SourceDescription {
    crate::ingest::scene::source(name, kind, ssrcs).unwrap()
}
