//! Makes a client wait that sends faster than it may.
//!
//! A token bucket that may go into debt: what was sent is taken, and the sender waits until the
//! debt is paid. So one large stanza passes, and nothing is lost; TCP carries the waiting back.

use core::time::Duration;
use std::time::Instant;

/// A bucket of tokens that refills with time.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    per_second: f64,
    burst: f64,
    level: f64,
    filled: Instant,
}

impl TokenBucket {
    /// A full bucket.
    #[must_use]
    pub fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let burst = f64::from(burst);
        Self {
            per_second: f64::from(per_second),
            burst,
            level: burst,
            filled: now,
        }
    }

    /// Takes tokens and says how long to wait before more may be taken.
    pub fn take(&mut self, amount: u32, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = now;
        self.level = (self.level + passed * self.per_second).min(self.burst) - f64::from(amount);
        if self.level >= 0.0 || self.per_second <= 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(-self.level / self.per_second).unwrap_or(Duration::MAX)
    }

    /// Whether it is full again at this time, so that it can be forgotten.
    #[must_use]
    pub fn is_full(&self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.level + passed * self.per_second >= self.burst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_what_is_more_waits() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(10, 30, start);
        assert_eq!(bucket.take(30, start), Duration::ZERO);
        assert_eq!(bucket.take(20, start), Duration::from_secs(2));
        assert!(!bucket.is_full(start + Duration::from_secs(4)));
        assert!(bucket.is_full(start + Duration::from_secs(5)));
        assert_eq!(
            bucket.take(30, start + Duration::from_secs(60)),
            Duration::ZERO
        );
    }
}
