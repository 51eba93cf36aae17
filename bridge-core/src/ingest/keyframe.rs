//! Asks a source for keyframes: coalesced, throttled, repeated until one comes.
//!
//! However many receivers wish for one, a source is asked at most once per
//! [`KEYFRAME_REQUEST_INTERVAL`], for all wished encodings in one compound. While none comes the
//! request is repeated at growing intervals, then dropped: who still needs it wishes again.

use core::time::Duration;

use crate::codec::vp8::Vp8Descriptor;
use crate::limits::{
    ENCODINGS_MAX, KEYFRAME_REPEAT_INTERVAL_MAX, KEYFRAME_REQUEST_INTERVAL, KEYFRAME_TRIES_MAX,
};
use crate::time::Time;

use super::Arrived;
use super::source::Source;

/// Notes the first packet of a keyframe: the wish is fulfilled, the height is known, and what was
/// lost before it is of no use any more.
pub(super) fn note(
    arrived: &mut Arrived<'_>,
    sequence: u64,
    descriptor: &Vp8Descriptor,
    source: &mut Source,
) {
    if !descriptor.is_keyframe {
        return;
    }
    let index = usize::from(arrived.stream.encoding);
    source.keyframes.fulfil(index);
    if let Some(encoding) = source.encodings.get_mut(index) {
        encoding.missing.forget_before(sequence);
        let height = descriptor
            .frame_size
            .map(|(width, height)| width.min(height));
        if height.is_some() && encoding.height != height {
            encoding.height = height;
            arrived.has_changed = true;
        }
    }
}

/// Wished keyframes of one source.
#[derive(Debug, Default)]
pub(super) struct KeyframeRequests {
    wishes: [Option<Wish>; ENCODINGS_MAX],
    /// When the source was last asked.
    asked: Option<Time>,
    /// Command number of the latest FIR of each encoding (RFC 5104 section 4.3.1.1): a repetition
    /// keeps it, a new wish takes the next.
    commands: [u8; ENCODINGS_MAX],
}

#[derive(Clone, Copy, Debug)]
struct Wish {
    next: Time,
    tries: u8,
}

impl KeyframeRequests {
    /// Wishes for a keyframe; `false` when there is no such encoding.
    pub(super) fn wish(&mut self, now: Time, encoding: usize) -> bool {
        let soonest = self
            .asked
            .map_or(now, |asked| now.max(asked + KEYFRAME_REQUEST_INTERVAL));
        match self.wishes.get_mut(encoding) {
            None => return false,
            Some(Some(wish)) => {
                wish.next = wish.next.min(soonest);
                wish.tries = wish.tries.min(KEYFRAME_TRIES_MAX - 1);
            }
            Some(wish) => {
                *wish = Some(Wish {
                    next: soonest,
                    tries: 0,
                });
                if let Some(command) = self.commands.get_mut(encoding) {
                    *command = command.wrapping_add(1);
                }
            }
        }
        true
    }

    /// A keyframe of that encoding came.
    pub(super) fn fulfil(&mut self, encoding: usize) {
        if let Some(wish) = self.wishes.get_mut(encoding) {
            *wish = None;
        }
    }

    /// Forgets every wish.
    pub(super) const fn clear(&mut self) {
        self.wishes = [None; ENCODINGS_MAX];
    }

    /// When the source is to be asked.
    pub(super) fn due(&self) -> Option<Time> {
        self.wishes.iter().flatten().map(|wish| wish.next).min()
    }

    /// The encodings to ask for now, with their FIR command numbers.
    pub(super) fn take_due(&mut self, now: Time) -> [Option<u8>; ENCODINGS_MAX] {
        let mut commands = [None; ENCODINGS_MAX];
        let places = self.wishes.iter_mut().zip(&self.commands);
        for (due, (place, command)) in commands.iter_mut().zip(places) {
            let Some(wish) = place.as_mut().filter(|wish| wish.next <= now) else {
                continue;
            };
            *due = Some(*command);
            self.asked = Some(now);
            wish.next = now + repeat_interval(wish.tries);
            wish.tries += 1;
            if wish.tries >= KEYFRAME_TRIES_MAX {
                *place = None;
            }
        }
        commands
    }
}

fn repeat_interval(tries: u8) -> Duration {
    let factor = 1_u32.checked_shl(u32::from(tries)).unwrap_or(u32::MAX);
    KEYFRAME_REQUEST_INTERVAL
        .saturating_mul(factor)
        .min(KEYFRAME_REPEAT_INTERVAL_MAX)
}
