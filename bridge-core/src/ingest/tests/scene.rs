//! Plays a scripted sender and reads what it is told.

use core::time::Duration;

use crate::description::{
    Codec, Feedback, GroupSemantics, HeaderExtension, MediaDescription, MediaKind,
    PayloadTypeDescription, SourceDescription, SsrcGroup, VideoType,
};
use crate::error::Discard;
use crate::id::{ConferenceId, EndpointId, EndpointKey, Key, PayloadType, SourceName, Ssrc};
use crate::ingest::Ingest;
use crate::ingest::source::{Encoding, Source};
use crate::limits::FEEDBACK_BYTES_MAX;
use crate::map::MapSeed;
use crate::packet::Pool;
use crate::route::conference::{Conference, FeedbackSsrcs};
use crate::rtcp::{CompoundWriter, RtcpPacket, SenderInfo, packets};
use crate::rtp::RtpHeader;
use crate::rtp::extension::ExtensionWriter;
use crate::time::Time;

/// A conference with one sender: sound on SSRC 10, pictures in three encodings on 21 to 23 with
/// retransmissions on 31 to 33.
pub(super) struct Scene {
    pub(super) now: Time,
    pub(super) conference: Conference,
    pub(super) ingest: Ingest,
    pub(super) pool: Pool,
}

pub(super) const AUDIO: Ssrc = Ssrc(10);

pub(super) const VIDEO: [Ssrc; 3] = [Ssrc(21), Ssrc(22), Ssrc(23)];

pub(super) const RTX: [Ssrc; 3] = [Ssrc(31), Ssrc(32), Ssrc(33)];

pub(super) const OPUS: u8 = 111;

pub(super) const VP8: u8 = 100;

pub(super) const VP8_RTX: u8 = 96;

pub(super) const LEVEL_ID: u8 = 1;

pub(super) const TRANSPORT_ID: u8 = 5;

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

pub(super) fn payload_type(id: u8, codec: Codec, feedback: &[Feedback]) -> PayloadTypeDescription {
    PayloadTypeDescription {
        id: PayloadType(id),
        clock_rate: if codec == Codec::Opus { 48_000 } else { 90_000 },
        codec,
        channels: 1,
        parameters: Vec::new(),
        feedback: feedback.to_vec(),
    }
}

pub(super) fn media(video_feedback: &[Feedback]) -> [MediaDescription; 2] {
    let rtx = Codec::Rtx {
        of: PayloadType(VP8),
    };
    let transport = (HeaderExtension::TransportSequence, TRANSPORT_ID);
    [
        MediaDescription {
            kind: MediaKind::Audio,
            payload_types: vec![payload_type(OPUS, Codec::Opus, &[])],
            header_extensions: vec![(HeaderExtension::AudioLevel, LEVEL_ID), transport],
        },
        MediaDescription {
            kind: MediaKind::Video,
            payload_types: vec![
                payload_type(VP8, Codec::Vp8, video_feedback),
                payload_type(VP8_RTX, rtx, &[]),
            ],
            header_extensions: vec![transport],
        },
    ]
}

pub(super) fn source(name: &str, kind: MediaKind, ssrcs: &[Ssrc]) -> SourceDescription {
    SourceDescription {
        name: SourceName::new(name).unwrap(),
        kind,
        video_type: VideoType::Camera,
        ssrcs: ssrcs.to_vec(),
        groups: Vec::new(),
    }
}

pub(super) fn sources() -> Vec<SourceDescription> {
    let mut video = source("v0", MediaKind::Video, &[VIDEO, RTX].concat());
    video.groups.push(SsrcGroup {
        semantics: GroupSemantics::Simulcast,
        ssrcs: VIDEO.to_vec(),
    });
    for (stream, rtx) in VIDEO.into_iter().zip(RTX) {
        video.groups.push(SsrcGroup {
            semantics: GroupSemantics::FlowIdentification,
            ssrcs: vec![stream, rtx],
        });
    }
    vec![source("a0", MediaKind::Audio, &[AUDIO]), video]
}

pub(super) fn endpoint(index: u32) -> EndpointKey {
    EndpointKey(Key {
        index,
        generation: 0,
    })
}

impl Scene {
    pub(super) fn new() -> Self {
        Self::with_feedback(&[
            Feedback::Nack,
            Feedback::NackPli,
            Feedback::CcmFir,
            Feedback::TransportCc,
            Feedback::Remb,
        ])
    }

    pub(super) fn with_feedback(feedback: &[Feedback]) -> Self {
        let ssrcs = FeedbackSsrcs {
            audio: Ssrc(1),
            video: Ssrc(2),
        };
        let id = ConferenceId::new("room").unwrap();
        let mut conference = Conference::new(id, ssrcs, MapSeed::new(1));
        conference.join(endpoint(0));
        let id = EndpointId::new("sender").unwrap();
        let mut ingest = Ingest::new(endpoint(0), id, 30_000_000);
        let mut pool = Pool::new(2_048);
        for description in media(feedback) {
            ingest.set_media(&description).unwrap();
        }
        ingest
            .set_sources(&mut conference, &sources(), &mut pool)
            .unwrap();
        Self {
            now: Time::from_millis(1_000),
            conference,
            ingest,
            pool,
        }
    }

    pub(super) fn pass(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
    }

    pub(super) fn send(&mut self, sent: Sent<'_>) -> Result<(), Discard> {
        self.send_bytes(&sent.bytes())
    }

    pub(super) fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Discard> {
        let header = RtpHeader::parse(bytes)?;
        let mut packet = self.pool.take();
        packet.fill(bytes);
        let (conference, pool) = (&mut self.conference, &mut self.pool);
        self.ingest
            .handle_rtp(self.now, packet, &header, conference, pool)
    }

    pub(super) fn send_rtcp(
        &mut self,
        write: impl FnOnce(&mut CompoundWriter<'_>),
    ) -> Result<(), Discard> {
        let mut bytes = [0; 200];
        let mut writer = CompoundWriter::new(&mut bytes);
        write(&mut writer);
        let length = writer.len();
        for packet in packets(&bytes[..length]) {
            let conference = &mut self.conference;
            self.ingest.handle_rtcp(self.now, &packet?, conference)?;
        }
        Ok(())
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

    pub(super) fn wish(&mut self, encoding: usize) {
        let name = SourceName::new("v0").unwrap();
        let key = self.conference.named(&name).unwrap();
        self.conference.request_keyframe(self.now, key, encoding);
        while self.conference.urgent.pop().is_some() {
            self.ingest.wake(self.now);
        }
    }

    /// Everything that the sender is told now, but for empty reports and names.
    pub(super) fn told(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        let mut out = [0; FEEDBACK_BYTES_MAX];
        let (conference, pool) = (&mut self.conference, &mut self.pool);
        while let Some(length) = self
            .ingest
            .poll_feedback(self.now, conference, pool, &mut out)
        {
            assert!(length > 0 && length <= out.len());
            told.extend(packets(&out[..length]).filter_map(|packet| Told::read(packet.unwrap())));
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
