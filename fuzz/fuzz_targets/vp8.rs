#![no_main]
//! Fuzzes VP8 payload descriptors.

libfuzzer_sys::fuzz_target!(|data: &[u8]| bridge_core::fuzz::fuzz_vp8(data));
