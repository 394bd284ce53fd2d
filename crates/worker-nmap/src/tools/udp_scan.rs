//! `nmap_udp_scan`: which UDP ports are open.

use std::sync::Arc;

use protocol::ToolError;
use schemars::JsonSchema;
use serde::Deserialize;
use worker::Tool;

use super::arguments::{Common, not_both};
use crate::ports::{PortSets, Ports, Protocol};
use crate::scan::{Selection, Technique};
use crate::scanner::{Request, Scanner};

/// Ports that are scanned when the caller names none.
const DEFAULT_TOP_PORTS: u16 = 100;

/// Which UDP ports of which hosts to probe.
#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// UDP ports: `53,161` or `U:53,161`. Not together with `top_ports`.
    #[serde(default)]
    ports: Option<Ports>,
    /// Scan this many of the UDP ports that are most often open. Without it and without `ports`
    /// 100.
    #[serde(default)]
    #[schemars(range(min = 1, max = 65535))]
    top_ports: Option<u16>,
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
        "Scan UDP ports. Slow by nature: hosts answer for closed ports about once a second, so name \
         few ports (53, 67, 123, 161, 500). A port that never answers is `open|filtered`; \
         nmap_version_scan with `U:` ports tells more. Needs raw sockets.",
        true,
    );
    super::scan("nmap_udp_scan", scanner, request)
        .title("UDP scan (nmap)")
        .description(&description)
}

fn request(arguments: Arguments) -> Result<Request, ToolError> {
    let has_ports = arguments.ports.is_some();
    not_both(
        ("ports", has_ports),
        ("top_ports", arguments.top_ports.is_some()),
    )?;
    let ports = if let Some(ports) = &arguments.ports {
        Selection::Named(udp_ports(ports)?)
    } else {
        let top_ports = arguments.top_ports.unwrap_or(DEFAULT_TOP_PORTS);
        Selection::MostOften(Protocol::Udp, top_ports.into())
    };
    let mut request = arguments.common.request(Technique::Udp, "-sU", ports);
    request.scan.skip_discovery = arguments.skip_discovery;
    request.scan.needs_raw_sockets = true;
    Ok(request)
}

fn udp_ports(ports: &Ports) -> Result<PortSets, ToolError> {
    let ports = ports.by_protocol(Protocol::Udp);
    if ports.tcp.is_empty() {
        return Ok(ports);
    }
    let message = format!(
        "argument ports: T:{} are TCP ports, and this scan is of UDP",
        ports.tcp
    );
    Err(ToolError::invalid(message)
        .hint("scan them with nmap_tcp_syn_scan or nmap_tcp_connect_scan"))
}
