//! Remembers what was sent to one receiver on one SSRC, so that it can be sent again.
//!
//! Only numbers are kept here: the packet itself stays once in its source's store. Each packet
//! writes one place for each of its receivers, and by the next one the cache has forgotten it: a
//! place is half a cache line, and a ring has no more of them than its rate needs.

use core::num::NonZeroU8;
use core::time::Duration;

use crate::ingest::source::Pending;
use crate::limits::{HISTORY_AGE_MAX, HISTORY_PACKETS_MAX};
use crate::time::Time;

/// How a packet went out. With the packet of the source's store it gives the same bytes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Its outgoing number, and its transport-wide one, of no meaning if it is not [`NUMBERED`].
    out: Pair,
    /// Its number in its encoding, and bytes: of the padding that it went out with, and which
    /// encoding that is.
    sequence: Pair,
    /// When it was first sent in [`TIME_STEP`]s, and one more than the [`RESENT_STEP`]s from then
    /// until it was last sent again, or 0.
    at: Pair,
    shift_of_timestamp: u32,
    shift_of_picture_id: u16,
    shift_of_tl0_index: u8,
    /// [`REMEMBERED`], and [`EMPTY`] and [`NUMBERED`] where they apply.
    marks: NonZeroU8,
}

/// A number of 48 bits, as an SRTP index is (RFC 3711 section 3.3.1), and one of 16 beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pair(u64);

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

impl Sent {
    /// A packet that goes out for the first time, under the number `out`. `None` if one of the
    /// numbers is none that SRTP could seal, or 36 years have passed.
    pub(crate) fn new(now: Time, out: u64, pending: Pending, shift: Shift) -> Option<Self> {
        Some(Self {
            out: Pair::new(out, 0)?,
            sequence: Pair::new(pending.sequence, u16::from_be_bytes([0, pending.encoding]))?,
            at: Pair::new(now.as_micros() / TIME_STEP, 0)?,
            shift_of_timestamp: shift.timestamp,
            shift_of_picture_id: shift.picture_id,
            shift_of_tl0_index: shift.tl0_index,
            marks: REMEMBERED,
        })
    }

    /// Outgoing sequence number.
    pub(crate) const fn out(&self) -> u64 {
        self.out.long()
    }

    /// Where the source's store has it.
    pub(crate) const fn pending(&self) -> Pending {
        let [_, encoding] = self.sequence.short().to_be_bytes();
        Pending {
            encoding,
            sequence: self.sequence.long(),
        }
    }

    /// Bytes of padding that it went out with.
    pub(crate) const fn padding(&self) -> u8 {
        let [padding, _] = self.sequence.short().to_be_bytes();
        padding
    }

    /// It goes out with so many bytes of padding.
    pub(crate) const fn set_padding(&mut self, padding: u8) {
        let [_, encoding] = self.sequence.short().to_be_bytes();
        self.sequence
            .set_short(u16::from_be_bytes([padding, encoding]));
    }

    /// When it was first sent, rounded down to [`TIME_STEP`]: its stamps say this time whenever it
    /// is sent.
    pub(crate) const fn at(&self) -> Time {
        Time::from_micros(self.at.long() * TIME_STEP)
    }

    /// When it was last sent again.
    pub(crate) fn resent_at(&self) -> Option<Time> {
        let steps = self.at.short().checked_sub(1)?;
        Some(self.at() + RESENT_STEP * steps.into())
    }

    /// It is sent again, not later than [`HISTORY_AGE_MAX`].
    pub(crate) fn note_resent(&mut self, now: Time) {
        let steps = now.since(self.at()).as_micros() / RESENT_STEP.as_micros();
        let steps = u16::try_from(steps).unwrap_or(u16::MAX);
        self.at.set_short(steps.saturating_add(1));
    }

    /// What was added to its numbers. An empty one has no numbers of its own but these.
    pub(crate) const fn shift(&self) -> Shift {
        Shift {
            timestamp: self.shift_of_timestamp,
            picture_id: self.shift_of_picture_id,
            tl0_index: self.shift_of_tl0_index,
        }
    }

    /// It goes out without a payload: its packet came and is never forwarded.
    pub(crate) fn into_empty(self, shift: Shift) -> Self {
        Self {
            shift_of_timestamp: shift.timestamp,
            shift_of_picture_id: shift.picture_id,
            shift_of_tl0_index: shift.tl0_index,
            marks: self.marks | EMPTY,
            ..self
        }
    }

    /// Whether it went out without a payload.
    pub(crate) const fn is_empty(&self) -> bool {
        self.marks.get() & EMPTY != 0
    }

    /// The transport-wide number it went out with; `None` if it found no place in the arena.
    pub(crate) fn transport_sequence(&self) -> Option<u16> {
        (self.marks.get() & NUMBERED != 0).then_some(self.out.short())
    }

    /// It has that transport-wide number.
    pub(crate) fn set_transport_sequence(&mut self, number: u16) {
        self.out.set_short(number);
        self.marks |= NUMBERED;
    }
}

impl Pair {
    /// `None` if `long` takes more than 48 bits.
    const fn new(long: u64, short: u16) -> Option<Self> {
        match long.to_be_bytes() {
            [0, 0, a, b, c, d, e, f] => {
                let [g, h] = short.to_be_bytes();
                Some(Self(u64::from_be_bytes([a, b, c, d, e, f, g, h])))
            }
            _ => None,
        }
    }

    const fn long(self) -> u64 {
        self.0 >> u16::BITS
    }

    const fn short(self) -> u16 {
        let [.., high, low] = self.0.to_be_bytes();
        u16::from_be_bytes([high, low])
    }

