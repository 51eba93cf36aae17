//! Measures each encoding: bit rate of the last second, and whether it is sent at all.
//!
//! A sender stops a simulcast encoding when its bandwidth or processor does not suffice; receivers
//! must then be given another one, soon. A single encoding has nothing to fall back to and may be
//! slow by nature (a still screen comes at about one frame a second), so it is given more time.

use core::time::Duration;

use crate::error::Discard;
use crate::packet::Pool;
use crate::time::Time;

use super::Arrived;
use super::source::{Encoding, Source};

/// Bytes of the last second in slices.
#[derive(Debug, Default)]
pub(super) struct Rate {
    bytes: [u32; SLICES],
    /// Number of the newest slice since the engine's start.
    newest: u64,
}

impl Rate {
    pub(super) fn add(&mut self, now: Time, bytes: usize) {
        let slice = slice_of(now);
        let passed = slice.saturating_sub(self.newest).min(SLICES as u64);
        for empty in (slice - passed.min(slice)..slice).map(|before| before + 1) {
            if let Some(place) = self.bytes.get_mut(place_of(empty)) {
                *place = 0;
            }
        }
        self.newest = self.newest.max(slice);
        if let Some(place) = self.bytes.get_mut(place_of(slice)) {
            *place = place.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
    }

    pub(super) fn bits_per_second(&self, now: Time) -> u64 {
        let oldest = (slice_of(now) + 1).saturating_sub(SLICES as u64);
        let bytes: u64 = (oldest..=self.newest)
            .map(|slice| {
                self.bytes
                    .get(place_of(slice))
                    .copied()
                    .map_or(0, u64::from)
            })
            .sum();
        bytes * 8
    }
}

/// Notes a packet at its encoding; one without media counts for nothing and ends here.
pub(super) fn note(arrived: &mut Arrived<'_>, source: &mut Source) -> Result<(), Discard> {
    if arrived.payload_length == 0 {
        return Err(Discard::PaddingOnly);
    }
    let index = usize::from(arrived.stream.encoding);
    if let Some(encoding) = source.encodings.get_mut(index) {
        encoding.rate.add(arrived.now, arrived.packet.bytes().len());
        encoding.newest = Some((arrived.header.timestamp, arrived.now));
        encoding.clock_rate = arrived.payload.clock_rate;
        arrived.has_changed |= !core::mem::replace(&mut encoding.live, true);
    }
    Ok(())
}

impl Encoding {
    /// Bits per second of media, headers included, over the last second.
    pub(crate) fn bitrate(&self, now: Time) -> u64 {
        self.rate.bits_per_second(now)
    }

    /// The sender says that it has ended.
    pub(super) fn end(&mut self) {
        self.live = false;
        self.rate = Rate::default();
        self.missing.clear();
    }
}

impl Source {
    /// Looks which encodings have fallen silent and gives their packets back; `true` when there is
    /// a new one.
    pub(super) fn look_for_silence(&mut self, now: Time, pool: &mut Pool) -> bool {
        let patience = self.patience();
        let mut changed = false;
        for encoding in &mut self.encodings {
            let is_heard = encoding
                .newest
                .is_some_and(|(_, arrival)| now.since(arrival) <= patience);
            if encoding.live && !is_heard {
                encoding.end();
                encoding.store.clear(pool);
                changed = true;
            }
        }
        changed
    }

    fn patience(&self) -> Duration {
        if self.encodings.len() > 1 {
            SIMULCAST_PATIENCE
        } else {
            PATIENCE
        }
    }
}

const fn slice_of(now: Time) -> u64 {
    now.as_millis() / SLICE_MILLIS
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the remainder is less than the number of slices"
)]
const fn place_of(slice: u64) -> usize {
    (slice % SLICES as u64) as usize
}

const SLICES: usize = 20;

const SLICE_MILLIS: u64 = 50;

/// Silence after which one of several encodings counts as stopped: over the longest gap between
/// frames of a live one (7.5 per second and a lost frame), under what a viewer takes for a freeze.
const SIMULCAST_PATIENCE: Duration = Duration::from_millis(800);

/// Silence after which a single encoding counts as stopped.
const PATIENCE: Duration = Duration::from_secs(5);
