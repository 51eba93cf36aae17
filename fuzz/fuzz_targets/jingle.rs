#![no_main]
//! Fuzzes Jingle payloads and what a conference makes of their sources.

libfuzzer_sys::fuzz_target!(|data: &[u8]| signaling::fuzz::fuzz_jingle(data));
