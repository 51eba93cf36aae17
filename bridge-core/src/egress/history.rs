//! Remembers what was sent to one receiver on one SSRC, so that it can be sent again.
//!
//! Only numbers are kept here: the packet itself stays once in its source's store.

use crate::limits::HISTORY_PACKETS_MAX;
use crate::time::Time;

/// How a packet went out. With the packet of the source's store it gives the same bytes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Outgoing sequence number.
    pub(crate) out: u64,
    /// Sequence number in its encoding.
    pub(crate) sequence: u64,
    /// When it was first sent.
    pub(crate) at: Time,
    /// When it was last sent again.
    pub(crate) resent_at: Option<Time>,
    /// Which encoding of the source.
    pub(crate) encoding: u8,
    /// What was added to its numbers.
    pub(crate) shift: Shift,
    /// The transport-wide number it went out with; `None` if it found no place in the arena.
    pub(crate) transport_sequence: Option<u16>,
}

/// What is added to the numbers of a packet, each modulo its width.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shift {
    /// RTP timestamp.
    pub(crate) timestamp: u32,
    /// VP8 picture id, 15 or 7 bits as the sender has it.
    pub(crate) picture_id: u16,
    /// VP8 TL0PICIDX.
    pub(crate) tl0_index: u8,
}

/// A ring of the latest packets of one SSRC. It takes memory with its first packet.
#[derive(Debug, Default)]
pub(crate) struct History {
    ring: Vec<Option<Sent>>,
}

impl History {
    /// Remembers a packet in place of the one a whole ring before it.
    pub(crate) fn insert(&mut self, sent: Sent) {
        if self.ring.is_empty() {
            self.ring.resize(HISTORY_PACKETS_MAX, None);
        }
        if let Some(place) = self.ring.get_mut(place_of(sent.out)) {
            *place = Some(sent);
        }
    }

    /// What went out under that number.
    pub(crate) fn get(&self, out: u64) -> Option<&Sent> {
        let sent = self.ring.get(place_of(out))?.as_ref();
        sent.filter(|sent| sent.out == out)
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, out: u64) -> Option<&mut Sent> {
        let sent = self.ring.get_mut(place_of(out))?.as_mut();
        sent.filter(|sent| sent.out == out)
    }

    /// Forgets everything and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.ring.fill(None);
    }
}

/// Remainder of a number by the size of the ring, a power of two.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the mask keeps less than the size of the ring"
)]
const fn place_of(out: u64) -> usize {
    out as usize & (HISTORY_PACKETS_MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(out: u64) -> Sent {
        Sent {
            out,
            sequence: out + 7,
            at: Time::ZERO,
            resent_at: None,
            encoding: 0,
            shift: Shift::default(),
            transport_sequence: None,
        }
    }

    #[test]
    fn a_packet_is_found_until_another_takes_its_place() {
        let mut history = History::default();
        assert_eq!(history.get(5), None);
        history.insert(sent(5));
        assert_eq!(history.get(5), Some(&sent(5)));
        let next = 5 + HISTORY_PACKETS_MAX as u64;
        assert_eq!(history.get(next), None, "same place, another packet");
        history.insert(sent(next));
        assert_eq!(history.get(5), None);
        assert_eq!(history.get_mut(next).copied(), Some(sent(next)));
        history.clear();
        assert_eq!(history.get(next), None);
    }
}
