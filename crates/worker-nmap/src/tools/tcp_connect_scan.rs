//! `nmap_tcp_connect_scan`: which TCP ports take connections.

use std::sync::Arc;

use protocol::ToolError;
use schemars::JsonSchema;
use serde::Deserialize;
use worker::Tool;

use super::arguments::{Common, tcp_ports};
use crate::ports::Ports;
use crate::scan::Technique;
use crate::scanner::{Request, Scanner};

/// Which ports of which hosts to connect to.
#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
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
    common: Common,
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
    let ports = tcp_ports(arguments.ports.as_ref())?;
    let mut request = arguments
        .common
        .request(Technique::TcpConnect, "-sT", ports);
    request.scan.skip_discovery = arguments.skip_discovery;
    Ok(request)
}
