//! Reads the VP8 payload descriptor, and renumbers pictures in place (RFC 7741 section 4.2).
//!
//! An SFU that goes from one encoding to another, or leaves out a temporal layer, has to keep
//! picture ids and TL0PICIDX without gaps that look like loss. Both keep their width in the packet,
//! so nothing moves.

use crate::error::Discard;
use crate::wire;

/// The meaning of a VP8 payload descriptor; offsets count from the payload's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp8Descriptor {
    /// Bytes of the descriptor: the VP8 data starts here.
    pub length: u8,
    /// The first packet of a partition (S).
    pub is_start_of_partition: bool,
    /// Which partition (PID); frames start in partition 0.
    pub partition: u8,
    /// No other frame refers to this one (N).
    pub is_unreferenced: bool,
    /// The picture's number.
    pub picture_id: Option<PictureId>,
    /// Counts frames of temporal layer 0 (TL0PICIDX).
    pub tl0_picture_index: Option<u8>,
    /// Temporal layer, 0 to 3 (TID).
    pub temporal_id: Option<u8>,
    /// Refers only to layer 0, so a receiver may step up to this layer here (Y).
    pub is_layer_sync: bool,
    /// Counts golden and altref updates (KEYIDX).
    pub key_index: Option<u8>,
    /// This is the first packet of a keyframe.
    pub is_keyframe: bool,
    /// Width and height, in the first packet of a keyframe.
    pub frame_size: Option<(u16, u16)>,
    picture_id_at: u8,
    tl0_picture_index_at: u8,
}

/// A picture's number with its width on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureId {
    /// The number, 7 or 15 bits.
    pub value: u16,
    /// Whether it has 15 bits.
    pub is_15_bit: bool,
}

impl PictureId {
    /// The largest number of its width.
    #[must_use]
    pub const fn mask(self) -> u16 {
        if self.is_15_bit { 0x7fff } else { 0x7f }
    }
}

impl Vp8Descriptor {
    /// Reads the descriptor, and the frame header behind it where one starts.
    ///
    /// # Errors
    /// [`Discard::PayloadMalformed`] when the descriptor runs past the end or nothing follows it.
    pub fn parse(payload: &[u8]) -> Result<Self, Discard> {
        Self::read(payload).ok_or(Discard::PayloadMalformed)
    }

    fn read(payload: &[u8]) -> Option<Self> {
        let first = *payload.first()?;
        let mut descriptor = Self {
            length: 1,
            is_start_of_partition: first & 0x10 != 0,
            partition: first & 0x07,
            is_unreferenced: first & 0x20 != 0,
            picture_id: None,
            tl0_picture_index: None,
            temporal_id: None,
            is_layer_sync: false,
            key_index: None,
            is_keyframe: false,
            frame_size: None,
            picture_id_at: 0,
            tl0_picture_index_at: 0,
        };
        if first & 0x80 != 0 {
            descriptor.read_extension(payload)?;
        }
        let data = payload.get(usize::from(descriptor.length)..)?;
        let tag = *data.first()?;
        if descriptor.is_start_of_frame() && tag & 1 == 0 {
            descriptor.is_keyframe = true;
            descriptor.frame_size = frame_size(data);
        }
        Some(descriptor)
    }

    fn read_extension(&mut self, payload: &[u8]) -> Option<()> {
        let flags = *payload.get(1)?;
        let mut at = 2;
        if flags & 0x80 != 0 {
            self.picture_id_at = at;
            let byte = *payload.get(usize::from(at))?;
            let is_15_bit = byte & 0x80 != 0;
            let value = if is_15_bit {
                wire::u16_at(payload, usize::from(at))? & 0x7fff
            } else {
                u16::from(byte)
            };
            self.picture_id = Some(PictureId { value, is_15_bit });
            at += 1 + u8::from(is_15_bit);
        }
        if flags & 0x40 != 0 {
            self.tl0_picture_index_at = at;
            self.tl0_picture_index = Some(*payload.get(usize::from(at))?);
            at += 1;
        }
        if flags & 0x30 != 0 {
            let byte = *payload.get(usize::from(at))?;
            if flags & 0x20 != 0 {
                self.temporal_id = Some(byte >> 6);
                self.is_layer_sync = byte & 0x20 != 0;
            }
            if flags & 0x10 != 0 {
                self.key_index = Some(byte & 0x1f);
            }
            at += 1;
        }
        self.length = at;
        Some(())
    }

    /// The first packet of a frame.
    #[must_use]
    pub const fn is_start_of_frame(&self) -> bool {
        self.is_start_of_partition && self.partition == 0
    }

    /// Writes another picture number into `payload`, in the width it has there; nothing happens to
    /// a packet without one. `payload` is the one that was parsed or a copy of it.
    pub fn set_picture_id(&self, payload: &mut [u8], value: u16) {
        let Some(id) = self.picture_id else {
            return;
        };
        let [high, low] = (value & id.mask()).to_be_bytes();
        let at = usize::from(self.picture_id_at);
        if id.is_15_bit {
            wire::put(payload, at, &[0x80 | high, low]);
        } else {
            wire::put(payload, at, &[low]);
        }
    }

