//! Carries messages between shards on wait-free rings, one for each ordered pair.
//!
//! Buffers of datagrams that cross are paid back with empty ones, so that no shard runs dry while
//! another piles them up; decrypted packets are lent, and come back by their count. A shard is
//! woken once for all that it was sent.

use std::sync::Arc;

use rtrb::{Consumer, Producer, RingBuffer};

use super::inbox::Doorbell;
use crate::engine::ShardMessage;
use crate::id::ShardId;
use crate::limits::HANDOFF_MAX;
use crate::packet::{Packet, Pool};

/// All of a shard's rings.
#[derive(Debug)]
pub(crate) struct Rings {
    outgoing: Vec<Option<Outgoing>>,
    incoming: Vec<Incoming>,
}

#[derive(Debug)]
struct Outgoing {
    ring: Producer<ShardMessage>,
    paid_back: Consumer<Packet>,
    bell: Arc<Doorbell>,
    /// Something was sent since the bell rang.
    is_news: bool,
}

#[derive(Debug)]
struct Incoming {
    ring: Consumer<ShardMessage>,
    pay_back: Producer<Packet>,
}

/// Makes the rings of all shards, in their order.
pub(crate) fn mesh(bells: &[Arc<Doorbell>]) -> Vec<Rings> {
    let mut all: Vec<Rings> = bells
        .iter()
        .map(|_| Rings {
            outgoing: Vec::with_capacity(bells.len()),
            incoming: Vec::with_capacity(bells.len()),
        })
        .collect();
    for from in 0..bells.len() {
        for (to, bell) in bells.iter().enumerate() {
            let (ring, its_end) = RingBuffer::new(HANDOFF_MAX);
            let (pay_back, paid_back) = RingBuffer::new(HANDOFF_MAX);
            let outgoing = (from != to).then(|| Outgoing {
                ring,
                paid_back,
                bell: Arc::clone(bell),
                is_news: false,
            });
            if let (true, Some(rings)) = (outgoing.is_some(), all.get_mut(to)) {
                rings.incoming.push(Incoming {
                    ring: its_end,
                    pay_back,
                });
            }
            if let Some(rings) = all.get_mut(from) {
                rings.outgoing.push(outgoing);
            }
        }
    }
    all
}

impl Rings {
    /// Puts a message on its way, for [`Rings::wake`] to tell; gives it back when the ring is full
    /// or there is no such shard.
    pub(crate) fn send(&mut self, to: ShardId, message: ShardMessage) -> Option<ShardMessage> {
        let Some(Some(outgoing)) = self.outgoing.get_mut(usize::from(to.0)) else {
            return Some(message);
        };
        outgoing.is_news = true;
        match outgoing.ring.push(message) {
            Ok(()) => None,
            Err(rtrb::PushError::Full(message)) => Some(message),
        }
    }

    /// Wakes the shards that were sent something.
    pub(crate) fn wake(&mut self) {
        for outgoing in self.outgoing.iter_mut().flatten() {
            if core::mem::take(&mut outgoing.is_news) {
                outgoing.bell.ring();
            }
        }
    }

    /// Takes the next message of any shard.
    pub(crate) fn receive(&mut self, pool: &mut Pool) -> Option<ShardMessage> {
        for incoming in &mut self.incoming {
            if let Ok(message) = incoming.ring.pop() {
                if matches!(message, ShardMessage::Datagram { .. })
                    && !incoming.pay_back.is_full()
                    && let Err(rtrb::PushError::Full(packet)) = incoming.pay_back.push(pool.take())
                {
                    pool.give(packet);
                }
                return Some(message);
            }
        }
        None
    }

    /// Puts buffers that other shards paid back into our pool.
    pub(crate) fn collect(&mut self, pool: &mut Pool) {
        for outgoing in self.outgoing.iter_mut().flatten() {
            while let Ok(packet) = outgoing.paid_back.pop() {
                pool.give(packet);
            }
        }
    }
}
