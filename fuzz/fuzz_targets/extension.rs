#![no_main]
//! Fuzzes RTP header extensions.

libfuzzer_sys::fuzz_target!(|data: &[u8]| bridge_core::fuzz::fuzz_extension(data));
