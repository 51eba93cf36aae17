//! Reads and writes the elements of a header extension (RFC 8285).
//!
//! Elements that run past the block end the reading; nothing here can fail or read outside it.

use core::ops::Range;

use super::packet::RtpHeader;
use crate::time::Time;
use crate::wire;

/// One element of a header extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// The negotiated id: 1 to 14 in one-byte form, 1 to 255 in two-byte form.
    pub id: u8,
    /// The value.
    pub data: &'a [u8],
}

/// The elements of one packet, in their order.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    bytes: &'a [u8],
    cursor: Cursor,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (id, range) = self.cursor.step(self.bytes)?;
        let data = self.bytes.get(range)?;
        Some(Element { id, data })
    }
}

/// The elements of the packet `bytes`, whose header is `header`.
#[must_use]
pub fn iter<'a>(bytes: &'a [u8], header: &RtpHeader) -> Elements<'a> {
    Elements {
        bytes,
        cursor: Cursor::new(header),
    }
}

/// The value of the element `id`.
#[must_use]
pub fn find<'a>(bytes: &'a [u8], header: &RtpHeader, id: u8) -> Option<&'a [u8]> {
    iter(bytes, header)
        .find(|element| element.id == id)
        .map(|element| element.data)
}

/// The value of the element `id`, to be changed in place.
pub fn find_mut<'a>(bytes: &'a mut [u8], header: &RtpHeader, id: u8) -> Option<&'a mut [u8]> {
    let mut cursor = Cursor::new(header);
    loop {
        let (found, range) = cursor.step(bytes)?;
        if found == id {
            return bytes.get_mut(range);
        }
    }
}

/// How the elements are written (RFC 8285 sections 4.2 and 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Ids 1 to 14, 1 to 16 bytes.
    OneByte,
    /// Ids 1 to 255, 0 to 255 bytes.
    TwoByte,
}

#[derive(Clone, Debug)]
struct Cursor {
    form: Form,
    at: usize,
    end: usize,
}

impl Cursor {
    fn new(header: &RtpHeader) -> Self {
        let (profile, at, length) = header.extension.map_or((0, 0, 0), |block| {
            (block.profile, block.start, block.length)
        });
        let at = usize::from(at);
        let (form, length) = match profile {
            ONE_BYTE_PROFILE => (Form::OneByte, length),
            profile if profile & 0xfff0 == TWO_BYTE_PROFILE => (Form::TwoByte, length),
            _ => (Form::OneByte, 0),
        };
        Self {
            form,
            at,
            end: at + usize::from(length),
        }
    }

    /// The next element's id and where its value is.
    fn step(&mut self, bytes: &[u8]) -> Option<(u8, Range<usize>)> {
        while self.at < self.end {
            let first = *bytes.get(self.at)?;
            let (id, length, start) = match self.form {
                _ if first == 0 => {
                    self.at += 1;
                    continue;
                }
                Form::OneByte => (first >> 4, usize::from(first & 0x0f) + 1, self.at + 1),
                Form::TwoByte => {
                    let length = *bytes.get(self.at + 1)?;
                    (first, usize::from(length), self.at + 2)
                }
            };
            let range = start..start + length;
            // Id 0 is here only with a length, which is forbidden: it ends the block too.
            let is_end = self.form == Form::OneByte && (id == STOP_ID || id == 0);
            if is_end || range.end > self.end {
                self.at = self.end;
                return None;
            }
            self.at = range.end;
            return Some((id, range));
        }
        None
    }
}

/// Writes an extension block. It starts in one-byte form, and goes over to two-byte form with the
/// first element that needs it: an id above 14, no value or one of more than 16 bytes.
#[derive(Debug)]
pub struct ExtensionWriter<'a> {
    out: &'a mut [u8],
    form: Form,
    length: usize,
}

impl<'a> ExtensionWriter<'a> {
    /// Writes into `out`, which begins where the block is to begin.
    #[must_use]
    pub const fn new(out: &'a mut [u8]) -> Self {
        Self {
            out,
            form: Form::OneByte,
            length: BLOCK_HEADER_LENGTH,
        }
    }

    /// Adds an element; `false`, and nothing is added, when there is no room for it, when `id` is
    /// 0 or the value longer than 255 bytes.
    #[must_use]
    pub fn push(&mut self, id: u8, data: &[u8]) -> bool {
        let Ok(length) = u8::try_from(data.len()) else {
            return false;
        };
        let is_short = id < STOP_ID && (1..=16).contains(&length);
        if id == 0 || (!is_short && !self.widen()) {
            return false;
        }
        let short = [id << 4 | length.wrapping_sub(1) & 0x0f];
        let long = [id, length];
        let head: &[u8] = match self.form {
            Form::OneByte => &short,
            Form::TwoByte => &long,
        };
        let end = self.length + head.len() + data.len();
        if end.next_multiple_of(4) > self.out.len() {
            return false;
        }
        wire::put(self.out, self.length, head);
        wire::put(self.out, self.length + head.len(), data);
        self.length = end;
        true
    }

