#![no_main]
//! Fuzzes streams, routing and rooms.

libfuzzer_sys::fuzz_target!(|data: &[u8]| signaling::fuzz::fuzz_stanza(data));
