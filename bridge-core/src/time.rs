//! Measures the engine's time: nanoseconds since its start, handed in by whoever drives it.
//!
//! The engine never reads a clock. `Time` can be made in constants and tests start at
//! [`Time::ZERO`]; `Option<Time>` takes eight bytes.

use core::fmt;
use core::num::NonZeroU64;
use core::ops::{Add, Sub};
use core::time::Duration;

/// A point in time, in nanoseconds since the engine's start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(NonZeroU64);

/// What need not be punctual falls due at multiples of this, for many endpoints at once: idle ones
/// wake their shard twenty times a second at most, however many they are. Fine enough that a pass
/// serves few of them.
pub(crate) const COMMON_STEP: Duration = Duration::from_millis(50);

impl Time {
    /// The engine's start.
    pub const ZERO: Self = Self(NonZeroU64::MIN);

    /// The time `nanos` nanoseconds after the engine's start; saturates after 584 years.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        match NonZeroU64::new(nanos.saturating_add(1)) {
            Some(inner) => Self(inner),
            None => Self::ZERO,
        }
    }

    /// The time `micros` microseconds after the engine's start.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self::from_nanos(micros.saturating_mul(1_000))
    }

    /// The time `millis` milliseconds after the engine's start.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self::from_nanos(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the engine's start.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0.get() - 1
    }

    /// Microseconds since the engine's start, rounded down.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.as_nanos() / 1_000
    }

    /// Milliseconds since the engine's start, rounded down.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.as_nanos() / 1_000_000
    }

    /// How long ago `earlier` was; zero if it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.as_nanos().saturating_sub(earlier.as_nanos()))
    }

    /// The first multiple of `step` that is not earlier; `step` is at least a nanosecond. Deadlines
    /// that may be a little later are rounded so that many fall due together.
    #[must_use]
    pub fn round_up(self, step: Duration) -> Self {
        let step = u64::try_from(step.as_nanos()).unwrap_or(u64::MAX).max(1);
        let nanos = self.as_nanos();
        Self::from_nanos(nanos.checked_next_multiple_of(step).unwrap_or(nanos))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        let nanos = u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX);
        Self::from_nanos(self.as_nanos().saturating_add(nanos))
    }
}

impl Sub<Duration> for Time {
    type Output = Self;

    fn sub(self, rhs: Duration) -> Self {
        let nanos = u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX);
        Self::from_nanos(self.as_nanos().saturating_sub(nanos))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.as_micros();
        write!(f, "{}.{:06}s", micros / 1_000_000, micros % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_optional_time_takes_eight_bytes() {
        assert_eq!(size_of::<Option<Time>>(), 8);
    }

    #[test]
    fn deadlines_are_rounded_up_to_a_common_step() {
        let step = Duration::from_millis(100);
        let rounded = |millis| Time::from_millis(millis).round_up(step).as_millis();
        assert_eq!([0, 1, 100, 101].map(rounded), [0, 100, 100, 200]);
        let last = Time::ZERO + Duration::MAX;
        assert_eq!(last.round_up(step), last);
        assert_eq!(last.round_up(Duration::ZERO), last);
    }

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Time::ZERO - Duration::from_secs(1), Time::ZERO);
        assert_eq!((Time::ZERO + Duration::MAX).as_nanos(), u64::MAX - 1);
        assert_eq!(Time::ZERO.since(Time::from_millis(3)), Duration::ZERO);
        assert_eq!(
            Time::from_millis(5).since(Time::from_millis(2)),
            Duration::from_millis(3)
        );
    }
}
