//! What holds for anything that comes from outside.
//!
//! The function in `checks` is also what the target in `crates/seal/fuzz` runs; here it gets
//! arbitrary input and seeds with a few changes, and not for long.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod bounded;
mod checks {
    pub(crate) mod token;
}
