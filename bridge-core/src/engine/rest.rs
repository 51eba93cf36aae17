//! Decides how long a busy shard leaves its socket alone after a pass, so that it wakes up less
//! often and finds more each time, as network cards do with their interrupts.
//!
//! A wake-up costs as much as forwarding a handful of packets. With a thousand cameras the frames
//! of one come just when those of the one before have left, and each wakes the thread anew. So
//! while datagrams of *different* endpoints come closer together than half the bound, the shard
//! looks at its socket once in that time, or when some are there. Where sound flows it rests a
//! quarter as long. A shard with less to do does not rest, nor does one that a single sender keeps
//! busy, however fast.

use core::time::Duration;

use super::pace::{GAP_MAX, Pace};
use crate::id::EndpointKey;
use crate::time::Time;

/// Datagrams that a rest is to save wake-ups for, at least.
const WORTH: u32 = 2;

/// Datagrams in one pass of which a wake-up is a small part: no need to rest for more.
const ENOUGH: u32 = 8;

/// What part of a rest is left where sound flows.
const SOUND_PART: u32 = 4;

/// How long after its last packet sound counts as flowing: a microphone that hears nothing sends
/// some packets a second.
const SOUND_SPAN: Duration = Duration::from_secs(1);

/// How busy a shard is, and with what.
#[derive(Debug)]
pub(super) struct Rest {
    pace: Pace,
    /// When sound came last.
    sound: Option<Time>,
}

impl Rest {
    pub(super) const fn new() -> Self {
        Self {
            pace: Pace::new(),
            sound: None,
        }
    }

    /// An authentic datagram came.
    pub(super) fn note(&mut self, now: Time, sender: EndpointKey) {
        self.pace.note(now, sender);
    }

    /// It was sound.
    pub(super) const fn note_sound(&mut self, now: Time) {
        self.sound = Some(now);
    }

    /// Until when the socket may be left alone, `longest` and 4 ms after the latest datagram at the
    /// latest; `None` when it is to be watched.
    pub(super) fn until(&self, longest: Duration) -> Option<Time> {
        let latest = self.pace.latest()?;
        let hears = self.sound.is_some_and(|at| latest.since(at) < SOUND_SPAN);
        let longest = (longest / if hears { SOUND_PART } else { 1 }).min(GAP_MAX);
        let enough = self.pace.gap() * ENOUGH;
        let is_worth_it = self.pace.is_within(longest / WORTH);
        is_worth_it.then(|| latest + longest.min(enough))
    }
}

#[cfg(test)]
mod tests {
    use super::super::pace::endpoint;
    use super::*;

    const LONGEST: Duration = Duration::from_millis(1);

    /// Datagrams of so many endpoints in turn, `gap` microseconds apart; gives the time of the
    /// last.
    fn datagrams(rest: &mut Rest, endpoints: u32, gap: u64) -> Time {
        let mut now = Time::ZERO;
        for at in 0..50 {
            now = now + Duration::from_micros(gap);
            rest.note(now, endpoint(at % endpoints));
        }
        now
    }

    #[test]
    fn a_shard_rests_while_many_keep_it_busy() {
        let mut rest = Rest::new();
        assert_eq!(rest.until(LONGEST), None, "nothing came");
        let now = datagrams(&mut rest, 3, 400);
        assert_eq!(rest.until(LONGEST), Some(now + LONGEST));
        assert_eq!(rest.until(LONGEST / 2), None, "too short to find more");
        assert_eq!(rest.until(Duration::ZERO), None, "turned off");
        datagrams(&mut rest, 3, 600);
        assert_eq!(rest.until(LONGEST), None, "seldom");
        let now = datagrams(&mut rest, 3, 50);
        let until = rest.until(LONGEST).unwrap();
        let enough = Duration::from_micros(400)..Duration::from_micros(440);
        assert!(enough.contains(&until.since(now)), "{until:?}");
        datagrams(&mut rest, 1, 100);
        assert_eq!(rest.until(LONGEST), None, "one sender");
    }

    #[test]
    fn sound_shortens_a_rest_for_a_second() {
        let mut rest = Rest::new();
        let now = datagrams(&mut rest, 3, 400);
        rest.note_sound(now);
        assert_eq!(rest.until(LONGEST), None, "a quarter is too short");
        let now = datagrams(&mut rest, 3, 100);
        rest.note_sound(now);
        assert_eq!(rest.until(LONGEST), Some(now + LONGEST / 4));
        rest.note(now + SOUND_SPAN - Duration::from_micros(1), endpoint(0));
        let later = now + SOUND_SPAN;
        for at in 0..50 {
            rest.note(later + Duration::from_micros(400) * at, endpoint(at));
        }
        let latest = later + Duration::from_micros(400) * 49;
        assert_eq!(rest.until(LONGEST), Some(latest + LONGEST));
    }
}
