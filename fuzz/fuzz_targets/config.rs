#![no_main]
//! Fuzzes the settings file.

libfuzzer_sys::fuzz_target!(|data: &[u8]| signaling::fuzz::fuzz_config(data));
