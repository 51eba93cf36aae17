//! Holds the bodies of the fuzz targets, so that ordinary builds compile them and `cargo test`
//! replays their corpora. Each takes any bytes and must neither panic nor hang.

/// Every target with its name, as in `fuzz/fuzz_targets/`.
pub const TARGETS: &[(&str, fn(&[u8]))] = &[];
