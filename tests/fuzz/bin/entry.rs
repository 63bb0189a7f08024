//! The target `entry` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dagmar_fuzz::entry::check(bytes));
