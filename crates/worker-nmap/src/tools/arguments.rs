//! What several tools ask for in the same way.

use protocol::ToolError;
use schemars::JsonSchema;
use serde::Deserialize;
use worker::Page;

use crate::ports::{PortSet, Ports, Protocol};
use crate::scan::{DEFAULT_PORTS, port_option};

/// How to scan.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Manner {
    /// How fast: 0 waits 5 min between two probes, 1 15 s, 2 0.4 s; 3 is nmap's default; 4 and 5
    /// are for networks that lose nothing.
    #[serde(default = "normal")]
    #[schemars(range(min = 0, max = 5))]
    pub(super) timing_template: u8,
    /// List only ports that are or may be open, and only hosts that have one. A ping scan, which
    /// looks at no ports, lists the hosts that are up in any case.
    #[serde(default)]
    pub(super) open_only: bool,
    /// Say for each host and port what its state is concluded from.
    #[serde(default)]
    pub(super) reason: bool,
    #[serde(flatten)]
    pub(super) page: Page,
}

fn normal() -> u8 {
    3
}

/// Options and number of the TCP ports; nmap's 1000 most frequent ones without the argument.
///
/// # Errors
/// `invalid_arguments` for UDP ports.
pub(super) fn tcp_ports(ports: Option<&Ports>) -> Result<(Vec<String>, u32), ToolError> {
    let Some(ports) = ports else {
        return Ok((Vec::new(), DEFAULT_PORTS));
    };
    let (tcp, udp) = ports.by_protocol(Protocol::Tcp);
    if !udp.is_empty() {
        let message = format!("argument ports: U:{udp} are UDP ports, and this scan is of TCP");
        return Err(ToolError::invalid(message).hint("scan them with nmap_udp_scan"));
    }
    Ok((port_option(&tcp, &PortSet::default()).into(), tcp.len()))
}

/// Refuses two arguments that say different things about the same.
pub(super) fn not_both(one: (&str, bool), other: (&str, bool)) -> Result<(), ToolError> {
    if one.1 && other.1 {
        let (one, other) = (one.0, other.0);
        let message = format!("arguments {one} and {other} exclude each other");
        return Err(ToolError::invalid(message).hint("leave one of them out"));
    }
    Ok(())
}
