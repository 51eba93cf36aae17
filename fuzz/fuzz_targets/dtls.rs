#![no_main]
//! Fuzzes DTLS handshakes.

libfuzzer_sys::fuzz_target!(|data: &[u8]| bridge_core::fuzz::fuzz_dtls(data));
