#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sandpool::fuzz::report(data));
