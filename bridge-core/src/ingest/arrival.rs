//! Remembers when the packets of one endpoint arrived, for transport-cc feedback
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01).
//!
//! All packets of the transport count, whatever becomes of them. A report covers what came since
//! the last one; a late packet moves its start back, so that nothing that came is told as lost.

use core::time::Duration;

use crate::id::Ssrc;
use crate::limits::ARRIVALS_MAX;
use crate::rtp::sequence::SequenceExtender;
use crate::time::Time;

/// Arrival times by transport-wide sequence number.
#[derive(Debug)]
pub(super) struct Arrivals {
    /// A ring; empty until the first packet. Valid from `end - ARRIVALS_MAX` to `end`.
    times: Box<[Option<Time>]>,
    extender: SequenceExtender,
    /// First number of the next report.
    start: u64,
    /// One past the highest number that came.
    end: u64,
    /// Packets that came since the last report.
    fresh: usize,
    reported: Option<Time>,
    /// Stream of the newest packet: feedback that names none of the sender's streams makes some
    /// senders collapse their estimate.
    ssrc: Ssrc,
    /// Reports made so far; wraps.
    report_count: u8,
}

impl Arrivals {
    pub(super) fn new() -> Self {
        Self {
            times: Box::default(),
            extender: SequenceExtender::new(),
            start: 0,
            end: 0,
            fresh: 0,
            reported: None,
            ssrc: Ssrc(0),
            report_count: 0,
        }
    }

    /// Notes a packet. One that comes twice keeps its first time.
    pub(super) fn record(&mut self, now: Time, sequence: u16, ssrc: Ssrc) {
        self.ssrc = ssrc;
        if self.times.is_empty() {
            self.times = vec![None; ARRIVALS_MAX].into_boxed_slice();
        }
        let sequence = self.extender.extend(sequence);
        if self.end == 0 {
            self.start = sequence;
            self.end = sequence;
            self.reported = Some(now);
        }
        if sequence + RING <= self.end {
            return;
        }
        for skipped in self.end.max((sequence + 1).saturating_sub(RING))..sequence {
            self.put(skipped, None);
        }
        if sequence >= self.end {
            self.end = sequence + 1;
            self.put(sequence, Some(now));
        } else if self.time(sequence).is_none() {
            self.put(sequence, Some(now));
            self.start = self.start.min(sequence);
        } else {
            return;
        }
        self.start = self.start.max(self.end.saturating_sub(RING));
        self.fresh += 1;
    }

    /// When the next report is due.
    pub(super) fn due(&self) -> Option<Time> {
        let interval = match self.fresh {
            0 => return None,
            1..BUSY_PACKETS => REPORT_INTERVAL,
            _ => REPORT_INTERVAL_BUSY,
        };
        self.reported.map(|reported| reported + interval)
    }

    /// Stream of the newest packet.
    pub(super) const fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// Number of the next report.
    pub(super) const fn report_count(&self) -> u8 {
        self.report_count
    }

    /// First number of the next report.
    pub(super) const fn start(&self) -> u64 {
        self.start
    }

    /// What came from the start of the next report on.
    pub(super) fn unreported(&self) -> impl Iterator<Item = (u64, Time)> {
        (self.start..self.end).filter_map(|sequence| Some((sequence, self.time(sequence)?)))
    }

    /// Notes that all before `end` is reported.
    pub(super) fn report(&mut self, now: Time, end: u64) {
        self.start = self.start.max(end);
        self.report_count = self.report_count.wrapping_add(1);
        if self.start >= self.end {
            self.fresh = 0;
            self.reported = Some(now);
        }
    }

    fn time(&self, sequence: u64) -> Option<Time> {
        self.times.get(place(sequence)).copied().flatten()
    }

    fn put(&mut self, sequence: u64, time: Option<Time>) {
        if let Some(slot) = self.times.get_mut(place(sequence)) {
            *slot = time;
        }
    }
}

/// Remainder of `sequence` by the size of the ring.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the mask keeps less than the size of the ring"
)]
const fn place(sequence: u64) -> usize {
    sequence as usize & (ARRIVALS_MAX - 1)
}

const RING: u64 = ARRIVALS_MAX as u64;

/// Time between two reports.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

/// The same when much comes: a sender that ramps up learns of it sooner.
const REPORT_INTERVAL_BUSY: Duration = Duration::from_millis(50);

/// Packets since the last report from which on much comes: 400 a second, 4 Mbit/s.
const BUSY_PACKETS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(numbers: &[u16]) -> Arrivals {
        let mut arrivals = Arrivals::new();
        for (millis, number) in (0..).zip(numbers) {
            arrivals.record(Time::from_millis(millis), *number, Ssrc(1));
        }
        arrivals
    }

    fn unreported(arrivals: &Arrivals) -> Vec<(u64, u64)> {
        let since = arrivals.unreported();
        since
            .map(|(number, time)| (number & 0xffff, time.as_millis()))
            .collect()
    }

    #[test]
    fn arrivals_are_told_in_the_order_of_numbers_with_their_first_times() {
        let arrivals = arrivals(&[65_535, 2, 0, 2]);
        assert_eq!(unreported(&arrivals), [(65_535, 0), (0, 2), (2, 1)]);
    }

    #[test]
    fn a_report_is_due_after_a_hundred_milliseconds_or_fifty_when_busy() {
        assert_eq!(Arrivals::new().due(), None);
        let mut arrivals = arrivals(&[1]);
        assert_eq!(arrivals.due(), Some(Time::from_millis(100)));
        for number in 2..=u16::try_from(BUSY_PACKETS).unwrap() {
            arrivals.record(Time::from_millis(30), number, Ssrc(1));
        }
        assert_eq!(arrivals.due(), Some(Time::from_millis(50)));
        let end = arrivals.start() + BUSY_PACKETS as u64;
        arrivals.report(Time::from_millis(60), end - 1);
        assert_eq!(
            arrivals.due(),
            Some(Time::from_millis(50)),
            "a rest is left"
        );
        arrivals.report(Time::from_millis(60), end);
        assert_eq!(arrivals.due(), None);
        arrivals.record(Time::from_millis(70), 500, Ssrc(1));
        assert_eq!(arrivals.due(), Some(Time::from_millis(160)));
    }

    #[test]
    fn a_leap_of_numbers_forgets_what_is_out_of_the_ring() {
        let size = u16::try_from(ARRIVALS_MAX).unwrap();
        let mut arrivals = arrivals(&[0, 1, size]);
        let first = unreported(&arrivals);
        assert_eq!(first, [(1, 1), (u64::from(size), 2)]);
        arrivals.record(Time::from_millis(9), 30_000, Ssrc(1));
        assert_eq!(unreported(&arrivals), [(30_000, 9)]);
        arrivals.record(Time::from_millis(9), 5, Ssrc(1));
        assert_eq!(unreported(&arrivals), [(30_000, 9)], "too late to be told");
    }
}
