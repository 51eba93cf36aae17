//! Makes the original packet out of a retransmission, in place (RFC 4588 section 4).

use crate::error::Discard;
use crate::rtp::{RtpHeader, packet};

use super::Arrived;
use super::media::{Format, Media};
use super::source::Encoding;

/// Takes the original sequence number out of the payload and restores the header; gives the
/// extended number in the original's stream.
///
/// A retransmission stream also carries padding, which has no original: [`Discard::PaddingOnly`].
pub(super) fn unwrap(
    arrived: &mut Arrived<'_>,
    encoding: &Encoding,
    media: &Media,
) -> Result<u64, Discard> {
    let Format::Rtx { of } = arrived.payload.format else {
        return Err(Discard::RtxUnexpected);
    };
    let original = media
        .payload(of)
        .filter(|original| original.kind == arrived.payload.kind)
        .ok_or(Discard::UnknownPayloadType)?;
    if arrived.payload_length == 0 {
        return Err(Discard::PaddingOnly);
    }
    let start = usize::from(arrived.header.length);
    let length = arrived.packet.bytes().len();
    let payload = arrived.header.payload(arrived.packet.bytes())?;
    let [high, low] = *payload.first_chunk().ok_or(Discard::RtxUnexpected)?;
    let sequence = u16::from_be_bytes([high, low]);
    let bytes = arrived.packet.bytes_mut();
    bytes.copy_within(start + ORIGINAL_SEQUENCE_LENGTH..length, start);
    packet::set_ssrc(bytes, encoding.ssrc);
    packet::set_payload_type(bytes, of);
    packet::set_sequence(bytes, sequence);
    arrived.packet.set_len(length - ORIGINAL_SEQUENCE_LENGTH);
    arrived.payload = original;
    arrived.payload_length -= 2;
    arrived.header = RtpHeader {
        payload_type: of,
        sequence,
        ssrc: encoding.ssrc,
        ..arrived.header
    };
    Ok(encoding.reception.place(sequence))
}

const ORIGINAL_SEQUENCE_LENGTH: usize = 2;
