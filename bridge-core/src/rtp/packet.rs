//! Reads the header of an RTP packet once, and changes its fields in place (RFC 3550 section 5.1).
//!
//! [`RtpHeader::parse`] checks every length of the header, so it is safe before authentication.
//! The padding's length is inside the encrypted part: [`RtpHeader::payload`] checks it, after.

use crate::error::Discard;
use crate::id::{PayloadType, Ssrc};
use crate::wire;

/// The meaning of an RTP header; offsets count from the packet's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpHeader {
    /// Last packet of a video frame, or first of a talk spurt.
    pub marker: bool,
    /// Which codec, as negotiated.
    pub payload_type: PayloadType,
    /// Sequence number as on the wire.
    pub sequence: u16,
    /// Media timestamp in units of the codec's clock.
    pub timestamp: u32,
    /// Which stream.
    pub ssrc: Ssrc,
    /// Contributing sources listed, 0 to 15.
    pub csrc_count: u8,
    /// The payload ends with padding.
    pub has_padding: bool,
    /// The header extension, if there is one.
    pub extension: Option<ExtensionBlock>,
    /// Bytes of the header with its extension: the payload starts here.
    pub length: u16,
}

/// Where the elements of a header extension are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionBlock {
    /// The form of the elements: 0xBEDE for one-byte, 0x1000 to 0x100F for two-byte headers.
    pub profile: u16,
    /// Where the first element starts, behind the block's own four bytes.
    pub start: u16,
    /// Bytes of the elements, a multiple of four.
    pub length: u16,
}

/// Bytes of a header without contributing sources and extension.
pub const FIXED_HEADER_LENGTH: usize = 12;

/// The only version of RTP in use.
const VERSION: u8 = 2;

impl RtpHeader {
    /// Reads the header of `bytes`.
    ///
    /// # Errors
    /// [`Discard::RtpMalformed`] when the version is not 2 or the header runs past the end.
    pub fn parse(bytes: &[u8]) -> Result<Self, Discard> {
        Self::read(bytes).ok_or(Discard::RtpMalformed)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let [first, second] = wire::array_at(bytes, 0)?;
        if first >> 6 != VERSION {
            return None;
        }
        let csrc_count = first & 0x0f;
        let mut length = FIXED_HEADER_LENGTH + 4 * usize::from(csrc_count);
        let mut extension = None;
        if first & 0x10 != 0 {
            let profile = wire::u16_at(bytes, length)?;
            let words = wire::u16_at(bytes, length + 2)?;
            let start = length + 4;
            length = start + 4 * usize::from(words);
            extension = Some(ExtensionBlock {
                profile,
                start: u16::try_from(start).ok()?,
                length: words.checked_mul(4)?,
            });
        }
        if bytes.len() < length {
            return None;
        }
        Some(Self {
            marker: second & 0x80 != 0,
            payload_type: PayloadType(second & 0x7f),
            sequence: wire::u16_at(bytes, 2)?,
            timestamp: wire::u32_at(bytes, 4)?,
            ssrc: Ssrc(wire::u32_at(bytes, 8)?),
            csrc_count,
            has_padding: first & 0x20 != 0,
            extension,
            length: u16::try_from(length).ok()?,
        })
    }

    /// The payload without its padding; empty when the packet holds padding only.
    ///
    /// # Errors
    /// [`Discard::RtpMalformed`] when the padding's length is 0 or more than the payload.
    pub fn payload<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], Discard> {
        let payload = bytes
            .get(usize::from(self.length)..)
            .ok_or(Discard::RtpMalformed)?;
        if !self.has_padding {
            return Ok(payload);
        }
        let padding = payload
            .last()
            .copied()
            .map(usize::from)
            .filter(|padding| *padding > 0)
            .ok_or(Discard::RtpMalformed)?;
        payload
            .len()
            .checked_sub(padding)
            .and_then(|length| payload.get(..length))
            .ok_or(Discard::RtpMalformed)
    }

    /// Writes this header's fixed part and leaves the extension to
    /// [`ExtensionWriter`](super::extension::ExtensionWriter); no contributing sources are
    /// written. Gives the bytes written, or `None` when there is no room.
    pub fn emit_fixed(&self, out: &mut [u8]) -> Option<usize> {
        let out = out.get_mut(..FIXED_HEADER_LENGTH)?;
        let first = VERSION << 6
            | u8::from(self.has_padding) << 5
            | u8::from(self.extension.is_some()) << 4;
        let second = u8::from(self.marker) << 7 | (self.payload_type.0 & 0x7f);
        wire::put(out, 0, &[first, second]);
        set_sequence(out, self.sequence);
        set_timestamp(out, self.timestamp);
        set_ssrc(out, self.ssrc);
        Some(FIXED_HEADER_LENGTH)
    }
}

/// Changes the SSRC of the packet `bytes`; nothing happens to one too short.
pub fn set_ssrc(bytes: &mut [u8], ssrc: Ssrc) {
    wire::put(bytes, 8, &ssrc.0.to_be_bytes());
}

/// Changes the sequence number of the packet `bytes`; nothing happens to one too short.
pub fn set_sequence(bytes: &mut [u8], sequence: u16) {
    wire::put(bytes, 2, &sequence.to_be_bytes());
}

