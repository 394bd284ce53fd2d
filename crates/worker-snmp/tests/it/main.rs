//! Calls of the SNMP tools through the worker's runtime, against real agents and simulated
//! devices; compared with what net-snmp's own tools say.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod arguments;
mod call;
mod declarations;
mod devices;
mod discover;
mod hosts;
mod net_snmp;
mod sessions;
mod tables;
mod topology;
mod values;
