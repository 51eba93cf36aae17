//! Limits STUN requests from addresses that have no validated path, in fixed memory.
//!
//! Addresses of one /24 (IPv4) or /64 (IPv6) share a bucket, and so may networks whose hashes
//! collide: the table never grows, and since the hash has a secret seed nobody can aim at another's
//! bucket. Checks of validated paths are not counted, so a school behind one address is not hurt
//! once it is in.

use core::hash::BuildHasher;
use core::net::IpAddr;
use core::time::Duration;

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;

use crate::random::Random;
use crate::time::Time;

/// Token buckets, one for each network.
#[derive(Debug)]
pub(crate) struct StunLimiter {
    buckets: Vec<Bucket>,
    hasher: SeedableRandomState,
    cost: Duration,
    burst: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// When it is full again: the further in the future, the emptier.
    full_at: Time,
}

impl StunLimiter {
    /// Lets `per_second` requests through for each network, and bursts of two seconds' worth.
    pub(crate) fn new(per_second: u32, random: &mut Random) -> Self {
        let hasher = SeedableRandomState::with_seed(random.u64(), &SHARED);
        Self {
            buckets: vec![
                Bucket {
                    full_at: Time::ZERO
                };
                BUCKETS
            ],
            hasher,
            cost: Duration::from_secs(1) / per_second.max(1),
            burst: Duration::from_secs(2),
        }
    }

    /// Whether a request from `ip` may be looked at; counts it if so.
    pub(crate) fn allows(&mut self, now: Time, ip: IpAddr) -> bool {
        let network = match ip.to_canonical() {
            IpAddr::V4(ip) => u64::from(u32::from(ip) >> 8) | 1 << 63,
            IpAddr::V6(ip) => u64::try_from(u128::from(ip) >> 64).unwrap_or(0),
        };
        let hash = self.hasher.hash_one(network);
        let at = usize::try_from(hash % BUCKETS as u64).unwrap_or(0);
        let Some(bucket) = self.buckets.get_mut(at) else {
            return false;
        };
        let full_at = bucket.full_at.max(now) + self.cost;
        let is_allowed = full_at.since(now) <= self.burst;
        if is_allowed {
            bucket.full_at = full_at;
        }
        is_allowed
    }
}

static SHARED: SharedSeed = SharedSeed::from_u64(0x7374_756e_6c69_6d31);

/// Networks told apart by one shard: 32 KiB.
const BUCKETS: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_and_other_networks_are_not_touched() {
        let mut limiter = StunLimiter::new(50, &mut Random::new([1; 32]));
        let ip = "192.0.2.7".parse().unwrap();
        let neighbour = "192.0.2.99".parse().unwrap();
        let passed = (0..1_000)
            .filter(|_| limiter.allows(Time::ZERO, ip))
            .count();
        assert_eq!(passed, 100);
        assert!(!limiter.allows(Time::ZERO, neighbour), "the same /24");
        assert!(limiter.allows(Time::ZERO, "198.51.100.1".parse().unwrap()));
        let later = (0..1_000u64)
            .filter(|ms| limiter.allows(Time::from_millis(*ms), ip))
            .count();
        assert!((48..=51).contains(&later), "{later} in a second");
    }

    #[test]
    fn the_mapped_form_of_an_address_shares_its_bucket() {
        let mut limiter = StunLimiter::new(1, &mut Random::new([1; 32]));
        while limiter.allows(Time::ZERO, "192.0.2.7".parse().unwrap()) {}
        assert!(!limiter.allows(Time::ZERO, "::ffff:192.0.2.8".parse().unwrap()));
    }
}
