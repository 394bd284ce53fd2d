//! `ifconfig`: the interfaces of the worker's host.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use protocol::ToolError;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use rtnetlink::packet_route::link::{
    LinkAttribute, LinkFlags, LinkInfo, LinkMessage, State, Stats64,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use worker::{Context, HostIdentity, Page, Summary, Tool, markdown, paginate};

use crate::scopes::AddressScope;
use crate::{Error, netlink};

/// Which interfaces to list.
#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Name of the one interface to list, for example `eth0`, of printable ASCII characters
    /// without `/` and `:`. Without it all are listed.
    #[serde(default)]
    #[schemars(length(min = 1, max = 15), regex(pattern = "^[!-.0-9;-~]+$"))]
    interface: Option<String>,
    /// Also list interfaces that are administratively down. Without effect when `interface`
    /// names one.
    #[serde(default = "yes")]
    all: bool,
    #[serde(flatten)]
    page: Page,
}

/// The network interfaces of the worker's host.
#[derive(Debug, Serialize, JsonSchema)]
struct InterfaceList {
    #[serde(flatten)]
    host: HostIdentity,
    /// Interfaces in the order of their index.
    interfaces: Vec<Interface>,
    /// Cursor of the next page; absent on the last one.
    #[serde(rename = "nextCursor", skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// Whether there are more interfaces than this page holds.
    truncated: bool,
}

/// One network interface.
#[derive(Debug, Serialize, JsonSchema)]
struct Interface {
    /// Name, for example `eth0`.
    name: String,
    /// Number by which the kernel knows it.
    index: u32,
    /// Link-layer address in lower-case hexadecimal with colons; absent where the kind of
    /// interface has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
    /// Largest packet in bytes.
    mtu: u32,
    /// Operational state (RFC 2863); loopback interfaces report `UNKNOWN` while they work.
    state: OperationalState,
    /// Flags of the kernel (netdevice(7)): `UP` is set by the administrator, `LOWER_UP` is the
    /// carrier.
    flags: Vec<String>,
    /// Kind of virtual interface, for example `bridge`, `veth` or `vlan`; absent for hardware.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// Name of the bridge, bond or VRF that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    master: Option<String>,
    /// Addresses, IPv4 first.
    addresses: Vec<OwnAddress>,
    /// Traffic since the interface was made.
    counters: Counters,
}

/// One address of an interface.
#[derive(Debug, Serialize, JsonSchema)]
struct OwnAddress {
    /// The address itself.
    address: IpAddr,
    /// Length of the network prefix in bits.
    #[schemars(range(min = 0, max = 128))]
    prefix_length: u8,
    /// How far the address is valid.
    scope: AddressScope,
    /// Broadcast address (IPv4).
    #[serde(skip_serializing_if = "Option::is_none")]
    broadcast: Option<Ipv4Addr>,
    /// The other end of a point-to-point interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<IpAddr>,
    /// What is special about it: `tentative`, `dadfailed`, `deprecated`, `temporary` (privacy
    /// address) or `secondary`.
    flags: Vec<String>,
}

/// Counters of 64 bits, as the kernel keeps them.
#[derive(Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
struct Counters {
    /// Bytes received.
    rx_bytes: u64,
    /// Packets received.
    rx_packets: u64,
    /// Bad packets received.
    rx_errors: u64,
    /// Received packets dropped for want of space or of a protocol.
    rx_dropped: u64,
    /// Bytes sent.
    tx_bytes: u64,
    /// Packets sent.
    tx_packets: u64,
    /// Packets that could not be sent.
    tx_errors: u64,
    /// Packets dropped before they were sent.
    tx_dropped: u64,
    /// Multicast packets received.
    multicast: u64,
    /// Collisions while sending.
    collisions: u64,
}

/// Operational state of an interface (RFC 2863, `ifOperStatus`), as the kernel names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum OperationalState {
    Unknown,
    NotPresent,
    Down,
    LowerLayerDown,
    Testing,
    Dormant,
    Up,
}

/// The declaration of the tool.
pub(crate) fn tool() -> Tool {
    Tool::new("ifconfig", run)
        .title("Network interfaces")
        .description(
            "List the network interfaces of the worker's host: name, MAC address, MTU, state, \
             flags, IPv4 and IPv6 addresses, and 64-bit traffic counters. It reads the kernel's \
             tables and sends nothing; the result names the worker host and site it speaks for.",
        )
        .read_only()
        .closed_world()
        .deadline(Duration::from_secs(15), Duration::from_mins(1))
}

