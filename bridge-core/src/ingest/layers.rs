//! Measures each encoding: bit rate of the last second, and whether it is sent at all.
//!
//! A sender stops a simulcast encoding when its bandwidth or processor does not suffice; receivers
//! must then be given another one, soon. But a source may be slow by nature (a still screen comes
//! at about one frame a second), so silence counts only when other encodings go on meanwhile. When
//! all are silent there is nothing to fall back to, and they are given more time.

use core::time::Duration;

use crate::error::Discard;
use crate::packet::Pool;
use crate::time::Time;

use super::Arrived;
use super::source::{Encoding, Source};

/// Bytes of the last second in slices.
#[derive(Clone, Debug, Default)]
pub(super) struct Rate {
    bytes: [u32; SLICES],
    /// Number of the newest slice since the engine's start.
    newest: u64,
    /// When the first packet came.
    began: Option<Time>,
}

impl Rate {
    pub(super) fn add(&mut self, now: Time, bytes: usize) {
        self.began.get_or_insert(now);
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
    let timestamp = arrived.header.timestamp;
    let mut is_new_frame = false;
    if let Some(encoding) = source.encodings.get_mut(index) {
        is_new_frame = encoding.newest.map(|(timestamp, _)| timestamp) != Some(timestamp);
        encoding.overtaken = 0;
        encoding.rate.add(arrived.now, arrived.packet.bytes().len());
        encoding.newest = Some((timestamp, arrived.now));
        encoding.clock_rate = arrived.payload.clock_rate;
        arrived.has_changed |= !core::mem::replace(&mut encoding.live, true);
    }
    for (other, encoding) in source.encodings.iter_mut().enumerate() {
        let step = u32::from(is_new_frame && other != index);
        encoding.overtaken = encoding.overtaken.saturating_add(step);
    }
    Ok(())
}

impl Encoding {
    /// Bits per second of media, headers included, over the last second.
    pub(crate) fn bitrate(&self, now: Time) -> u64 {
        self.rate.bits_per_second(now)
    }

    /// Whether its rate cannot be told yet, since it began less than a second ago.
    pub(crate) fn is_fresh(&self, now: Time) -> bool {
        let began = self.rate.began;
        began.is_some_and(|began| now.since(began) < FRESH)
    }

    /// Whether nothing came for too long, with regard to what came of the other encodings.
    fn is_silent(&self, now: Time) -> bool {
        self.newest.is_none_or(|(_, arrival)| {
            let silence = now.since(arrival);
            silence > PATIENCE
                || (silence > PATIENCE_OVERTAKEN && self.overtaken > FRAMES_OVERTAKEN)
        })
    }

    /// It is not sent any more.
    fn end(&mut self) {
        self.live = false;
        self.rate = Rate::default();
        self.missing.clear();
    }
}

impl Source {
    /// Looks which encodings have fallen silent and gives their packets back; `true` when there is
    /// a new one.
    pub(super) fn look_for_silence(&mut self, now: Time, pool: &mut Pool) -> bool {
        let mut changed = false;
        for encoding in &mut self.encodings {
            if encoding.live && encoding.is_silent(now) {
                encoding.end();
                encoding.store.clear(pool);
                changed = true;
            }
        }
        changed
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

/// Time that the rate is measured over.
const FRESH: Duration = Duration::from_millis(SLICES as u64 * SLICE_MILLIS);

/// Silence after which an encoding that is overtaken by others counts as stopped: over the longest
/// gap between frames of a live one (7.5 per second and some lost), under what a viewer takes for a
/// freeze.
const PATIENCE_OVERTAKEN: Duration = Duration::from_millis(800);

/// Frames of other encodings in the meantime that do not yet count as being overtaken: two each of
/// two others, so that no order within one slow picture counts.
const FRAMES_OVERTAKEN: u32 = 4;

/// Silence after which any encoding counts as stopped.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_second() {
        let mut rate = Rate::default();
        assert_eq!(rate.bits_per_second(Time::from_millis(3)), 0);
        for millis in (0..2_000).step_by(10) {
            rate.add(Time::from_millis(millis), 100);
        }
        let cases = [
            (1_990, 80_000),
            (2_000, 76_000),
            (2_500, 36_000),
            (2_949, 4_000),
            (2_950, 0),
            (90_000, 0),
        ];
        for (millis, expected) in cases {
            let bits = rate.bits_per_second(Time::from_millis(millis));
            assert_eq!(bits, expected, "after {millis} ms");
        }
        rate.add(Time::from_millis(90_000), 1);
        assert_eq!(rate.bits_per_second(Time::from_millis(90_000)), 8);
    }
}
