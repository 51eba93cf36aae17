//! Walks packets of a scripted sender through all stages of ingest.

use core::time::Duration;

use super::*;
use crate::description::{
    Codec, Feedback, GroupSemantics, HeaderExtension, MediaKind, PayloadTypeDescription, SsrcGroup,
    VideoType,
};
use crate::error::Error;
use crate::id::{ConferenceId, Key, PayloadType, SourceName};
use crate::limits::{
    FEEDBACK_BYTES_MAX, HISTORY_PACKETS_MAX, KEYFRAME_REQUEST_INTERVAL, MISSING_MAX,
    NACK_TRIES_MAX, SILENT_PACKETS_MAX,
};
use crate::map::MapSeed;
use crate::route::conference::FeedbackSsrcs;
use crate::rtcp::{CompoundWriter, packets};
use crate::rtp::extension::ExtensionWriter;

use super::store::Entry;

/// A conference with one sender: sound on SSRC 10, pictures in three encodings on 21 to 23 with
/// retransmissions on 31 to 33.
struct Scene {
    now: Time,
    conference: Conference,
    ingest: Ingest,
    pool: Pool,
}

const AUDIO: Ssrc = Ssrc(10);

const VIDEO: [Ssrc; 3] = [Ssrc(21), Ssrc(22), Ssrc(23)];

const RTX: [Ssrc; 3] = [Ssrc(31), Ssrc(32), Ssrc(33)];

const OPUS: u8 = 111;

const VP8: u8 = 100;

const VP8_RTX: u8 = 96;

const LEVEL_ID: u8 = 1;

const TRANSPORT_ID: u8 = 5;

const KEYFRAME: [u8; 11] = [0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 2, 0x68, 1];

const DELTA_FRAME: [u8; 4] = [0x10, 0x01, 0, 0];

/// What a test packet holds.
#[derive(Clone, Copy)]
struct Sent<'a> {
    payload_type: u8,
    ssrc: Ssrc,
    sequence: u16,
    timestamp: u32,
    extension: Option<(u8, &'a [u8])>,
    payload: &'a [u8],
    padding: u8,
}

const SOUND: Sent<'_> = Sent {
    payload_type: OPUS,
    ssrc: AUDIO,
    sequence: 0,
    timestamp: 0,
    extension: None,
    payload: &[1, 2, 3],
    padding: 0,
};

const PICTURE: Sent<'_> = Sent {
    payload_type: VP8,
    ssrc: VIDEO[0],
    payload: &DELTA_FRAME,
    ..SOUND
};

const REPEATED: Sent<'_> = Sent {
    payload_type: VP8_RTX,
    ssrc: RTX[0],
    ..PICTURE
};

