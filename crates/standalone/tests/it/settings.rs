//! Every documented setting takes effect: at the broker, at a socket or in a process.
//!
//! [`seen`] lists the settings with the tests that see their effect, and compares the list with
//! `docs/configuration.md`. To add a setting: a test here, and its line there.

mod broker;
mod connection;
mod messages;
mod names;
mod operator;
mod own_broker;
mod seen;
mod time_to_live;
mod tls;
mod tools;
mod transports;
mod web;
mod wrong;

use testkit::process::{Output, Program};

use crate::site::SOON;

/// Runs a process that ends by itself, with this exit code, and has these parts in its log.
async fn ends(program: Program, code: i32, parts: &[&str]) -> Output {
    let output = program.run(b"", SOON).await.unwrap();
    assert_eq!(output.code, Some(code), "{output:#?}");
    for part in parts {
        assert!(output.stderr.contains(part), "{part:?}: {output:#?}");
    }
    output
}
