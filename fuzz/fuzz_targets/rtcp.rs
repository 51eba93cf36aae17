#![no_main]
//! Fuzzes compound RTCP packets.

libfuzzer_sys::fuzz_target!(|data: &[u8]| bridge_core::fuzz::fuzz_rtcp(data));
