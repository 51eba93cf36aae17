//! Remembers what was sent to one receiver on one SSRC, so that it can be sent again.
//!
//! Only numbers are kept here: the packet itself stays once in its source's store.

use crate::limits::{HISTORY_AGE_MAX, HISTORY_PACKETS_MAX};
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
    /// What was added to its numbers. An empty one has no numbers of its own but these.
    pub(crate) shift: Shift,
    /// It went out without a payload: its packet came and is never forwarded.
    pub(crate) is_empty: bool,
    /// Bytes of padding that it went out with.
    pub(crate) padding: u8,
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

/// A ring of the latest packets of one SSRC. It takes memory with its first packet, and more when
/// it would lose one that may still be asked for.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Empty, or as many places as a power of two.
    ring: Vec<Option<Sent>>,
    /// What went out before this number may be forgotten.
    floor: u64,
}

impl History {
    /// Remembers a packet, in place of the one a whole ring before it.
    pub(crate) fn insert(&mut self, sent: Sent) {
        let in_the_way = self.at(sent.out);
        let is_needed = in_the_way
            .is_some_and(|old| old.out != sent.out && sent.at.since(old.at) <= HISTORY_AGE_MAX);
        if self.ring.is_empty() || (is_needed && self.ring.len() < HISTORY_PACKETS_MAX) {
            self.grow();
        }
        let place = self.place_of(sent.out);
        if let Some(place) = self.ring.get_mut(place)
            && let Some(old) = place.replace(sent)
            && old.out != sent.out
        {
            self.floor = self.floor.max(old.out + 1);
        }
    }

    /// Whether nothing ever went out under that number, for certain. No number is used for two
    /// packets.
    pub(crate) fn is_free(&self, out: u64) -> bool {
        out >= self.floor && self.get(out).is_none()
    }

    fn grow(&mut self) {
        let size = (2 * self.ring.len()).max(HISTORY_PACKETS_MIN);
        let ring = core::mem::replace(&mut self.ring, vec![None; size]);
        for sent in ring.into_iter().flatten() {
            let place = self.place_of(sent.out);
            if let Some(place) = self.ring.get_mut(place) {
                *place = Some(sent);
            }
        }
    }

    /// What went out under that number.
    pub(crate) fn get(&self, out: u64) -> Option<&Sent> {
        self.at(out).filter(|sent| sent.out == out)
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, out: u64) -> Option<&mut Sent> {
        let place = self.place_of(out);
        let sent = self.ring.get_mut(place)?.as_mut();
        sent.filter(|sent| sent.out == out)
    }

    /// Forgets everything and keeps the memory.
    pub(crate) fn clear(&mut self) {
        let latest = self.ring.iter().flatten().map(|sent| sent.out + 1).max();
        self.floor = self.floor.max(latest.unwrap_or_default());
        self.ring.fill(None);
    }

    fn at(&self, out: u64) -> Option<&Sent> {
        self.ring.get(self.place_of(out))?.as_ref()
    }

    /// Remainder of a number by the size of the ring.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the mask keeps less than the size of the ring"
    )]
    const fn place_of(&self, out: u64) -> usize {
        out as usize & self.ring.len().wrapping_sub(1)
    }
}

/// Places of the smallest ring: a second of a thumbnail.
const HISTORY_PACKETS_MIN: usize = 64;

const _: () = assert!(HISTORY_PACKETS_MIN.is_power_of_two());

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(out: u64, millis: u64) -> Sent {
        Sent {
            out,
            sequence: out + 7,
            at: Time::from_millis(millis),
            resent_at: None,
            encoding: 0,
            shift: Shift::default(),
            is_empty: false,
            padding: 0,
            transport_sequence: None,
        }
    }

    #[test]
    fn a_packet_is_found_until_another_takes_its_place() {
        let mut history = History::default();
        assert_eq!(history.get(5), None);
        history.insert(sent(5, 0));
        assert_eq!(history.get(5), Some(&sent(5, 0)));
        let next = 5 + HISTORY_PACKETS_MIN as u64;
        assert_eq!(history.get(next), None, "same place, another packet");
        history.insert(sent(next, 2_000));
        assert_eq!(history.get(5), None, "too old to be asked for");
        assert_eq!(history.get_mut(next).copied(), Some(sent(next, 2_000)));
        history.clear();
        assert_eq!(history.get(next), None);
    }

    #[test]
    fn what_may_be_forgotten_is_not_free() {
        let mut history = History::default();
        assert!(history.is_free(0));
        let size = HISTORY_PACKETS_MIN as u64;
        for out in [3, 5, 6 + size] {
            history.insert(sent(out, 0));
        }
        let free = |history: &History, of: &[u64]| -> Vec<bool> {
            of.iter().map(|out| history.is_free(*out)).collect()
        };
        assert_eq!(free(&history, &[3, 4, 5, 6]), [false, true, false, true]);
        history.insert(sent(5 + size, 2_000));
        let after = free(&history, &[3, 4, 5, 6, 7]);
        assert_eq!(after, [false, false, false, true, true]);
        history.clear();
        assert_eq!(
            free(&history, &[6, 6 + size, 7 + size]),
            [false, false, true]
        );
    }

    #[test]
    fn it_grows_with_the_rate_up_to_its_limit() {
        let mut history = History::default();
        for out in 0..2_000 {
            history.insert(sent(out, out));
            let oldest = out.saturating_sub(HISTORY_PACKETS_MAX as u64 - 1);
            for earlier in [oldest, out - (out - oldest) / 2, out] {
                assert!(history.get(earlier).is_some(), "{earlier} after {out}");
            }
        }
        assert_eq!(history.ring.len(), HISTORY_PACKETS_MAX);
        let mut slow = History::default();
        for out in 0..2_000 {
            slow.insert(sent(out, 30 * out));
        }
        assert_eq!(slow.ring.len(), HISTORY_PACKETS_MIN);
    }
}
