//! What holds for anything that comes from outside.
//!
//! The functions in `checks` are also what the targets in `crates/protocol/fuzz` run; here they
//! get arbitrary input and seeds with a few changes, and not for long.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod bounded;
mod checks {
    pub(crate) mod envelope;
    pub(crate) mod header_value;
}
