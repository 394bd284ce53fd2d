//! What nmap's XML says, in the words of its document type (`nmap.dtd`) where they are clear.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;

use crate::ports::Protocol;

/// A host that answered.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Host {
    /// Its address.
    pub(crate) address: IpAddr,
    /// Its MAC address, in upper-case hexadecimal with colons; absent unless the host is on a link
    /// of the worker's host and the worker has raw sockets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mac: Option<String>,
    /// Who the beginning of the MAC address is assigned to, by nmap's table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) vendor: Option<String>,
    /// Names of the call's `target` that resolved to the address. No other names are looked up:
    /// `nslookup` with type PTR does that.
    pub(crate) hostnames: Vec<String>,
    /// Whether it is up.
    pub(crate) state: HostState,
    /// What nmap takes it to be up for, such as `echo-reply`, `arp-response` or `syn-ack`; with
    /// the argument `reason` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// Smoothed round-trip time in milliseconds; absent where nmap measured none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rtt_ms: Option<f64>,
    /// Whether the host was scanned to its end. One that was not has no ports here, and the page
    /// of `nextCursor` scans it again.
    pub(crate) complete: bool,
    /// Its ports that are listed one by one, by protocol and number.
    pub(crate) ports: Vec<Port>,
    /// Its other ports: those in states of which nmap found too many to list them.
    pub(crate) other_ports: Vec<OtherPorts>,
    /// Ports left out of `ports` because the result would have become too large; absent when
    /// there are none. Ask for fewer ports, or for `open_only`.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) ports_omitted: u32,
}

/// Whether a host is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HostState {
    /// It answers, or the caller asked to take it for one that does.
    Up,
    /// It does not answer; such hosts are counted, not listed.
    Down,
    /// Nobody looked.
    Unknown,
    /// It was left out.
    Skipped,
}

/// One port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[expect(
    clippy::struct_field_names,
    reason = "clients know the number by this name"
)]
pub(crate) struct Port {
    /// Number of the port.
    pub(crate) port: u16,
    /// Its transport protocol.
    pub(crate) proto: Protocol,
    /// What nmap found.
    pub(crate) state: PortState,
    /// What it concludes that from, such as `syn-ack`, `reset` or `no-response`; with the argument
    /// `reason` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// What serves there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<Service>,
}

/// State of a port (nmap's reference guide, "Port Scanning Basics").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PortState {
    /// Something takes connections or packets there.
    Open,
    /// Nothing listens there, and the host says so.
    Closed,
    /// A firewall keeps the answer back.
    Filtered,
    /// It can be reached, and more is not known.
    Unfiltered,
    /// Open or filtered: no answer, which is what open UDP ports often give.
    #[serde(rename = "open|filtered")]
    OpenOrFiltered,
    /// Closed or filtered.
    #[serde(rename = "closed|filtered")]
    ClosedOrFiltered,
}

/// Ports of one state that are not listed one by one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct OtherPorts {
    /// Their state.
    pub(crate) state: PortState,
    /// How many there are.
    pub(crate) count: u32,
    /// What that is concluded from, and how often; with the argument `reason` only.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) reasons: Vec<OtherReason>,
}

/// A reason that several ports have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct OtherReason {
    /// The reason, such as `reset` or `no-response`.
    pub(crate) reason: String,
    /// Ports that have it.
    pub(crate) count: u32,
}

/// What serves at a port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Service {
    /// Name of the service.
    pub(crate) name: String,
    /// How the name is known.
    pub(crate) method: Method,
    /// How sure nmap is of it.
    #[schemars(range(min = 0, max = 10))]
    pub(crate) confidence: u8,
    /// What the service runs inside of, such as `ssl`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tunnel: Option<String>,
    /// Program that serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) product: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    /// What else it tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) extrainfo: Option<String>,
    /// Operating system that it tells of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ostype: Option<String>,
    /// Kind of device that it tells of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) devicetype: Option<String>,
    /// Name that it gives its host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hostname: Option<String>,
    /// Identifiers of the Common Platform Enumeration.
    pub(crate) cpe: Vec<String>,
}

/// How the name of a service is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Method {
    /// By the number of the port alone.
    #[default]
    Table,
    /// By talking to it.
    Probed,
}

impl Host {
    /// One that is known by its address alone.
    pub(crate) fn at(address: IpAddr) -> Self {
        Self {
            address,
            mac: None,
            vendor: None,
            hostnames: Vec::new(),
            state: HostState::Up,
            reason: None,
            rtt_ms: None,
            complete: false,
            ports: Vec::new(),
            other_ports: Vec::new(),
            ports_omitted: 0,
        }
    }
}

impl PortState {
    /// Whether something may serve there, as nmap's option `--open` has it.
    pub(crate) fn may_be_open(self) -> bool {
        matches!(self, Self::Open | Self::OpenOrFiltered | Self::Unfiltered)
    }

    /// As nmap writes it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Filtered => "filtered",
            Self::Unfiltered => "unfiltered",
            Self::OpenOrFiltered => "open|filtered",
            Self::ClosedOrFiltered => "closed|filtered",
        }
    }

    pub(crate) fn from_nmap(word: &str) -> Option<Self> {
        let all = [
            Self::Open,
            Self::Closed,
            Self::Filtered,
            Self::Unfiltered,
            Self::OpenOrFiltered,
            Self::ClosedOrFiltered,
        ];
        all.into_iter().find(|state| state.as_str() == word)
    }
}

impl HostState {
    pub(crate) fn from_nmap(word: &str) -> Option<Self> {
        Some(match word {
            "up" => Self::Up,
            "down" => Self::Down,
            "unknown" => Self::Unknown,
            "skipped" => Self::Skipped,
            _ => return None,
        })
    }
}

impl Protocol {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }

    pub(crate) fn from_nmap(word: &str) -> Option<Self> {
        let all = [Self::Tcp, Self::Udp, Self::Sctp];
        all.into_iter().find(|protocol| protocol.as_str() == word)
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(count: &u32) -> bool {
    *count == 0
}