    /// Writes the block's own header and padding, and gives its length: a multiple of four, or 0
    /// when no element was added, and then there is no block to announce.
    #[must_use]
    pub fn finish(self) -> usize {
        if self.length == BLOCK_HEADER_LENGTH {
            return 0;
        }
        let end = self.length.next_multiple_of(4);
        if let Some(padding) = self.out.get_mut(self.length..end) {
            padding.fill(0);
        }
        let profile = match self.form {
            Form::OneByte => ONE_BYTE_PROFILE,
            Form::TwoByte => TWO_BYTE_PROFILE,
        };
        let words = u16::try_from((end - BLOCK_HEADER_LENGTH) / 4).unwrap_or(0);
        wire::put(self.out, 0, &profile.to_be_bytes());
        wire::put(self.out, 2, &words.to_be_bytes());
        end
    }

    /// Rewrites what is there in two-byte form: each element grows by one byte. `false` when that
    /// does not fit.
    fn widen(&mut self) -> bool {
        if self.form == Form::TwoByte {
            return true;
        }
        let (mut at, mut count) = (BLOCK_HEADER_LENGTH, 0);
        while let Some(head) = self.out.get(at).filter(|_| at < self.length) {
            at += usize::from(head & 0x0f) + 2;
            count += 1;
        }
        if (self.length + count).next_multiple_of(4) > self.out.len() {
            return false;
        }
        at = BLOCK_HEADER_LENGTH;
        while let Some(head) = self.out.get(at).copied().filter(|_| at < self.length) {
            let length = (head & 0x0f) + 1;
            self.out.copy_within(at + 1..self.length, at + 2);
            wire::put(self.out, at, &[head >> 4, length]);
            self.length += 1;
            at += usize::from(length) + 2;
        }
        self.form = Form::TwoByte;
        true
    }
}

/// Level in -dBov (0 loudest, 127 silence) and whether it is voice (RFC 6464).
#[must_use]
pub fn audio_level(data: &[u8]) -> Option<(u8, bool)> {
    let byte = data.first()?;
    Some((byte & 0x7f, byte & 0x80 != 0))
}

/// Transport-wide sequence number (draft-holmer-rmcat-transport-wide-cc-extensions-01).
#[must_use]
pub fn transport_sequence(data: &[u8]) -> Option<u16> {
    wire::u16_at(data, 0)
}

/// Absolute send time: 24 bits, in units of 2^-18 seconds, wrapping every 64 seconds.
#[must_use]
pub fn abs_send_time(data: &[u8]) -> Option<u32> {
    wire::u24_at(data, 0)
}

/// The absolute send time to write for `now`.
#[must_use]
pub fn abs_send_time_of(now: Time) -> [u8; 3] {
    // Nanoseconds to 2^-18 s, in 128 bits: a product of 64 and 18 bits.
    let units = (u128::from(now.as_nanos()) << 18) / 1_000_000_000;
    let [.., a, b, c] = units.to_be_bytes();
    [a, b, c]
}

/// The media identification of a stream (RFC 9143), if it is text.
#[must_use]
pub fn mid(data: &[u8]) -> Option<&str> {
    core::str::from_utf8(data)
        .ok()
        .filter(|mid| !mid.is_empty())
}

/// Bytes of the block's own header: profile and length.
const BLOCK_HEADER_LENGTH: usize = 4;

const ONE_BYTE_PROFILE: u16 = 0xbede;

const TWO_BYTE_PROFILE: u16 = 0x1000;

