//! Source descriptions, of which only the canonical name matters (RFC 3550 section 6.5).

use super::compound::{CompoundWriter, SDES};
use crate::id::Ssrc;
use crate::wire;

/// A source description.
#[derive(Clone, Copy, Debug)]
pub struct Sdes<'a> {
    chunks: &'a [u8],
    count: u8,
}

/// The canonical names in a source description.
#[derive(Clone, Debug)]
pub struct Cnames<'a> {
    rest: &'a [u8],
    left: u8,
}

impl<'a> Sdes<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Option<Self> {
        let mut rest = body;
        for _ in 0..count {
            (_, rest) = read_chunk(rest)?;
        }
        Some(Self {
            chunks: body,
            count,
        })
    }

    /// Each source that is named, with its canonical name.
    #[must_use]
    pub const fn cnames(&self) -> Cnames<'a> {
        Cnames {
            rest: self.chunks,
            left: self.count,
        }
    }
}

impl<'a> Iterator for Cnames<'a> {
    type Item = (Ssrc, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            let ((ssrc, cname), rest) = read_chunk(self.rest)?;
            self.rest = rest;
            if let Some(cname) = cname {
                return Some((ssrc, cname));
            }
        }
        None
    }
}

/// One source with its name if it has one, and what follows its chunk.
type Chunk<'a> = ((Ssrc, Option<&'a [u8]>), &'a [u8]);

fn read_chunk(bytes: &[u8]) -> Option<Chunk<'_>> {
    let ssrc = Ssrc(wire::u32_at(bytes, 0)?);
    let mut cname = None;
    let mut at = 4;
    loop {
        let kind = *bytes.get(at)?;
        if kind == END {
            break;
        }
        let length = usize::from(*bytes.get(at + 1)?);
        let text = bytes.get(at + 2..at + 2 + length)?;
        if kind == CNAME {
            cname = Some(text);
        }
        at += 2 + length;
    }
    // One zero ends the list; more fill it up to a multiple of four.
    let rest = bytes.get((at + 1).next_multiple_of(4)..)?;
    Some(((ssrc, cname), rest))
}

impl CompoundWriter<'_> {
    /// Adds a source description that names one source; a name beyond 255 bytes is cut.
    #[must_use]
    pub fn cname(&mut self, ssrc: Ssrc, cname: &[u8]) -> bool {
        let length = u8::try_from(cname.len()).unwrap_or(u8::MAX);
        let cname = cname.get(..usize::from(length)).unwrap_or_default();
        let Some(body) = self.packet(SDES, 1, (4 + 2 + cname.len() + 1).next_multiple_of(4)) else {
            return false;
        };
        body.fill(END);
        wire::put(body, 0, &ssrc.0.to_be_bytes());
        wire::put(body, 4, &[CNAME, length]);
        wire::put(body, 6, cname)
    }
}

const END: u8 = 0;

const CNAME: u8 = 1;

#[cfg(test)]
mod tests {
    use super::super::{RtcpPacket, packets};
    use super::*;

    #[test]
    fn a_name_of_any_length_is_constructed_and_deconstructed() {
        for length in [0, 1, 2, 3, 4, 5, 255, 300] {
            let name = vec![b'n'; length];
            let mut out = [0xff; 300];
            let mut writer = CompoundWriter::new(&mut out);
            assert!(writer.cname(Ssrc(3), &name));
            let length = writer.len();
            let Some(Ok(RtcpPacket::Sdes(sdes))) = packets(&out[..length]).next() else {
                panic!("not a source description");
            };
            let names: Vec<_> = sdes.cnames().collect();
            assert_eq!(names, [(Ssrc(3), &name[..name.len().min(255)])]);
        }
    }

    #[test]
    fn other_items_and_nameless_sources_are_passed_over() {
        let body = [
            0, 0, 0, 1, 2, 1, b'x', 0, // a name that is not canonical
            0, 0, 0, 2, 0, 0, 0, 0, // nothing
            0, 0, 0, 3, 2, 0, 1, 1, b'c', 0, 0, 0, // both
        ];
        let sdes = Sdes::parse(3, &body).unwrap();
        assert_eq!(sdes.cnames().collect::<Vec<_>>(), [(Ssrc(3), &b"c"[..])]);
    }

    #[test]
    fn impossible_lengths_are_refused() {
        assert!(Sdes::parse(0, &[]).is_some());
        assert!(Sdes::parse(1, &[0, 0, 0, 1]).is_none(), "no end");
        assert!(
            Sdes::parse(1, &[0, 0, 0, 1, 1, 9, b'x', 0]).is_none(),
            "cut item"
        );
        assert!(
            Sdes::parse(2, &[0, 0, 0, 1, 1, 1, b'x', 0]).is_none(),
            "missing chunk"
        );
    }
}
