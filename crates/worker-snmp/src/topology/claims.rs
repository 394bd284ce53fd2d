//! What each device says of its cables: one claim for each thing it says.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;

use super::graph::EvidenceKind;
use super::index::{Clue, Machines};
use super::{CdpNeighbour, Device, Identity, LldpNeighbour, Mac, Named};

/// The addresses that any device has resolved to a MAC address.
type Resolved = BTreeMap<Mac, BTreeSet<IpAddr>>;

/// A device says that an interface of its own is connected with a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    /// Who says it.
    pub(super) from: usize,
    /// By which interface of its own.
    pub(super) interface: String,
    /// With which machine.
    pub(super) to: usize,
    /// By which interface of that machine, as far as anybody knows.
    pub(super) to_interface: Option<String>,
    /// Whether `to_interface` is one that the machine has told itself.
    pub(super) is_exact: bool,
    /// Why it says so.
    pub(super) evidence: EvidenceKind,
}

/// All claims, the surest first. Machines that are only spoken of become known.
pub(super) fn all(devices: &[Device], machines: &mut Machines) -> Vec<Claim> {
    let mut claims = Vec::new();
    for (from, device) in devices.iter().enumerate() {
        let of_lldp = |it: &LldpNeighbour| lldp(from, it, devices, machines);
        claims.extend(device.lldp.iter().filter_map(of_lldp));
    }
    for (from, device) in devices.iter().enumerate() {
        let of_cdp = |it: &CdpNeighbour| cdp(from, it, devices, machines);
        claims.extend(device.cdp.iter().filter_map(of_cdp));
    }
    let resolved = resolved(devices);
    claims.extend(forwarding(devices, machines, &claims, &resolved));
    claims.extend(arp(devices, machines, &claims, &resolved));
    claims
}

fn lldp(
    from: usize,
    neighbour: &LldpNeighbour,
    devices: &[Device],
    machines: &mut Machines,
) -> Option<Claim> {
    let device = devices.get(from)?;
    let to = machines.find_or_add(Clue {
        identity: Identity {
            chassis: neighbour.chassis.clone(),
            name: neighbour.name.clone(),
            ..Identity::default()
        },
        mac: None,
        addresses: neighbour.addresses.clone(),
        description: neighbour.description.clone(),
        is_router: neighbour.is_router,
        is_bridge: neighbour.is_bridge,
    })?;
    let exact = devices
        .get(to)
        .and_then(|far| lldp_interface(far, neighbour));
    let is_exact = exact.is_some();
    Some(Claim {
        from,
        interface: lldp_label(device, neighbour.local_port),
        to,
        to_interface: exact.or_else(|| told(neighbour)),
        is_exact,
        evidence: EvidenceKind::Lldp,
    })
}

/// Name of a port of the device itself.
fn lldp_label(device: &Device, number: u32) -> String {
    if let Some(if_index) = device.interface_of_port(number) {
        return device.label(if_index);
    }
    let port = device.lldp_ports.get(&number);
    let description = port.and_then(|port| port.description.clone());
    let id = || port.and_then(|port| port.id.as_ref()).map(Named::to_string);
    description
        .or_else(id)
        .unwrap_or_else(|| format!("port {number}"))
}

/// The interface of a device that answered itself, by what its neighbour heard of it.
fn lldp_interface(far: &Device, neighbour: &LldpNeighbour) -> Option<String> {
    let id = neighbour.port.as_ref()?;
    let description = neighbour.port_description.as_ref();
    let by_port = || far.interface_of_port(far.port_with(id, description)?);
    let by_id = || match id {
        Named::Interface(name) | Named::Alias(name) | Named::Other(name) => {
            far.interface_named(name)
        }
        Named::Mac(mac) => far.interface_with(*mac),
        Named::Address(_) => None,
    };
    let by_description = || far.interface_named(description?);
    let if_index = by_port().or_else(by_id).or_else(by_description)?;
    Some(far.label(if_index))
}

/// The port of a neighbour in its own words: a MAC address says less than a description.
fn told(neighbour: &LldpNeighbour) -> Option<String> {
    let id = neighbour.port.as_ref().map(Named::to_string);
    match &neighbour.port {
        Some(Named::Mac(_)) | None => neighbour.port_description.clone().or(id),
        Some(_) => id,
    }
}

fn cdp(
    from: usize,
    neighbour: &CdpNeighbour,
    devices: &[Device],
    machines: &mut Machines,
) -> Option<Claim> {
    let device = devices.get(from)?;
    let (name, inner) = cdp_names(neighbour.device.as_deref()?);
    let mac = inner.and_then(mac_of_digits);
    let to = machines.find_or_add(Clue {
        identity: Identity {
            serial: inner.filter(|_| mac.is_none()).map(str::to_owned),
            name: Some(name.to_owned()),
            ..Identity::default()
        },
        mac,
        addresses: neighbour.addresses.clone(),
        description: neighbour.platform.clone(),
        is_router: neighbour.is_router,
        is_bridge: neighbour.is_bridge,
    })?;
    let named = |far: &Device| {
        let if_index = far.interface_named(neighbour.port.as_deref()?)?;
        Some(far.label(if_index))
    };
    let exact = devices.get(to).and_then(named);
    let is_exact = exact.is_some();
    Some(Claim {
        from,
        interface: device.label(neighbour.if_index),
        to,
        to_interface: exact.or_else(|| neighbour.port.clone()),
        is_exact,
        evidence: EvidenceKind::Cdp,
    })
}

