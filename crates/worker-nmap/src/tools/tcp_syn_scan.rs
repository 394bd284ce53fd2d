//! `nmap_tcp_syn_scan`: which TCP ports are open, without connecting to them.

use std::sync::Arc;

use protocol::ToolError;
use schemars::JsonSchema;
use serde::Deserialize;
use worker::Tool;

use super::arguments::{Common, not_both, tcp_ports};
use crate::ports::{Ports, Protocol};
use crate::scan::{FAST_PORTS, Selection, Technique};
use crate::scanner::{Request, Scanner};

/// Which ports of which hosts to probe.
#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// TCP ports: `80,443`, `1-1024`, or `-` for all 65,535. Without it the 1000 that are most
    /// often open.
    #[serde(default)]
    ports: Option<Ports>,
    /// Scan only the 100 ports that are most often open. Not together with `ports`.
    #[serde(default)]
    fast_scan: bool,
    /// Take every address for a host that is up: for hosts that answer no probes. It takes far
    /// longer where most addresses have no host. On a link of the worker's host a host must answer
    /// ARP or neighbour discovery all the same.
    #[serde(default)]
    skip_discovery: bool,
    #[serde(flatten)]
    common: Common,
}

/// The declaration of the tool.
pub(crate) fn tool(scanner: &Arc<Scanner>) -> Tool {
    let description = scanner.description(
        "Scan TCP ports with half-open connections: fast, and mostly unseen by the services. \
         Tells open, closed and filtered ports apart. Needs raw sockets; \
         nmap_tcp_connect_scan does without.",
        true,
    );
    super::scan("nmap_tcp_syn_scan", scanner, request)
        .title("TCP SYN scan (nmap)")
        .description(&description)
}

fn request(arguments: Arguments) -> Result<Request, ToolError> {
    let (has_ports, fast_scan) = (arguments.ports.is_some(), arguments.fast_scan);
    not_both(("ports", has_ports), ("fast_scan", fast_scan))?;
    let ports = if fast_scan {
        Selection::MostOften(Protocol::Tcp, FAST_PORTS)
    } else {
        tcp_ports(arguments.ports.as_ref())?
    };
    let mut request = arguments.common.request(Technique::TcpSyn, "-sS", ports);
    request.scan.skip_discovery = arguments.skip_discovery;
    request.scan.needs_raw_sockets = true;
    Ok(request)
}
