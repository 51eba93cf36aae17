//! Feeds every fuzz target with mutations of its corpus: a deterministic floor under fuzzing.
//!
//! `TARGET=rtcp MUTATIONS=1000000 cargo test --test mutated` takes one target and goes deeper
//! than the default; `SEED=2` goes elsewhere.

use std::fs;
use std::panic;
use std::path::Path;

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

/// Bytes of the longest input.
const LENGTH_MAX: usize = 2_000;

fn setting(name: &str, otherwise: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn below(random: &mut ChaCha20Rng, limit: usize) -> usize {
    let limit = u64::try_from(limit.max(1)).unwrap_or(1);
    usize::try_from(random.next_u64() % limit).unwrap_or(0)
}

/// Changes `input` in one of the ways in which formats are attacked.
fn mutate(input: &mut Vec<u8>, other: &[u8], random: &mut ChaCha20Rng) {
    let at = below(random, input.len() + 1);
    let byte = random.next_u32().to_le_bytes()[0];
    match random.next_u32() % 7 {
        0 => input.truncate(at),
        1 => input.insert(at, byte),
        2 => input.extend_from_slice(other),
        3 => {
            let start = below(random, other.len() + 1);
            let part = other.get(start..).unwrap_or_default();
            input.splice(at.., part.iter().copied());
        }
        kind => {
            if let Some(place) = input.get_mut(at) {
                *place = match kind {
                    4 => byte,
                    5 => *place ^ (1 << (byte % 8)),
                    _ if byte < 0x80 => 0,
                    _ => 0xff,
                };
            }
        }
    }
    input.truncate(LENGTH_MAX);
}

#[test]
fn no_mutation_of_a_corpus_makes_a_target_panic() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let (count, seed) = (setting("MUTATIONS", 500), setting("SEED", 1));
    let wanted = std::env::var("TARGET").ok();
    for (name, target) in bridge_core::fuzz::TARGETS {
        if wanted.as_ref().is_some_and(|wanted| wanted != name) {
            continue;
        }
        let mut paths: Vec<_> = fs::read_dir(corpora.join(name))
            .expect("a corpus")
            .map(|entry| entry.expect("a corpus entry").path())
            .collect();
        paths.sort();
        let seeds: Vec<_> = paths
            .iter()
            .map(|path| fs::read(path).expect("a corpus file"))
            .collect();
        let mut random = ChaCha20Rng::seed_from_u64(seed);
        for _ in 0..count {
            let mut input = seeds[below(&mut random, seeds.len())].clone();
            for _ in 0..=below(&mut random, 4) {
                let other = &seeds[below(&mut random, seeds.len())];
                mutate(&mut input, other, &mut random);
            }
            let result = panic::catch_unwind(|| target(&input));
            assert!(result.is_ok(), "{name} panics on {input:02x?}");
        }
    }
}
