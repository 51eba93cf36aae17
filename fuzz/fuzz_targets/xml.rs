#![no_main]
//! Fuzzes the XML reader and writer.

libfuzzer_sys::fuzz_target!(|data: &[u8]| signaling::fuzz::fuzz_xml(data));