/// Changes the timestamp of the packet `bytes`; nothing happens to one too short.
pub fn set_timestamp(bytes: &mut [u8], timestamp: u32) {
    wire::put(bytes, 4, &timestamp.to_be_bytes());
}

/// Changes the payload type of the packet `bytes` and keeps its marker.
pub fn set_payload_type(bytes: &mut [u8], payload_type: PayloadType) {
    if let Some(byte) = bytes.get_mut(1) {
        *byte = (*byte & 0x80) | (payload_type.0 & 0x7f);
    }
}

/// Changes the marker of the packet `bytes` and keeps its payload type.
pub fn set_marker(bytes: &mut [u8], marker: bool) {
    if let Some(byte) = bytes.get_mut(1) {
        *byte = (*byte & 0x7f) | u8::from(marker) << 7;
    }
}

/// Says in the packet `bytes` whether padding follows the payload.
pub fn set_padding(bytes: &mut [u8], has_padding: bool) {
    set_first_byte_flag(bytes, 0x20, has_padding);
}

/// Says in the packet `bytes` whether an extension follows the contributing sources.
pub fn set_extension(bytes: &mut [u8], has_extension: bool) {
    set_first_byte_flag(bytes, 0x10, has_extension);
}

fn set_first_byte_flag(bytes: &mut [u8], mask: u8, on: bool) {
    if let Some(byte) = bytes.first_mut() {
        *byte = if on { *byte | mask } else { *byte & !mask };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two contributing sources, a one-word extension, three bytes of payload, one of padding.
    const PACKET: [u8; 32] = [
        0xb2, 0xe0, 0x12, 0x34, 0, 0, 0x10, 0, 0xca, 0xfe, 0xba, 0xbe, // fixed part
        0, 0, 0, 1, 0, 0, 0, 2, // contributing sources
        0xbe, 0xde, 0, 1, 0x10, 0xaa, 0, 0, // extension
        1, 2, 3, 1, // payload and padding
    ];

    fn header() -> RtpHeader {
        RtpHeader {
            marker: true,
            payload_type: PayloadType(96),
            sequence: 0x1234,
            timestamp: 0x1000,
            ssrc: Ssrc(0xcafe_babe),
            csrc_count: 2,
            has_padding: true,
            extension: Some(ExtensionBlock {
                profile: 0xbede,
                start: 24,
                length: 4,
            }),
            length: 28,
        }
    }

    #[test]
    fn a_packet_is_deconstructed() {
        let parsed = RtpHeader::parse(&PACKET).unwrap();
        assert_eq!(parsed, header());
        assert_eq!(parsed.payload(&PACKET).unwrap(), [1, 2, 3]);
    }

    #[test]
    fn a_fixed_header_is_constructed() {
        let mut out = [0; 12];
        let plain = RtpHeader {
            csrc_count: 0,
            extension: None,
            length: 12,
            ..header()
        };
        assert_eq!(plain.emit_fixed(&mut out), Some(12));
        assert_eq!(RtpHeader::parse(&out).unwrap(), plain);
        assert_eq!(plain.emit_fixed(&mut out[..11]), None);
    }

    #[test]
    fn every_cut_inside_the_header_is_malformed() {
        for length in 0..28 {
            assert_eq!(
                RtpHeader::parse(&PACKET[..length]),
                Err(Discard::RtpMalformed),
                "{length} bytes"
            );
        }
        assert!(RtpHeader::parse(&PACKET[..28]).is_ok());
    }

    #[test]
    fn other_versions_and_extensions_past_the_end_are_malformed() {
        let mut packet = PACKET;
        packet[0] = 0x72;
        assert_eq!(RtpHeader::parse(&packet), Err(Discard::RtpMalformed));
        let mut packet = PACKET;
        packet[22] = 0xff;
        packet[23] = 0xff;
        assert_eq!(RtpHeader::parse(&packet), Err(Discard::RtpMalformed));
    }

    #[test]
    fn padding_of_zero_or_beyond_the_payload_is_malformed() {
        let mut packet = PACKET;
        for (padding, payload) in [(0, None), (4, Some(0)), (5, None), (255, None)] {
            packet[31] = padding;
            let result = header().payload(&packet).map(<[u8]>::len);
            assert_eq!(result.ok(), payload, "padding {padding}");
        }
        assert!(header().payload(&packet[..28]).is_err(), "no payload");
        assert!(header().payload(&packet[..20]).is_err(), "cut packet");
    }

    #[test]
    fn fields_change_in_place_and_the_rest_stays() {
        let mut packet = PACKET;
        set_ssrc(&mut packet, Ssrc(7));
        set_sequence(&mut packet, 8);
        set_timestamp(&mut packet, 9);
        set_payload_type(&mut packet, PayloadType(10));
        set_marker(&mut packet, false);
        set_padding(&mut packet, false);
        let changed = RtpHeader {
            marker: false,
            payload_type: PayloadType(10),
            sequence: 8,
            timestamp: 9,
            ssrc: Ssrc(7),
            has_padding: false,
            ..header()
        };
        assert_eq!(RtpHeader::parse(&packet).unwrap(), changed);
        set_ssrc(&mut packet[..9], Ssrc(1));
        set_marker(&mut [], true);
        assert_eq!(RtpHeader::parse(&packet).unwrap(), changed);
        set_extension(&mut packet, false);
        assert_eq!(RtpHeader::parse(&packet).unwrap().length, 20);
    }
}