/// In one-byte form this id ends the block (RFC 8285 section 4.2).
const STOP_ID: u8 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    fn packet_with(profile: u16, elements: &[u8]) -> Vec<u8> {
        assert_eq!(elements.len() % 4, 0);
        let mut packet = vec![0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9];
        packet.extend(profile.to_be_bytes());
        packet.extend(u16::try_from(elements.len() / 4).unwrap().to_be_bytes());
        packet.extend(elements);
        packet
    }

    fn read(packet: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let header = RtpHeader::parse(packet).unwrap();
        iter(packet, &header)
            .map(|element| (element.id, element.data.to_vec()))
            .collect()
    }

    #[test]
    fn one_byte_elements_are_deconstructed() {
        let packet = packet_with(0xbede, &[0x10, 0x85, 0, 0, 0x31, 1, 2, 0x20, 9, 0, 0, 0]);
        let elements = [(1, vec![0x85]), (3, vec![1, 2]), (2, vec![9])];
        assert_eq!(read(&packet), elements);
        let header = RtpHeader::parse(&packet).unwrap();
        assert_eq!(
            audio_level(find(&packet, &header, 1).unwrap()),
            Some((5, true))
        );
        assert_eq!(
            transport_sequence(find(&packet, &header, 3).unwrap()),
            Some(0x0102)
        );
        assert_eq!(find(&packet, &header, 4), None);
    }

    #[test]
    fn two_byte_elements_may_be_empty_and_application_bits_are_ignored() {
        let packet = packet_with(0x100b, &[20, 0, 0, 15, 1, 7, 3, 0]);
        assert_eq!(read(&packet), [(20, vec![]), (15, vec![7]), (3, vec![])]);
    }

    #[test]
    fn other_profiles_hold_no_elements() {
        let packet = packet_with(0x2000, &[0x10, 1, 0, 0]);
        assert!(read(&packet).is_empty());
    }

    #[test]
    fn id_fifteen_ends_a_one_byte_block() {
        let packet = packet_with(0xbede, &[0x10, 1, 0xf0, 2, 0x20, 3, 0, 0]);
        assert_eq!(read(&packet), [(1, vec![1])]);
    }

    #[test]
    fn id_zero_with_a_length_ends_a_one_byte_block() {
        let packet = packet_with(0xbede, &[0x10, 1, 0, 0x20, 2, 0x01, 0x30, 3]);
        assert_eq!(read(&packet), [(1, vec![1]), (2, vec![2])]);
    }

    #[test]
    fn elements_past_the_block_end_the_reading() {
        let one = packet_with(0xbede, &[0x10, 1, 0x2f, 2]);
        assert_eq!(read(&one), [(1, vec![1])]);
        let two = packet_with(0x1000, &[1, 1, 9, 2]);
        assert_eq!(read(&two), [(1, vec![9])]);
        let long = packet_with(0x1000, &[1, 200, 9, 2]);
        assert!(read(&long).is_empty());
    }

    #[test]
    fn every_pair_of_bytes_is_read_without_leaving_the_block() {
        for profile in [0xbede, 0x1000] {
            for pair in 0..=u16::MAX {
                let [a, b] = pair.to_be_bytes();
                let packet = packet_with(profile, &[a, b, 0, 0]);
                for (_, data) in read(&packet) {
                    assert!(data.len() <= 3);
                }
            }
        }
    }

    #[test]
    fn a_value_is_changed_in_place() {
        let mut packet = packet_with(0xbede, &[0x10, 1, 0x31, 0, 0, 0, 0, 0]);
        let header = RtpHeader::parse(&packet).unwrap();
        find_mut(&mut packet, &header, 3)
            .unwrap()
            .copy_from_slice(&[8, 9]);
        assert_eq!(read(&packet), [(1, vec![1]), (3, vec![8, 9])]);
        assert!(find_mut(&mut packet, &header, 5).is_none());
    }

    fn written(room: usize, elements: &[(u8, &[u8])]) -> (Vec<bool>, Vec<(u8, Vec<u8>)>) {
        let mut packet = vec![0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9];
        let mut block = vec![0xff; room];
        let mut writer = ExtensionWriter::new(&mut block);
        let taken = elements
            .iter()
            .map(|(id, data)| writer.push(*id, data))
            .collect();
        let length = writer.finish();
        if length == 0 {
            return (taken, Vec::new());
        }
        packet.extend(&block[..length]);
        (taken, read(&packet))
    }

    #[test]
    fn a_block_is_constructed_in_one_byte_form() {
        let (taken, elements) = written(16, &[(1, &[1]), (14, &[2; 9])]);
        assert_eq!(taken, [true, true]);
        assert_eq!(elements, [(1, vec![1]), (14, vec![2; 9])]);
    }

    #[test]
    fn a_large_id_or_value_turns_the_block_to_two_byte_form() {
        let wants: [(u8, &[u8]); 3] = [(15, &[3]), (2, &[4; 17]), (2, &[])];
        for (id, data) in wants {
            let (taken, elements) = written(64, &[(1, &[1]), (3, &[7, 8]), (id, data), (4, &[5])]);
            assert_eq!(taken, [true; 4]);
            let expected = [
                (1, vec![1]),
                (3, vec![7, 8]),
                (id, data.to_vec()),
                (4, vec![5]),
            ];
            assert_eq!(elements, expected);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_the_rest_stays() {
        let (taken, elements) = written(8, &[(1, &[1]), (2, &[2, 2]), (3, &[3])]);
        assert_eq!(taken, [true, false, true]);
        assert_eq!(elements, [(1, vec![1]), (3, vec![3])]);
        let (taken, elements) = written(8, &[(1, &[1]), (2, &[2]), (200, &[2])]);
        assert_eq!(taken, [true, true, false]);
        assert_eq!(elements, [(1, vec![1]), (2, vec![2])]);
        assert_eq!(written(0, &[(1, &[1])]).0, [false]);
        assert_eq!(written(600, &[(0, &[1]), (1, &[0; 256])]).0, [false, false]);
    }

    #[test]
    fn nothing_added_is_no_block() {
        assert_eq!(ExtensionWriter::new(&mut [0; 8]).finish(), 0);
    }

    #[test]
    fn absolute_send_time_counts_quarter_million_steps_a_second() {
        assert_eq!(abs_send_time_of(Time::from_millis(1_000)), [4, 0, 0]);
        assert_eq!(abs_send_time_of(Time::from_millis(64_500)), [2, 0, 0]);
        assert_eq!(abs_send_time(&[2, 0, 1]), Some(0x0002_0001));
        assert_eq!(abs_send_time(&[2, 0]), None);
    }

    #[test]
    fn a_mid_is_text() {
        assert_eq!(mid(b"0"), Some("0"));
        assert_eq!(mid(b""), None);
        assert_eq!(mid(&[0xff]), None);
    }
}
