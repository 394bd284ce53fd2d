//! What nmap's XML says, in the words of its document type (`nmap.dtd`) where they are clear.

use std::collections::BTreeSet;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;

use crate::ports::Protocol;

/// Ports in a state other than open that nmap lists one by one, when its output is verbose
/// (`PortList::isIgnoredState`).
const LISTED_PORTS: usize = 25;

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
    /// Whether all ports that were asked for were scanned. A host of which only some were has those
    /// here; the page of `nextCursor` goes on with the others, or begins with it again.
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

    /// Adds what a scan of other ports of the host has found, as if it had been one scan.
    pub(crate) fn add_ports(&mut self, mut other: Self) {
        self.ports.append(&mut other.ports);
        self.ports_omitted += other.ports_omitted;
        for others in other.other_ports {
            let count = others.count;
            let sum = self.others(others.state);
            sum.count += count;
            for reason in others.reasons {
                sum.add(&reason.reason, reason.count);
            }
        }
        let states: BTreeSet<PortState> = self.ports.iter().map(|port| port.state).collect();
        for state in states {
            self.take_together(state);
        }
        self.ports.sort_by_key(|port| (port.proto, port.port));
        self.other_ports.sort_by_key(|others| others.state);
    }

    /// Counts the ports of a state instead of listing them, where they are too many.
    fn take_together(&mut self, state: PortState) {
        let is_counted = self.other_ports.iter().any(|others| others.state == state);
        let listed = self.ports.iter().filter(|port| port.state == state).count();
        if state == PortState::Open || (listed <= LISTED_PORTS && !is_counted) {
            return;
        }
        let (counted, listed): (Vec<Port>, _) = std::mem::take(&mut self.ports)
            .into_iter()
            .partition(|port| port.state == state);
        self.ports = listed;
        let sum = self.others(state);
        for port in counted {
            sum.count += 1;
            if let Some(reason) = &port.reason {
                sum.add(reason, 1);
            }
        }
    }

    fn others(&mut self, state: PortState) -> &mut OtherPorts {
        let known = self.other_ports.iter().position(|it| it.state == state);
        let at = known.unwrap_or_else(|| {
            self.other_ports.push(OtherPorts {
                state,
                count: 0,
                reasons: Vec::new(),
            });
            self.other_ports.len() - 1
        });
        &mut self.other_ports[at]
    }
}

impl OtherPorts {
    fn add(&mut self, reason: &str, count: u32) {
        match self.reasons.iter_mut().find(|it| it.reason == reason) {
            Some(known) => known.count += count,
            None => self.reasons.push(OtherReason {
                reason: reason.to_owned(),
                count,
            }),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn host(ports: &[(u16, PortState)], others: &[(PortState, u32)]) -> Host {
        let mut host = Host::at([10, 0, 0, 7].into());
        host.ports = ports
            .iter()
            .map(|&(port, state)| Port {
                port,
                proto: Protocol::Tcp,
                state,
                reason: Some("reset".to_owned()),
                service: None,
            })
            .collect();
        let others = others.iter().map(|&(state, count)| OtherPorts {
            state,
            count,
            reasons: vec![OtherReason {
                reason: "reset".to_owned(),
                count,
            }],
        });
        host.other_ports = others.collect();
        host
    }

    #[test]
    fn ports_of_two_scans_are_listed_and_counted_as_those_of_one() {
        use PortState::{Closed, Filtered, Open};
        let closed = |ports: std::ops::Range<u16>| ports.map(|port| (port, Closed));
        // Those in a state that is counted are counted as well.
        let mut both = host(&[(22, Open), (3, Filtered)], &[(Closed, 998)]);
        both.add_ports(host(&[(8025, Open), (7, Closed), (2, Filtered)], &[]));
        let listed = [(2, Filtered), (3, Filtered), (22, Open), (8025, Open)];
        assert_eq!(both, host(&listed, &[(Closed, 999)]));
        // So are those that are listed in both and too many together.
        let mut both = host(&closed(1..21).collect::<Vec<_>>(), &[]);
        both.add_ports(host(&closed(21..26).collect::<Vec<_>>(), &[]));
        assert_eq!((both.ports.len(), both.other_ports.len()), (25, 0));
        both.add_ports(host(&[(26, Closed)], &[]));
        assert_eq!(both, host(&[], &[(Closed, 26)]));
        let open: Vec<_> = (1..100).map(|port| (port, Open)).collect();
        let mut all = host(&open, &[]);
        all.add_ports(host(&[(100, Open)], &[]));
        assert_eq!(all.ports.len(), 100);
    }
}
