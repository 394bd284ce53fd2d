//! `arp`: the neighbours that the worker's host knows.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use protocol::ToolError;
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use worker::{Context, Host, HostIdentity, Page, Summary, Tool, markdown, paginate};

use crate::{netlink, vendors};

/// Which neighbours to list.
#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// List only the entries of this host: an address, or a name whose addresses are looked up
    /// first. Without it all neighbours are listed.
    #[serde(default)]
    host: Option<Host>,
    #[serde(flatten)]
    page: Page,
}

/// What the worker's host knows of the hosts on its links.
#[derive(Debug, Serialize, JsonSchema)]
struct NeighbourList {
    #[serde(flatten)]
    host: HostIdentity,
    /// IPv4 (ARP) and IPv6 (neighbour discovery) entries, by interface and address. Empty when
    /// the host has not talked to the address of late.
    neighbours: Vec<Neighbour>,
    /// Cursor of the next page; absent on the last one.
    #[serde(rename = "nextCursor", skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// Whether there are more neighbours than this page holds.
    truncated: bool,
}

/// One entry of a neighbour table.
#[derive(Debug, Serialize, JsonSchema)]
struct Neighbour {
    /// Address of the neighbour.
    ip: IpAddr,
    /// Its link-layer address in lower-case hexadecimal with colons; absent while it is not
    /// known (states `INCOMPLETE` and `FAILED`).
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
    /// Interface on whose link it is.
    interface: String,
    /// What the kernel knows about its reachability.
    state: Reachability,
    /// Whether it is a router (IPv6 neighbour discovery says so; always false for IPv4).
    router: bool,
    /// Who the IEEE assigned the beginning of the MAC address to; absent for unknown and for
    /// locally administered addresses (virtual machines, containers, private addresses).
    #[serde(skip_serializing_if = "Option::is_none")]
    vendor: Option<String>,
}

/// State of a neighbour entry (RFC 4861, section 7.3.2, and ip-neighbour(8)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Reachability {
    /// Asked for, no answer yet.
    Incomplete,
    /// Answered of late.
    Reachable,
    /// Known, but not confirmed of late; checked at its next use.
    Stale,
    /// Used, and waiting for a sign of life before it is probed.
    Delay,
    /// Being probed.
    Probe,
    /// Does not answer.
    Failed,
    /// Set by the administrator; never checked.
    Permanent,
    /// Not yet used.
    None,
}

/// The declaration of the tool.
pub(crate) fn tool() -> Tool {
    Tool::new("arp", run)
        .title("Neighbour tables (ARP and NDP)")
        .description(
            "List the hosts on the links of the worker's host as its kernel knows them, IPv4 \
             (ARP) and IPv6 (neighbour discovery): address, MAC address, vendor, interface and \
             state. It reads the kernel's tables and probes nobody: ping a host first to see \
             its entry. The result names the worker host and site it speaks for.",
        )
        .read_only()
        .closed_world()
        .deadline(Duration::from_secs(15), Duration::from_mins(1))
}

async fn run(context: Context, arguments: Arguments) -> Result<NeighbourList, ToolError> {
    // An address is only looked up in a table of this host, nothing is sent to it; a name has
    // to be resolved, and its addresses must be ones this deployment may know about.
    let wanted = match &arguments.host {
        None => None,
        Some(Host::Address(address)) => Some(vec![address.to_canonical()]),
        Some(name) => Some(context.scope().resolve(name).await?),
    };
    let names = netlink::interface_names().await?;
    let mut found: Vec<Neighbour> = netlink::neighbours()
        .await?
        .iter()
        .filter_map(|message| neighbour(message, &names))
        .filter(|neighbour| {
            wanted
                .as_ref()
                .is_none_or(|ips| ips.contains(&neighbour.ip))
        })
        .collect();
    found.sort_by(|a, b| (&a.interface, a.ip).cmp(&(&b.interface, b.ip)));
    let page = paginate(&arguments.page, found)?;
    Ok(NeighbourList {
        host: context.host().clone(),
        neighbours: page.items,
        next_cursor: page.next_cursor,
        truncated: page.truncated,
    })
}

/// An entry of the tables; `None` for those of interfaces and groups that need no resolution
/// (loopback, multicast), which tell nothing about a neighbour.
fn neighbour(message: &NeighbourMessage, names: &BTreeMap<u32, String>) -> Option<Neighbour> {
    let header = &message.header;
    let state = state(header.state)?;
    let (mut ip, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => {
                ip = Some(IpAddr::V4(*v4));
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => {
                ip = Some(IpAddr::V6(*v6));
            }
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = Some(bytes.as_slice()),
            _ => {}
        }
    }
    let interface = names
        .get(&header.ifindex)
        .cloned()
        .unwrap_or_else(|| format!("if{}", header.ifindex));
    Some(Neighbour {
        ip: ip?,
        mac: mac.and_then(netlink::link_layer_address),
        interface,
        state,
        router: header.flags.contains(NeighbourFlags::Router),
        vendor: mac.and_then(vendor),
    })
}

fn state(state: NeighbourState) -> Option<Reachability> {
    Some(match state {
        NeighbourState::Incomplete => Reachability::Incomplete,
        NeighbourState::Reachable => Reachability::Reachable,
        NeighbourState::Stale => Reachability::Stale,
        NeighbourState::Delay => Reachability::Delay,
        NeighbourState::Probe => Reachability::Probe,
        NeighbourState::Failed => Reachability::Failed,
        NeighbourState::Permanent => Reachability::Permanent,
        NeighbourState::None => Reachability::None,
        _ => return None,
    })
}

/// The holder of a MAC address block, by the longest of the IEEE's three prefix lengths.
fn vendor(mac: &[u8]) -> Option<String> {
    let mac = <[u8; 6]>::try_from(mac).ok()?;
    let is_assigned = mac[0] & 0b10 == 0;
    let name = is_assigned.then(|| vendors::of(mac)).flatten()?;
    Some(name.to_owned())
}

impl Summary for NeighbourList {
    fn summary(&self) -> String {
        let table = markdown::table(
            ["address", "MAC", "vendor", "interface", "state"],
            &self.neighbours,
            |neighbour| {
                [
                    neighbour.ip.to_string(),
                    markdown::or_dash(neighbour.mac.as_ref()),
                    markdown::or_dash(neighbour.vendor.as_ref()),
                    neighbour.interface.clone(),
                    format!("{:?}", neighbour.state).to_uppercase(),
                ]
            },
        );
        format!(
            "{} of {} (site {})\n\n{table}{}",
            markdown::count(self.neighbours.len(), "neighbour"),
            self.host.worker_host,
            self.host.site,
            markdown::more(self.next_cursor.as_ref()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vendor_is_named_for_assigned_addresses_only() {
        let check = |mac: [u8; 6], expected: Option<&str>| {
            assert_eq!(vendor(&mac).as_deref(), expected, "{mac:02x?}");
        };
        check([0x50, 0xa6, 0xd8, 1, 2, 3], Some("Apple, Inc."));
        check([0xb8, 0x4c, 0x87, 0x40, 0, 1], Some("Blum Novotest GmbH"));
        check(
            [0x8c, 0x1f, 0x64, 0xaf, 0xa0, 1],
            Some("DATA ELECTRONIC DEVICES, INC"),
        );
        check([0x52, 0xa6, 0xd8, 1, 2, 3], None);
        assert_eq!(
            vendor(&[10, 0, 0, 1]),
            None,
            "a tunnel's address is no MAC address"
        );
    }
}
