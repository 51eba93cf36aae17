#![no_main]
//! Fuzzes the order of BOSH requests.

libfuzzer_sys::fuzz_target!(|data: &[u8]| signaling::fuzz::fuzz_bosh(data));