impl Sent<'_> {
    fn at(self, sequence: u16) -> Self {
        Self { sequence, ..self }
    }

    fn bytes(&self) -> Vec<u8> {
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

fn payload_type(id: u8, codec: Codec, feedback: &[Feedback]) -> PayloadTypeDescription {
    PayloadTypeDescription {
        id: PayloadType(id),
        clock_rate: if codec == Codec::Opus { 48_000 } else { 90_000 },
        codec,
        channels: 1,
        parameters: Vec::new(),
        feedback: feedback.to_vec(),
    }
}

fn media(video_feedback: &[Feedback]) -> [MediaDescription; 2] {
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

fn source(name: &str, kind: MediaKind, ssrcs: &[Ssrc]) -> SourceDescription {
    SourceDescription {
        name: SourceName::new(name).unwrap(),
        kind,
        video_type: VideoType::Camera,
        ssrcs: ssrcs.to_vec(),
        groups: Vec::new(),
    }
}

fn sources() -> Vec<SourceDescription> {
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

fn endpoint(index: u32) -> EndpointKey {
    EndpointKey(Key {
        index,
        generation: 0,
    })
}

impl Scene {
    fn new() -> Self {
        Self::with_feedback(&[
            Feedback::Nack,
            Feedback::NackPli,
            Feedback::CcmFir,
            Feedback::TransportCc,
            Feedback::Remb,
        ])
    }

    fn with_feedback(feedback: &[Feedback]) -> Self {
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

    fn pass(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
    }

    fn send(&mut self, sent: Sent<'_>) -> Result<(), Discard> {
        self.send_bytes(&sent.bytes())
    }

    fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Discard> {
        let header = RtpHeader::parse(bytes)?;
        let mut packet = self.pool.take();
        packet.fill(bytes);
        let (conference, pool) = (&mut self.conference, &mut self.pool);
        self.ingest
            .handle_rtp(self.now, packet, &header, conference, pool)
    }

    fn send_rtcp(&mut self, write: impl FnOnce(&mut CompoundWriter<'_>)) -> Result<(), Discard> {
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

    fn sender_report(&mut self, ssrc: Ssrc, ntp: u64, rtp_timestamp: u32) -> Result<(), Discard> {
        let info = SenderInfo {
            ssrc,
            ntp,
            rtp_timestamp,
            packets: 0,
            octets: 0,
        };
        self.send_rtcp(|writer| assert!(writer.sender_report(&info, &[])))
    }

    fn source(&mut self, name: &str) -> &mut Source {
        let name = SourceName::new(name).unwrap();
        let key = self.conference.named(&name).unwrap();
        self.conference.sources.get_mut(key).unwrap()
    }

    fn video(&mut self, encoding: usize) -> &mut Encoding {
        &mut self.source("v0").encodings[encoding]
    }

    fn wish(&mut self, encoding: usize) {
        let name = SourceName::new("v0").unwrap();
        let key = self.conference.named(&name).unwrap();
        self.conference.request_keyframe(self.now, key, encoding);
        while self.conference.urgent.pop().is_some() {
            self.ingest.wake(self.now);
        }
    }

    /// Everything that the sender is told now, but for empty reports and names.
    fn told(&mut self) -> Vec<Told> {
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
enum Told {
    Report(Vec<(Ssrc, u8, i32)>),
    Nack(Ssrc, Vec<u16>),
    Pli(Ssrc),
    Fir(Ssrc, u8),
    Arrivals(Vec<(u16, bool)>),
    Bound(u64),
}

impl Told {
    fn read(packet: RtcpPacket<'_>) -> Option<Self> {
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

#[test]
fn packets_wait_under_their_source_in_the_order_of_arrival() {
    let mut scene = Scene::new();
    for sequence in [7, 9, 8] {
        scene.send(PICTURE.at(sequence)).unwrap();
    }
    let source = scene.source("v0");
    let pending: Vec<_> = source
        .pending
        .iter()
        .map(|one| source.encodings[0].store.get(one.sequence).unwrap())
        .map(|packet| packet.header.sequence)
        .collect();
    assert_eq!(pending, [7, 9, 8]);
    assert!(scene.source("a0").pending.is_empty());
}

#[test]
fn what_was_not_announced_or_negotiated_goes_no_further() {
    let cases = [
        (
            Sent {
                ssrc: Ssrc(99),
                ..SOUND
            },
            Discard::UnknownSsrc,
        ),
        (
            Sent {
                ssrc: Ssrc(2),
                ..PICTURE
            },
            Discard::UnknownSsrc,
        ),
        (
            Sent {
                payload_type: 0,
                ..SOUND
            },
            Discard::UnknownPayloadType,
        ),
        (
            Sent {
                payload_type: VP8,
                ..SOUND
            },
            Discard::UnknownPayloadType,
        ),
        (
            Sent {
                payload_type: OPUS,
                ..PICTURE
            },
            Discard::UnknownPayloadType,
        ),
        (
            Sent {
                payload_type: VP8_RTX,
                ..PICTURE
            },
            Discard::UnknownPayloadType,
        ),
        (
            Sent {
                payload_type: VP8,
                ..REPEATED
            },
            Discard::UnknownPayloadType,
        ),
        (
            Sent {
                payload: &[0x90],
                ..PICTURE
            },
            Discard::PayloadMalformed,
        ),
    ];
    let mut scene = Scene::new();
    for (sent, reason) in cases {
        assert_eq!(scene.send(sent), Err(reason));
        assert!(scene.source("v0").pending.is_empty());
        assert!(scene.source("a0").pending.is_empty());
    }
    let mut padded = PICTURE.bytes();
    padded[0] |= 0x20;
    padded.push(0);
    assert_eq!(scene.send_bytes(&padded), Err(Discard::RtpMalformed));
    assert_eq!(scene.pool.made(), 1, "each discarded packet is used again");
}

#[test]
fn nobody_sends_in_the_name_of_another() {
    let mut scene = Scene::new();
    let mut other = Ingest::new(endpoint(1), EndpointId::new("other").unwrap(), 1);
    for description in media(&[]) {
        other.set_media(&description).unwrap();
    }
    let bytes = SOUND.bytes();
    let header = RtpHeader::parse(&bytes).unwrap();
    let (conference, pool) = (&mut scene.conference, &mut scene.pool);
    let packet = Packet::copy_of(&bytes);
    let result = other.handle_rtp(scene.now, packet, &header, conference, pool);
    assert_eq!(result, Err(Discard::UnknownSsrc));
    let claim = [source("mine", MediaKind::Audio, &[AUDIO])];
    let result = other.set_sources(conference, &claim, pool);
    assert!(matches!(result, Err(Error::Exists("SSRC"))));
    let claim = [source("a0", MediaKind::Audio, &[Ssrc(77)])];
    let result = other.set_sources(conference, &claim, pool);
    assert!(matches!(result, Err(Error::Exists("source"))));
    let claim = [source("mine", MediaKind::Video, &[Ssrc(2)])];
    let result = other.set_sources(conference, &claim, pool);
    assert!(matches!(result, Err(Error::Exists("SSRC"))), "our own");
}

#[test]
fn a_retransmission_becomes_its_original() {
    let mut scene = Scene::new();
    scene.send(PICTURE.at(65_535)).unwrap();
    scene.send(PICTURE.at(1)).unwrap();
    let original = Sent {
        timestamp: 3_000,
        extension: Some((TRANSPORT_ID, &[0, 7])),
        padding: 3,
        ..PICTURE
    };
    let payload = [&[0, 0], &DELTA_FRAME[..]].concat();
    let repeated = Sent {
        payload_type: VP8_RTX,
        ssrc: RTX[0],
        payload: &payload,
        ..original
    };
    scene.send(repeated.at(500)).unwrap();
    let source = scene.source("v0");
    let last = *source.pending.last().unwrap();
    assert_eq!(last.sequence, source.pending[0].sequence + 1);
    let packet = source.encodings[0].store.get(last.sequence).unwrap();
    assert_eq!(packet.packet.bytes(), original.at(0).bytes());
    let header = RtpHeader::parse(packet.packet.bytes()).unwrap();
    assert_eq!(packet.header, header);
    assert_eq!(usize::from(packet.payload_length), DELTA_FRAME.len());
    assert_eq!(scene.ingest.counters().packets_recovered, 1);
}

#[test]
fn retransmissions_without_an_original_go_no_further() {
    let mut scene = Scene::new();
    scene.send(PICTURE.at(5)).unwrap();
    let cases: [(&[u8], u8, Discard); 5] = [
        (&[], 200, Discard::PaddingOnly),
        (&[], 0, Discard::PaddingOnly),
        (&[0], 0, Discard::RtxUnexpected),
        (&[0, 5, 0x10, 1], 0, Discard::Duplicate),
        (&[0, 6], 0, Discard::PaddingOnly),
    ];
    for (sequence, (payload, padding, reason)) in (0..).zip(cases) {
        let sent = Sent {
            payload,
            padding,
            ..REPEATED
        };
        assert_eq!(scene.send(sent.at(sequence)), Err(reason), "{payload:?}");
    }
    assert_eq!(scene.source("v0").pending.len(), 1);
    assert_eq!(scene.ingest.counters().packets_recovered, 0);
}

#[test]
fn padding_is_skipped_and_is_not_missing() {
    let mut scene = Scene::new();
    scene.send(PICTURE.at(1)).unwrap();
    let padding = Sent {
        payload: &[],
        padding: 255,
        ..PICTURE
    };
    assert_eq!(scene.send(padding.at(2)), Err(Discard::PaddingOnly));
    assert_eq!(scene.send(padding.at(2)), Err(Discard::Duplicate));
    scene.send(PICTURE.at(3)).unwrap();
    let source = scene.source("v0");
    assert_eq!(source.pending.len(), 2);
    let first = source.pending[0].sequence;
    let store = &source.encodings[0].store;
    assert!(matches!(store.entry(first + 1), Entry::Skipped));
    assert!(scene.told().is_empty());
}

#[test]
fn only_the_first_silent_packets_in_a_row_are_forwarded() {
    let mut scene = Scene::new();
    let mut sequence = 0;
    let mut send = |level: u8, count: usize| {
        let level = [level];
        let sound = Sent {
            extension: Some((LEVEL_ID, &level)),
            ..SOUND
        };
        let results = (0..count).map(|_| {
            sequence += 1;
            scene.send(sound.at(sequence))
        });
        results.filter(Result::is_ok).count()
    };
    let first = usize::from(SILENT_PACKETS_MAX);
    assert_eq!(send(127, 10), first);
    assert_eq!(send(126, 10), 10);
    assert_eq!(send(127, 10), first);
    assert_eq!(send(0x80 | 30, 1), 1, "voice");
    assert_eq!(send(127, 1), 1);
    assert_eq!(scene.send(SOUND.at(100)), Ok(()), "no level");
}

#[test]
fn what_a_moderator_muted_is_neither_forwarded_nor_missed() {
    let mut scene = Scene::new();
    scene.send(PICTURE.at(1)).unwrap();
    scene.wish(0);
    scene
        .ingest
        .force_mute(&mut scene.conference, None, Some(true));
    assert_eq!(scene.send(PICTURE.at(5)), Err(Discard::Muted));
    scene.wish(0);
    assert!(scene.told().is_empty());
    scene.send(SOUND.at(1)).unwrap();
    scene
        .ingest
        .force_mute(&mut scene.conference, None, Some(false));
    scene.send(PICTURE.at(6)).unwrap();
    assert!(scene.told().is_empty());
    let mute = (Some(true), Some(true));
    let conference = &mut scene.conference;
    scene.ingest.force_mute(conference, mute.0, mute.1);
    let mut more = sources();
    more.push(source("v1", MediaKind::Video, &[Ssrc(50)]));
    let result = scene.ingest.set_sources(conference, &more, &mut scene.pool);
    assert!(result.is_ok());
    assert!(scene.source("v1").muted);
}

#[test]
fn a_lost_packet_is_asked_for_at_once_then_every_round_trip_until_it_comes() {
    let mut scene = Scene::new();
    scene.ingest.set_rtt(Duration::from_millis(50));
    scene.send(PICTURE.at(65_534)).unwrap();
    scene.send(PICTURE.at(2)).unwrap();
    let nack = |lost: &[u16]| vec![Told::Nack(VIDEO[0], lost.to_vec())];
    assert_eq!(scene.told(), nack(&[65_535, 0, 1]));
    assert!(scene.told().is_empty());
    scene.send(PICTURE.at(0)).unwrap();
    scene.pass(49);
    assert!(scene.told().is_empty());
    scene.pass(1);
    assert_eq!(scene.told(), nack(&[65_535, 1]));
    let payload = [&[255, 255], &DELTA_FRAME[..]].concat();
    let repeated = Sent {
        payload: &payload,
        ..REPEATED
    };
    scene.send(repeated).unwrap();
    scene.pass(50);
    assert_eq!(scene.told(), nack(&[1]));
    assert_eq!(scene.ingest.counters().packets_nacked, 6);
}

#[test]
fn a_packet_that_never_comes_is_given_up_for_a_keyframe() {
    let mut scene = Scene::new();
    scene.ingest.set_rtt(Duration::from_millis(20));
    scene.send(PICTURE.at(1)).unwrap();
    scene.send(PICTURE.at(3)).unwrap();
    let mut nacks = 0;
    let mut told = scene.told();
    while told == [Told::Nack(VIDEO[0], vec![2])] {
        nacks += 1;
        scene.pass(20);
        told = scene.told();
    }
    assert_eq!(nacks, usize::from(NACK_TRIES_MAX));
    assert_eq!(told, [Told::Pli(VIDEO[0])]);
}

#[test]
fn a_gap_too_long_to_mend_asks_for_a_keyframe_at_once() {
    let mut scene = Scene::new();
    scene.send(PICTURE.at(1)).unwrap();
    scene
        .send(PICTURE.at(3 + u16::try_from(MISSING_MAX).unwrap()))
        .unwrap();
    assert_eq!(scene.told(), [Told::Pli(VIDEO[0])]);
}

#[test]
fn sound_and_senders_without_nack_are_not_asked_again() {
    let mut scene = Scene::with_feedback(&[]);
    for sequence in [1, 5] {
        scene.send(SOUND.at(sequence)).unwrap();
        scene.send(PICTURE.at(sequence)).unwrap();
    }
    assert!(scene.told().is_empty());
}

#[test]
fn keyframe_wishes_are_coalesced_throttled_and_repeated_until_one_comes() {
    let mut scene = Scene::new();
    scene.wish(0);
    scene.wish(0);
    scene.wish(2);
    assert_eq!(scene.told(), [Told::Pli(VIDEO[0]), Told::Pli(VIDEO[2])]);
    scene.pass(50);
    scene.wish(0);
    scene.wish(1);
    assert!(scene.told().is_empty(), "throttled");
    scene.pass(150);
    let all = VIDEO.map(Told::Pli);
    assert_eq!(scene.told(), all);
    scene
        .send(Sent {
            payload: &KEYFRAME,
            ..PICTURE
        })
        .unwrap();
    scene.pass(400);
    assert_eq!(scene.told(), all[1..]);
    scene.wish(9);
    let mut asked = 0;
    for _ in 0..200 {
        scene.pass(100);
        let told = scene.told();
        asked += told
            .iter()
            .filter(|told| matches!(told, Told::Pli(_)))
            .count();
    }
    assert!((2..=20).contains(&asked), "given up in the end: {asked}");
    assert_eq!(
        scene.ingest.counters().keyframe_requests_sent,
        7 + asked as u64
    );
}

#[test]
fn a_flood_of_wishes_reaches_the_sender_five_times_a_second() {
    let mut scene = Scene::new();
    let mut asked = 0;
    for _ in 0..10_000 {
        scene.now = scene.now + Duration::from_micros(100);
        scene.wish(0);
        asked += scene.told().len();
        scene
            .send(Sent {
                payload: &KEYFRAME,
                ..PICTURE
            })
            .ok();
    }
    let most = Duration::from_secs(1).as_millis() / KEYFRAME_REQUEST_INTERVAL.as_millis();
    assert!(asked as u128 <= most + 1, "{asked}");
}

#[test]
fn fir_is_used_when_nothing_else_is_negotiated_and_counts_wishes() {
    let mut scene = Scene::with_feedback(&[Feedback::CcmFir]);
    scene.wish(1);
    assert_eq!(scene.told(), [Told::Fir(VIDEO[1], 1)]);
    scene.pass(200);
    assert_eq!(scene.told(), [Told::Fir(VIDEO[1], 1)], "repeated");
    scene
        .send(Sent {
            ssrc: VIDEO[1],
            payload: &KEYFRAME,
            ..PICTURE
        })
        .unwrap();
    scene.pass(200);
    scene.wish(1);
    assert_eq!(scene.told(), [Told::Fir(VIDEO[1], 2)], "a new wish");
}

#[test]
fn a_keyframe_tells_the_height_and_what_came_before_is_not_missed() {
    let mut scene = Scene::new();
    scene.send(PICTURE.at(1)).unwrap();
    let before = scene.conference.changes;
    let key = Sent {
        payload: &KEYFRAME,
        ..PICTURE
    };
    scene.send(key.at(9)).unwrap();
    assert_eq!(scene.video(0).height, Some(360));
    assert_eq!(scene.conference.changes, before + 1);
    assert!(scene.told().is_empty());
    scene.send(key.at(10)).unwrap();
    assert_eq!(scene.conference.changes, before + 1, "as before");
}

#[test]
fn reception_is_reported_twice_a_second_while_something_comes() {
    let mut scene = Scene::new();
    for sequence in [0, 1, 2, 3, 5, 6, 7, 9] {
        scene.send(SOUND.at(sequence)).unwrap();
    }
    assert!(scene.told().is_empty());
    scene.pass(500);
    assert_eq!(scene.told(), [Told::Report(vec![(AUDIO, 51, 2)])]);
    scene.pass(500);
    scene.send(SOUND.at(10)).unwrap();
    assert_eq!(scene.told(), [Told::Report(vec![(AUDIO, 0, 2)])]);
    scene.pass(6_000);
    assert!(scene.told().is_empty());
    assert_eq!(scene.ingest.deadline(), None, "nothing comes any more");
}

#[test]
fn arrivals_are_told_for_all_streams_of_the_transport() {
    let mut scene = Scene::new();
    let numbers = [
        (65_534_u16, SOUND),
        (65_535, PICTURE),
        (1, PICTURE),
        (2, SOUND),
    ];
    for (sequence, (number, sent)) in (0..).zip(numbers) {
        let number = number.to_be_bytes();
        let extension = Some((TRANSPORT_ID, &number[..]));
        scene.send(Sent { extension, ..sent }.at(sequence)).unwrap();
        scene.pass(1);
    }
    let unknown = Sent {
        ssrc: Ssrc(99),
        extension: Some((TRANSPORT_ID, &[0, 3])),
        ..SOUND
    };
    assert!(scene.send(unknown).is_err());
    scene.pass(95);
    assert!(scene.told().is_empty());
    scene.pass(1);
    let came = [
        (65_534, true),
        (65_535, true),
        (0, false),
        (1, true),
        (2, true),
        (3, true),
    ];
    assert_eq!(scene.told(), [Told::Arrivals(came.to_vec())]);
    assert!(scene.told().is_empty());
    let late = Sent {
        extension: Some((TRANSPORT_ID, &[0, 0])),
        ..SOUND
    };
    scene.send(late.at(9)).unwrap();
    scene.pass(100);
    let came = [(0, true), (1, true), (2, true), (3, true)];
    assert_eq!(scene.told(), [Told::Arrivals(came.to_vec())], "a late one");
}

#[test]
fn a_sender_without_transport_cc_is_told_the_bound() {
    let mut scene = Scene::with_feedback(&[Feedback::Remb]);
    scene.send(PICTURE.at(1)).unwrap();
    scene.pass(500);
    let told = scene.told();
    let bounds = told.iter().filter(|told| matches!(told, Told::Bound(_)));
    assert_eq!(bounds.count(), 1);
    let mut scene = Scene::new();
    scene.send(PICTURE.at(1)).unwrap();
    scene.pass(500);
    assert!(
        !scene
            .told()
            .iter()
            .any(|told| matches!(told, Told::Bound(_)))
    );
}

#[test]
fn a_sender_clock_counts_when_it_agrees_with_the_packets() {
    let mut scene = Scene::new();
    assert_eq!(
        scene.sender_report(Ssrc(99), 7, 0),
        Err(Discard::UnknownSsrc)
    );
    scene.sender_report(AUDIO, 7, 0).unwrap();
    let clock = |scene: &mut Scene| {
        let clock = scene.source("a0").encodings[0].sender_report;
        clock.map(|clock| (clock.ntp, clock.rtp))
    };
    assert_eq!(clock(&mut scene), None, "no packet yet");
    let start = u32::MAX - 100;
    scene
        .send(Sent {
            timestamp: start,
            ..SOUND
        })
        .unwrap();
    scene.pass(1_000);
    let cases = [
        (1, 48_000, true),
        (2, 48_000 * 10, true),
        (3, 48_000 * 12, false),
        (4, -48_000 * 8, true),
        (5, -48_000 * 10, false),
        (0, 48_000, false),
    ];
    let mut last = None;
    for (ntp, distance, counts) in cases {
        let rtp = start.wrapping_add_signed(distance);
        scene.sender_report(AUDIO, ntp, rtp).unwrap();
        last = if counts { Some((ntp, rtp)) } else { last };
        assert_eq!(clock(&mut scene), last, "{distance} ticks away");
    }
}

#[test]
fn a_stream_that_says_goodbye_ends_and_stays_announced() {
    let mut scene = Scene::new();
    scene.send(PICTURE.at(1)).unwrap();
    let before = scene.conference.changes;
    let foreign = scene.send_rtcp(|writer| assert!(writer.bye(&[Ssrc(99)])));
    assert_eq!(foreign, Err(Discard::UnknownSsrc));
    scene
        .send_rtcp(|writer| assert!(writer.bye(&[VIDEO[0], RTX[0]])))
        .unwrap();
    scene.told();
    assert!(!scene.video(0).live);
    assert_eq!(scene.conference.changes, before + 1);
    scene.send(PICTURE.at(2)).unwrap();
    assert!(scene.video(0).live);
}

#[test]
fn an_encoding_that_others_overtake_is_not_live_any_more() {
    let mut scene = Scene::new();
    for frame in 0..60_u16 {
        let timestamp = u32::from(frame) * 3_000;
        for (encoding, ssrc) in VIDEO.into_iter().enumerate() {
            if encoding < 2 || frame < 30 {
                let picture = Sent {
                    ssrc,
                    timestamp,
                    ..PICTURE
                };
                scene.send(picture.at(frame)).unwrap();
            }
        }
        scene.pass(33);
        scene.told();
    }
    scene.pass(400);
    scene.told();
    let live = [0, 1, 2].map(|encoding| scene.video(encoding).live);
    assert_eq!(live, [true, true, false]);
    assert!(matches!(scene.video(2).store.entry(65_536), Entry::Gone));
}

#[test]
fn a_still_picture_at_one_frame_a_second_stays_live() {
    let mut scene = Scene::new();
    for frame in 0..20_u16 {
        for ssrc in VIDEO {
            let timestamp = u32::from(frame) * 90_000;
            let picture = Sent {
                ssrc,
                timestamp,
                ..PICTURE
            };
            scene.send(picture.at(frame)).unwrap();
            scene.told();
        }
        for _ in 0..10 {
            scene.pass(100);
            scene.told();
            for encoding in 0..3 {
                assert!(scene.video(encoding).live, "frame {frame}");
            }
        }
    }
    scene.pass(5_000);
    scene.told();
    assert!(!scene.video(0).live, "all are silent for long");
}

#[test]
fn packets_go_back_to_the_pool_when_a_source_is_withdrawn() {
    let mut scene = Scene::new();
    for sequence in 0..300 {
        scene.send(PICTURE.at(sequence)).unwrap();
    }
    scene.source("v0").pending.clear();
    let made = scene.pool.made();
    let (conference, pool) = (&mut scene.conference, &mut scene.pool);
    scene.ingest.set_sources(conference, &[], pool).unwrap();
    assert!(scene.ingest.sources().is_empty());
    assert_eq!(scene.send(PICTURE), Err(Discard::UnknownSsrc));
    for _ in 0..made {
        let packet = scene.pool.take();
        core::mem::forget(packet);
    }
    assert_eq!(scene.pool.made(), made);
}

#[test]
fn no_numbers_of_a_hostile_sender_cost_more_than_the_bounds() {
    let mut scene = Scene::new();
    let mut number = 1_u16;
    for step in 0..20_000_u32 {
        number = number.wrapping_mul(25_173).wrapping_add(13_849);
        let extension = number.to_be_bytes();
        let payload = [&number.swap_bytes().to_be_bytes()[..], &KEYFRAME].concat();
        let sent = Sent {
            sequence: number,
            timestamp: step.wrapping_mul(0x9e37_79b9),
            extension: Some((TRANSPORT_ID, &extension)),
            payload: &payload[2..],
            ..PICTURE
        };
        scene.send(sent).ok();
        scene
            .send(
                Sent {
                    payload: &payload,
                    ..REPEATED
                }
                .at(number),
            )
            .ok();
        if step % 16 == 0 {
            scene.pass(3);
            scene.told();
            scene.source("v0").pending.clear();
        }
    }
    let bound = HISTORY_PACKETS_MAX as u64 + 1;
    assert!(scene.pool.made() <= bound, "{}", scene.pool.made());
}
