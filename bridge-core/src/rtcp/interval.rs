//! Says when reports go: those on what an endpoint sends and those on what it gets, together.

use core::time::Duration;

use crate::time::{COMMON_STEP, Time};

/// Time between two reports, as in Jitsi's bridge.
const INTERVAL: Duration = Duration::from_millis(500);

/// How much earlier a report goes with what goes anyway: half the time at most, as RFC 3550 section
/// 6.2 varies it. Two kinds that are so drawn to each other stay together.
const EARLY: Duration = INTERVAL.checked_div(2).unwrap();

/// When a report goes that has none to go with.
pub(crate) fn next_report(now: Time) -> Time {
    (now + INTERVAL).round_up(COMMON_STEP)
}

/// Makes a report due now that is due soon.
pub(crate) fn draw(report: &mut Option<Time>, now: Time) {
    if report.is_some_and(|at| at <= now + EARLY) {
        *report = Some(now);
    }
}
