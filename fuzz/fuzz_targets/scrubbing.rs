#![no_main]

#[path = "../src/scrubbing.rs"]
mod scrubbing;

libfuzzer_sys::fuzz_target!(|data: &[u8]| scrubbing::check(data));
