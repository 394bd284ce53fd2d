//! Calls of the SNMP tools through the worker's runtime, against real agents; compared with what
//! net-snmp's own tools say.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod call;
mod sessions;
mod snmpd;
mod topology;
