//! What several tools ask for in the same way.

use protocol::ToolError;
use schemars::JsonSchema;
use serde::Deserialize;
use worker::Page;

use crate::ports::{Ports, Protocol};
use crate::scan::{DEFAULT_PORTS, Scan, Selection, Technique};
use crate::scanner::Request;
use crate::targets::Targets;

/// What to scan, and how.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Common {
    /// Host name, address or network in CIDR notation, or an array of up to 256 of them; of a
    /// name the first address in scope is scanned. At most 65,536 addresses in all.
    target: Targets,
    /// How fast: 0 waits 5 min between two probes, 1 15 s, 2 0.4 s; 3 is nmap's default; 4 and 5
    /// are for networks that lose nothing.
    #[serde(default = "normal")]
    #[schemars(range(min = 0, max = 5))]
    timing_template: u8,
    /// List only ports that are or may be open, and only hosts that have one. A ping scan, which
    /// looks at no ports, lists the hosts that are up in any case.
    #[serde(default)]
    open_only: bool,
    /// Say for each host and port what its state is concluded from.
    #[serde(default)]
    reason: bool,
    #[serde(flatten)]
    page: Page,
}

fn normal() -> u8 {
    3
}

impl Common {
    /// A scan by this option of nmap, which needs no raw sockets and looks first which hosts are up.
    pub(super) fn request(self, technique: Technique, option: &str, ports: Selection) -> Request {
        Request {
            targets: self.target,
            scan: Scan {
                technique,
                timing: self.timing_template,
                options: vec![option.to_owned()],
                ports,
                n_probes: 1,
                skip_discovery: false,
                needs_raw_sockets: false,
                open_only: self.open_only,
                reason: self.reason,
            },
            page: self.page,
        }
    }
}

/// The TCP ports; nmap's 1000 most frequent ones without the argument.
///
/// # Errors
/// `invalid_arguments` for UDP ports.
pub(super) fn tcp_ports(ports: Option<&Ports>) -> Result<Selection, ToolError> {
    let Some(ports) = ports else {
        return Ok(Selection::MostOften(Protocol::Tcp, DEFAULT_PORTS));
    };
    let ports = ports.by_protocol(Protocol::Tcp);
    if !ports.udp.is_empty() {
        let message = format!(
            "argument ports: U:{} are UDP ports, and this scan is of TCP",
            ports.udp
        );
        return Err(ToolError::invalid(message).hint("scan them with nmap_udp_scan"));
    }
    Ok(Selection::Named(ports))
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
