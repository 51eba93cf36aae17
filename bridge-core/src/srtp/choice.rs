//! Finds out by a short measurement which library seals AES-GCM faster on this processor.
//!
//! `ring` has code for AVX2, AWS-LC for AVX-512, and which wins turns from one machine to the next
//! by a fifth of what a packet costs. The shell measures once when it starts and tells its engines.

use core::fmt;
use core::time::Duration;

use super::{GcmBackend, OutboundContext, SrtpProfile};
use crate::rtp::packet::FIXED_HEADER_LENGTH;
use crate::time::Time;

/// What it takes to seal a packet of 1,200 bytes by AES-256-GCM, with which browsers mostly come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GcmTimes {
    /// With `ring`.
    pub ring: Duration,
    /// With AWS-LC.
    pub aws_lc: Duration,
}

impl GcmTimes {
    /// Seals in turns with either, and takes the least of several rounds: a moment that the system
    /// gave to another thread does not count. Ends before 5 ms by `now`, and mostly before 0.3 ms.
    pub fn measure(mut now: impl FnMut() -> Time) -> Self {
        let mut segment = [0; SEGMENT_BYTES];
        let contexts = GcmBackend::ALL.map(|backend| {
            // A key of nobody: what is sealed here goes nowhere.
            let profile = SrtpProfile::AeadAes256Gcm;
            OutboundContext::with_gcm(backend, profile, &[0; 32], &[0; 12]).ok()
        });
        let mut least = [Duration::MAX; 2];
        let begin = now();
        for _ in 0..ROUNDS {
            for (least, context) in least.iter_mut().zip(&contexts) {
                let Some(context) = context else {
                    continue;
                };
                let before = now();
                for _ in 0..PACKETS {
                    let sealed = context.seal_rtp(0, &mut segment, FIXED_HEADER_LENGTH);
                    debug_assert_eq!(sealed, Ok(()));
                }
                *least = now().since(before).min(*least);
            }
            if now().since(begin) > PATIENCE {
                break;
            }
        }
        let [ring, aws_lc] = least.map(|time| time / PACKETS);
        Self { ring, aws_lc }
    }

    /// The library to use.
    #[must_use]
    pub fn fastest(&self) -> GcmBackend {
        if self.aws_lc < self.ring {
            GcmBackend::AwsLc
        } else {
            GcmBackend::Ring
        }
    }
}

impl fmt::Display for GcmTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        let (ring, aws_lc) = (micros(self.ring), micros(self.aws_lc));
        match self.fastest() {
            GcmBackend::Ring => write!(f, "ring: {ring:.2} µs, aws-lc: {aws_lc:.2} µs"),
            GcmBackend::AwsLc => write!(f, "aws-lc: {aws_lc:.2} µs, ring: {ring:.2} µs"),
        }
    }
}

/// Bytes of a packet with its tag.
const SEGMENT_BYTES: usize = 1_200 + super::aes_gcm::TAG_LENGTH;

/// Packets of a round.
const PACKETS: u32 = 16;

const ROUNDS: usize = 16;

/// After this no further round begins; one takes less than a millisecond on any processor.
const PATIENCE: Duration = Duration::from_millis(3);

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock on which the measured spans take these microseconds, `ring` first; what lies
    /// between them takes `between`.
    fn measure(spans: [u64; 2], between: u64) -> (GcmTimes, usize) {
        let (mut reads, mut at) = (0, 0);
        let times = GcmTimes::measure(|| {
            // Begin; then for each round: before, after, before, after, end.
            at += match reads % 5 {
                2 if reads > 0 => spans[0],
                4 => spans[1],
                _ => between,
            };
            reads += 1;
            Time::from_micros(at)
        });
        (times, reads)
    }

    #[test]
    fn the_one_that_takes_less_time_is_chosen() {
        let (times, _) = measure([4, 3], 0);
        assert_eq!(times.fastest(), GcmBackend::AwsLc);
        assert_eq!(times.to_string(), "aws-lc: 0.19 µs, ring: 0.25 µs");
        let (times, _) = measure([4, 5], 0);
        assert_eq!(times.fastest(), GcmBackend::Ring);
        assert_eq!(times.to_string(), "ring: 0.25 µs, aws-lc: 0.31 µs");
    }

    #[test]
    fn a_slow_processor_measures_for_fewer_rounds() {
        let (_, all) = measure([4, 5], 0);
        assert_eq!(all, 1 + 5 * ROUNDS);
        let (times, few) = measure([800, 900], 1);
        assert_eq!(few, 1 + 5 * 2);
        assert_eq!(times.ring, Duration::from_micros(50));
    }

    #[test]
    fn both_are_measured_by_a_real_clock() {
        let clock = crate::dtls::epoch::any_instant();
        let times = GcmTimes::measure(|| Time::ZERO + clock.elapsed());
        assert!(times.ring > Duration::ZERO && times.aws_lc > Duration::ZERO);
        assert!(
            times.ring.max(times.aws_lc) < Duration::from_millis(1),
            "{times}"
        );
    }
}
