//! Calls of the network tools through the worker's runtime, compared with what other programs
//! say about the same network.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod arp;
mod bad_input;
mod call;
mod declarations;
mod ifconfig;
mod netstat;
mod nslookup;
mod ping;
mod route;
mod settings;
mod telnet;
mod wget;
mod whois;
