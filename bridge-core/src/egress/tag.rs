//! Writes the header that one receiver negotiated: payload types, extension ids, and stamps.
//!
//! Of the sender's extensions only the audio level goes on (RFC 6464); its MID and RID name things
//! between it and us. What is stamped: the transport-wide sequence number
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01) and the absolute send time. The block is
//! written anew with the fewest bytes, one-byte form where the ids allow (RFC 8285).

use crate::description::{Codec, Feedback, HeaderExtension, MediaDescription, MediaKind};
use crate::id::PayloadType;
use crate::rtp::extension::{ExtensionWriter, abs_send_time_of};
use crate::rtp::packet::FIXED_HEADER_LENGTH;
use crate::time::Time;

/// What one receiver negotiated, as far as forwarding to it is concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Negotiated {
    /// Sound.
    pub(crate) audio: Kind,
    /// Pictures.
    pub(crate) video: Kind,
}

/// The same for one kind of media.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Opus or VP8.
    pub(crate) media: Option<PayloadType>,
    /// Its retransmissions (RFC 4588).
    pub(crate) rtx: Option<PayloadType>,
    /// Whether the receiver reports on the transport-wide numbers.
    pub(crate) transport_feedback: bool,
    /// Whether the receiver tells its own estimate.
    pub(crate) remb: bool,
    audio_level: Option<u8>,
    transport_sequence: Option<u8>,
    abs_send_time: Option<u8>,
    /// Bytes of header and extension block.
    length: usize,
    /// The same with an audio level.
    length_with_level: usize,
}

/// What is stamped on one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Transport-wide number.
    pub(crate) transport_sequence: u16,
    /// Time of sending.
    pub(crate) at: Time,
    /// Level byte of RFC 6464, if the sender told it.
    pub(crate) audio_level: Option<u8>,
}

impl Negotiated {
    /// Takes over the kinds of media that are described; the others stay.
    pub(crate) fn set_media(&mut self, media: &[MediaDescription]) {
        for description in media {
            let kind = Kind::new(description);
            match description.kind {
                MediaKind::Audio => self.audio = kind,
                MediaKind::Video => self.video = kind,
            }
        }
    }

    /// What holds for one kind.
    pub(crate) const fn of(&self, kind: MediaKind) -> &Kind {
        match kind {
            MediaKind::Audio => &self.audio,
            MediaKind::Video => &self.video,
        }
    }

    /// Whether the receiver gives transport-wide feedback.
    pub(crate) const fn has_transport_feedback(&self) -> bool {
        self.audio.transport_feedback || self.video.transport_feedback
    }
}

impl Kind {
    fn new(description: &MediaDescription) -> Self {
        let wanted = match description.kind {
            MediaKind::Audio => Codec::Opus,
            MediaKind::Video => Codec::Vp8,
        };
        let types = &description.payload_types;
        let media = types.iter().find(|media| media.codec == wanted);
        let rtx = media.and_then(|media| {
            let codec = Codec::Rtx { of: media.id };
            types.iter().find(|rtx| rtx.codec == codec)
        });
        let has = |feedback| media.is_some_and(|media| media.feedback.contains(&feedback));
        let id = |extension| {
            let extensions = &description.header_extensions;
            let found = extensions.iter().find(|(known, _)| *known == extension);
            found.map(|(_, id)| *id).filter(|id| *id != 0)
        };
        let transport_sequence = id(HeaderExtension::TransportSequence);
        let mut kind = Self {
            media: media.map(|media| media.id),
            rtx: rtx.map(|rtx| rtx.id),
            transport_feedback: has(Feedback::TransportCc) && transport_sequence.is_some(),
            remb: has(Feedback::Remb),
            audio_level: id(HeaderExtension::AudioLevel),
            transport_sequence,
            abs_send_time: id(HeaderExtension::AbsSendTime),
            length: 0,
            length_with_level: 0,
        };
        kind.length = kind.measure(None);
        kind.length_with_level = kind.measure(Some(0));
        kind
    }

    /// Bytes of header and extension block, found by writing one.
    fn measure(&self, audio_level: Option<u8>) -> usize {
        let stamp = Stamp {
            transport_sequence: 0,
            at: Time::ZERO,
            audio_level,
        };
        FIXED_HEADER_LENGTH + self.write_extensions(&stamp, &mut [0; BLOCK_BYTES_MAX])
    }