async fn run(context: Context, arguments: Arguments) -> Result<InterfaceList, ToolError> {
    let (links, addresses) = (netlink::links().await?, netlink::addresses().await?);
    let found =
        select(interfaces(&links, &addresses), &arguments).map_err(|known| Error::NoInterface {
            name: arguments.interface.clone().unwrap_or_default(),
            worker_host: context.host().worker_host.clone(),
            known,
        })?;
    let page = paginate(&arguments.page, found)?;
    Ok(InterfaceList {
        host: context.host().clone(),
        interfaces: page.items,
        next_cursor: page.next_cursor,
        truncated: page.truncated,
    })
}

/// The interfaces asked for, or the names there are when the one named is not among them.
fn select(all: Vec<Interface>, arguments: &Arguments) -> Result<Vec<Interface>, String> {
    let Some(name) = &arguments.interface else {
        let is_wanted = |interface: &Interface| {
            arguments.all || interface.flags.iter().any(|flag| flag == "UP")
        };
        return Ok(all.into_iter().filter(is_wanted).collect());
    };
    let names: Vec<String> = all.iter().map(|interface| interface.name.clone()).collect();
    match all.into_iter().find(|interface| interface.name == *name) {
        Some(interface) => Ok(vec![interface]),
        None => Err(names.join(", ")),
    }
}

fn interfaces(links: &[LinkMessage], addresses: &[AddressMessage]) -> Vec<Interface> {
    let names: BTreeMap<u32, &str> = links
        .iter()
        .filter_map(|link| Some((link.header.index, netlink::interface_name(link)?)))
        .collect();
    let mut interfaces: Vec<Interface> = links
        .iter()
        .filter_map(|link| interface(link, &names, addresses))
        .collect();
    interfaces.sort_by_key(|interface| interface.index);
    interfaces
}

fn interface(
    link: &LinkMessage,
    names: &BTreeMap<u32, &str>,
    addresses: &[AddressMessage],
) -> Option<Interface> {
    let index = link.header.index;
    let mut interface = Interface {
        name: netlink::interface_name(link)?.to_owned(),
        index,
        mac: None,
        mtu: 0,
        state: OperationalState::Unknown,
        flags: flag_names(link.header.flags),
        kind: None,
        master: None,
        addresses: addresses
            .iter()
            .filter(|address| address.header.index == index)
            .filter_map(address)
            .collect(),
        counters: Counters::default(),
    };
    interface
        .addresses
        .sort_by_key(|address| address.address.is_ipv6());
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::Address(bytes) => interface.mac = netlink::link_layer_address(bytes),
            LinkAttribute::Mtu(mtu) => interface.mtu = *mtu,
            LinkAttribute::OperState(state) => interface.state = (*state).into(),
            LinkAttribute::Controller(master) => {
                interface.master = names.get(master).map(|&name| name.to_owned());
            }
            LinkAttribute::LinkInfo(infos) => interface.kind = infos.iter().find_map(kind),
            LinkAttribute::Stats64(stats) => interface.counters = stats.into(),
            _ => {}
        }
    }
    Some(interface)
}

fn kind(info: &LinkInfo) -> Option<String> {
    match info {
        LinkInfo::Kind(kind) => Some(kind.to_string()),
        _ => None,
    }
}

fn address(message: &AddressMessage) -> Option<OwnAddress> {
    let (mut address, mut local, mut broadcast) = (None, None, None);
    let mut flags = AddressFlags::from_bits_retain(u32::from(message.header.flags.bits()));
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Address(ip) => address = Some(*ip),
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Broadcast(ip) => broadcast = Some(*ip),
            AddressAttribute::Flags(all) => flags = *all,
            _ => {}
        }
    }
    // IFA_ADDRESS is the other end where there is one; the own address is IFA_LOCAL then.
    let own = local.or(address)?;
    Some(OwnAddress {
        address: own,
        prefix_length: message.header.prefix_len,
        scope: u8::from(message.header.scope).into(),
        broadcast,
        peer: address.filter(|ip| *ip != own),
        flags: address_flag_names(flags, own.is_ipv6()),
    })
}

