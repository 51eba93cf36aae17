//! Makes the packets of a camera: VP8 frames whose packets say when they left.

use core::time::Duration;

use bridge_core::id::{PayloadType, Ssrc};
use bridge_core::rtp::RtpHeader;
use bridge_core::rtp::extension::ExtensionWriter;
use bridge_core::rtp::packet::{FIXED_HEADER_LENGTH, set_extension};

use super::options::Options;

/// Bytes of the VP8 payload descriptor: picture id of 15 bits, TL0PICIDX, temporal id.
const DESCRIPTOR: usize = 6;

/// Bytes of a keyframe's header: tag, start code, width, height (RFC 6386 section 9.1).
const KEYFRAME: [u8; 10] = [0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x00, 0x05, 0xd0, 0x02];

/// The tag of an interframe.
const INTERFRAME: [u8; 3] = [0x11, 0x02, 0x00];

/// Where in a payload it stands when the packet left.
const STAMP_AT: usize = DESCRIPTOR + KEYFRAME.len();

/// What stands before the stamp, so that nothing else is taken for one.
const MAGIC: [u8; 4] = *b"sent";

/// Bytes of the longest header: fixed part and one extension block of one element.
const HEADER: usize = FIXED_HEADER_LENGTH + 8;

/// Bytes of the shortest packet.
pub(crate) const SIZE_MIN: usize = HEADER + STAMP_AT + MAGIC.len() + 8;

/// Bytes of the longest one: what a network of 1,500 bytes carries with all that is around it.
const SIZE_MAX: usize = 1_460;

/// Bytes of a screen's packets.
const SCREEN_SIZE: usize = 1_150;

/// Time between two frames of a screen.
pub(crate) const SCREEN_INTERVAL: Duration = Duration::from_millis(100);

/// A stream of frames.
#[derive(Debug)]
pub(crate) struct Camera {
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
    /// Roll-over counter and sequence number of the next packet.
    pub(crate) index: u64,
    /// Packets and payload bytes sent.
    pub(crate) packets: u32,
    pub(crate) octets: u32,
    /// The next frame is a keyframe.
    wants_keyframe: bool,
    /// When the latest keyframe request came: nanoseconds since 1970.
    requested: Option<u64>,
    frame: u16,
    references: u8,
}

impl Camera {
    pub(crate) const fn new(ssrc: u32, payload_type: u8) -> Self {
        Self {
            ssrc,
            payload_type,
            index: 0,
            packets: 0,
            octets: 0,
            wants_keyframe: true,
            requested: None,
            frame: 0,
            references: 0,
        }
    }

    /// The next frame is to be a keyframe. Gives the nanoseconds since the request before.
    pub(crate) fn request_keyframe(&mut self, at: u64) -> Option<u64> {
        self.wants_keyframe = true;
        let before = self.requested.replace(at);
        before.map(|before| at.saturating_sub(before))
    }

    /// Begins the next frame; says whether it is a keyframe.
    pub(crate) fn next_frame(&mut self) -> bool {
        self.frame = self.frame.wrapping_add(1) & 0x7fff;
        self.references = self.references.wrapping_add(1);
        core::mem::take(&mut self.wants_keyframe)
    }

    /// Writes a packet of `out.len()` bytes with a transport-wide number under an extension's id;
    /// gives its index and the bytes of its header.
    pub(crate) fn packet(
        &mut self,
        out: &mut [u8],
        timestamp: u32,
        place: Place,
        transport: Option<(u8, u16)>,
        stamp: u64,
    ) -> Option<(u64, usize)> {
        let index = self.index;
        self.index += 1;
        self.packets = self.packets.wrapping_add(1);
        let [.., high, low] = index.to_be_bytes();
        let header = RtpHeader {
            marker: place.is_last,
            payload_type: PayloadType(self.payload_type),
            sequence: u16::from_be_bytes([high, low]),
            timestamp,
            ssrc: Ssrc(self.ssrc),
            csrc_count: 0,
            has_padding: false,
            extension: None,
            length: 0,
        };
        let mut length = header.emit_fixed(out)?;
        if let Some((id, number)) = transport {
            let mut writer = ExtensionWriter::new(out.get_mut(length..HEADER)?);
            if writer.push(id, &number.to_be_bytes()) {
                length += writer.finish();
                set_extension(out, true);
            }
        }
        let payload = out.get_mut(length..)?;
        self.octets = self
            .octets
            .wrapping_add(u32::try_from(payload.len()).unwrap_or(0));
        let first = if place.is_first { 0x90 } else { 0x80 };
        let [high, low] = (self.frame | 0x8000).to_be_bytes();
        let descriptor = [first, 0xe0, high, low, self.references, 0];
        payload.get_mut(..DESCRIPTOR)?.copy_from_slice(&descriptor);
        let data = payload.get_mut(DESCRIPTOR..)?;
        if place.is_first && place.is_keyframe {
            data.get_mut(..KEYFRAME.len())?.copy_from_slice(&KEYFRAME);
        } else if place.is_first {
            data.get_mut(..INTERFRAME.len())?
                .copy_from_slice(&INTERFRAME);
        }
        let (magic, rest) = payload.get_mut(STAMP_AT..)?.split_first_chunk_mut()?;
        *magic = MAGIC;
        *rest.first_chunk_mut()? = stamp.to_be_bytes();
        Some((index, length))
    }
}