    /// Whether packets carry a transport-wide number.
    pub(crate) const fn is_numbered(&self) -> bool {
        self.transport_sequence.is_some()
    }

    /// Bytes of a packet's header and extension block.
    pub(crate) const fn header_length(&self, has_audio_level: bool) -> usize {
        if has_audio_level {
            self.length_with_level
        } else {
            self.length
        }
    }

    /// Writes the extension block and gives its length: that of [`Kind::header_length`] without
    /// the fixed header, 0 when there is nothing to stamp.
    pub(crate) fn write_extensions(&self, stamp: &Stamp, out: &mut [u8]) -> usize {
        let mut writer = ExtensionWriter::new(out);
        let mut push = |id: Option<u8>, data: &[u8]| {
            if let Some(id) = id {
                let has_room = writer.push(id, data);
                debug_assert!(has_room, "a block of all extensions fits");
            }
        };
        push(
            self.transport_sequence,
            &stamp.transport_sequence.to_be_bytes(),
        );
        push(self.abs_send_time, &abs_send_time_of(stamp.at));
        if let Some(level) = stamp.audio_level {
            push(self.audio_level, &[level]);
        }
        writer.finish()
    }
}

/// Bytes of the longest block: every extension in two-byte form.
const BLOCK_BYTES_MAX: usize = 4 + (2 + 2) + (2 + 3) + (2 + 1) + 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::script::media;

    fn stamp(audio_level: Option<u8>) -> Stamp {
        Stamp {
            transport_sequence: 0x0102,
            at: Time::from_millis(1_500),
            audio_level,
        }
    }

    fn written(description: &MediaDescription, audio_level: Option<u8>) -> Vec<u8> {
        let kind = Kind::new(description);
        let mut out = [0xee; 64];
        let length = kind.write_extensions(&stamp(audio_level), &mut out);
        let header = kind.header_length(audio_level.is_some());
        assert_eq!(
            header,
            FIXED_HEADER_LENGTH + length,
            "as it was said before"
        );
        out[..length].to_vec()
    }

    #[test]
    fn a_block_has_the_fewest_bytes_that_its_ids_allow() {
        let mut video = media(MediaKind::Video, true);
        let short = [0xbe, 0xde, 0, 2, 0x51, 1, 2, 0x32, 6, 0, 0, 0];
        assert_eq!(written(&video, None), short);
        video.header_extensions = vec![(HeaderExtension::TransportSequence, 20)];
        assert_eq!(written(&video, None), [0x10, 0, 0, 1, 20, 2, 1, 2]);
        video.header_extensions = vec![(HeaderExtension::Mid, 10), (HeaderExtension::Rid, 4)];
        assert!(written(&video, None).is_empty());
        video.header_extensions = vec![(HeaderExtension::TransportSequence, 0)];
        assert!(written(&video, None).is_empty(), "0 is no id");
    }

    #[test]
    fn every_set_of_ids_fits() {
        let ids = [0, 1, 14, 15, 255];
        for level in ids {
            for number in ids {
                for time in ids {
                    let audio = MediaDescription {
                        header_extensions: vec![
                            (HeaderExtension::AudioLevel, level),
                            (HeaderExtension::TransportSequence, number),
                            (HeaderExtension::AbsSendTime, time),
                        ],
                        ..media(MediaKind::Audio, true)
                    };
                    written(&audio, None);
                    written(&audio, Some(99));
                }
            }
        }
    }

    #[test]
    fn payload_types_are_found_by_codec() {
        let mut negotiated = Negotiated::default();
        negotiated.set_media(&[media(MediaKind::Video, true)]);
        assert_eq!(negotiated.video.media, Some(PayloadType(100)));
        assert_eq!(negotiated.video.rtx, Some(PayloadType(96)));
        assert_eq!(negotiated.audio.media, None);
        negotiated.set_media(&[media(MediaKind::Audio, false)]);
        assert_eq!(negotiated.audio.media, Some(PayloadType(111)));
        assert_eq!(negotiated.video.media, Some(PayloadType(100)), "it stays");
    }
}
