//! `nmap_tcp_connect_scan`: which TCP ports take connections.

use std::sync::Arc;

use protocol::ToolError;
use schemars::JsonSchema;
use serde::Deserialize;
use worker::Tool;

use super::arguments::{Manner, tcp_ports};
use crate::ports::Ports;
use crate::scan::{Scan, Technique};
use crate::scanner::{Request, Scanner};
use crate::targets::Targets;

/// Which ports of which hosts to connect to.
#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Host name, address or network in CIDR notation, or an array of up to 256 of them; of a
    /// name the first address in scope is scanned. At most 65,536 addresses in all.
    target: Targets,
    /// TCP ports: `80,443`, `1-1024`, or `-` for all 65,535. Without it the 1000 that are most
    /// often open.
    #[serde(default)]
    ports: Option<Ports>,
    /// Take every address for a host that is up: for hosts that answer no probes. It takes far
    /// longer where most addresses have no host. On a link of the worker's host a host must answer
    /// ARP or neighbour discovery all the same.
    #[serde(default)]
    skip_discovery: bool,
    #[serde(flatten)]
    manner: Manner,
}

/// The declaration of the tool.
pub(crate) fn tool(scanner: &Arc<Scanner>) -> Tool {
    let description = scanner.description(
        "Scan TCP ports by connecting to them as any program does, without privileges. Services \
         may log the connections. Prefer nmap_tcp_syn_scan where the worker has raw sockets.",
        false,
    );
    super::scan("nmap_tcp_connect_scan", scanner, request)
        .title("TCP connect scan (nmap)")
        .description(&description)
}

fn request(arguments: Arguments) -> Result<Request, ToolError> {
    let (ports, n_tcp_ports) = tcp_ports(arguments.ports.as_ref())?;
    let mut options = vec!["-sT".to_owned()];
    options.extend(ports);
    let manner = arguments.manner;
    Ok(Request {
        targets: arguments.target,
        scan: Scan {
            technique: Technique::TcpConnect,
            timing: manner.timing_template,
            options,
            n_tcp_ports,
            n_udp_ports: 0,
            skip_discovery: arguments.skip_discovery,
            needs_raw_sockets: false,
            open_only: manner.open_only,
            reason: manner.reason,
        },
        page: manner.page,
    })
}