    /// Writes another TL0PICIDX into `payload`; nothing happens to a packet without one.
    pub fn set_tl0_picture_index(&self, payload: &mut [u8], value: u8) {
        if self.tl0_picture_index.is_some() {
            wire::put(payload, usize::from(self.tl0_picture_index_at), &[value]);
        }
    }
}

/// Width and height of a keyframe (RFC 6386 section 9.1), whose upper two bits are scaling.
fn frame_size(data: &[u8]) -> Option<(u16, u16)> {
    let start_code: [u8; 3] = wire::array_at(data, 3)?;
    let [a, b, c, d] = wire::array_at(data, 6)?;
    if start_code != START_CODE {
        return None;
    }
    let width = u16::from_le_bytes([a, b]) & 0x3fff;
    let height = u16::from_le_bytes([c, d]) & 0x3fff;
    Some((width, height))
}

/// What follows the frame tag of a keyframe.
const START_CODE: [u8; 3] = [0x9d, 0x01, 0x2a];

#[cfg(test)]
mod tests {
    use super::*;

    /// All of the descriptor, and the start of a 320 x 180 keyframe.
    const KEYFRAME: [u8; 16] = [
        0x90, 0xf0, 0x92, 0x34, 0x56,
        0x6a, // X S, I L T K, id 0x1234, tl0 0x56, tid 1 Y key 10
        0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x41, 0xb4, 0x00,
    ];

    #[test]
    fn a_full_descriptor_is_deconstructed() {
        let descriptor = Vp8Descriptor::parse(&KEYFRAME).unwrap();
        let id = PictureId {
            value: 0x1234,
            is_15_bit: true,
        };
        assert_eq!(descriptor.length, 6);
        assert_eq!(descriptor.picture_id, Some(id));
        assert_eq!(descriptor.tl0_picture_index, Some(0x56));
        assert_eq!(descriptor.temporal_id, Some(1));
        assert_eq!(descriptor.key_index, Some(10));
        assert!(descriptor.is_layer_sync && !descriptor.is_unreferenced);
        assert!(descriptor.is_start_of_frame() && descriptor.is_keyframe);
        assert_eq!(
            descriptor.frame_size,
            Some((320, 180)),
            "scaling bits are taken off"
        );
    }

    #[test]
    fn every_combination_of_optional_fields_has_its_length() {
        for flags in 0..16_u8 {
            for long in [false, true] {
                let mut payload = vec![0x80, flags << 4];
                if flags & 8 != 0 {
                    payload.extend(if long { &[0x80, 9][..] } else { &[9] });
                }
                payload.extend((flags & 4 != 0).then_some(7));
                payload.extend((flags & 3 != 0).then_some(0xc3));
                let length = payload.len();
                assert!(Vp8Descriptor::parse(&payload).is_err(), "nothing follows");
                payload.push(1);
                let descriptor = Vp8Descriptor::parse(&payload).unwrap();
                assert_eq!(usize::from(descriptor.length), length);
                assert_eq!(
                    descriptor.picture_id.map(|id| id.value),
                    (flags & 8 != 0).then_some(9)
                );
                assert_eq!(descriptor.tl0_picture_index, (flags & 4 != 0).then_some(7));
                assert_eq!(descriptor.temporal_id, (flags & 2 != 0).then_some(3));
                assert_eq!(descriptor.key_index, (flags & 1 != 0).then_some(3));
            }
        }
    }

    #[test]
    fn every_cut_inside_the_descriptor_is_malformed() {
        for length in 0..=6 {
            let cut = Vp8Descriptor::parse(&KEYFRAME[..length]);
            assert_eq!(cut, Err(Discard::PayloadMalformed), "{length} bytes");
        }
        for length in 7..16 {
            let cut = Vp8Descriptor::parse(&KEYFRAME[..length]).unwrap();
            assert!(
                cut.is_keyframe && cut.frame_size.is_none(),
                "{length} bytes"
            );
        }
    }

    #[test]
    fn only_the_first_packet_of_a_frame_can_be_a_keyframe() {
        for first in [0x00, 0x11, 0x07] {
            let descriptor = Vp8Descriptor::parse(&[first, 0x10, 0, 0]).unwrap();
            assert!(!descriptor.is_keyframe && !descriptor.is_start_of_frame());
        }
        assert!(
            !Vp8Descriptor::parse(&[0x10, 0x11]).unwrap().is_keyframe,
            "P bit"
        );
    }

    #[test]
    fn numbers_are_written_in_place_in_their_width() {
        let mut payload = KEYFRAME;
        let descriptor = Vp8Descriptor::parse(&payload).unwrap();
        descriptor.set_picture_id(&mut payload, 0xffff);
        descriptor.set_tl0_picture_index(&mut payload, 0x99);
        let changed = Vp8Descriptor::parse(&payload).unwrap();
        assert_eq!(changed.picture_id.unwrap().value, 0x7fff);
        assert_eq!(changed.tl0_picture_index, Some(0x99));
        assert_eq!(payload[5..], KEYFRAME[5..]);

        let mut short = [0x80, 0x80, 0x12, 1];
        let descriptor = Vp8Descriptor::parse(&short).unwrap();
        descriptor.set_picture_id(&mut short, 0x1ff);
        descriptor.set_tl0_picture_index(&mut short, 1);
        assert_eq!(short, [0x80, 0x80, 0x7f, 1]);
        descriptor.set_picture_id(&mut short[..1], 3);
    }
}
