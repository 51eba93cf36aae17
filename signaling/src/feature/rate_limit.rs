//! Makes a client wait that sends faster than it may.
//!
//! A token bucket that may go into debt: what was sent is taken, and the sender waits until the
//! debt is paid. So one large stanza passes, and nothing is lost; TCP carries the waiting back.

use core::time::Duration;
use std::net::{IpAddr, Ipv6Addr};
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

    /// The same, but takes nothing and gives `None` when the wait would be longer than `most`, so
    /// that those who are turned away do not add to it.
    pub fn take_within(&mut self, amount: u32, most: Duration, now: Instant) -> Option<Duration> {
        let mut after = *self;
        let wait = after.take(amount, now);
        (wait <= most).then(|| {
            *self = after;
            wait
        })
    }

    /// Whether it is full again at this time, so that it can be forgotten.
    #[must_use]
    pub fn is_full(&self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.level + passed * self.per_second >= self.burst
    }
}

/// What counts as one address: an IPv4 address, or the 64 bits of an IPv6 address that a single
/// machine may have all to itself.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let bits = address.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_of_one_machine_are_one() {
        for (address, one) in [
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(network(address.parse().unwrap()).to_string(), one);
        }
    }

    #[test]
    fn a_burst_passes_and_what_is_more_waits() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(10, 30, start);
        assert_eq!(bucket.take(30, start), Duration::ZERO);
        assert_eq!(bucket.take(20, start), Duration::from_secs(2));
        let second = Duration::from_secs(1);
        assert_eq!(bucket.take_within(1, second, start), None);
        assert_eq!(bucket.take_within(1, second, start + second), None);
        assert!(!bucket.is_full(start + Duration::from_secs(4)));
        assert!(bucket.is_full(start + Duration::from_secs(5)));
        assert_eq!(
            bucket.take(30, start + Duration::from_secs(60)),
            Duration::ZERO
        );
    }
}
