//! Makes synthetic Opus and VP8 whose payloads say what they are, so that a receiver can tell
//! whether what it got could be decoded.

use core::time::Duration;

use crate::wire;

/// One layer of simulcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp8Encoding {
    /// Lines.
    pub height: u16,
    /// Bytes of an ordinary frame; a keyframe has six times as many.
    pub frame_bytes: usize,
}

/// What a scripted camera sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Camera {
    /// Its encodings, smallest first.
    pub encodings: Vec<Vp8Encoding>,
    /// Time between two frames.
    pub frame_interval: Duration,
    /// Temporal layers, 1 to 3.
    pub temporal_layers: u8,
}

impl Camera {
    /// One encoding of 360 lines at 15 frames per second, about 300 kbit/s.
    #[must_use]
    pub fn single() -> Self {
        Self {
            encodings: vec![Vp8Encoding {
                height: 360,
                frame_bytes: 2_500,
            }],
            frame_interval: Duration::from_micros(66_667),
            temporal_layers: 1,
        }
    }

    /// Three encodings of 180, 360 and 720 lines at 30 frames per second, as Chromium sends them:
    /// about 150, 500 and 1,500 kbit/s.
    #[must_use]
    pub fn simulcast() -> Self {
        let encoding = |height, frame_bytes| Vp8Encoding {
            height,
            frame_bytes,
        };
        Self {
            encodings: vec![
                encoding(180, 625),
                encoding(360, 2_000),
                encoding(720, 6_250),
            ],
            frame_interval: Duration::from_micros(33_333),
            temporal_layers: 3,
        }
    }
}

/// What every synthetic payload says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label {
    /// Number of the peer that sent it.
    pub(super) sender: u16,
    /// Number of its source.
    pub(super) source: u8,
    pub(super) encoding: u8,
    /// Frame of a picture, packet of a sound.
    pub(super) frame: u64,
    /// Frame without which it cannot be decoded; itself for a keyframe and a sound.
    pub(super) refers_to: u64,
    /// Which packet of the frame, of how many.
    pub(super) part: u16,
    pub(super) parts: u16,
}

/// Bytes of a label.
pub(super) const LABEL_BYTES: usize = 28;

impl Label {
    pub(super) fn write(&self, out: &mut [u8]) {
        wire::put(out, 0, &self.sender.to_be_bytes());
        wire::put(out, 2, &[self.source, self.encoding]);
        wire::put(out, 4, &self.frame.to_be_bytes());
        wire::put(out, 12, &self.refers_to.to_be_bytes());
        wire::put(out, 20, &self.part.to_be_bytes());
        wire::put(out, 22, &self.parts.to_be_bytes());
        wire::put(out, 24, MAGIC);
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let [source, encoding] = wire::array_at(bytes, 2)?;
        (wire::array_at(bytes, 24)? == *MAGIC).then_some(())?;
        Some(Self {
            sender: wire::u16_at(bytes, 0)?,
            source,
            encoding,
            frame: wire::u64_at(bytes, 4)?,
            refers_to: wire::u64_at(bytes, 12)?,
            part: wire::u16_at(bytes, 20)?,
            parts: wire::u16_at(bytes, 22)?,
        })
    }
}

const MAGIC: &[u8; 4] = b"Lbl1";

/// Bytes of the VP8 payload descriptor that is written: flags, extension, picture id, TL0PICIDX,
/// temporal layer.
const DESCRIPTOR_BYTES: usize = 6;

/// Bytes of the VP8 frame header of a keyframe; every packet has as many.
pub(super) const FRAME_HEADER_BYTES: usize = 10;

/// Payload bytes of a full packet.
const PACKET_PAYLOAD: usize = 1_100;

/// One simulcast encoding at work.
#[derive(Clone, Debug)]
pub(super) struct Vp8Encoder {
    encoding: Vp8Encoding,
    index: u8,
    temporal_layers: u8,
    next_frame: u64,
    picture_id: u16,
    tl0_picture_index: u8,
    /// Newest frame of each temporal layer and those below.
    newest: [u64; 3],
    frames_since_keyframe: u64,
    keyframe_wanted: bool,
}

/// One encoded frame, to be cut into packets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    label: Label,
    keyframe: bool,
    temporal_id: u8,
    picture_id: u16,
    tl0_picture_index: u8,
    height: u16,
    bytes: usize,
}

impl Vp8Encoder {
    pub(super) fn new(camera: &Camera, index: u8, picture_id: u16) -> Self {
        let fallback = Vp8Encoding {
            height: 180,
            frame_bytes: 600,
        };
        let encoding = camera.encodings.get(usize::from(index)).copied();
        Self {
            encoding: encoding.unwrap_or(fallback),
            index,
            temporal_layers: camera.temporal_layers.clamp(1, 3),
            next_frame: 1,
            picture_id,
            tl0_picture_index: 0,
            newest: [0; 3],
            frames_since_keyframe: 0,
            keyframe_wanted: true,
        }
    }

