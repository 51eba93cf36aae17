//! Tells packets that were not seen before, by their full index (RFC 3711 sections 3.3.1, 3.3.2).
//!
//! The window is a ring of words (as in RFC 6479): it moves by clearing words, never by shifting.

/// The largest index of an RTP packet: a 32-bit roll-over counter and the sequence number.
pub(super) const INDEX_MAX: u64 = (1 << 48) - 1;

/// Indexes seen of one stream.
#[derive(Clone, Debug)]
pub(super) struct ReplayWindow {
    top: u64,
    words: [u64; WORDS],
}

impl ReplayWindow {
    /// A window that has seen `index` only.
    pub(super) fn new(index: u64) -> Self {
        let mut window = Self {
            top: index,
            words: [0; WORDS],
        };
        window.mark(index);
        window
    }

    /// Whether `index` was not seen, and is not older than the window reaches.
    pub(super) fn is_fresh(&self, index: u64) -> bool {
        let is_recent = index.saturating_add(REACH) > self.top;
        let seen = self.words.get(place(index)).copied().unwrap_or(u64::MAX);
        index > self.top || (is_recent && seen & bit(index) == 0)
    }

    /// Remembers `index`. Only for packets whose tag is verified.
    pub(super) fn mark(&mut self, index: u64) {
        if index > self.top {
            let steps = (index / 64 - self.top / 64).min(WORDS as u64);
            for step in 0..steps {
                if let Some(word) = self.words.get_mut(place(index - 64 * step)) {
                    *word = 0;
                }
            }
            self.top = index;
        }
        if let Some(word) = self.words.get_mut(place(index)) {
            *word |= bit(index);
        }
    }

    /// The index that `sequence` most likely has, half of the space around the highest one seen
    /// (RFC 3711 appendix A); `None` when it would be below the first or above the last one.
    pub(super) fn estimate(&self, sequence: u16) -> Option<u64> {
        let cycle = self.top & !0xffff;
        let (highest, next) = (self.top & 0xffff, u64::from(sequence));
        if highest < HALF && next > highest + HALF {
            (cycle | next).checked_sub(CYCLE)
        } else if highest >= HALF && next < highest - HALF {
            Some((cycle | next) + CYCLE).filter(|index| *index <= INDEX_MAX)
        } else {
            Some(cycle | next)
        }
    }
}

/// The word of an index.
fn place(index: u64) -> usize {
    usize::try_from(index / 64 % WORDS as u64).unwrap_or(0)
}

const fn bit(index: u64) -> u64 {
    1 << (index % 64)
}

/// Words of the ring.
const WORDS: usize = 16;

/// How far back the window reaches: a second of a fast stream with its retransmissions. One word
/// less than the ring, since the newest one is only partly used.
const REACH: u64 = (WORDS as u64 - 1) * 64;

const CYCLE: u64 = 1 << 16;

const HALF: u64 = CYCLE / 2;

const _: () = assert!(WORDS.is_power_of_two() && REACH >= 128);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_fresh_once() {
        let mut window = ReplayWindow::new(5_000);
        for index in [5_001, 4_999, 5_063, 5_064, 5_128, 4_999 - 100, 7_000] {
            assert!(window.is_fresh(index), "{index}");
            window.mark(index);
            assert!(!window.is_fresh(index), "{index}");
        }
    }

    #[test]
    fn the_window_ends_where_it_says() {
        let window = ReplayWindow::new(5_000);
        assert!(window.is_fresh(5_000 - REACH + 1));
        assert!(!window.is_fresh(5_000 - REACH));
        assert!(!window.is_fresh(0));
        let young = ReplayWindow::new(3);
        assert!(young.is_fresh(0) && !young.is_fresh(3));
    }

    #[test]
    fn the_window_agrees_with_a_set_that_forgets_nothing() {
        let mut random = crate::random::Random::new([1; 32]);
        let mut window = ReplayWindow::new(10_000);
        let mut seen = std::collections::BTreeSet::from([10_000]);
        for _ in 0..200_000 {
            let top = *seen.last().unwrap();
            let jump = if random.u32().is_multiple_of(1_000) {
                3_000
            } else {
                4
            };
            let index = top + u64::from(random.u32()) % jump - u64::from(random.u32()) % 1_000;
            let fresh = index + REACH > top && !seen.contains(&index);
            assert_eq!(window.is_fresh(index), fresh, "{index} of {top}");
            if fresh && !random.u32().is_multiple_of(8) {
                window.mark(index);
                seen.insert(index);
            }
        }
    }

    #[test]
    fn an_index_is_estimated_as_in_rfc_3711_appendix_a() {
        let cycle = 3 << 16;
        let cases = [
            (cycle, 0, Some(cycle)),
            (cycle, 32_768, Some(cycle + 32_768)),
            (cycle, 32_769, Some(cycle - CYCLE + 32_769)),
            (cycle + 100, 65_500, Some(cycle - CYCLE + 65_500)),
            (cycle + 32_768, 0, Some(cycle)),
            (cycle + 32_769, 0, Some(cycle + CYCLE)),
            (cycle + 65_535, 0, Some(cycle + CYCLE)),
            (cycle + 65_535, 32_767, Some(cycle + 32_767)),
            (0, 65_535, None),
            (INDEX_MAX, 65_535, Some(INDEX_MAX)),
            (INDEX_MAX, 0, None),
        ];
        for (top, sequence, index) in cases {
            assert_eq!(
                ReplayWindow::new(top).estimate(sequence),
                index,
                "{sequence} after {top}"
            );
        }
    }
}
