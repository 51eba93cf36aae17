//! Compresses blocks of several SHA-1 hashes in lockstep.

/// The five words of a hash.
pub(super) type State = [u32; 5];

/// Bytes of a block.
pub(super) const BLOCK_LENGTH: usize = 64;

/// Takes `blocks` into `states`, lane by lane; all lanes have equally many.
pub(super) fn compress<const K: usize>(
    states: &mut [State; K],
    blocks: [&[[u8; BLOCK_LENGTH]]; K],
) {
    for (state, blocks) in states.iter_mut().zip(blocks) {
        sha1::block_api::compress(state, blocks);
    }
}