    /// The next frame will be a keyframe.
    pub(super) const fn want_keyframe(&mut self) {
        self.keyframe_wanted = true;
    }

    pub(super) fn encode(&mut self, sender: u16, source: u8) -> Frame {
        let keyframe = core::mem::take(&mut self.keyframe_wanted);
        if keyframe {
            self.frames_since_keyframe = 0;
        }
        let temporal_id = match (self.temporal_layers, self.frames_since_keyframe % 4) {
            (1, _) | (_, 0) | (2, 2) => 0,
            (2, _) | (_, 2) => 1,
            _ => 2,
        };
        let frame = self.next_frame;
        let below = usize::from(temporal_id.max(1) - 1);
        let refers_to = match (keyframe, temporal_id) {
            (true, _) => frame,
            // The top layer builds on the newest frame of any layer below it.
            _ => self.newest.get(below).copied().unwrap_or(frame),
        };
        for newest in self.newest.iter_mut().skip(usize::from(temporal_id)) {
            *newest = frame;
        }
        self.next_frame += 1;
        self.frames_since_keyframe += 1;
        self.picture_id = (self.picture_id + 1) & 0x7fff;
        if temporal_id == 0 {
            self.tl0_picture_index = self.tl0_picture_index.wrapping_add(1);
        }
        let bytes = self.encoding.frame_bytes * if keyframe { 6 } else { 1 };
        let parts = u16::try_from(bytes.div_ceil(PACKET_PAYLOAD))
            .unwrap_or(1)
            .max(1);
        Frame {
            label: Label {
                sender,
                source,
                encoding: self.index,
                frame,
                refers_to,
                part: 0,
                parts,
            },
            keyframe,
            temporal_id,
            picture_id: self.picture_id,
            tl0_picture_index: self.tl0_picture_index,
            height: self.encoding.height,
            bytes: bytes.max(usize::from(parts) * 80),
        }
    }
}

impl Frame {
    pub(super) const fn packets(&self) -> u16 {
        self.label.parts
    }

    /// Writes the payload of one packet; gives its length.
    pub(super) fn write_packet(&self, part: u16, out: &mut [u8]) -> usize {
        let length = self.bytes / usize::from(self.label.parts);
        let start = part == 0;
        let first = 0x80 | if start { 0x10 } else { 0 };
        let [high, low] = self.picture_id.to_be_bytes();
        let layer = self.temporal_id << 6 | u8::from(self.temporal_id > 0) << 5;
        let descriptor = [first, 0xe0, 0x80 | high, low, self.tl0_picture_index, layer];
        wire::put(out, 0, &descriptor);
        let tag = u8::from(!self.keyframe);
        let [height_low, height_high] = self.height.to_le_bytes();
        let [width_low, width_high] = (self.height / 9 * 16).to_le_bytes();
        wire::put(out, DESCRIPTOR_BYTES, &[tag, 0, 0, 0x9d, 0x01, 0x2a]);
        let size = [width_low, width_high, height_low, height_high];
        wire::put(out, DESCRIPTOR_BYTES + 6, &size);
        let label = Label { part, ..self.label };
        let at = DESCRIPTOR_BYTES + FRAME_HEADER_BYTES;
        if let Some(rest) = out.get_mut(at..length) {
            rest.fill(0x5a);
            label.write(rest);
        }
        length
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::vp8::Vp8Descriptor;

    #[test]
    fn a_frame_reads_back_as_it_was_made() {
        let mut encoder = Vp8Encoder::new(&Camera::simulcast(), 2, 0x7fff);
        let mut buffer = [0; 1_500];
        let frame = encoder.encode(7, 1);
        assert_eq!(frame.packets(), 35);
        let length = frame.write_packet(0, &mut buffer);
        let payload = &buffer[..length];
        let descriptor = Vp8Descriptor::parse(payload).unwrap();
        assert!(descriptor.is_keyframe);
        assert_eq!(descriptor.frame_size, Some((1_280, 720)));
        assert_eq!(descriptor.picture_id.unwrap().value, 0);
        let at = usize::from(descriptor.length) + FRAME_HEADER_BYTES;
        let label = Label::read(&payload[at..]).unwrap();
        assert_eq!(
            (label.sender, label.source, label.encoding, label.frame),
            (7, 1, 2, 1)
        );
    }

    #[test]
    fn temporal_layers_refer_downwards() {
        let mut encoder = Vp8Encoder::new(&Camera::simulcast(), 0, 0);
        let frames: Vec<_> = (0..6).map(|_| encoder.encode(0, 0)).collect();
        let layers: Vec<_> = frames.iter().map(|frame| frame.temporal_id).collect();
        assert_eq!(layers, [0, 2, 1, 2, 0, 2]);
        let refers: Vec<_> = frames.iter().map(|frame| frame.label.refers_to).collect();
        assert_eq!(refers, [1, 1, 1, 3, 1, 5]);
    }
}