fn address_flag_names(flags: AddressFlags, is_ipv6: bool) -> Vec<String> {
    // One bit has two meanings: IFA_F_SECONDARY of IPv4 is IFA_F_TEMPORARY of IPv6.
    let secondary = if is_ipv6 { "temporary" } else { "secondary" };
    [
        (AddressFlags::Secondary, secondary),
        (AddressFlags::Tentative, "tentative"),
        (AddressFlags::Dadfailed, "dadfailed"),
        (AddressFlags::Deprecated, "deprecated"),
    ]
    .into_iter()
    .filter(|(flag, _)| flags.contains(*flag))
    .map(|(_, name)| name.to_owned())
    .collect()
}

fn flag_names(flags: LinkFlags) -> Vec<String> {
    const NAMES: [(LinkFlags, &str); 19] = [
        (LinkFlags::Up, "UP"),
        (LinkFlags::Broadcast, "BROADCAST"),
        (LinkFlags::Debug, "DEBUG"),
        (LinkFlags::Loopback, "LOOPBACK"),
        (LinkFlags::Pointopoint, "POINTOPOINT"),
        (LinkFlags::Notrailers, "NOTRAILERS"),
        (LinkFlags::Running, "RUNNING"),
        (LinkFlags::Noarp, "NOARP"),
        (LinkFlags::Promisc, "PROMISC"),
        (LinkFlags::Allmulti, "ALLMULTI"),
        (LinkFlags::Controller, "MASTER"),
        (LinkFlags::Port, "SLAVE"),
        (LinkFlags::Multicast, "MULTICAST"),
        (LinkFlags::Portsel, "PORTSEL"),
        (LinkFlags::Automedia, "AUTOMEDIA"),
        (LinkFlags::Dynamic, "DYNAMIC"),
        (LinkFlags::LowerUp, "LOWER_UP"),
        (LinkFlags::Dormant, "DORMANT"),
        (LinkFlags::Echo, "ECHO"),
    ];
    NAMES
        .iter()
        .filter(|(flag, _)| flags.contains(*flag))
        .map(|&(_, name)| name.to_owned())
        .collect()
}

fn yes() -> bool {
    true
}

impl From<State> for OperationalState {
    fn from(state: State) -> Self {
        match state {
            State::NotPresent => Self::NotPresent,
            State::Down => Self::Down,
            State::LowerLayerDown => Self::LowerLayerDown,
            State::Testing => Self::Testing,
            State::Dormant => Self::Dormant,
            State::Up => Self::Up,
            _ => Self::Unknown,
        }
    }
}

impl From<&Stats64> for Counters {
    fn from(stats: &Stats64) -> Self {
        Self {
            rx_bytes: stats.rx_bytes,
            rx_packets: stats.rx_packets,
            rx_errors: stats.rx_errors,
            rx_dropped: stats.rx_dropped,
            tx_bytes: stats.tx_bytes,
            tx_packets: stats.tx_packets,
            tx_errors: stats.tx_errors,
            tx_dropped: stats.tx_dropped,
            multicast: stats.multicast,
            collisions: stats.collisions,
        }
    }
}

impl Summary for InterfaceList {
    fn summary(&self) -> String {
        let table = markdown::table(
            [
                "interface",
                "state",
                "MAC",
                "MTU",
                "addresses",
                "received",
                "sent",
            ],
            &self.interfaces,
            |interface| {
                let addresses: Vec<String> = interface
                    .addresses
                    .iter()
                    .map(|address| format!("{}/{}", address.address, address.prefix_length))
                    .collect();
                [
                    interface.name.clone(),
                    format!("{:?}", interface.state).to_uppercase(),
                    markdown::or_dash(interface.mac.as_ref()),
                    interface.mtu.to_string(),
                    addresses.join(", "),
                    format!("{} bytes", interface.counters.rx_bytes),
                    format!("{} bytes", interface.counters.tx_bytes),
                ]
            },
        );
        format!(
            "{} on {} (site {})\n\n{table}{}",
            markdown::count(self.interfaces.len(), "interface"),
            self.host.worker_host,
            self.host.site,
            markdown::more(self.next_cursor.as_ref()),
        )
    }
}
