#![no_main]
//! Fuzzes what one sender sends, over time.

libfuzzer_sys::fuzz_target!(|data: &[u8]| bridge_core::fuzz::fuzz_ingest(data));
