#![no_main]
//! Fuzzes messages of the bridge channel.

libfuzzer_sys::fuzz_target!(|data: &[u8]| signaling::fuzz::fuzz_channel_message(data));