    const fn set_short(&mut self, short: u16) {
        let [a, b, c, d, e, f, ..] = self.0.to_be_bytes();
        let [g, h] = short.to_be_bytes();
        self.0 = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    }
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
        while self.ring.is_empty()
            || (self.ring.len() < HISTORY_PACKETS_MAX && self.is_needed_instead_of(&sent))
        {
            self.grow();
        }
        let place = self.place_of(sent.out());
        if let Some(place) = self.ring.get_mut(place)
            && let Some(old) = place.replace(sent)
            && old.out() != sent.out()
        {
            self.floor = self.floor.max(old.out() + 1);
        }
    }

    /// Whether the packet in whose place this one goes may still be asked for.
    fn is_needed_instead_of(&self, sent: &Sent) -> bool {
        self.at(sent.out()).is_some_and(|old| {
            old.out() != sent.out() && sent.at().since(old.at()) <= HISTORY_AGE_MAX
        })
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
            let place = self.place_of(sent.out());
            if let Some(place) = self.ring.get_mut(place) {
                *place = Some(sent);
            }
        }
    }

    /// What went out under that number.
    pub(crate) fn get(&self, out: u64) -> Option<&Sent> {
        self.at(out).filter(|sent| sent.out() == out)
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, out: u64) -> Option<&mut Sent> {
        let place = self.place_of(out);
        let sent = self.ring.get_mut(place)?.as_mut();
        sent.filter(|sent| sent.out() == out)
    }

    /// Forgets everything and keeps the memory.
    pub(crate) fn clear(&mut self) {
        let latest = self.ring.iter().flatten().map(|sent| sent.out() + 1).max();
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

/// Microseconds to which times of sending are rounded down: about the resolution of the only stamp
/// that is made of them, abs-send-time (2^-18 s).
const TIME_STEP: u64 = 4;

/// What the time until a packet was sent again is rounded down to.
const RESENT_STEP: Duration = Duration::from_micros(20);

/// There is a packet.
const REMEMBERED: NonZeroU8 = NonZeroU8::MIN;

/// It has no payload.
const EMPTY: u8 = 2;

/// It has a transport-wide number.
const NUMBERED: u8 = 4;

/// Places of the smallest ring: a second of the slowest picture.
const HISTORY_PACKETS_MIN: usize = 16;

const _: () = assert!(HISTORY_PACKETS_MIN.is_power_of_two());
const _: () = assert!(HISTORY_AGE_MAX.as_micros() / RESENT_STEP.as_micros() < u16::MAX as u128);
const _: () = assert!(size_of::<Option<Sent>>() == 32);

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(out: u64, millis: u64) -> Sent {
        let pending = Pending {
            encoding: 0,
            sequence: out + 7,
        };
        Sent::new(Time::from_millis(millis), out, pending, Shift::default()).unwrap()
    }

    #[test]
    fn a_packet_is_remembered_as_it_went_out() {
        let at = Time::from_micros(4_000_000_004);
        let pending = Pending {
            encoding: 2,
            sequence: LAST - 1,
        };
        let shift = Shift {
            timestamp: u32::MAX,
            picture_id: 0x7ffe,
            tl0_index: 253,
        };
        let mut sent = Sent::new(at, LAST, pending, shift).unwrap();
        sent.set_padding(17);
        assert_eq!((sent.out(), sent.pending(), sent.at()), (LAST, pending, at));
        assert_eq!((sent.shift(), sent.padding()), (shift, 17));
        assert_eq!((sent.is_empty(), sent.transport_sequence()), (false, None));
        for number in [0, u16::MAX] {
            sent.set_transport_sequence(number);
            assert_eq!(sent.transport_sequence(), Some(number));
        }
        let empty = sent.into_empty(Shift::default());
        assert!(empty.is_empty() && !sent.is_empty());
        assert_eq!(empty.shift(), Shift::default());
        assert_eq!(empty.transport_sequence(), Some(u16::MAX));
        assert_eq!(empty.pending(), pending);
    }

    #[test]
    fn the_time_of_sending_again_is_known_as_long_as_it_may_happen() {
        let first = sent(1, 5).at();
        for micros in [0, 20, 1_000, 999_980, 1_000_000] {
            let mut sent = sent(1, 5);
            assert_eq!(sent.resent_at(), None);
            let now = first + Duration::from_micros(micros);
            sent.note_resent(now);
            assert_eq!(sent.resent_at(), Some(now));
            sent.note_resent(now + Duration::from_micros(19));
            assert_eq!(sent.resent_at(), Some(now), "rounded down");
        }
        let mut sent = sent(1, 5);
        sent.note_resent(first + Duration::from_secs(3_600));
        assert!(sent.resent_at() > Some(first + HISTORY_AGE_MAX));
    }

    #[test]
    fn what_srtp_cannot_number_is_not_remembered() {
        let pending = |sequence| Pending {
            encoding: 0,
            sequence,
        };
        let new = |out, sequence| Sent::new(Time::ZERO, out, pending(sequence), Shift::default());
        assert!(new(LAST, LAST).is_some());
        assert_eq!((new(LAST + 1, 0), new(0, LAST + 1)), (None, None));
    }

    /// The last index of SRTP.
    const LAST: u64 = (1 << 48) - 1;

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
            slow.insert(sent(out, 90 * out));
        }
        assert_eq!(slow.ring.len(), HISTORY_PACKETS_MIN);
    }

    #[test]
    fn a_gap_in_the_numbers_forgets_nothing_that_may_be_asked_for() {
        let mut history = History::default();
        let after_gap = 5 + 4 * HISTORY_PACKETS_MIN as u64;
        history.insert(sent(5, 0));
        history.insert(sent(after_gap, 1));
        assert!(history.get(5).is_some() && history.get(after_gap).is_some());
        assert!(history.is_free(6));
    }
}
