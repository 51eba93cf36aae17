#![no_main]
//! Fuzzes the way through one receiver.

libfuzzer_sys::fuzz_target!(|data: &[u8]| bridge_core::fuzz::fuzz_egress(data));
