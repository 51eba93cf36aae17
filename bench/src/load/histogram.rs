//! Counts times in classes that grow with them: 64 of each doubling, 1.6 % wide at most.

use super::plan::float;

/// Classes of each doubling, as bits.
const BITS: u32 = 6;

/// Nanoseconds, counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    pub(crate) fn add(&mut self, nanos: u64) {
        let class = class(nanos);
        if self.counts.len() <= class {
            self.counts.resize(class + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(class) {
            *count += 1;
        }
        self.total += 1;
    }

    pub(crate) fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (ours, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *ours += theirs;
        }
        self.total += other.total;
    }

    /// Microseconds below which `share` of all are; `None` when there are none.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let mut below = 0.0;
        let total = float(usize::try_from(self.total).unwrap_or(usize::MAX));
        for (class, count) in self.counts.iter().enumerate() {
            below += float(usize::try_from(*count).unwrap_or(usize::MAX));
            if *count > 0 && below >= share * total {
                return Some(middle(class) / 1_000.0);
            }
        }
        None
    }
}

fn class(nanos: u64) -> usize {
    let doublings = nanos.checked_ilog2().unwrap_or(0).saturating_sub(BITS);
    let within = usize::try_from(nanos >> doublings).unwrap_or(0);
    let doublings = usize::try_from(doublings).unwrap_or(0);
    (doublings << BITS) + within
}

fn middle(class: usize) -> f64 {
    let doublings = (class >> BITS).saturating_sub(1);
    let within = class - (doublings << BITS);
    let width = 2.0_f64.powi(i32::try_from(doublings).unwrap_or(0));
    (float(within) + 0.5) * width
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_right_within_its_class() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        for micros in 1..=1_000 {
            histogram.add(micros * 1_000);
        }
        let mut twice = histogram.clone();
        twice.merge(&histogram);
        for (share, expected) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0)] {
            for it in [&histogram, &twice] {
                let found = it.quantile(share).unwrap();
                assert!((found / expected - 1.0).abs() < 0.016, "{share}: {found}");
            }
        }
        histogram.clear();
        assert_eq!(histogram.quantile(0.5), None);
    }

    #[test]
    fn classes_follow_each_other_without_a_gap() {
        let mut last = 0;
        for nanos in 0..100_000 {
            let class = class(nanos);
            assert!(
                class == last || class == last + 1,
                "{nanos}: {last} to {class}"
            );
            last = class;
        }
        assert!(class(u64::MAX) < 4_096);
    }
}
