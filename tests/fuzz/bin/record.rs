//! The target `record` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dagmar_fuzz::record::check(bytes));
