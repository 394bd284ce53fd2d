//! What a call answers.

use std::fmt::Write as _;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use worker::{HostIdentity, Summary, markdown};

use crate::ports::Protocol;
use crate::report::{Host, Port, PortState, Service};
use crate::scan::Technique;

/// Open ports of one host that a summary names.
const SHOWN_PORTS: usize = 12;

/// The hosts found, and how far the scan came.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Scanned {
    /// Kind of the scan.
    pub(crate) scan: Technique,
    #[serde(flatten)]
    pub(crate) from: HostIdentity,
    /// The hosts that are up, by address. With `open_only` those that have an open port.
    pub(crate) hosts: Vec<Host>,
    /// What was scanned.
    pub(crate) stats: Stats,
    /// What nmap complained about, and what else is to be known of the result; empty most of the
    /// time.
    pub(crate) warnings: Vec<String>,
    /// Cursor of the next page, which scans the addresses and ports that are left; absent when there
    /// are none, and where another call would come no further: then `warnings` say so.
    #[serde(rename = "nextCursor", skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
    /// Whether addresses or ports are left that this page does not cover.
    pub(crate) truncated: bool,
    /// Why they are; absent when none are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) truncated_by: Option<TruncatedBy>,
}

/// Counts of the addresses that this page covers.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub(crate) struct Stats {
    /// Milliseconds that the scan took, waiting for other scans included.
    pub(crate) elapsed_ms: u64,
    /// Addresses with a host that is up. Each is counted on the page that is done with it.
    pub(crate) up: u64,
    /// Addresses where nothing answers.
    pub(crate) down: u64,
    /// Addresses that nmap could not scan, most often because there is no route.
    pub(crate) skipped: u64,
    /// All addresses covered: those up, down and skipped.
    pub(crate) total: u64,
    /// Hosts listed here that are up and that this page is not done with, so that it does not count
    /// them.
    pub(crate) unfinished: u64,
    /// Version of the nmap that ran; absent when none got as far as to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nmap_version: Option<String>,
}

/// What ended a page before the last address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TruncatedBy {
    /// The page has as many hosts as its `limit` allows.
    Limit,
    /// The page has as many ports as one result can hold.
    Size,
    /// The deadline of the call.
    Deadline,
    /// nmap failed in the middle; `warnings` say how.
    Failure,
}

impl Summary for Scanned {
    fn summary(&self) -> String {
        let stats = &self.stats;
        let addresses = if stats.total == 1 {
            "address"
        } else {
            "addresses"
        };
        let seconds = Duration::from_millis(stats.elapsed_ms).as_secs_f64();
        let unfinished = match stats.unfinished {
            0 => String::new(),
            count => format!(", {count} more up and not done"),
        };
        let mut text = format!(
            "{} from {} (site {}): {} of {} {addresses} up{unfinished}, {seconds:.1} s.\n\n",
            capitalised(self.scan.in_words()),
            self.from.worker_host,
            self.from.site,
            stats.up,
            stats.total,
        );
        text.push_str(&match self.hosts.as_slice() {
            [] => String::new(),
            [host] if self.scan != Technique::Ping => one_host(host),
            hosts if self.scan == Technique::Ping => hosts_up(hosts),
            hosts => hosts_with_ports(hosts),
        });
        if stats.skipped > 0 {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "\n{} could not be scanned.", stats.skipped);
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "\nWarning: {}", markdown::plain(warning));
        }
        text.push_str(&self.rest_in_words());
        text
    }
}

impl Scanned {
    fn rest_in_words(&self) -> String {
        let why = match self.truncated_by {
            None => return String::new(),
            Some(TruncatedBy::Limit) => "The page is full",
            Some(TruncatedBy::Size) => "The page has as many ports as a result can hold",
            Some(TruncatedBy::Deadline) => "The deadline came before the last address",
            Some(TruncatedBy::Failure) => "nmap failed before the last address",
        };
        let unfinished = self.hosts.iter().filter(|host| !host.complete).count();
        let unfinished = match unfinished {
            0 => String::new(),
            1 => " (1 host is up but not scanned to its end)".to_owned(),
            count => format!(" ({count} hosts are up but not scanned to their end)"),
        };
        let next = match self.next_cursor {
            Some(_) => ": call again with `cursor` set to `nextCursor` for the rest",
            None => "",
        };
        format!("\n{why}{unfinished}{next}.\n")
    }
}

fn hosts_up(hosts: &[Host]) -> String {
    markdown::table(
        ["address", "names", "MAC", "vendor", "rtt ms"],
        hosts,
        |host| {
            [
                host.address.to_string(),
                names(host),
                markdown::or_dash(host.mac.as_ref()),
                markdown::or_dash(host.vendor.as_ref()),
                markdown::or_dash(host.rtt_ms.as_ref()),
            ]
        },
    )
}

