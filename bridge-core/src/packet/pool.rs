//! Hands out packets and takes them back, so that the steady state allocates nothing.

use std::collections::VecDeque;

use super::buffer::{Packet, SharedPacket};

/// Packets waiting to be used again. It grows on demand up to its limit of kept packets; what is
/// given back beyond that is freed.
#[derive(Debug)]
pub struct Pool {
    free: Vec<Packet>,
    lent: VecDeque<SharedPacket>,
    kept_max: usize,
    made: u64,
}

impl Pool {
    /// An empty pool that keeps at most `kept_max` packets of either kind.
    #[must_use]
    pub fn new(kept_max: usize) -> Self {
        Self {
            free: Vec::new(),
            lent: VecDeque::new(),
            kept_max,
            made: 0,
        }
    }

    /// A packet of length zero; its old bytes are still in the buffer.
    pub fn take(&mut self) -> Packet {
        self.reclaim();
        let mut packet = self.free.pop().unwrap_or_else(|| {
            self.made = self.made.wrapping_add(1);
            Packet::new()
        });
        packet.set_len(0);
        packet
    }

    /// Takes a packet back.
    pub fn give(&mut self, packet: Packet) {
        if self.free.len() < self.kept_max {
            self.free.push(packet);
        }
    }

    /// Takes back what others may still hold; it is used again when they have let go.
    pub fn give_shared(&mut self, packet: SharedPacket) {
        match packet.try_unshare() {
            Ok(packet) => self.give(packet),
            Err(shared) if self.lent.len() < self.kept_max => self.lent.push_back(shared),
            Err(_) => {}
        }
    }

    /// How many packets were ever made.
    #[must_use]
    pub const fn made(&self) -> u64 {
        self.made
    }

    fn reclaim(&mut self) {
        if self.free.is_empty() {
            for _ in 0..self.lent.len().min(RECLAIM_STEPS) {
                let Some(shared) = self.lent.pop_front() else {
                    return;
                };
                self.give_shared(shared);
            }
        }
    }
}

/// Lent packets looked at when the free list is empty: enough to find one, too few to be felt.
const RECLAIM_STEPS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_used_again() {
        let mut pool = Pool::new(8);
        let packet = pool.take();
        let shared = packet.share();
        let other = shared.clone();
        pool.give_shared(shared);
        let second = pool.take();
        assert_eq!(pool.made(), 2, "the first is still held");
        drop(other);
        let third = pool.take();
        assert_eq!(pool.made(), 2, "the first is used again");
        pool.give(second);
        pool.give(third);
        pool.take();
        assert_eq!(pool.made(), 2);
    }
}
