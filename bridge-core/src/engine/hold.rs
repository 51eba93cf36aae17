//! Decides how long a conference's pictures wait for those of other senders, so that each receiver
//! gets them in fewer and longer runs.
//!
//! They wait only while others are likely to come: the packets of several senders came closer
//! together than the bound of late. A frame of one sender comes as a whole and gains nothing.
//! Sound, retransmissions and keyframe requests go at once and take what waits with them, and so
//! does a run that is long enough. So an idle conference adds no delay, nor does one with one
//! camera.

use core::time::Duration;

use super::pace::Pace;
use crate::id::EndpointKey;
use crate::time::Time;

/// Packets that are worth a call: the kernel's cost of one, of a run of 8, is a quarter of the cost
/// of a single one; of a run of 16 it is hardly less (bench `io/send`).
const ENOUGH_PACKETS: u32 = 8;

/// What waits in a conference, and what is expected to come.
#[derive(Debug)]
pub(super) struct Hold {
    /// When the first of the packets that wait came.
    since: Option<Time>,
    packets: u32,
    is_urgent: bool,
    /// That of pictures.
    pace: Pace,
}

impl Hold {
    pub(super) const fn new() -> Self {
        Self {
            since: None,
            packets: 0,
            is_urgent: false,
            pace: Pace::new(),
        }
    }

    /// A packet of a picture came.
    pub(super) fn note_picture(&mut self, now: Time, sender: EndpointKey) {
        self.since.get_or_insert(now);
        self.packets = self.packets.saturating_add(1);
        self.pace.note(now, sender);
    }

    /// Something came that must not wait.
    pub(super) const fn hurry(&mut self) {
        self.is_urgent = true;
    }

    /// Until when what waits may wait, `longest` after the first came at the latest; `None` when it
    /// is to go now.
    pub(super) fn until(&self, longest: Duration) -> Option<Time> {
        let is_worth_it =
            !self.is_urgent && self.packets < ENOUGH_PACKETS && self.pace.is_within(longest);
        self.since.filter(|_| is_worth_it).map(|at| at + longest)
    }

    /// What waited went.
    pub(super) const fn release(&mut self) {
        self.since = None;
        self.packets = 0;
        self.is_urgent = false;
    }
}

#[cfg(test)]
mod tests {
    use super::super::pace::endpoint;
    use super::*;

    const LONGEST: Duration = Duration::from_millis(1);

    /// Frames of two packets of so many senders, `gap` microseconds apart; gives the time of the
    /// last.
    fn frames(hold: &mut Hold, senders: u32, gap: u64) -> Time {
        let mut now = Time::ZERO;
        for at in 0..50 {
            hold.release();
            now = now + Duration::from_micros(gap);
            hold.note_picture(now, endpoint(at % senders));
            hold.note_picture(now, endpoint(at % senders));
        }
        now
    }

    #[test]
    fn frames_of_many_senders_wait_for_each_other() {
        let mut hold = Hold::new();
        assert_eq!(hold.until(LONGEST), None, "nothing waits");
        let now = frames(&mut hold, 3, 500);
        assert_eq!(hold.until(LONGEST), Some(now + LONGEST));
        let later = now + LONGEST / 2;
        hold.note_picture(later, endpoint(7));
        assert_eq!(hold.until(LONGEST), Some(now + LONGEST), "from the first");
        hold.release();
        assert_eq!(hold.until(LONGEST), None);
        assert_eq!(hold.until(Duration::ZERO), None);
    }

    #[test]
    fn nobody_waits_who_would_wait_in_vain() {
        let mut hold = Hold::new();
        frames(&mut hold, 1, 100);
        assert_eq!(hold.until(LONGEST), None, "one sender");
        frames(&mut hold, 3, 2_000);
        assert_eq!(hold.until(LONGEST), None, "seldom");
        frames(&mut hold, 3, 500);
        assert_eq!(
            hold.until(Duration::from_micros(400)),
            None,
            "not within it"
        );
    }

    #[test]
    fn what_is_urgent_or_enough_goes_at_once() {
        let mut hold = Hold::new();
        frames(&mut hold, 3, 500);
        hold.hurry();
        assert_eq!(hold.until(LONGEST), None);
        let now = frames(&mut hold, 3, 500);
        for _ in 2..ENOUGH_PACKETS {
            assert!(hold.until(LONGEST).is_some());
            hold.note_picture(now, endpoint(5));
        }
        assert_eq!(hold.until(LONGEST), None);
    }
}
