//! Keeps the recent packets of one encoding: once per source, whatever the number of receivers.
//!
//! A ring by extended sequence number, of as many places as the rate needs: what is cycled through
//! in vain is never in the cache. What leaves the ring, by age or by number, goes back to the
//! pool. The ring is also the memory against duplicates (`duplicate.rs`) and tells egress which
//! numbers will never be forwarded, so that it can close the gap (see [`Entry`]).

use crate::limits::HISTORY_AGE_MAX;
use crate::packet::Pool;
use crate::time::Time;

use super::source::MediaPacket;

/// The recent packets of one encoding.
#[derive(Debug)]
pub(crate) struct PacketStore {
    /// A power of two, up to `capacity`; or none while nothing is kept: an encoding that is
    /// announced and not sent costs nothing.
    slots: Box<[Slot]>,
    capacity: usize,
    /// Its packets are of another shard's pool, and let go instead of given back.
    is_borrowing: bool,
    /// First number of the window.
    oldest: u64,
    /// One past the last number of the window; equal to `oldest` when nothing ever came.
    end: u64,
    /// No packet is held before this number.
    held: u64,
}

#[derive(Debug, Default)]
enum Slot {
    #[default]
    Empty,
    Skipped,
    Held(MediaPacket),
}

/// What the store knows of a sequence number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entry<'a> {
    /// The packet itself.
    Held(&'a MediaPacket),
    /// It came and is never forwarded (padding only, discarded silence, muted, malformed payload):
    /// a receiver's numbers close over it.
    Skipped,
    /// It has not come yet: it may be lost, late, or ahead of what the sender has sent.
    Missing,
    /// It is before the window: nobody can get it any more.
    Gone,
}

impl PacketStore {
    /// A store of up to `capacity` packets, a power of two.
    pub(crate) fn new(capacity: usize) -> Self {
        debug_assert!(capacity.is_power_of_two(), "the ring is indexed by a mask");
        Self {
            slots: Box::default(),
            capacity,
            is_borrowing: false,
            oldest: 0,
            end: 0,
            held: 0,
        }
    }

    /// A store of packets that are of another shard's pool.
    pub(crate) fn borrowing(capacity: usize) -> Self {
        Self {
            is_borrowing: true,
            ..Self::new(capacity)
        }
    }

    /// What is known of `sequence`.
    pub(crate) fn entry(&self, sequence: u64) -> Entry<'_> {
        if sequence < self.oldest {
            return Entry::Gone;
        }
        if sequence >= self.end {
            return Entry::Missing;
        }
        match self.slots.get(place(sequence, &self.slots)) {
            Some(Slot::Held(packet)) => Entry::Held(packet),
            Some(Slot::Skipped) => Entry::Skipped,
            Some(Slot::Empty) | None => Entry::Missing,
        }
    }

    /// The packet of that number, if it is held.
    pub(crate) fn get(&self, sequence: u64) -> Option<&MediaPacket> {
        match self.entry(sequence) {
            Entry::Held(packet) => Some(packet),
            _ => None,
        }
    }

    /// One past the highest number that came; 0 before the first packet.
    pub(crate) const fn end(&self) -> u64 {
        self.end
    }

    /// Keeps a packet. `false` for one that is before the window, which may end here because what
    /// is too old leaves first: it goes straight back to the pool.
    pub(crate) fn insert(&mut self, packet: MediaPacket, pool: &mut Pool) -> bool {
        let sequence = packet.sequence;
        self.make_room(sequence, packet.arrival, pool);
        self.held = self.held.min(sequence);
        self.put(sequence, Slot::Held(packet), pool);
        sequence >= self.oldest
    }

    /// Remembers that `sequence` came and is never forwarded.
    pub(crate) fn skip(&mut self, sequence: u64, now: Time, pool: &mut Pool) {
        self.make_room(sequence, now, pool);
        self.put(sequence, Slot::Skipped, pool);
    }

    /// Gives every packet and the ring's memory back; what was in the window is gone.
    pub(crate) fn clear(&mut self, pool: &mut Pool) {
        self.forget_before(self.end, pool);
        self.slots = Box::default();
    }

    fn put(&mut self, sequence: u64, tenant: Slot, pool: &mut Pool) {
        if self.slots.is_empty() {
            self.slots = empty(self.window());
        }
        let place = place(sequence, &self.slots);
        let tenant = match self.slots.get_mut(place) {
            Some(slot) if sequence >= self.oldest => core::mem::replace(slot, tenant),
            _ => tenant,
        };
        self.give_back(tenant, pool);
    }

    /// Numbers that the window has at most, for now.
    fn window(&self) -> usize {
        let least = self.capacity.min(STORE_PACKETS_MIN);
        self.slots.len().max(least)
    }

    /// Moves the window so that `sequence` is in it, unless it is before it. It grows where it
    /// would lose what is not too old otherwise: packets, and numbers that may still come late.
    fn make_room(&mut self, sequence: u64, now: Time, pool: &mut Pool) {
        if self.end == 0 {
            // Packets that were overtaken by the very first still find a place.
            self.oldest = sequence.saturating_sub(self.window() as u64 / 2);
            self.end = self.oldest;
            self.held = sequence;
        }
        self.forget_old(now, pool);
        let end = sequence.saturating_add(1);
        if end > self.end {
            let start = |store: &Self| end.saturating_sub(store.window() as u64);
            while start(self) > self.oldest && self.window() < self.capacity {
                self.grow();
            }
            self.forget_before(start(self), pool);
            self.end = end;
        }
    }

    fn grow(&mut self) {
        let slots = empty(2 * self.window());
        let mut before = core::mem::replace(&mut self.slots, slots);
        for sequence in self.oldest..self.end {
            let (from, to) = (place(sequence, &before), place(sequence, &self.slots));
            if let (Some(from), Some(to)) = (before.get_mut(from), self.slots.get_mut(to)) {
                core::mem::swap(from, to);
            }
        }
    }

    /// Takes packets that are too old out of the window, and the numbers before them.
    fn forget_old(&mut self, now: Time, pool: &mut Pool) {
        for _ in 0..FORGET_STEPS {
            self.held = self.held.max(self.oldest);
            if self.held >= self.end {
                return;
            }
            match self.slots.get(place(self.held, &self.slots)) {
                Some(Slot::Held(packet)) if now.since(packet.arrival) <= HISTORY_AGE_MAX => return,
                Some(Slot::Held(_)) => self.forget_before(self.held + 1, pool),
                _ => self.held += 1,
            }
        }
    }

    fn forget_before(&mut self, start: u64, pool: &mut Pool) {
        for sequence in self.oldest..start.min(self.end) {
            let place = place(sequence, &self.slots);
            let slot = self.slots.get_mut(place).map(core::mem::take);
            self.give_back(slot.unwrap_or_default(), pool);
        }
        self.oldest = self.oldest.max(start);
    }

    fn give_back(&self, slot: Slot, pool: &mut Pool) {
        if let Slot::Held(MediaPacket { packet, .. }) = slot
            && !self.is_borrowing
        {
            pool.give_shared(packet);
        }
    }
}

