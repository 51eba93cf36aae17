//! Hashes with a seed of the engine's, so that equal runs have equal tables and strangers cannot
//! choose keys that collide. Never iterate one of these where the order could be seen.

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;

/// Makes the tables of one engine; the seed comes from the engine's generator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MapSeed(u64);

static SHARED: SharedSeed = SharedSeed::from_u64(0x7472_6573_746c_6531);

/// A hash table with a seed of our choice.
pub(crate) type Map<K, V> = hashbrown::HashMap<K, V, SeedableRandomState>;

/// A hash set with a seed of our choice.
#[expect(
    dead_code,
    reason = "the twin of Map, named by clippy.toml as the set to take"
)]
pub(crate) type Set<K> = hashbrown::HashSet<K, SeedableRandomState>;

impl MapSeed {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn map<K, V>(self) -> Map<K, V> {
        Map::with_hasher(SeedableRandomState::with_seed(self.0, &SHARED))
    }
}
