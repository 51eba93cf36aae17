#![no_main]
//! Fuzzes the whole engine with timed inputs.

libfuzzer_sys::fuzz_target!(|data: &[u8]| bridge_core::fuzz::fuzz_engine(data));
