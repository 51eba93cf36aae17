//! Compresses blocks of several SHA-1 hashes in lockstep, with the SHA instructions of x86-64.
//!
//! Four rounds are one instruction that waits for the one before it, so a single hash leaves the
//! unit idle half of the time. The packets of several receivers are independent and mostly of one
//! length; their rounds are laid side by side. Without the instructions the portable hash of the
//! `sha1` crate takes the lanes one by one.

/// The five words of a hash.
pub(super) type State = [u32; 5];

/// Bytes of a block.
pub(super) const BLOCK_LENGTH: usize = 64;

/// Takes `blocks` into `states`, lane by lane; all lanes have equally many.
pub(super) fn compress<const K: usize>(
    states: &mut [State; K],
    blocks: [&[[u8; BLOCK_LENGTH]]; K],
) {
    #[cfg(target_arch = "x86_64")]
    if x86::is_supported() {
        // SAFETY: the processor has the instructions, as it just said.
        // WHY: the hash of an AES-CM packet costs half as much in pairs, and that profile is what
        // a browser ends on with DTLS 1.3; no safe crate hashes in lockstep.
        #[expect(unsafe_code, reason = "instructions that not every processor has")]
        unsafe {
            x86::compress(states, blocks);
        }
        return;
    }
    portable(states, blocks);
}

