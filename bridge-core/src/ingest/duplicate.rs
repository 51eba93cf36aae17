//! Refuses packets that came before: retransmissions of what was not lost, mostly.
//!
//! The packet store is the memory. What is before its window would come too late for anybody.

use crate::error::Discard;

use super::store::{Entry, PacketStore};

/// Lets a sequence number through once.
pub(super) fn check(store: &PacketStore, sequence: u64) -> Result<(), Discard> {
    match store.entry(sequence) {
        Entry::Missing => Ok(()),
        Entry::Held(_) | Entry::Skipped | Entry::Gone => Err(Discard::Duplicate),
    }
}
