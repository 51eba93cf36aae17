//! Reads the clock: the one place that does.

use core::time::Duration;
use std::time::Instant;

use crate::time::Time;

/// A clock that all shards of a bridge share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// Begins to count.
    #[expect(clippy::disallowed_methods, reason = "the one clock")]
    pub(crate) fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// The instant of [`Time::ZERO`].
    pub(crate) const fn base(&self) -> Instant {
        self.start
    }

    /// The time since the start.
    pub(crate) fn now(&self) -> Time {
        Time::ZERO + self.start.elapsed()
    }

    /// Lets the calling thread sleep.
    #[expect(
        clippy::disallowed_methods,
        reason = "a shard that rests is not to be woken, so not by its poll either"
    )]
    pub(crate) fn sleep(duration: Duration) {
        std::thread::sleep(duration);
    }

    /// How long from now to `time`; zero when that is past.
    pub(crate) fn until(&self, time: Time) -> Duration {
        time.since(self.now())
    }
}
