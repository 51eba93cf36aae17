//! Cuts the packets of a pass into runs, which the kernel sends as one segmented message each.
//!
//! The segments of a run are equally long, but the last may be shorter. Order is never changed for
//! a longer run. A part of a run is a run, so taking the longest each time gives the fewest.
//!
//! Browsers split a frame into packets that differ by a byte, the longer ones last: two runs, and
//! 1100, 1099, 1100, 1099 bytes in one run each pair. So packets of a picture are evened out with
//! RTP padding (RFC 3550 section 5.1), inside what is encrypted, by at most [`PADDING_SHARE`] of
//! their length. Measured to 50 receivers, frames of 4 packets that differ by a byte: half the
//! messages, and 0.55 of the time in the kernel, for 0.04 % more bytes (bench `io/send`). That is
//! why it is the default.

use crate::limits::RUN_SEGMENTS_MAX;

/// The part of its length by which a packet may be padded.
const PADDING_SHARE: usize = 128;

/// Bytes of a packet without its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Length {
    /// As it is.
    pub(super) total: usize,
    /// Whether it may be padded.
    pub(super) is_elastic: bool,
}

/// A run at the front of the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// Packets, 0 when there are none.
    pub(super) count: usize,
    /// Bytes that all packets but the last have, or are padded to. The last has no more.
    pub(super) segment: usize,
}

impl Length {
    /// What it may become.
    const fn most(self) -> usize {
        if self.is_elastic {
            self.total + self.total / PADDING_SHARE
        } else {
            self.total
        }
    }
}

/// The longest run at the front.
pub(super) fn cut(lengths: impl IntoIterator<Item = Length>) -> Cut {
    let mut cut = Cut {
        count: 0,
        segment: 0,
    };
    // What all that were taken may become.
    let mut reach = usize::MAX;
    for length in lengths.into_iter().take(RUN_SEGMENTS_MAX) {
        if length.total > reach {
            break;
        }
        cut.count += 1;
        cut.segment = cut.segment.max(length.total);
        reach = reach.min(length.most());
        if reach < cut.segment {
            // It stays shorter, so it is the last.
            break;
        }
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(total: usize) -> Length {
        Length {
            total,
            is_elastic: true,
        }
    }

    /// Runs as the sizes that leave.
    fn runs(mut lengths: &[Length]) -> Vec<Vec<usize>> {
        let mut runs = Vec::new();
        while !lengths.is_empty() {
            let Cut { count, segment } = cut(lengths.iter().copied());
            let (run, rest) = lengths.split_at(count);
            lengths = rest;
            let mut sizes = vec![segment; count];
            sizes[count - 1] = run[count - 1].total;
            for (size, length) in sizes.iter().zip(run) {
                assert!((length.total..=length.most()).contains(size), "{run:?}");
            }
            runs.push(sizes);
        }
        runs
    }

    fn rigid(sizes: &[usize]) -> Vec<Vec<usize>> {
        let rigid = |total: &usize| Length {
            total: *total,
            is_elastic: false,
        };
        runs(&sizes.iter().map(rigid).collect::<Vec<_>>())
    }

    fn elastic(sizes: &[usize]) -> Vec<Vec<usize>> {
        runs(&sizes.iter().copied().map(length).collect::<Vec<_>>())
    }

    #[test]
    fn equal_packets_and_one_shorter_are_a_run() {
        assert_eq!(rigid(&[]), Vec::<Vec<usize>>::new());
        assert_eq!(rigid(&[1_100, 1_100, 300]), [[1_100, 1_100, 300]]);
        let sizes = [1_100, 300, 300, 1_100];
        assert_eq!(rigid(&sizes), [vec![1_100, 300], vec![300], vec![1_100]]);
    }

    #[test]
    fn a_frame_whose_packets_differ_by_a_byte_is_one_run_with_padding() {
        let sizes = [1_100, 1_099, 1_100, 1_099];
        assert_eq!(rigid(&sizes), [[1_100, 1_099], [1_100, 1_099]]);
        assert_eq!(elastic(&sizes), [[1_100, 1_100, 1_100, 1_099]]);
        let sizes = [1_099, 1_099, 1_100, 1_100];
        assert_eq!(rigid(&sizes), [[1_099, 1_099], [1_100, 1_100]]);
        assert_eq!(elastic(&sizes), [[1_100; 4]], "the longer ones are last");
    }

    #[test]
    fn padding_is_bounded_over_the_whole_run() {
        assert_eq!(elastic(&[1_280, 1_290]), [[1_290, 1_290]]);
        assert_eq!(elastic(&[1_280, 1_291]), [[1_280], [1_291]]);
        assert_eq!(elastic(&[100, 101]), [[100], [101]], "below 128 bytes none");
        // Each could be padded to the next, but not the first to the last.
        let sizes = [1_280, 1_288, 1_296];
        assert_eq!(elastic(&sizes), [vec![1_288, 1_288], vec![1_296]]);
        // One that is too short for padding ends the run.
        let sizes = [1_288, 1_270, 1_288];
        assert_eq!(elastic(&sizes), [vec![1_288, 1_270], vec![1_288]]);
    }

    #[test]
    fn a_packet_that_must_not_be_padded_fits_where_it_is_the_longest_or_the_last() {
        let rigid = |total| Length {
            total,
            is_elastic: false,
        };
        assert_eq!(runs(&[length(1_099), rigid(1_100)]), [[1_100, 1_100]]);
        assert_eq!(runs(&[length(1_100), rigid(1_099)]), [[1_100, 1_099]]);
        let sizes = [rigid(1_099), length(1_100)];
        assert_eq!(runs(&sizes), [[1_099], [1_100]]);
    }

    #[test]
    fn no_run_is_longer_than_the_limit() {
        let runs = elastic(&[1_000; RUN_SEGMENTS_MAX + 1]);
        let counts: Vec<_> = runs.iter().map(Vec::len).collect();
        assert_eq!(counts, [RUN_SEGMENTS_MAX, 1]);
    }
}
