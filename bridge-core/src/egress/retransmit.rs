//! Answers NACKs of one receiver from its sources' stores (RFC 4585, RFC 4588), within bounds.
//!
//! A packet is sent again at most once per round trip, and not when it is older than
//! [`HISTORY_AGE_MAX`]; all retransmissions together take at most a share of what was sent
//! ([`SHARE`]), so that a hostile receiver gains nothing by asking. A receiver with RTX gets a new
//! packet on the RTX stream. One without gets the very same bytes again: the SRTP index is the
//! same, and no two packets may share an index (RFC 7714 section 8.4); hence the history keeps the
//! stamps of the first time.

use core::time::Duration;

use super::slots::Slots;
use crate::limits::{HISTORY_AGE_MAX, NACK_ENTRIES_MAX, RETRANSMISSION_BYTES_MAX};
use crate::rtcp::Nack;
use crate::time::Time;

/// What one receiver still has to be sent again.
#[derive(Debug)]
pub(crate) struct Retransmissions {
    queue: Vec<Wanted>,
    /// Bytes that may be sent again.
    allowance: u64,
}

/// A packet that is wanted again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Place of its slot.
    pub(crate) slot: usize,
    /// Its outgoing number.
    pub(crate) out: u64,
}

impl Retransmissions {
    pub(crate) const fn new() -> Self {
        Self {
            queue: Vec::new(),
            allowance: RETRANSMISSION_BYTES_MAX,
        }
    }

    /// Queues what a NACK names and can be sent again.
    pub(crate) fn handle_nack(
        &mut self,
        now: Time,
        nack: &Nack<'_>,
        slots: &mut Slots,
        rtt: Option<Duration>,
    ) {
        let Some(place) = slots.place_of_ssrc(nack.media) else {
            return;
        };
        let Some(slot) = slots.get_mut(place) else {
            return;
        };
        let interval = rtt.unwrap_or(RTT_UNKNOWN).max(RTT_MIN);
        for sequence in nack.sequences() {
            if self.queue.len() >= NACK_ENTRIES_MAX {
                return;
            }
            let Some(out) = slot.rewriter.sent_number(sequence) else {
                continue;
            };
            let Some(sent) = slot.history.get_mut(out) else {
                continue;
            };
            let is_under_way = sent
                .resent_at
                .is_some_and(|resent_at| now.since(resent_at) < interval);
            if !is_under_way && now.since(sent.at) <= HISTORY_AGE_MAX {
                sent.resent_at = Some(now);
                self.queue.push(Wanted { slot: place, out });
            }
        }
    }

    /// The next packet to send again.
    pub(crate) fn pop(&mut self) -> Option<Wanted> {
        self.queue.pop()
    }

    /// Puts what is queued in the order of the numbers, the last first, as [`Self::pop`] takes it.
    pub(crate) fn sort(&mut self) {
        self.queue
            .sort_unstable_by_key(|wanted| (wanted.slot, wanted.out));
        self.queue.reverse();
    }

    /// Bytes of media were sent: a share of them may be sent again.
    pub(crate) const fn note_sent(&mut self, bytes: u64) {
        let allowance = self.allowance.saturating_add(bytes / SHARE);
        self.allowance = if allowance < RETRANSMISSION_BYTES_MAX {
            allowance
        } else {
            RETRANSMISSION_BYTES_MAX
        };
    }

    /// Whether `bytes` may be sent again; if so they are taken off.
    pub(crate) const fn spend(&mut self, bytes: u64) -> bool {
        match self.allowance.checked_sub(bytes) {
            Some(rest) => {
                self.allowance = rest;
                true
            }
            None => false,
        }
    }
}

/// Limits the keyframes that a receiver can ask for on one slot: one per
/// [`KEYFRAME_INTERVAL`], and as many as the ring holds per [`KEYFRAME_PERIOD`].
#[derive(Debug, Default)]
pub(crate) struct KeyframeThrottle {
    /// The latest ones granted.
    granted: [Option<Time>; KEYFRAMES_PER_PERIOD],
    next: usize,
}

impl KeyframeThrottle {
    /// Whether a keyframe may be asked for now; if so it is counted.
    pub(crate) fn grant(&mut self, now: Time) -> bool {
        let newest = self.granted.iter().flatten().max();
        let oldest = self.granted.get(self.next).copied().flatten();
        let too_soon = newest.is_some_and(|at| now.since(*at) < KEYFRAME_INTERVAL);
        let too_many = oldest.is_some_and(|at| now.since(at) < KEYFRAME_PERIOD);
        if too_soon || too_many {
            return false;
        }
        if let Some(place) = self.granted.get_mut(self.next) {
            *place = Some(now);
        }
        self.next = (self.next + 1) % KEYFRAMES_PER_PERIOD;
        true
    }
}

/// One byte in so many may be a retransmission.
const SHARE: u64 = 4;

/// Time in which a packet is not sent again while the round trip is not known.
const RTT_UNKNOWN: Duration = Duration::from_millis(100);

/// The shortest such time: a receiver on the same host asks no sooner.
const RTT_MIN: Duration = Duration::from_millis(10);

const KEYFRAME_INTERVAL: Duration = Duration::from_millis(200);

const KEYFRAME_PERIOD: Duration = Duration::from_secs(10);

const KEYFRAMES_PER_PERIOD: usize = 3;
