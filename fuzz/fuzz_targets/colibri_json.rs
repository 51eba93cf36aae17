#![no_main]
//! Fuzzes colibri2 in JSON.

libfuzzer_sys::fuzz_target!(|data: &[u8]| signaling::fuzz::fuzz_colibri_json(data));
