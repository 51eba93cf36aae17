//! Makes all of an engine's random numbers from one 32-byte seed (ChaCha20), so that equal seeds
//! and inputs give equal outputs and nobody can guess a ufrag or password.

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

/// The engine's generator.
#[derive(Clone, Debug)]
pub(crate) struct Random(ChaCha20Rng);

/// The 64 characters an ICE ufrag or password may hold (RFC 8445 section 5.3: `ice-char`).
pub(crate) const ICE_CHARS: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

impl Random {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha20Rng::from_seed(seed))
    }

    pub(crate) fn u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    pub(crate) fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// A string of `length` ICE characters, six random bits each.
    pub(crate) fn ice_string(&mut self, length: usize) -> String {
        (0..length)
            .map(|_| {
                let at = (self.u32() >> 26) as usize;
                char::from(ICE_CHARS.get(at).copied().unwrap_or(b'A'))
            })
            .collect()
    }
}
