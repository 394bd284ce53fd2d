//! `nmap_ping_scan`: which hosts are up.

use std::sync::Arc;

use protocol::ToolError;
use schemars::JsonSchema;
use serde::Deserialize;
use worker::Tool;

use super::arguments::Manner;
use crate::ports::{Ports, Protocol};
use crate::scan::{Scan, Technique};
use crate::scanner::{Request, Scanner};
use crate::targets::Targets;

/// TCP ports that nmap tries where the caller names none; 80 without raw sockets only.
const USUAL_PORTS: [u16; 2] = [80, 443];

/// Which hosts to look for.
#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Host name, address or network in CIDR notation, or an array of up to 256 of them; of a
    /// name the first address in scope is scanned. At most 65,536 addresses in all.
    target: Targets,
    /// Ports to try besides the usual probes, such as `22,3389` or `U:53`, for hosts that drop
    /// ICMP; without a prefix they are of TCP.
    #[serde(default)]
    ports: Option<Ports>,
    #[serde(flatten)]
    manner: Manner,
}

/// The declaration of the tool.
pub(crate) fn tool(scanner: &Arc<Scanner>) -> Tool {
    let description = scanner.description(
        "Find out which hosts of one or several networks are up, with their MAC addresses and \
         vendors where they are on a link of the worker's host. No ports are scanned. Use it \
         first, then scan the ports of the hosts it finds. Without raw sockets only TCP \
         connections are tried, which finds fewer hosts and no MAC addresses.",
        false,
    );
    super::scan("nmap_ping_scan", scanner, request)
        .title("Host discovery (nmap)")
        .description(&description)
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "other scans refuse some arguments here"
)]
fn request(arguments: Arguments) -> Result<Request, ToolError> {
    let (tcp, udp) = arguments
        .ports
        .unwrap_or_default()
        .by_protocol(Protocol::Tcp);
    let mut options = vec!["-sn".to_owned()];
    if !tcp.is_empty() || !udp.is_empty() {
        // Naming any probe replaces nmap's own, so they are named as well, but for the ICMP
        // timestamp request, which IPv6 does not have.
        let syn = tcp.and(&USUAL_PORTS);
        options.extend(["-PE".to_owned(), "-PA80".to_owned(), format!("-PS{syn}")]);
    }
    if !udp.is_empty() {
        options.push(format!("-PU{udp}"));
    }
    let manner = arguments.manner;
    Ok(Request {
        targets: arguments.target,
        scan: Scan {
            technique: Technique::Ping,
            timing: manner.timing_template,
            options,
            n_tcp_ports: 0,
            n_udp_ports: 0,
            skip_discovery: false,
            needs_raw_sockets: !udp.is_empty(),
            open_only: manner.open_only,
            reason: manner.reason,
        },
        page: manner.page,
    })
}
