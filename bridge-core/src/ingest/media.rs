//! Looks up what an endpoint's payload types and header extensions mean.

use crate::description::{Codec, Feedback, HeaderExtension, MediaDescription, MediaKind};
use crate::error::{Error, Result};
use crate::id::PayloadType;

/// What an endpoint may send.
#[derive(Debug)]
pub(super) struct Media {
    payloads: [Option<Payload>; PAYLOAD_TYPES],
    pub(super) audio_level: Option<u8>,
    transport_sequence: Option<u8>,
    pli: bool,
    fir: bool,
    transport_feedback: bool,
    remb: bool,
}

/// What one payload type carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Payload {
    pub(super) kind: MediaKind,
    pub(super) format: Format,
    pub(super) clock_rate: u32,
    pub(super) nack: bool,
}

/// The formats that are forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Opus,
    Vp8,
    Rtx { of: PayloadType },
}

impl Media {
    pub(super) const fn new() -> Self {
        Self {
            payloads: [None; PAYLOAD_TYPES],
            audio_level: None,
            transport_sequence: None,
            pli: false,
            fir: false,
            transport_feedback: false,
            remb: false,
        }
    }

    /// Adds what a description says.
    ///
    /// # Errors
    /// [`Error::Misuse`] for a payload type above 127, a clock rate or an extension id of 0;
    /// nothing is changed then.
    pub(super) fn add(&mut self, description: &MediaDescription) -> Result<()> {
        let types = &description.payload_types;
        if types
            .iter()
            .any(|one| usize::from(one.id.0) >= PAYLOAD_TYPES || one.clock_rate == 0)
        {
            return Err(Error::Misuse("payload type above 127 or clock rate of 0"));
        }
        if description.header_extensions.iter().any(|(_, id)| *id == 0) {
            return Err(Error::Misuse("header extension id of 0"));
        }
        for one in types {
            let format = match one.codec {
                Codec::Opus => Format::Opus,
                Codec::Vp8 => Format::Vp8,
                Codec::Rtx { of } => Format::Rtx { of },
                Codec::Other(_) => continue,
            };
            let takes = |feedback| one.feedback.contains(&feedback);
            if let Some(payload) = self.payloads.get_mut(usize::from(one.id.0)) {
                *payload = Some(Payload {
                    kind: description.kind,
                    format,
                    clock_rate: one.clock_rate,
                    nack: takes(Feedback::Nack),
                });
            }
            if description.kind == MediaKind::Video {
                self.pli |= takes(Feedback::NackPli);
                self.fir |= takes(Feedback::CcmFir);
            }
            self.transport_feedback |= takes(Feedback::TransportCc);
            self.remb |= takes(Feedback::Remb);
        }
        for (extension, id) in &description.header_extensions {
            match extension {
                HeaderExtension::AudioLevel => self.audio_level = Some(*id),
                HeaderExtension::TransportSequence => self.transport_sequence = Some(*id),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the sender wants an estimate from us: it does not make its own.
    pub(super) const fn wants_remb(&self) -> bool {
        self.remb && !self.transport_feedback
    }

    /// Whether keyframes are to be asked for by FIR, since PLI is not taken.
    pub(super) const fn wants_fir(&self) -> bool {
        self.fir && !self.pli
    }

    /// Id of the transport-wide sequence number, if feedback on it is wanted.
    pub(super) fn transport_sequence(&self) -> Option<u8> {
        self.transport_sequence.filter(|_| self.transport_feedback)
    }

    pub(super) fn payload(&self, payload_type: PayloadType) -> Option<Payload> {
        self.payloads
            .get(usize::from(payload_type.0))
            .copied()
            .flatten()
    }
}

const PAYLOAD_TYPES: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::PayloadTypeDescription;

    fn description(id: u8, codec: Codec, clock_rate: u32, extension: u8) -> MediaDescription {
        MediaDescription {
            kind: MediaKind::Video,
            payload_types: vec![PayloadTypeDescription {
                id: PayloadType(id),
                codec,
                clock_rate,
                channels: 1,
                parameters: Vec::new(),
                feedback: vec![Feedback::CcmFir],
            }],
            header_extensions: vec![(HeaderExtension::TransportSequence, extension)],
        }
    }

    #[test]
    fn numbers_that_cannot_be_are_refused_and_change_nothing() {
        let mut media = Media::new();
        for (id, clock_rate, extension) in [(128, 90_000, 1), (96, 0, 1), (96, 90_000, 0)] {
            let wrong = description(id, Codec::Vp8, clock_rate, extension);
            assert!(matches!(media.add(&wrong), Err(Error::Misuse(_))));
        }
        assert_eq!(media.payload(PayloadType(96)), None);
        assert!(!media.wants_fir());
        assert_eq!(media.payload(PayloadType(255)), None);
    }

    #[test]
    fn descriptions_add_up_and_unknown_codecs_are_left_out() {
        let mut media = Media::new();
        media.add(&description(96, Codec::Vp8, 90_000, 3)).unwrap();
        let other = Codec::Other("H264".to_owned());
        media.add(&description(97, other, 90_000, 3)).unwrap();
        let format = |media: &Media, id| media.payload(PayloadType(id)).map(|one| one.format);
        assert_eq!(format(&media, 96), Some(Format::Vp8));
        assert_eq!(format(&media, 97), None);
        assert!(media.wants_fir());
        assert_eq!(media.transport_sequence(), None, "no feedback is wanted");
        let mut wants = description(98, Codec::Vp8, 90_000, 3);
        wants.payload_types[0].feedback = vec![Feedback::TransportCc, Feedback::NackPli];
        media.add(&wants).unwrap();
        assert_eq!(media.transport_sequence(), Some(3));
        assert!(!media.wants_fir());
    }
}
