//! Calls of the nmap tools through the worker's runtime, on networks of the tests' own, compared
//! with what nmap's XML says when another program reads it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod call;
mod declarations;
mod ending;
mod network;
mod pages;
mod privileges;
mod refusals;
mod same;
