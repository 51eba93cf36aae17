//! Measures how close together the datagrams of different endpoints come.

use core::time::Duration;

use crate::id::EndpointKey;
use crate::time::Time;

/// How much a new gap counts: one part in so many.
const SMOOTHING: u32 = 8;

/// A gap that is not to be bridged. Longer ones count as this, so that a busy time is noticed soon.
pub(super) const GAP_MAX: Duration = Duration::from_millis(4);

/// The pace at which endpoints take turns. What one sends in a row is one turn, also if its frame
/// is read in two passes; what only one sends has no pace: nobody else's is to be expected.
///
/// It is a mean over passes, not over datagrams: where many come at once and then none for a while,
/// most datagrams follow another closely, but none follows the last.
#[derive(Debug)]
pub(super) struct Pace {
    /// Who sent the latest datagram, and when.
    latest: Option<(EndpointKey, Time)>,
    /// When this pass began, or the latest in which an endpoint had its turn.
    began: Time,
    /// How long after the one before, and how many had their turn in it.
    waited: Duration,
    count: u32,
    /// Smoothed over the passes before.
    gap: Duration,
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self {
            latest: None,
            began: Time::ZERO,
            waited: GAP_MAX,
            count: 1,
            gap: GAP_MAX,
        }
    }

    /// A datagram came in the pass of that time.
    pub(super) fn note(&mut self, now: Time, sender: EndpointKey) {
        match self.latest.replace((sender, now)) {
            Some((before, _)) if before == sender => {
                // Nobody else came for so long.
                if now.since(self.began) >= GAP_MAX {
                    self.turn(now);
                }
            }
            Some(_) if self.began == now => self.count = self.count.saturating_add(1),
            Some(_) => self.turn(now),
            None => self.began = now,
        }
    }

    fn turn(&mut self, now: Time) {
        self.gap = self.gap();
        self.waited = now.since(self.began).min(GAP_MAX);
        self.began = now;
        self.count = 1;
    }

    /// When the latest came.
    pub(super) fn latest(&self) -> Option<Time> {
        self.latest.map(|(_, at)| at)
    }

    /// Whether one of another endpoint is to be expected in such a time.
    pub(super) fn is_within(&self, span: Duration) -> bool {
        self.gap() < span.min(GAP_MAX)
    }

    /// The time until one of another endpoint comes, most likely.
    pub(super) fn gap(&self) -> Duration {
        let gap = self.waited / self.count;
        (self.gap * (SMOOTHING - 1) + gap) / SMOOTHING
    }
}

/// Endpoints of tests.
#[cfg(test)]
pub(super) const fn endpoint(index: u32) -> EndpointKey {
    EndpointKey(crate::id::Key {
        index,
        generation: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The gap after passes so many microseconds apart in turn, with datagrams of so many endpoints
    /// that are different each time.
    fn gap(passes: [(u64, u32); 2]) -> Duration {
        let mut pace = Pace::new();
        let mut now = Time::ZERO;
        let mut indices = 0..;
        for (after, count) in passes.into_iter().cycle().take(100) {
            now = now + Duration::from_micros(after);
            for index in indices.by_ref().take(count.try_into().unwrap()) {
                pace.note(now, endpoint(index));
                pace.note(now, endpoint(index));
            }
        }
        pace.gap()
    }

    #[test]
    fn endpoints_of_one_pass_share_what_it_waited() {
        let near = |micros: u64| Duration::from_micros(micros)..Duration::from_micros(micros + 5);
        assert!(near(400).contains(&gap([(400, 1), (400, 1)])));
        assert!(near(400).contains(&gap([(800, 2), (1_200, 3)])));
    }

    #[test]
    fn what_comes_in_bursts_is_not_expected_after_them() {
        assert!(gap([(30, 20), (4_970, 1)]) > Duration::from_millis(1));
    }

    #[test]
    fn nobody_else_is_expected_after_the_only_sender() {
        let mut pace = Pace::new();
        let mut now = Time::ZERO;
        for index in 0..100 {
            now = now + Duration::from_micros(50);
            pace.note(now, endpoint(index));
        }
        assert!(pace.is_within(Duration::from_micros(60)));
        for _ in 0..1_000 {
            now = now + Duration::from_micros(50);
            pace.note(now, endpoint(7));
        }
        assert!(!pace.is_within(Duration::from_millis(3)));
    }

    #[test]
    fn a_frame_that_is_read_in_two_passes_is_one_turn() {
        let mut pace = Pace::new();
        for index in 0..100 {
            let now = Time::ZERO + Duration::from_micros(400) * index;
            pace.note(now, endpoint(index));
            pace.note(now + Duration::from_micros(30), endpoint(index));
        }
        assert!(pace.is_within(Duration::from_micros(405)));
        assert!(!pace.is_within(Duration::from_micros(395)));
    }
}
