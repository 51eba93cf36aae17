//! Extends sequence numbers and timestamps that wrap to 64-bit numbers that do not.

/// Extends 16-bit sequence numbers. A number is taken to be the one nearest to the highest seen,
/// so reordering across a wrap is right up to half the space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SequenceExtender {
    highest: Option<u64>,
}

/// Extends 32-bit RTP timestamps in the same way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimestampExtender {
    latest: Option<u64>,
}

impl SequenceExtender {
    /// An extender that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { highest: None }
    }

    /// The number of `sequence`, which becomes the highest if it is.
    pub fn extend(&mut self, sequence: u16) -> u64 {
        let extended = self.peek(sequence);
        self.highest = Some(self.highest.map_or(extended, |h| h.max(extended)));
        extended
    }

    /// The number of `sequence`; nothing is remembered. The first one gets a number one cycle in,
    /// so that packets sent before it have numbers too.
    #[must_use]
    pub fn peek(&self, sequence: u16) -> u64 {
        match self.highest {
            None => CYCLE_16 + u64::from(sequence),
            Some(highest) => {
                let [.., high, low] = highest.to_be_bytes();
                let step = sequence.wrapping_sub(u16::from_be_bytes([high, low]));
                near(highest, i64::from(step.cast_signed()), CYCLE_16)
            }
        }
    }

    /// The highest number seen.
    #[must_use]
    pub const fn highest(&self) -> Option<u64> {
        self.highest
    }
}

impl TimestampExtender {
    /// An extender that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { latest: None }
    }

    /// The number of `timestamp`, which becomes the latest if it is.
    pub fn extend(&mut self, timestamp: u32) -> u64 {
        let extended = match self.latest {
            None => CYCLE_32 + u64::from(timestamp),
            Some(latest) => {
                let [.., a, b, c, d] = latest.to_be_bytes();
                let step = timestamp.wrapping_sub(u32::from_be_bytes([a, b, c, d]));
                near(latest, i64::from(step.cast_signed()), CYCLE_32)
            }
        };
        self.latest = Some(self.latest.map_or(extended, |l| l.max(extended)));
        extended
    }
}

/// The low 16 bits of an extended number, as they go on the wire.
#[must_use]
pub const fn wire(extended: u64) -> u16 {
    let [.., high, low] = extended.to_be_bytes();
    u16::from_be_bytes([high, low])
}

/// `reference + step`; a number that would be below zero is one cycle on instead.
fn near(reference: u64, step: i64, cycle: u64) -> u64 {
    reference
        .checked_add_signed(step)
        .unwrap_or_else(|| reference.wrapping_add(cycle).wrapping_add_signed(step))
}

const CYCLE_16: u64 = 1 << 16;

const CYCLE_32: u64 = 1 << 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_across_a_wrap_in_any_order() {
        let mut extender = SequenceExtender::new();
        let first = extender.extend(65_534);
        let steps = [(1, 3), (65_535, 1), (0, 2), (65_533, -1), (2, 4)];
        for (sequence, step) in steps {
            let extended = extender.extend(sequence);
            assert_eq!(extended, first.wrapping_add_signed(step), "{sequence}");
            assert_eq!(wire(extended), sequence);
        }
        assert_eq!(extender.highest(), Some(first + 4));
    }

    #[test]
    fn half_the_space_ahead_counts_as_behind() {
        let mut extender = SequenceExtender::new();
        let first = extender.extend(0);
        assert_eq!(extender.peek(32_767), first + 32_767);
        assert_eq!(extender.peek(32_768), first - 32_768);
    }

    #[test]
    fn no_order_of_numbers_leads_below_zero() {
        let mut extender = SequenceExtender::new();
        extender.extend(0);
        for sequence in (0..=u16::MAX).rev().step_by(30_000).cycle().take(1_000) {
            assert_eq!(wire(extender.extend(sequence)), sequence);
        }
    }

    #[test]
    fn timestamps_go_on_across_a_wrap() {
        let mut extender = TimestampExtender::new();
        let first = extender.extend(u32::MAX - 10);
        assert_eq!(extender.extend(3_000), first + 3_011);
        assert_eq!(extender.extend(u32::MAX), first + 10);
    }
}