fn empty(size: usize) -> Box<[Slot]> {
    (0..size).map(|_| Slot::Empty).collect()
}

/// Remainder of `sequence` by the size of the ring.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the mask keeps less than the size of the ring"
)]
const fn place(sequence: u64, ring: &[Slot]) -> usize {
    sequence as usize & ring.len().wrapping_sub(1)
}

/// Places of the smallest ring: a second of a slow picture.
const STORE_PACKETS_MIN: usize = 32;

const _: () = assert!(STORE_PACKETS_MIN.is_power_of_two());

/// Places looked at for old packets when one comes: more than one, so that the store shrinks after
/// a burst; few, so that no packet pays for many.
const FORGET_STEPS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{PayloadType, Ssrc};
    use crate::ingest::source::Facts;
    use crate::packet::Packet;
    use crate::rtp::RtpHeader;

    const CAPACITY: usize = 8;

    fn packet(sequence: u64, millis: u64, pool: &mut Pool) -> MediaPacket {
        let packet: Packet = pool.take();
        MediaPacket {
            packet: packet.share(),
            header: RtpHeader {
                marker: false,
                payload_type: PayloadType(0),
                sequence: 0,
                timestamp: 0,
                ssrc: Ssrc(0),
                csrc_count: 0,
                has_padding: false,
                extension: None,
                length: 12,
            },
            payload_length: 1,
            sequence,
            arrival: Time::from_millis(millis),
            facts: Facts::Audio {
                level: None,
                voice: false,
            },
        }
    }

    /// The window as text: held, skipped, missing, gone.
    fn picture(store: &PacketStore, from: u64, to: u64) -> String {
        (from..to)
            .map(|sequence| match store.entry(sequence) {
                Entry::Held(packet) => {
                    assert_eq!(packet.sequence, sequence);
                    'h'
                }
                Entry::Skipped => 's',
                Entry::Missing => '.',
                Entry::Gone => 'x',
            })
            .collect()
    }

    #[test]
    fn the_window_moves_with_the_highest_number() {
        let mut pool = Pool::new(64);
        let mut store = PacketStore::new(CAPACITY);
        let steps = [
            (100, "xxxx....h........"),
            (98, "xxxx..h.h........"),
            (95, "xxxx..h.h........"),
            (96, "xxxxh.h.h........"),
            (104, "xxxxx.h.h...h...."),
            (103, "xxxxx.h.h..hh...."),
            (110, "xxxxxxxxxxxhh.....h"),
            (1_000_000, "xxxxxxxxxxxxxxxxxxx"),
        ];
        for (sequence, expected) in steps {
            store.insert(packet(sequence, 0, &mut pool), &mut pool);
            let length = expected.len() as u64;
            assert_eq!(picture(&store, 92, 92 + length), expected, "{sequence}");
        }
        assert_eq!(store.end(), 1_000_001);
        assert!(store.get(1_000_000).is_some());
        assert!(pool.made() <= CAPACITY as u64 + 1, "packets go round");
    }

    #[test]
    fn what_is_borrowed_is_let_go_and_never_kept() {
        let mut owner = Pool::new(64);
        let mut pool = Pool::new(64);
        let mut store = PacketStore::borrowing(CAPACITY);
        let original = packet(10, 0, &mut owner);
        store.insert(
            MediaPacket {
                packet: original.packet.clone(),
                ..original
            },
            &mut pool,
        );
        owner.give_shared(original.packet);
        store.clear(&mut pool);
        owner.take();
        pool.take();
        assert_eq!(
            (owner.made(), pool.made()),
            (1, 1),
            "it is back where it was made"
        );
    }

    #[test]
    fn skipped_numbers_are_told_from_missing_ones() {
        let mut pool = Pool::new(64);
        let mut store = PacketStore::new(CAPACITY);
        store.insert(packet(10, 0, &mut pool), &mut pool);
        store.skip(12, Time::ZERO, &mut pool);
        store.skip(3, Time::ZERO, &mut pool);
        assert_eq!(picture(&store, 3, 14), "xxx....h.s.");
        assert!(store.get(12).is_none());
    }

    #[test]
    fn old_packets_go_back_when_new_ones_come() {
        let mut pool = Pool::new(64);
        let mut store = PacketStore::new(64);
        for sequence in 100..110 {
            store.insert(packet(sequence, sequence - 100, &mut pool), &mut pool);
        }
        let late = 1_000 + 5;
        store.skip(111, Time::from_millis(late), &mut pool);
        for _ in 0..64 {
            let sequence = store.end();
            store.insert(packet(sequence, late, &mut pool), &mut pool);
            if matches!(store.entry(104), Entry::Gone) {
                break;
            }
        }
        assert_eq!(picture(&store, 103, 107), "xxhh", "as old as the limit");
    }

    #[test]
    fn it_grows_with_the_rate_up_to_its_capacity() {
        let mut pool = Pool::new(1_024);
        for (millis, size) in [(1, 512), (9, 128), (90, STORE_PACKETS_MIN)] {
            let mut store = PacketStore::new(512);
            for sequence in 1_000..3_000 {
                store.insert(packet(sequence, millis * sequence, &mut pool), &mut pool);
                let oldest = sequence
                    .saturating_sub((1_000 / millis).min(511))
                    .max(1_000);
                for earlier in [oldest, sequence.midpoint(oldest), sequence] {
                    assert!(store.get(earlier).is_some(), "{earlier} after {sequence}");
                }
            }
            assert_eq!(store.slots.len(), size);
            store.clear(&mut pool);
        }
        assert!(pool.made() <= 513, "packets go round");
    }

    #[test]
    fn what_is_missing_since_a_moment_ago_may_still_come() {
        let mut pool = Pool::new(64);
        let mut store = PacketStore::new(512);
        let mut size_after = |sequence, millis| {
            store.insert(packet(sequence, millis, &mut pool), &mut pool);
            store.slots.len()
        };
        assert_eq!(size_after(1_000, 0), STORE_PACKETS_MIN);
        assert_eq!(size_after(1_100, 10), 128, "over a gap");
        assert_eq!(size_after(1_300, 2_000), 512, "after a pause too");
        for sequence in 1_301..1_350 {
            size_after(sequence, 2_100);
        }
        assert_eq!(picture(&store, 1_099, 1_103), "xx..", "but not what came");
        assert!(store.insert(packet(1_101, 2_200, &mut pool), &mut pool));
        assert!(matches!(store.entry(1_101), Entry::Held(_)));
    }

    #[test]
    fn a_packet_that_the_old_ones_take_with_them_is_not_kept() {
        let mut pool = Pool::new(64);
        let mut store = PacketStore::new(CAPACITY);
        assert!(store.insert(packet(100, 0, &mut pool), &mut pool));
        assert!(
            matches!(store.entry(98), Entry::Missing),
            "not too late yet"
        );
        let late = 2_000;
        assert!(!store.insert(packet(98, late, &mut pool), &mut pool));
        assert!(store.insert(packet(101, late, &mut pool), &mut pool));
        assert_eq!(picture(&store, 98, 103), "xxxh.");
        assert_eq!(pool.made(), 2);
    }

    #[test]
    fn a_cleared_store_remembers_how_far_it_was() {
        let mut pool = Pool::new(64);
        let mut store = PacketStore::new(CAPACITY);
        store.insert(packet(10, 0, &mut pool), &mut pool);
        store.clear(&mut pool);
        assert_eq!(picture(&store, 9, 12), "xx.");
        store.insert(packet(11, 0, &mut pool), &mut pool);
        assert_eq!(picture(&store, 9, 13), "xxh.");
        assert_eq!(pool.made(), 1);
    }
}
