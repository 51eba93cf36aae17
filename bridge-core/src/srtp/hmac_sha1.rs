//! HMAC-SHA1 (RFC 2104) over one packet, or over several at once.
//!
//! Its own thirty lines rather than the `hmac` crate, because the hash of one packet is bound by
//! the latency of its rounds: hashing the packets of several receivers in lockstep takes half the
//! time for each ([`sha1_simd`](super::sha1_simd)).

use zeroize::Zeroize;

use super::sha1_simd::{BLOCK_LENGTH, State, compress};

/// A key, as the two states that it begins with.
pub(super) struct HmacSha1 {
    inner: State,
    outer: State,
}

impl HmacSha1 {
    pub(super) fn new(key: &[u8; 20]) -> Self {
        let state = |pad: u8| {
            let mut block = [pad; BLOCK_LENGTH];
            for (byte, key) in block.iter_mut().zip(key) {
                *byte ^= key;
            }
            let mut state = [INITIAL];
            compress(&mut state, [&[block]]);
            let [state] = state;
            state
        };
        Self {
            inner: state(0x36),
            outer: state(0x5c),
        }
    }

    /// The hash of each of `messages` followed by its of `tails`, under its of `keys`. Messages
    /// of one length are hashed in lockstep.
    pub(super) fn authenticate<const K: usize>(
        keys: [&Self; K],
        messages: [&[u8]; K],
        tails: [[u8; 4]; K],
    ) -> [[u8; 20]; K] {
        let mut lengths = messages.iter().map(|message| message.len());
        let length = lengths.next().unwrap_or(0);
        if lengths.all(|other| other == length) {
            return Self::lockstep(keys, messages, tails, length);
        }
        let mut hashes = [[0; 20]; K];
        for (((hash, key), message), tail) in hashes.iter_mut().zip(keys).zip(messages).zip(tails) {
            [*hash] = Self::lockstep([key], [message], [tail], message.len());
        }
        hashes
    }

    fn lockstep<const K: usize>(
        keys: [&Self; K],
        messages: [&[u8]; K],
        tails: [[u8; 4]; K],
        length: usize,
    ) -> [[u8; 20]; K] {
        let split = messages.map(<[u8]>::as_chunks::<BLOCK_LENGTH>);
        let mut states = keys.map(|key| key.inner);
        compress(&mut states, split.map(|(blocks, _)| blocks));

        // What is left over, the tail, a one bit, zeros, and the length with that of the key.
        let rest = length % BLOCK_LENGTH;
        let end = if rest + 4 + 9 > BLOCK_LENGTH { 2 } else { 1 };
        let mut last = [[[0; BLOCK_LENGTH]; 2]; K];
        for ((last, (_, rest)), tail) in last.iter_mut().zip(split).zip(tails) {
            let last = last.as_flattened_mut();
            crate::wire::put(last, 0, rest);
            crate::wire::put(last, rest.len(), &tail);
            crate::wire::put(last, rest.len() + 4, &[0x80]);
            crate::wire::put(last, end * BLOCK_LENGTH - 8, &bits(length + 4));
        }
        compress(
            &mut states,
            last.each_ref().map(|last| last.get(..end).unwrap_or(last)),
        );

        let mut blocks = [[[0; BLOCK_LENGTH]]; K];
        for (block, state) in blocks.iter_mut().zip(states) {
            let block = block.as_flattened_mut();
            crate::wire::put(block, 0, &to_bytes(state));
            crate::wire::put(block, 20, &[0x80]);
            crate::wire::put(block, BLOCK_LENGTH - 8, &bits(20));
        }
        let mut states = keys.map(|key| key.outer);
        compress(&mut states, blocks.each_ref().map(<[_; 1]>::as_slice));
        states.map(to_bytes)
    }
}

/// The length in bits that ends a hash over the block of the key and `length` bytes.
fn bits(length: usize) -> [u8; 8] {
    let bits = u64::try_from(BLOCK_LENGTH + length).unwrap_or(0) * 8;
    bits.to_be_bytes()
}

fn to_bytes(state: State) -> [u8; 20] {
    let mut bytes = [0; 20];
    for (place, word) in bytes.as_chunks_mut().0.iter_mut().zip(state) {
        *place = word.to_be_bytes();
    }
    bytes
}

impl Drop for HmacSha1 {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

/// What SHA-1 begins with (FIPS 180-4 section 5.3.1).
const INITIAL: State = [
    0x6745_2301,
    0xefcd_ab89,
    0x98ba_dcfe,
    0x1032_5476,
    0xc3d2_e1f0,
];

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac};
    use sha1::Sha1;

    use super::*;

    fn reference(key: &[u8; 20], message: &[u8], tail: [u8; 4]) -> [u8; 20] {
        let mut hmac = Hmac::<Sha1>::new_from_slice(key).unwrap();
        hmac.update(message);
        hmac.update(&tail);
        hmac.finalize().into_bytes().into()
    }

    fn check<const K: usize>(lengths: [usize; K]) {
        let mut random = crate::random::Random::new([K.to_le_bytes()[0]; 32]);
        let mut keys = [[0; 20]; K];
        let mut tails = [[0; 4]; K];
        let mut messages = lengths.map(|length| vec![0; length]);
        keys.iter_mut().for_each(|key| random.fill(key));
        tails.iter_mut().for_each(|tail| random.fill(tail));
        messages.iter_mut().for_each(|message| random.fill(message));
        let hmacs = keys.map(|key| HmacSha1::new(&key));
        let messages = messages.each_ref().map(Vec::as_slice);
        let hashes = HmacSha1::authenticate(hmacs.each_ref(), messages, tails);
        for (lane, hash) in hashes.iter().enumerate() {
            assert_eq!(*hash, reference(&keys[lane], messages[lane], tails[lane]));
        }
    }

    #[test]
    fn hashes_of_every_length_agree_with_the_reference() {
        for length in (0..=200).chain([1_199, 1_200, 1_460]) {
            check([length]);
            check([length; 2]);
            check([length; 3]);
            check([length; 4]);
        }
    }

    #[test]
    fn messages_of_different_lengths_are_hashed_too() {
        check([0, 63, 64]);
        check([1_200, 1_201]);
    }
}
