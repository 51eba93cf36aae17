#![no_main]
//! Fuzzes RTP headers.

libfuzzer_sys::fuzz_target!(|data: &[u8]| bridge_core::fuzz::fuzz_rtp(data));
