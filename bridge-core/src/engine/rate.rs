//! Limits how much is taken in from one endpoint.
//!
//! A bucket holds one time, so a limit costs eight bytes and no timer: the time up to which what
//! was taken is paid for (the generic cell rate algorithm). Ahead of the clock by more than the
//! tolerance is too fast.

use core::time::Duration;

use crate::limits::Limits;
use crate::time::Time;

/// Time that an endpoint may be ahead of its limit: bursts of half a second pass.
const ENDPOINT_TOLERANCE: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug)]
struct Bucket {
    paid_until: Time,
}

impl Bucket {
    const EMPTY: Self = Self {
        paid_until: Time::ZERO,
    };

    /// Takes what costs `cost`, unless it is too fast.
    fn take(&mut self, now: Time, cost: Duration, tolerance: Duration) -> bool {
        let begin = self.paid_until.max(now);
        let passes = begin.since(now) <= tolerance;
        if passes {
            self.paid_until = begin + cost;
        }
        passes
    }
}

/// The limit of one endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct EndpointRate {
    packets: Bucket,
    bits: Bucket,
}

impl EndpointRate {
    pub(super) const fn new() -> Self {
        Self {
            packets: Bucket::EMPTY,
            bits: Bucket::EMPTY,
        }
    }

    /// Whether a datagram of `bytes` may be looked at.
    pub(super) fn take(&mut self, now: Time, bytes: usize, limits: &Limits) -> bool {
        let bits = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(8);
        self.packets.take(
            now,
            share(1, u64::from(limits.packets_per_second)),
            ENDPOINT_TOLERANCE,
        ) && self
            .bits
            .take(now, share(bits, limits.bits_per_second), ENDPOINT_TOLERANCE)
    }
}

/// The share of a second that `amount` of `per_second` takes.
const fn share(amount: u64, per_second: u64) -> Duration {
    let per_second = if per_second == 0 { 1 } else { per_second };
    Duration::from_nanos(amount.saturating_mul(1_000_000_000) / per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_may_burst_but_not_stay_above_its_limit() {
        let limits = Limits {
            packets_per_second: 100,
            ..Limits::default()
        };
        let mut rate = EndpointRate::new();
        let taken = (0..2_000)
            .filter(|at| rate.take(Time::from_millis(at * 2), 100, &limits))
            .count();
        assert!(
            (440..=460).contains(&taken),
            "4 s of 100 and a burst of 50: {taken}"
        );
    }

    #[test]
    fn bits_are_limited_too() {
        let limits = Limits {
            bits_per_second: 8_000,
            ..Limits::default()
        };
        let mut rate = EndpointRate::new();
        let taken = (0..1_000)
            .filter(|at| rate.take(Time::from_millis(*at), 100, &limits))
            .count();
        assert!((14..=16).contains(&taken), "{taken}");
    }
}
