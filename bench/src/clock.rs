//! Reads the clocks of load generator and yardstick: the one place that does.

use core::time::Duration;
use std::time::{Instant, SystemTime};

use bridge_core::Time;

/// A clock that starts at [`Time::ZERO`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the one clock")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// The instant of [`Time::ZERO`].
    pub(crate) const fn base(&self) -> Instant {
        self.0
    }

    pub(crate) fn now(&self) -> Time {
        Time::ZERO + self.0.elapsed()
    }
}

/// Nanoseconds since 1970, the clock of the kernel's arrival times.
#[expect(clippy::disallowed_methods, reason = "the one clock")]
pub(crate) fn wall() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, nanos)
}

/// Lets the calling thread rest.
#[expect(
    clippy::disallowed_methods,
    reason = "a generator that waits at its sockets would be woken at the server's expense"
)]
pub(crate) fn rest(duration: Duration) {
    std::thread::sleep(duration);
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