fn hosts_with_ports(hosts: &[Host]) -> String {
    markdown::table(
        ["address", "names", "open ports", "others"],
        hosts,
        |host| {
            let open: Vec<&Port> = host
                .ports
                .iter()
                .filter(|port| port.state == PortState::Open)
                .collect();
            let mut words: Vec<String> = open
                .iter()
                .take(SHOWN_PORTS)
                .map(|port| in_short(port))
                .collect();
            if open.len() > SHOWN_PORTS {
                words.push(format!("… {} more", open.len() - SHOWN_PORTS));
            }
            [
                host.address.to_string(),
                names(host),
                or_dash(&words),
                others(host, &host.ports),
            ]
        },
    )
}

fn one_host(host: &Host) -> String {
    let mac = host.mac.as_ref().map_or_else(String::new, |mac| {
        let vendor = markdown::plain(host.vendor.as_deref().unwrap_or("unknown vendor"));
        format!(", {mac} ({vendor})")
    });
    let table = markdown::table(
        ["port", "state", "service", "what serves"],
        &host.ports,
        |port| {
            let service = port.service.as_ref();
            [
                format!("{}/{}", port.port, port.proto.as_str()),
                port.state.as_str().to_owned(),
                markdown::or_dash(service.map(|service| &service.name)),
                service
                    .map(product)
                    .filter(|text| !text.is_empty())
                    .unwrap_or_else(|| "-".to_owned()),
            ]
        },
    );
    let others = match others(host, &[]) {
        others if others == "-" => String::new(),
        others => format!("\nOther ports: {others}.\n"),
    };
    format!(
        "{}{mac}, names: {}\n\n{table}{others}",
        host.address,
        names(host)
    )
}

fn names(host: &Host) -> String {
    or_dash(&host.hostnames)
}

/// `22 ssh`, `53/udp domain`.
fn in_short(port: &Port) -> String {
    let proto = match port.proto {
        Protocol::Tcp => String::new(),
        other => format!("/{}", other.as_str()),
    };
    let service = port.service.as_ref().map_or_else(String::new, |service| {
        let product = product(service);
        let product = if product.is_empty() {
            product
        } else {
            format!(" ({product})")
        };
        format!(" {}{product}", service.name)
    });
    format!("{}{proto}{service}", port.port)
}

fn product(service: &Service) -> String {
    let parts = [&service.product, &service.version, &service.extrainfo];
    let parts: Vec<&str> = parts.iter().filter_map(|part| part.as_deref()).collect();
    parts.join(" ")
}

/// Counts of the ports that are not open: those that are in groups, and these: `98 closed, 2
/// filtered`.
fn others(host: &Host, ports: &[Port]) -> String {
    let mut counts: Vec<(PortState, u32)> = Vec::new();
    let single = ports.iter().filter(|port| port.state != PortState::Open);
    let single = single.map(|port| (port.state, 1));
    let groups = host
        .other_ports
        .iter()
        .map(|others| (others.state, others.count));
    for (state, count) in single.chain(groups) {
        match counts.iter_mut().find(|(other, _)| *other == state) {
            Some((_, sum)) => *sum += count,
            None => counts.push((state, count)),
        }
    }
    let mut words: Vec<String> = counts
        .iter()
        .map(|(state, count)| format!("{count} {}", state.as_str()))
        .collect();
    if host.ports_omitted > 0 {
        words.push(format!("{} left out of this result", host.ports_omitted));
    }
    if !host.complete {
        words.push("not scanned to its end".to_owned());
    }
    or_dash(&words)
}

fn or_dash(words: &[String]) -> String {
    if words.is_empty() {
        "-".to_owned()
    } else {
        words.join(", ")
    }
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + characters.as_str()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::OtherPorts;

    fn host(ports: &[(u16, PortState)]) -> Host {
        let mut host = Host::at([10, 0, 0, 7].into());
        host.complete = true;
        host.ports = ports
            .iter()
            .map(|&(port, state)| Port {
                port,
                proto: Protocol::Tcp,
                state,
                reason: None,
                service: None,
            })
            .collect();
        host.other_ports.push(OtherPorts {
            state: PortState::Filtered,
            count: 98,
            reasons: Vec::new(),
        });
        host
    }

    #[test]
    fn a_summary_of_one_host_lists_its_ports_and_of_several_the_open_ones() {
        let host = host(&[(22, PortState::Open), (23, PortState::Closed)]);
        let text = one_host(&host);
        assert!(text.contains("| 23/tcp | closed |"), "{text}");
        assert!(text.contains("Other ports: 98 filtered."), "{text}");
        let text = hosts_with_ports(&[host.clone(), host]);
        assert!(
            text.contains("| 10.0.0.7 | - | 22 | 1 closed, 98 filtered |"),
            "{text}"
        );
    }
}
