#![no_main]

#[path = "../src/turn.rs"]
mod turn;

libfuzzer_sys::fuzz_target!(|data: &[u8]| turn::check(data));