/// `name(serial)` taken apart.
fn cdp_names(device: &str) -> (&str, Option<&str>) {
    let inner = device.strip_suffix(')').and_then(|it| it.split_once('('));
    inner.map_or((device, None), |(name, inner)| (name, Some(inner)))
}

/// Twelve hexadecimal digits.
fn mac_of_digits(text: &str) -> Option<Mac> {
    let digits: String = text
        .chars()
        .filter(|it| !matches!(it, ':' | '-' | '.'))
        .collect();
    let is_hexadecimal = digits.len() == 12 && digits.bytes().all(|it| it.is_ascii_hexdigit());
    let number = u64::from_str_radix(&digits, 16)
        .ok()
        .filter(|_| is_hexadecimal)?;
    let octets = number.to_be_bytes();
    Mac::new(octets.get(2..)?)
}

/// Ports without a neighbour that speaks, behind which one MAC address was learnt and no other.
fn forwarding(
    devices: &[Device],
    machines: &mut Machines,
    known: &[Claim],
    resolved: &Resolved,
) -> Vec<Claim> {
    let taken: HashSet<(usize, &str)> = known
        .iter()
        .flat_map(|it| {
            let far = it
                .to_interface
                .as_deref()
                .map(|interface| (it.to, interface));
            std::iter::once((it.from, it.interface.as_str())).chain(far)
        })
        .collect();
    let mut claims = Vec::new();
    for (from, device) in devices.iter().enumerate() {
        let own: HashSet<Mac> = device.macs().collect();
        let mut behind: BTreeMap<u32, BTreeSet<Mac>> = BTreeMap::new();
        for learnt in device.learnt.iter().filter(|it| !own.contains(&it.mac)) {
            behind
                .entry(learnt.if_index)
                .or_default()
                .insert(learnt.mac);
        }
        for (if_index, macs) in behind {
            let interface = device.label(if_index);
            let only = macs.first().copied().filter(|_| macs.len() == 1);
            let Some(mac) = only.filter(|_| !taken.contains(&(from, interface.as_str()))) else {
                continue;
            };
            let addresses = resolved.get(&mac).into_iter().flatten().copied().collect();
            let Some(to) = machines.find_or_add(of_mac(mac, addresses)) else {
                continue;
            };
            let far = devices
                .get(to)
                .and_then(|far| Some(far.label(far.interface_with(mac)?)));
            claims.push(Claim {
                from,
                interface,
                to,
                is_exact: far.is_some(),
                to_interface: far,
                evidence: EvidenceKind::Forwarding,
            });
        }
    }
    claims.retain(|it| it.from != it.to);
    claims
}

/// Machines that nobody else speaks of and a device has resolved; of several devices the first
/// router counts, since hosts are behind it.
fn arp(
    devices: &[Device],
    machines: &mut Machines,
    known: &[Claim],
    resolved: &Resolved,
) -> Vec<Claim> {
    let mut linked: HashSet<usize> = known.iter().flat_map(|it| [it.from, it.to]).collect();
    let mut order: Vec<usize> = (0..devices.len()).collect();
    order.sort_by_key(|from| devices.get(*from).is_some_and(|it| !it.is_router));
    let mut claims = Vec::new();
    for from in order {
        let Some(device) = devices.get(from) else {
            continue;
        };
        for entry in &device.arp {
            let addresses = resolved
                .get(&entry.mac)
                .into_iter()
                .flatten()
                .copied()
                .collect();
            let known = machines.with_mac(entry.mac);
            let known = known.or_else(|| machines.with_address(entry.address));
            let to = known.or_else(|| machines.find_or_add(of_mac(entry.mac, addresses)));
            let Some(to) = to.filter(|to| *to != from && linked.insert(*to)) else {
                continue;
            };
            let far = devices.get(to);
            let far = far.and_then(|far| Some(far.label(far.interface_with(entry.mac)?)));
            claims.push(Claim {
                from,
                interface: device.label(entry.if_index),
                to,
                is_exact: far.is_some(),
                to_interface: far,
                evidence: EvidenceKind::Arp,
            });
        }
    }
    claims
}

fn resolved(devices: &[Device]) -> Resolved {
    let mut resolved = Resolved::new();
    for entry in devices.iter().flat_map(|device| &device.arp) {
        resolved.entry(entry.mac).or_default().insert(entry.address);
    }
    resolved
}

fn of_mac(mac: Mac, addresses: Vec<IpAddr>) -> Clue {
    Clue {
        identity: Identity {
            base_mac: Some(mac),
            ..Identity::default()
        },
        mac: Some(mac),
        addresses,
        ..Clue::default()
    }
}
