//! The target `pipeline` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dagmar_fuzz::pipeline::check(bytes));
