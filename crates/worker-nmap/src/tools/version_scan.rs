//! `nmap_version_scan`: what serves at open ports.

use std::sync::Arc;

use protocol::ToolError;
use schemars::JsonSchema;
use serde::Deserialize;
use worker::Tool;

use super::arguments::{Common, not_both};
use crate::ports::{Ports, Protocol};
use crate::scan::{DEFAULT_PORTS, Selection, Technique};
use crate::scanner::{Request, Scanner};

/// Which services of which hosts to ask.
#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Ports: `22,80`, `1-1024`, `T:80,U:161`; without a prefix they are of TCP, and UDP needs raw
    /// sockets. Without it the 1000 TCP ports that are most often open.
    #[serde(default)]
    ports: Option<Ports>,
    /// How many kinds of probes to try: 0 the most likely only, 9 all; nmap's own is 7. Not
    /// together with `light_mode`.
    #[serde(default)]
    #[schemars(range(min = 0, max = 9))]
    intensity: Option<u8>,
    /// Try the likely probes only, as `intensity` 2 does: much faster.
    #[serde(default)]
    light_mode: bool,
    /// Probe ports as well that nmap leaves out because printers print what they get there
    /// (9100 and others).
    #[serde(default)]
    all_ports: bool,
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
        "Find open ports and talk to what serves there: product, version, CPE. Takes seconds for \
         each open port, so name the hosts and ports of interest. Services see and may log the \
         probes.",
        false,
    );
    super::scan("nmap_version_scan", scanner, request)
        .title("Service and version detection (nmap)")
        .description(&description)
}

fn request(arguments: Arguments) -> Result<Request, ToolError> {
    let (intensity, light_mode) = (arguments.intensity, arguments.light_mode);
    not_both(
        ("intensity", intensity.is_some()),
        ("light_mode", light_mode),
    )?;
    let mut options = Vec::new();
    if let Some(intensity) = intensity {
        options.extend(["--version-intensity".to_owned(), intensity.to_string()]);
    }
    if light_mode {
        options.push("--version-light".to_owned());
    }
    if arguments.all_ports {
        options.push("--allports".to_owned());
    }
    let ports = arguments.ports.as_ref().map_or(
        Selection::MostOften(Protocol::Tcp, DEFAULT_PORTS),
        |ports| Selection::Named(ports.by_protocol(Protocol::Tcp)),
    );
    let has_udp = ports.n_udp() > 0;
    let mut request = arguments.common.request(Technique::Version, "-sV", ports);
    request.scan.skip_discovery = arguments.skip_discovery;
    request.scan.needs_raw_sockets = has_udp;
    request.scan.options.extend(options);
    Ok(request)
}
