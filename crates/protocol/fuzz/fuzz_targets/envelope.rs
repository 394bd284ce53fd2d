#![no_main]

#[path = "../../tests/it/checks/envelope.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::check(bytes));
