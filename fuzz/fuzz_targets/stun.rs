#![no_main]
//! Fuzzes STUN messages.

libfuzzer_sys::fuzz_target!(|data: &[u8]| bridge_core::fuzz::fuzz_stun(data));
