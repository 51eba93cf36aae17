//! Says what every client is offered: the codecs that the engine forwards, with Jicofo's payload
//! types and extension ids.

use bridge_core::description::{
    Codec, Feedback, HeaderExtension, MediaDescription, MediaKind, PayloadTypeDescription,
};
use bridge_core::id::{PayloadType, Ssrc};

use super::participant::Features;
use crate::jingle::source::{Stream, Streams};

/// Both kinds as offered to a client of these features.
#[must_use]
pub fn media(features: Features) -> Vec<MediaDescription> {
    vec![audio(features), video(features)]
}

fn audio(features: Features) -> MediaDescription {
    MediaDescription {
        kind: MediaKind::Audio,
        payload_types: vec![PayloadTypeDescription {
            id: OPUS,
            codec: Codec::Opus,
            clock_rate: 48_000,
            channels: 2,
            parameters: parameters(&[("minptime", "10"), ("useinbandfec", "1")]),
            feedback: congestion_feedback(features),
        }],
        header_extensions: [
            Some((HeaderExtension::AudioLevel, 1)),
            Some((HeaderExtension::Mid, 10)),
            features
                .transport_cc
                .then_some((HeaderExtension::TransportSequence, 5)),
        ]
        .into_iter()
        .flatten()
        .collect(),
    }
}

fn video(features: Features) -> MediaDescription {
    let repair = [Feedback::CcmFir, Feedback::Nack, Feedback::NackPli];
    let vp8 = PayloadTypeDescription {
        id: VP8,
        codec: Codec::Vp8,
        clock_rate: 90_000,
        channels: 1,
        parameters: Vec::new(),
        feedback: repair
            .into_iter()
            .chain(congestion_feedback(features))
            .collect(),
    };
    let rtx = PayloadTypeDescription {
        id: RTX,
        codec: Codec::Rtx { of: VP8 },
        clock_rate: 90_000,
        channels: 1,
        parameters: parameters(&[("apt", "100")]),
        feedback: repair.to_vec(),
    };
    MediaDescription {
        kind: MediaKind::Video,
        payload_types: core::iter::once(vp8)
            .chain(features.rtx.then_some(rtx))
            .collect(),
        header_extensions: [
            Some((HeaderExtension::Mid, 10)),
            Some((HeaderExtension::AbsSendTime, 3)),
            features
                .transport_cc
                .then_some((HeaderExtension::TransportSequence, 5)),
        ]
        .into_iter()
        .flatten()
        .collect(),
    }
}

/// Transport-wide feedback where the client knows it, else REMB.
fn congestion_feedback(features: Features) -> Vec<Feedback> {
    if features.transport_cc {
        vec![Feedback::TransportCc]
    } else {
        vec![Feedback::Remb]
    }
}

fn parameters(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// What of an answer was offered. A payload type or extension that was not is left out, so that
/// nobody is sent what another client made up.
#[must_use]
pub fn accepted(answer: Vec<MediaDescription>, features: Features) -> Vec<MediaDescription> {
    let offered = media(features);
    answer
        .into_iter()
        .filter_map(|mut media| {
            let offer = offered.iter().find(|offer| offer.kind == media.kind)?;
            media.payload_types.retain(|answered| {
                offer
                    .payload_types
                    .iter()
                    .any(|it| it.id == answered.id && it.codec == answered.codec)
            });
            media
                .header_extensions
                .retain(|it| offer.header_extensions.contains(it));
            Some(media)
        })
        .collect()
}

/// The bridge's own sources, under whose SSRCs it reports.
#[must_use]
pub fn feedback_sources(audio: Ssrc, video: Ssrc) -> Streams {
    let stream = |kind, ssrc, name: &str, msid: &str| Stream {
        kind,
        ssrc,
        name: name.to_owned(),
        msid: msid.to_owned(),
        video_type: bridge_core::description::VideoType::Camera,
    };
    Streams {
        streams: vec![
            stream(
                MediaKind::Video,
                video,
                "jvb-v0",
                "mixedmslabel mixedlabelvideo0",
            ),
            stream(
                MediaKind::Audio,
                audio,
                "jvb-a0",
                "mixedmslabel mixedlabelaudio0",
            ),
        ],
        groups: Vec::new(),
    }
}

/// Owner of the bridge's own sources.
pub const BRIDGE: &str = "jvb";

const OPUS: PayloadType = PayloadType(111);
const VP8: PayloadType = PayloadType(100);
const RTX: PayloadType = PayloadType(96);
