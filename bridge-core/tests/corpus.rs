//! Replays the corpora of the fuzz targets.

use std::fs;
use std::path::Path;

#[test]
fn every_corpus_is_replayed_without_a_panic() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (name, target) in bridge_core::fuzz::TARGETS {
        let mut inputs: Vec<_> = fs::read_dir(corpora.join(name))
            .unwrap_or_else(|error| panic!("fuzz/corpus/{name}: {error}"))
            .map(|entry| entry.expect("a corpus entry").path())
            .collect();
        inputs.sort();
        assert!(!inputs.is_empty(), "fuzz/corpus/{name} is empty");
        for input in inputs {
            target(&fs::read(&input).expect("a corpus file"));
        }
        target(&[]);
    }
}