fn portable<const K: usize>(states: &mut [State; K], blocks: [&[[u8; BLOCK_LENGTH]]; K]) {
    for (state, blocks) in states.iter_mut().zip(blocks) {
        sha1::block_api::compress(state, blocks);
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use core::arch::x86_64::{
        __m128i, _mm_add_epi32, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x,
        _mm_setzero_si128, _mm_sha1msg1_epu32, _mm_sha1msg2_epu32, _mm_sha1nexte_epu32,
        _mm_sha1rnds4_epu32, _mm_xor_si128,
    };

    use super::{BLOCK_LENGTH, State};
    use crate::wire;

    pub(super) fn is_supported() -> bool {
        std::is_x86_feature_detected!("sha")
            && std::is_x86_feature_detected!("ssse3")
            && std::is_x86_feature_detected!("sse4.1")
    }

    /// Takes `blocks` into `states`; lanes that have more blocks than another are cut.
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    pub(super) fn compress<const K: usize>(
        states: &mut [State; K],
        blocks: [&[[u8; BLOCK_LENGTH]]; K],
    ) {
        let mut lanes = [Lane::zero(); K];
        for (lane, state) in lanes.iter_mut().zip(&*states) {
            lane.set_state(state);
        }
        let count = blocks.iter().map(|blocks| blocks.len()).min().unwrap_or(0);
        debug_assert!(blocks.iter().all(|blocks| blocks.len() == count));
        for at in 0..count {
            for (lane, blocks) in lanes.iter_mut().zip(blocks) {
                if let Some(block) = blocks.get(at) {
                    lane.set_words(block);
                }
            }
            rounds(&mut lanes);
        }
        for (state, lane) in states.iter_mut().zip(lanes) {
            *state = lane.state();
        }
    }

    /// All 80 rounds of one block in each lane, four at a time.
    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn rounds<const K: usize>(lanes: &mut [Lane; K]) {
        let before = *lanes;
        for lane in lanes.iter_mut() {
            let sum = _mm_add_epi32(lane.e, lane.words[0]);
            lane.rounds::<0>(sum);
        }
        for _ in 0..4 {
            four_rounds::<0, K>(lanes);
        }
        for _ in 0..5 {
            four_rounds::<1, K>(lanes);
        }
        for _ in 0..5 {
            four_rounds::<2, K>(lanes);
        }
        for _ in 0..5 {
            four_rounds::<3, K>(lanes);
        }
        for (lane, before) in lanes.iter_mut().zip(before) {
            lane.e = _mm_sha1nexte_epu32(lane.e, before.e);
            lane.abcd = _mm_add_epi32(lane.abcd, before.abcd);
        }
    }

    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn four_rounds<const FUNCTION: i32, const K: usize>(lanes: &mut [Lane; K]) {
        for lane in lanes {
            let sum = _mm_sha1nexte_epu32(lane.e, lane.words[0]);
            lane.rounds::<FUNCTION>(sum);
        }
    }

    /// One hash in registers.
    #[derive(Clone, Copy)]
    struct Lane {
        /// The first four words of the state, the first one uppermost.
        abcd: __m128i,
        /// Between blocks, the fifth word uppermost; between rounds, what `abcd` was four rounds
        /// ago, of which the fifth word comes.
        e: __m128i,
        /// The next 16 words of the message schedule.
        words: [__m128i; 4],
    }

    impl Lane {
        #[inline]
        #[target_feature(enable = "sha,ssse3,sse4.1")]
        fn zero() -> Self {
            let zero = _mm_setzero_si128();
            Self {
                abcd: zero,
                e: zero,
                words: [zero; 4],
            }
        }

        #[inline]
        #[target_feature(enable = "sha,ssse3,sse4.1")]
        fn set_state(&mut self, state: &State) {
            let [a, b, c, d, e] = state.map(u32::cast_signed);
            self.abcd = _mm_set_epi32(a, b, c, d);
            self.e = _mm_set_epi32(e, 0, 0, 0);
        }

        #[inline]
        #[target_feature(enable = "sha,ssse3,sse4.1")]
        fn state(&self) -> State {
            [
                _mm_extract_epi32::<3>(self.abcd),
                _mm_extract_epi32::<2>(self.abcd),
                _mm_extract_epi32::<1>(self.abcd),
                _mm_extract_epi32::<0>(self.abcd),
                _mm_extract_epi32::<3>(self.e),
            ]
            .map(i32::cast_unsigned)
        }

        #[inline]
        #[target_feature(enable = "sha,ssse3,sse4.1")]
        fn set_words(&mut self, block: &[u8; BLOCK_LENGTH]) {
            for (words, bytes) in self.words.iter_mut().zip(block.as_chunks::<16>().0) {
                let upper = wire::u64_at(bytes, 0).unwrap_or(0).cast_signed();
                let lower = wire::u64_at(bytes, 8).unwrap_or(0).cast_signed();
                *words = _mm_set_epi64x(upper, lower);
            }
        }

        /// Four rounds, and four words more of the schedule.
        #[inline]
        #[target_feature(enable = "sha,ssse3,sse4.1")]
        fn rounds<const FUNCTION: i32>(&mut self, sum: __m128i) {
            self.e = self.abcd;
            self.abcd = _mm_sha1rnds4_epu32::<FUNCTION>(self.abcd, sum);
            let [a, b, c, d] = self.words;
            let mixed = _mm_xor_si128(_mm_sha1msg1_epu32(a, b), c);
            self.words = [b, c, d, _mm_sha1msg2_epu32(mixed, d)];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<const K: usize>() {
        let mut random = crate::random::Random::new([9; 32]);
        for count in 0..20 {
            let mut states = [[0; 5]; K];
            for word in states.as_flattened_mut() {
                *word = random.u32();
            }
            let mut blocks = [const { Vec::new() }; K];
            for blocks in &mut blocks {
                blocks.resize(count, [0; BLOCK_LENGTH]);
                random.fill(blocks.as_flattened_mut());
            }
            let blocks = blocks.each_ref().map(Vec::as_slice);
            let mut expected = states;
            portable(&mut expected, blocks);
            compress(&mut states, blocks);
            assert_eq!(states, expected, "{K} lanes of {count} blocks");
        }
    }

    #[test]
    fn lanes_agree_with_the_portable_hash() {
        check::<1>();
        check::<2>();
        check::<3>();
        check::<4>();
        check::<5>();
    }
}