/// Where in which frame a packet stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) is_keyframe: bool,
    pub(crate) is_first: bool,
    pub(crate) is_last: bool,
}

/// Bytes of the packets of a stream's frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frames {
    keyframe: Vec<usize>,
    other: Vec<usize>,
}

impl Frames {
    /// Those of the options' cameras. Browsers split a frame into parts that differ by a byte.
    pub(crate) fn of(options: &Options) -> Self {
        let size = options.size.clamp(SIZE_MIN, SIZE_MAX);
        let frame = |burst: u32| {
            let burst = usize::try_from(burst.max(1)).unwrap_or(1);
            let is_short = |at: usize| options.uneven && 2 * at >= burst;
            (0..burst)
                .map(|at| size - usize::from(is_short(at)))
                .collect()
        };
        Self {
            keyframe: frame(options.keyframe_burst.unwrap_or(options.burst)),
            other: frame(options.burst),
        }
    }

    /// Those of a screen: few frames, each a large one, and keyframes of 90 kB.
    pub(crate) fn of_screen() -> Self {
        Self {
            keyframe: vec![SCREEN_SIZE; 80],
            other: vec![SCREEN_SIZE; 16],
        }
    }

    /// Bytes of each packet of a frame.
    pub(crate) fn sizes(&self, is_keyframe: bool) -> &[usize] {
        if is_keyframe {
            &self.keyframe
        } else {
            &self.other
        }
    }
}

/// When the packet with that payload left, if it is one of ours.
pub(crate) fn stamp(payload: &[u8]) -> Option<u64> {
    let (magic, rest) = payload.get(STAMP_AT..)?.split_first_chunk::<4>()?;
    let stamp = rest.first_chunk()?;
    (*magic == MAGIC).then(|| u64::from_be_bytes(*stamp))
}

#[cfg(test)]
mod tests {
    use bridge_core::codec::vp8::Vp8Descriptor;
    use bridge_core::rtp::extension;
    use clap::Parser;

    use super::*;

    #[test]
    fn frames_are_vp8_and_say_when_they_left() {
        let mut camera = Camera::new(7, 100);
        let mut out = vec![0; 200];
        for frame in 0..3 {
            let is_keyframe = camera.next_frame();
            assert_eq!(is_keyframe, frame == 0);
            for packet in 0..2 {
                let place = Place {
                    is_keyframe,
                    is_first: packet == 0,
                    is_last: packet == 1,
                };
                let number = Some((5, 9));
                let (index, length) = camera.packet(&mut out, 90, place, number, 4_711).unwrap();
                assert_eq!(index, 2 * frame + packet);
                let header = RtpHeader::parse(&out).unwrap();
                assert_eq!(usize::from(header.length), length);
                let found = extension::find(&out, &header, 5);
                assert_eq!(found.and_then(extension::transport_sequence), Some(9));
                let payload = header.payload(&out).unwrap();
                let descriptor = Vp8Descriptor::parse(payload).unwrap();
                assert_eq!(descriptor.is_keyframe, is_keyframe && packet == 0);
                if descriptor.is_keyframe {
                    assert_eq!(descriptor.frame_size, Some((1_280, 720)));
                }
                assert_eq!(stamp(payload), Some(4_711));
            }
        }
        assert_eq!(stamp(&[0; 100]), None);
        let place = Place {
            is_keyframe: true,
            is_first: true,
            is_last: true,
        };
        let mut made = |length: usize| camera.packet(&mut out[..length], 0, place, Some((5, 0)), 1);
        assert!(made(SIZE_MIN - 1).is_none());
        assert!(made(SIZE_MIN).is_some());
    }

    #[test]
    fn uneven_frames_differ_by_a_byte_and_keyframes_may_be_longer() {
        let frames = |words: &str| {
            Frames::of(&Options::parse_from(
                ["load"].into_iter().chain(words.split(' ')),
            ))
        };
        let uneven = frames("--burst 4 --uneven --keyframe-burst 6");
        assert_eq!(uneven.sizes(false), [1_150, 1_150, 1_149, 1_149]);
        assert_eq!(uneven.sizes(true).len(), 6);
        let large = frames("--burst 1 --size 9999");
        assert_eq!(
            (large.sizes(false), large.sizes(true)),
            (&[1_460][..], &[1_460][..])
        );
    }

    #[test]
    fn a_requested_keyframe_is_the_next_frame_and_knows_the_request_before() {
        let mut camera = Camera::new(7, 100);
        assert!(camera.next_frame() && !camera.next_frame());
        assert_eq!(camera.request_keyframe(1_000), None);
        assert_eq!(camera.request_keyframe(1_250), Some(250));
        assert!(camera.next_frame() && !camera.next_frame());
    }
}
