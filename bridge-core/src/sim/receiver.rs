//! Receives one stream as a browser would: puts packets in order, asks for missing ones, gives up
//! in time, asks for a keyframe when decoding stalls.

use core::time::Duration;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::check::{Received, StreamCheck, StreamReport};
use crate::rtp::sequence::{SequenceExtender, wire};
use crate::time::Time;

/// A missing packet is asked for again after so long.
const NACK_INTERVAL: Duration = Duration::from_millis(40);

/// A missing packet is given up after so long.
const PATIENCE_VIDEO: Duration = Duration::from_millis(600);

/// The same for sound, which is not asked for again.
const PATIENCE_AUDIO: Duration = Duration::from_millis(100);

/// Keyframes are asked for at most this often.
const KEYFRAME_INTERVAL: Duration = Duration::from_millis(300);

/// Jitter buffer and checker of one stream.
#[derive(Debug)]
pub(super) struct StreamReceiver {
    pub(super) is_video: bool,
    extender: SequenceExtender,
    next: Option<u64>,
    waiting: BTreeMap<u64, Received>,
    missing: BTreeMap<u64, Missing>,
    /// Hashes of what came under each number, to notice other bytes under the same.
    seen: BTreeMap<u64, u64>,
    check: StreamCheck,
    asked_keyframe: Option<Time>,
    /// Undecodable frames at the last look.
    stalled_at: u64,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    since: Time,
    asked: Option<Time>,
}

/// Numbers whose content is remembered.
const SEEN_MAX: usize = 2_000;

impl StreamReceiver {
    pub(super) fn new(is_video: bool) -> Self {
        Self {
            is_video,
            extender: SequenceExtender::new(),
            next: None,
            waiting: BTreeMap::new(),
            missing: BTreeMap::new(),
            seen: BTreeMap::new(),
            check: StreamCheck::default(),
            asked_keyframe: None,
            stalled_at: 0,
        }
    }

    pub(super) fn report(&self) -> &StreamReport {
        &self.check.report
    }

    pub(super) fn forget_freezes(&mut self) {
        self.check.report.longest_freeze = Duration::ZERO;
    }

    /// Takes a packet under its number in this stream, straight or by retransmission.
    pub(super) fn take(&mut self, now: Time, sequence: u16, received: Received, again: bool) {
        let number = self.extender.extend(sequence);
        let mut hasher = DefaultHasher::new();
        (
            &received.payload,
            received.header.timestamp,
            received.header.marker,
        )
            .hash(&mut hasher);
        let hash = hasher.finish();
        if let Some(before) = self.seen.insert(number, hash) {
            self.check.report.duplicates += 1;
            if before != hash {
                let text = format!("other content under number {number}");
                self.check.report.faults.push(text);
            }
            return;
        }
        if self.seen.len() > SEEN_MAX {
            self.seen.pop_first();
        }
        self.check.report.packets += 1;
        self.check.report.recovered += u64::from(again);
        self.missing.remove(&number);
        let next = *self.next.get_or_insert(number);
        if number < next {
            return;
        }
        let newest = self
            .waiting
            .last_key_value()
            .map_or(next, |(newest, _)| *newest + 1);
        for number in newest.max(next)..number {
            self.missing.insert(
                number,
                Missing {
                    since: now,
                    asked: None,
                },
            );
        }
        self.waiting.insert(number, received);
        self.give_out(now);
    }

    /// Gives out what is in order, past what is given up.
    pub(super) fn give_out(&mut self, now: Time) {
        let patience = if self.is_video {
            PATIENCE_VIDEO
        } else {
            PATIENCE_AUDIO
        };
        while let Some(next) = self.next {
            if let Some(received) = self.waiting.remove(&next) {
                self.check.take(now, &received);
            } else if self
                .missing
                .get(&next)
                .is_some_and(|m| now.since(m.since) > patience)
            {
                self.missing.remove(&next);
                self.check.lose();
            } else {
                return;
            }
            self.next = Some(next + 1);
        }
    }

    /// Missing numbers to ask for now.
    pub(super) fn poll_nack(&mut self, now: Time) -> Vec<u16> {
        let mut numbers = Vec::new();
        for (number, missing) in &mut self.missing {
            if missing
                .asked
                .is_none_or(|asked| now.since(asked) >= NACK_INTERVAL)
            {
                missing.asked = Some(now);
                numbers.push(wire(*number));
            }
        }
        numbers
    }

    /// Whether to ask for a keyframe now: frames came that could not be decoded.
    pub(super) fn poll_keyframe(&mut self, now: Time) -> bool {
        let undecodable = self.check.report.undecodable;
        let stalls = self.is_video && undecodable > self.stalled_at;
        let allowed = self
            .asked_keyframe
            .is_none_or(|at| now.since(at) >= KEYFRAME_INTERVAL);
        if stalls && allowed {
            self.asked_keyframe = Some(now);
            self.stalled_at = undecodable;
        }
        stalls && allowed
    }
}
