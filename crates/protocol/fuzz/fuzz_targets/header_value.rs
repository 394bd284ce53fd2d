#![no_main]

#[path = "../../tests/it/checks/header_value.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::check(bytes));
