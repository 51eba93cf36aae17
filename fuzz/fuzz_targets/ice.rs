#![no_main]
//! Fuzzes ICE agents.

libfuzzer_sys::fuzz_target!(|data: &[u8]| bridge_core::fuzz::fuzz_ice(data));
