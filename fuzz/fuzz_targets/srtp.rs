#![no_main]
//! Fuzzes SRTP and SRTCP.

libfuzzer_sys::fuzz_target!(|data: &[u8]| bridge_core::fuzz::fuzz_srtp(data));
