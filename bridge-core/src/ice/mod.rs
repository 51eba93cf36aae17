//! Finds and keeps a path to a peer: a full ICE agent (RFC 8445), STUN (RFC 8489) and consent
//! (RFC 7675), without sockets or clock.
//!
//! An agent has one component and one socket, which all of its local candidates share. So a pair is
//! a remote address, and our own address only where a datagram showed it: checks to the addresses
//! that signaling names leave from whatever address the kernel picks, checks in answer to a peer's
//! check leave from the address it came to. With one component and one stream there is nothing to
//! freeze (section 6.1.2.6): every pair starts waiting.
//!
//! Which agent a datagram belongs to is decided before it is believed ([`stun::peek`]): a check by
//! our ufrag in USERNAME, an answer by the [`Token`] in the transaction id of our check. Both name
//! the shard. Nothing of a stranger is stored.

use crate::error::Discard;
use crate::id::{EndpointKey, Key, ShardId};
use crate::random::{ICE_CHARS, Random};

mod agent;

mod candidate;

mod checklist;

mod consent;

#[cfg(feature = "unstable-toolbox")]
pub(crate) mod fuzz;

mod limiter;

mod stun;

#[cfg(test)]
mod tests;

pub(crate) use agent::{Agent, AgentEvent, AgentOptions};
pub(crate) use candidate::local_candidates;
pub(crate) use limiter::StunLimiter;
pub(crate) use stun::{Peek, StunMessage, peek};

/// Which agent of which shard made a check. Eight of the twelve bytes of a transaction id hold it;
/// the other four are random, and MESSAGE-INTEGRITY proves the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// The shard.
    pub(crate) shard: ShardId,
    /// The agent's endpoint. Its index is below 2^24: shards have not that many places.
    pub(crate) endpoint: EndpointKey,
}

impl Token {
    /// Reads the token of an answer; whether such an endpoint exists is not said.
    pub(crate) const fn of_transaction(transaction: stun::TransactionId) -> Self {
        let [shard, i0, i1, i2, g0, g1, g2, g3, ..] = transaction;
        Self {
            shard: ShardId(shard),
            endpoint: EndpointKey(Key {
                index: u32::from_be_bytes([0, i0, i1, i2]),
                generation: u32::from_be_bytes([g0, g1, g2, g3]),
            }),
        }
    }

    /// A new transaction id that leads back to the agent.
    fn transaction(self, random: &mut Random) -> stun::TransactionId {
        let Key { index, generation } = self.endpoint.0;
        let [_, i0, i1, i2] = index.to_be_bytes();
        let [g0, g1, g2, g3] = generation.to_be_bytes();
        let [r0, r1, r2, r3] = random.u32().to_be_bytes();
        [self.shard.0, i0, i1, i2, g0, g1, g2, g3, r0, r1, r2, r3]
    }
}

/// The shard that a ufrag of ours names with its first character.
pub(crate) fn shard_of_ufrag(ufrag: &str) -> Result<ShardId, Discard> {
    let first = *ufrag.as_bytes().first().ok_or(Discard::StunUnknownUfrag)?;
    let index = ICE_CHARS
        .iter()
        .position(|c| *c == first)
        .ok_or(Discard::StunUnknownUfrag)?;
    u8::try_from(index)
        .map(ShardId)
        .map_err(|_| Discard::StunUnknownUfrag)
}

/// A new ufrag of ours: the shard, then 54 random bits.
fn new_ufrag(shard: ShardId, random: &mut Random) -> String {
    let first = ICE_CHARS.get(usize::from(shard.0)).copied().unwrap_or(b'A');
    let mut ufrag = random.ice_string(UFRAG_RANDOM_CHARS);
    ufrag.insert(0, char::from(first));
    ufrag
}

/// Random characters of a ufrag of ours, six bits each.
const UFRAG_RANDOM_CHARS: usize = 9;
/// Characters of a password of ours, six bits each: 144 bits.
const PASSWORD_CHARS: usize = 24;
