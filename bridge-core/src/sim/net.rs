//! Delays, loses and reorders datagrams between nodes, in virtual time.

use core::cmp::Ordering;
use core::time::Duration;
use std::collections::BinaryHeap;

use crate::engine::Path;
use crate::packet::Packet;
use crate::random::Random;
use crate::time::Time;

/// How datagrams travel in one direction. All numbers are whole, so that runs can be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Time of travel.
    pub delay: Duration,
    /// Up to this much more, evenly spread. A later datagram never overtakes by it.
    pub jitter: Duration,
    /// Lost datagrams of a million.
    pub loss: u32,
    /// Datagrams of a million that are held back for another `delay`, so that others overtake.
    pub reorder: u32,
    /// Datagrams of a million that come twice.
    pub duplicate: u32,
    /// Bits per second; `None` is unlimited.
    pub rate: Option<u64>,
    /// Time that a datagram may wait for others in front of it; beyond it is lost.
    pub queue: Duration,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(10),
            jitter: Duration::ZERO,
            loss: 0,
            reorder: 0,
            duplicate: 0,
            rate: None,
            queue: Duration::from_millis(300),
        }
    }
}

impl Link {
    /// A link that loses so many of a hundred datagrams.
    #[must_use]
    pub fn lossy(percent: u32) -> Self {
        Self {
            loss: percent * 10_000,
            ..Self::default()
        }
    }
}

/// Names a node of a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(super) usize);

/// A datagram that arrives at a node.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) at: Time,
    order: u64,
    pub(super) to: NodeId,
    /// As the receiving node sees it: the remote end is the sender.
    pub(super) path: Path,
    pub(super) packet: Packet,
}

impl PartialEq for Delivery {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Delivery {}

impl PartialOrd for Delivery {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Delivery {
    /// The earliest is the greatest, since a heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// One direction of one peer's link, with what it does now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pipe {
    pub(super) link: Link,
    /// When the last bit of what was sent has left.
    free: Time,
    /// When the latest datagram that kept its place arrives.
    latest: Time,
}

impl Pipe {
    pub(super) const fn new(link: Link) -> Self {
        Self {
            link,
            free: Time::ZERO,
            latest: Time::ZERO,
        }
    }

    /// When a datagram of that size arrives; `None` if it is lost.
    fn arrival(&mut self, now: Time, bytes: usize, random: &mut Random) -> Option<Time> {
        let link = self.link;
        if happens(link.loss, random) {
            return None;
        }
        let mut left = now;
        if let Some(rate) = link.rate {
            let begin = self.free.max(now);
            if begin.since(now) > link.queue {
                return None;
            }
            let bits = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(8);
            let nanos = bits.saturating_mul(1_000_000_000) / rate.max(1);
            self.free = begin + Duration::from_nanos(nanos);
            left = self.free;
        }
        let jitter = u64::try_from(link.jitter.as_nanos()).unwrap_or(u64::MAX);
        let extra = random.u64().checked_rem(jitter).unwrap_or(0);
        if happens(link.reorder, random) {
            return Some(left + link.delay + link.delay);
        }
        let arrival = left + link.delay + Duration::from_nanos(extra);
        self.latest = self.latest.max(arrival);
        Some(self.latest)
    }
}

fn happens(of_a_million: u32, random: &mut Random) -> bool {
    of_a_million > 0 && random.u32() % 1_000_000 < of_a_million
}

/// Everything that is on its way.
#[derive(Debug)]
pub(super) struct Network {
    deliveries: BinaryHeap<Delivery>,
    order: u64,
    random: Random,
    pub(super) lost: u64,
}

impl Network {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self {
            deliveries: BinaryHeap::new(),
            order: 0,
            random: Random::new(seed),
            lost: 0,
        }
    }

    /// Sends a datagram through `pipe`.
    pub(super) fn send(
        &mut self,
        now: Time,
        pipe: &mut Pipe,
        to: NodeId,
        path: Path,
        bytes: &[u8],
    ) {
        let copies = 1 + u32::from(happens(pipe.link.duplicate, &mut self.random));
        for _ in 0..copies {
            let Some(at) = pipe.arrival(now, bytes.len(), &mut self.random) else {
                self.lost += 1;
                continue;
            };
            self.order += 1;
            self.deliveries.push(Delivery {
                at,
                order: self.order,
                to,
                path,
                packet: Packet::copy_of(bytes),
            });
        }
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.deliveries.peek().map(|delivery| delivery.at)
    }

    /// The next datagram that arrives by `now`.
    pub(super) fn deliver(&mut self, now: Time) -> Option<Delivery> {
        if self.next()? > now {
            return None;
        }
        self.deliveries.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_percent_loss_loses_two_percent() {
        let mut pipe = Pipe::new(Link::lossy(2));
        let mut random = Random::new([3; 32]);
        let came = (0..10_000)
            .filter(|_| pipe.arrival(Time::ZERO, 100, &mut random).is_some())
            .count();
        assert!((9_750..9_850).contains(&came), "{came}");
    }

    #[test]
    fn a_full_queue_loses_and_jitter_keeps_the_order() {
        let link = Link {
            jitter: Duration::from_millis(5),
            rate: Some(1_000_000),
            queue: Duration::from_millis(50),
            ..Link::default()
        };
        let mut pipe = Pipe::new(link);
        let mut random = Random::new([3; 32]);
        let times: Vec<_> = (0..20)
            .map_while(|_| pipe.arrival(Time::ZERO, 1_250, &mut random))
            .collect();
        assert_eq!(times.len(), 6, "10 ms each; the sixth has waited 50 ms");
        assert!(times.is_sorted());
    }
}
