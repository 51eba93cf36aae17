//! Answers NACKs of one receiver from its sources' stores (RFC 4585, RFC 4588), within bounds.
//!
//! A number whose packet came and is never forwarded, such as padding, is answered by an empty
//! packet, so that the receiver does not ask in vain: on the RTX stream by nothing but the original
//! number, else by padding under the number itself. Browsers take both for padding that came.
//!
//! A packet is sent again at most once per round trip, and not when it is older than
//! [`HISTORY_AGE_MAX`]; all retransmissions together take at most a share of what was sent
//! ([`SHARE`]), so that a hostile receiver gains nothing by asking. A receiver with RTX gets a new
//! packet on the RTX stream. One without gets the very same bytes again: the SRTP index is the
//! same, and no two packets may share an index (RFC 7714 section 8.4); hence the history keeps the
//! stamps of the first time.

use core::time::Duration;

use super::slots::Slots;
use crate::description::MediaKind;
use crate::limits::{HISTORY_AGE_MAX, NACK_ENTRIES_MAX, RETRANSMISSION_BYTES_MAX};
use crate::rtcp::Nack;
use crate::time::Time;

/// What one receiver still has to be sent again.
#[derive(Debug)]
pub(crate) struct Retransmissions {
    queue: Vec<Wanted>,
    /// Bytes that may be sent again.
    allowance: u64,
    /// How many these may become.
    most: u64,
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
            most: RETRANSMISSION_BYTES_MAX,
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
        if slot.kind == MediaKind::Audio {
            return;
        }
        let interval = rtt.unwrap_or(RTT_UNKNOWN).max(RTT_MIN);
        for sequence in nack.sequences() {
            if self.queue.len() >= NACK_ENTRIES_MAX {
                return;
            }
            let Some(out) = slot.rewriter.sent_number(sequence) else {
                continue;
            };
            let Some(sent) = slot.history.get_mut(out) else {
                // Perhaps a place that stays empty: see `Slot::recall`.
                self.queue.push(Wanted { slot: place, out });
                continue;
            };
            let is_under_way = sent
                .resent_at()
                .is_some_and(|resent_at| now.since(resent_at) < interval);
            if !is_under_way && now.since(sent.at()) <= HISTORY_AGE_MAX {
                sent.note_resent(now);
                self.queue.push(Wanted { slot: place, out });
            }
        }
    }

    /// Whether nothing is queued.
    pub(crate) const fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The next packet to send again.
    pub(crate) fn pop(&mut self) -> Option<Wanted> {
        self.queue.pop()
    }

    /// Puts what is queued in the order of the numbers, each once. [`Self::pop`] takes the newest
    /// first: when not everything may be sent, a new keyframe counts more than what it takes the
    /// place of.
    pub(crate) fn sort(&mut self) {
        self.queue
            .sort_unstable_by_key(|wanted| (wanted.slot, wanted.out));
        self.queue.dedup();
    }

    /// Bytes of media were sent: a share of them may be sent again.
    pub(crate) const fn note_sent(&mut self, bytes: u64) {
        self.allowance = self.allowance.saturating_add(bytes / SHARE);
        self.clamp();
    }

    /// No more than a quarter of a second of `bound` bits per second may be sent again in a burst:
    /// a link that is full already is not filled with it.
    pub(crate) const fn set_bound(&mut self, bound: Option<u64>) {
        if let Some(bound) = bound {
            self.most = bound / (8 * 4);
        }
        self.clamp();
    }

    const fn clamp(&mut self) {
        if self.most > RETRANSMISSION_BYTES_MAX {
            self.most = RETRANSMISSION_BYTES_MAX;
        }
        if self.allowance > self.most {
            self.allowance = self.most;
        }
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

/// Limits the keyframes that a receiver can ask for on one slot: [`KEYFRAMES_MAX`] at once, and
/// one more after each [`KEYFRAME_REFILL`]. One that is refused for that is granted then, if it is
/// still of use: the receiver's picture stands still meanwhile.
#[derive(Debug, Default)]
pub(crate) struct KeyframeThrottle {
    /// The latest grant, while no keyframe has come since.
    awaited: Option<Time>,
    /// When the latest keyframe was sent.
    sent: Option<Time>,
    /// When all may be asked for at once again.
    full_at: Option<Time>,
    /// One was refused.
    is_owed: bool,
}

impl KeyframeThrottle {
    /// Whether a keyframe may be asked for now; if so it is counted. A receiver asks as well
    /// within a round trip of `rtt` after one was sent, or while one is awaited: in vain.
    pub(crate) fn grant(&mut self, now: Time, rtt: Option<Duration>) -> bool {
        let crossing = rtt
            .unwrap_or_default()
            .clamp(KEYFRAME_INTERVAL, CROSSING_MAX);
        let recent = |at: Option<Time>, span| at.is_some_and(|at| now.since(at) < span);
        if recent(self.sent, crossing) || recent(self.awaited, KEYFRAME_PATIENCE) {
            return false;
        }
        self.is_owed = true;
        self.owed(now)
    }

    /// Whether one that was refused is granted now.
    pub(crate) fn owed(&mut self, now: Time) -> bool {
        let full_at = self.full_at.map_or(now, |at| at.max(now)) + KEYFRAME_REFILL;
        if !self.is_owed || full_at > now + KEYFRAME_REFILL * KEYFRAMES_MAX {
            return false;
        }
        self.full_at = Some(full_at);
        self.awaited = Some(now);
        self.is_owed = false;
        true
    }

    /// A keyframe is sent.
    pub(crate) const fn note_keyframe(&mut self, now: Time) {
        self.sent = Some(now);
        self.awaited = None;
        self.is_owed = false;
    }
}

/// One byte in so many may be a retransmission.
const SHARE: u64 = 4;

/// Time in which a packet is not sent again while the round trip is not known.
const RTT_UNKNOWN: Duration = Duration::from_millis(100);

/// The shortest such time: a receiver on the same host asks no sooner.
const RTT_MIN: Duration = Duration::from_millis(10);

/// Time after a keyframe was sent in which a request crosses with it: the round trip, within these.
const KEYFRAME_INTERVAL: Duration = Duration::from_millis(200);

const CROSSING_MAX: Duration = Duration::from_millis(500);

/// Time that an awaited keyframe is waited for (`ingest/keyframe.rs` repeats the request).
const KEYFRAME_PATIENCE: Duration = Duration::from_secs(1);

const KEYFRAME_REFILL: Duration = Duration::from_secs(4);

const KEYFRAMES_MAX: u32 = 3;
