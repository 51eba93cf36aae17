//! Sets the scene for tests and fuzzing: a conference with one sender, driven by packets.

use core::time::Duration;

use crate::description::{
    Codec, Feedback, GroupSemantics, HeaderExtension, MediaDescription, MediaKind,
    PayloadTypeDescription, SourceDescription, SsrcGroup, VideoType,
};
use crate::error::{Discard, Result};
use crate::id::{
    ConferenceId, EndpointId, EndpointKey, Key, PayloadType, ShardId, SourceName, Ssrc,
};
use crate::limits::{FEEDBACK_BYTES_MAX, HISTORY_PACKETS_MAX};
use crate::map::MapSeed;
use crate::packet::Pool;
use crate::route::conference::{Conference, FeedbackSsrcs};
use crate::rtcp::packets;
use crate::rtp::{RtpHeader, packet};
use crate::time::Time;

use super::Ingest;

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

/// What a browser takes.
pub(super) const FEEDBACK: &[Feedback] = &[
    Feedback::Nack,
    Feedback::NackPli,
    Feedback::CcmFir,
    Feedback::TransportCc,
    Feedback::Remb,
];

impl Scene {
    pub(super) fn with_feedback(feedback: &[Feedback]) -> Result<Self> {
        let ssrcs = FeedbackSsrcs {
            audio: Ssrc(1),
            video: Ssrc(2),
        };
        let id = ConferenceId::new("room")?;
        let mut conference = Conference::new(id, ssrcs, ShardId(0), MapSeed::new(1));
        conference.join(endpoint(0));
        let id = EndpointId::new("sender")?;
        let mut ingest = Ingest::new(endpoint(0), id, 30_000_000);
        let mut pool = Pool::new(2_048);
        for description in media(feedback) {
            ingest.set_media(&description)?;
        }
        ingest.set_sources(&mut conference, &sources()?, &mut pool)?;
        Ok(Self {
            now: Time::from_millis(1_000),
            conference,
            ingest,
            pool,
        })
    }

    pub(super) fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Discard> {
        let header = RtpHeader::parse(bytes)?;
        let mut packet = self.pool.take();
        packet.fill(bytes);
        let (conference, pool) = (&mut self.conference, &mut self.pool);
        self.ingest
            .handle_rtp(self.now, packet, &header, conference, pool)
    }

    pub(super) fn send_rtcp_bytes(&mut self, bytes: &[u8]) -> Result<(), Discard> {
        for packet in packets(bytes) {
            let conference = &mut self.conference;
            self.ingest.handle_rtcp(self.now, &packet?, conference)?;
        }
        Ok(())
    }

    /// Wishes for a keyframe, and tells the sender's ingest as the engine does.
    pub(super) fn wish(&mut self, encoding: u8) {
        let keys = self.ingest.sources.clone();
        for key in keys {
            self.conference.request_keyframe(self.now, key, encoding);
        }
        while self.conference.urgent.pop().is_some() {
            self.ingest.wake(self.now);
        }
    }

    /// The next compound for the sender, if one is due.
    pub(super) fn poll<'a>(&mut self, out: &'a mut [u8; FEEDBACK_BYTES_MAX]) -> Option<&'a [u8]> {
        let (conference, pool) = (&mut self.conference, &mut self.pool);
        let length = self.ingest.poll_feedback(self.now, conference, pool, out)?;
        out.get(..length)
    }

    /// What holds after every step, whatever came.
    fn check(&mut self) {
        let mut out = [0; FEEDBACK_BYTES_MAX];
        while let Some(compound) = self.poll(&mut out) {
            assert!(packets(compound).all(|packet| packet.is_ok()), "readable");
        }
        let deadline = self.ingest.deadline();
        assert!(
            deadline.is_none_or(|deadline| deadline > self.now),
            "not in the past"
        );
        for (key, source) in self.conference.sources.iter() {
            let entries = self.conference.active.iter().filter(|one| **one == key);
            assert_eq!(entries.count(), usize::from(!source.pending.is_empty()));
            for pending in &source.pending {
                let encoding = source.encodings.get(usize::from(pending.encoding));
                let held = encoding.and_then(|one| one.store.get(pending.sequence));
                assert!(held.is_some_and(|held| {
                    RtpHeader::parse(held.packet.bytes()) == Ok(held.header)
                        && held.payload_length > 0
                }));
            }
        }
        self.conference.clear_pending();
        assert!(self.pool.made() <= PACKETS_MAX, "bounded");
    }
}

/// Plays a script: each step is a kind, a length and as many bytes. The kind says of which stream
/// a packet is, so that a fuzzer need not find out.
pub(super) fn play(script: &[u8]) -> Result<()> {
    let mut scene = Scene::with_feedback(FEEDBACK)?;
    let mut rest = script;
    while let Some(([kind, length], after)) = rest.split_first_chunk() {
        let (step, after) = after.split_at(usize::from(*length).min(after.len()));
        rest = after;
        let stream = usize::from(kind >> 4);
        // What becomes of a packet is told by the state, not by the reason of its end.
        match kind & 7 {
            0..=3 => drop(scene.send_as(stream, step)),
            4 => drop(scene.send_rtcp_bytes(step)),
            5 => scene.wish(kind >> 4),
            6 => {
                let mute = Some(stream & 1 != 0);
                scene.ingest.force_mute(&mut scene.conference, mute, mute);
            }
            _ => scene.now = scene.now + Duration::from_millis(10 << (stream & 7)),
        }
        scene.check();
    }
    Ok(())
}

impl Scene {
    /// Sends a packet as one of a stream that was announced, or as it is.
    fn send_as(&mut self, stream: usize, bytes: &[u8]) -> Result<(), Discard> {
        let mut bytes = bytes.to_vec();
        if let Some((payload_type, ssrc)) = STREAMS.get(stream) {
            packet::set_payload_type(&mut bytes, PayloadType(*payload_type));
            packet::set_ssrc(&mut bytes, *ssrc);
        }
        self.send_bytes(&bytes)
    }
}

const STREAMS: [(u8, Ssrc); 7] = [
    (OPUS, AUDIO),
    (VP8, VIDEO[0]),
    (VP8, VIDEO[1]),
    (VP8, VIDEO[2]),
    (VP8_RTX, RTX[0]),
    (VP8_RTX, RTX[1]),
    (VP8_RTX, RTX[2]),
];

/// Four full stores and one packet on its way.
const PACKETS_MAX: u64 = 4 * HISTORY_PACKETS_MAX as u64 + 1;

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

pub(super) fn source(name: &str, kind: MediaKind, ssrcs: &[Ssrc]) -> Result<SourceDescription> {
    Ok(SourceDescription {
        name: SourceName::new(name)?,
        kind,
        video_type: VideoType::Camera,
        ssrcs: ssrcs.to_vec(),
        groups: Vec::new(),
    })
}

pub(super) fn sources() -> Result<Vec<SourceDescription>> {
    let mut video = source("v0", MediaKind::Video, &[VIDEO, RTX].concat())?;
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
    Ok(vec![source("a0", MediaKind::Audio, &[AUDIO])?, video])
}

pub(super) const fn endpoint(index: u32) -> EndpointKey {
    EndpointKey(Key {
        index,
        generation: 0,
    })
}
