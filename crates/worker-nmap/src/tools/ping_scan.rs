//! `nmap_ping_scan`: which hosts are up.

use std::sync::Arc;

use protocol::ToolError;
use schemars::JsonSchema;
use serde::Deserialize;
use worker::Tool;

use super::arguments::Common;
use crate::ports::{Ports, Protocol};
use crate::scan::{Selection, Technique};
use crate::scanner::{Request, Scanner};

/// TCP ports that nmap tries where the caller names none; 80 without raw sockets only.
const USUAL_PORTS: [u16; 2] = [80, 443];
/// Ports that a caller may name: each of them is probed at every address that does not answer.
const MAX_PORTS: u32 = 100;

/// Which hosts to look for.
#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Ports to try besides the usual probes, such as `22,3389` or `U:53`, for hosts that drop
    /// ICMP, at most 100; without a prefix they are of TCP.
    #[serde(default)]
    ports: Option<Ports>,
    #[serde(flatten)]
    common: Common,
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

fn request(arguments: Arguments) -> Result<Request, ToolError> {
    let ports = arguments.ports.unwrap_or_default();
    let ports = ports.by_protocol(Protocol::Tcp);
    if ports.len() > MAX_PORTS {
        let message = format!(
            "argument ports names {} ports, and a ping scan tries at most {MAX_PORTS} at each address",
            ports.len()
        );
        return Err(ToolError::invalid(message)
            .hint("name the few that are likely to be open; nmap_tcp_syn_scan scans ports"));
    }
    let common = arguments.common;
    let mut request = common.request(Technique::Ping, "-sn", Selection::None);
    let scan = &mut request.scan;
    if !ports.is_empty() {
        // Naming any probe replaces nmap's own, so they are named as well, but for the ICMP
        // timestamp request, which IPv6 does not have.
        let syn = ports.tcp.and(&USUAL_PORTS);
        scan.n_probes = 2 + syn.len() + ports.udp.len();
        let probes = ["-PE".to_owned(), "-PA80".to_owned(), format!("-PS{syn}")];
        scan.options.extend(probes);
    }
    if !ports.udp.is_empty() {
        scan.options.push(format!("-PU{}", ports.udp));
        scan.needs_raw_sockets = true;
    }
    Ok(request)
}
