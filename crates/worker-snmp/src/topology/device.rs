//! What one device says of itself and of its neighbours.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Identity, Mac, Named};

/// The record of one visit.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Device {
    /// By what it is known.
    pub(crate) identity: Identity,
    /// Where it was asked.
    pub(crate) asked_at: BTreeSet<IpAddr>,
    /// Addresses of its interfaces.
    pub(crate) addresses: BTreeSet<IpAddr>,
    /// What it says it is (`sysDescr`).
    pub(crate) description: Option<String>,
    /// Its type by its maker (`sysObjectID`).
    pub(crate) object_id: Option<String>,
    /// Whether it forwards packets.
    pub(crate) is_router: bool,
    /// Whether it forwards frames.
    pub(crate) is_bridge: bool,
    /// Interfaces by ifIndex.
    pub(crate) interfaces: BTreeMap<u32, Interface>,
    /// Its own ports in LLDP by port number.
    pub(crate) lldp_ports: BTreeMap<u32, LldpPort>,
    /// Neighbours that speak LLDP.
    pub(crate) lldp: Vec<LldpNeighbour>,
    /// Neighbours that speak CDP.
    pub(crate) cdp: Vec<CdpNeighbour>,
    /// MAC addresses learnt on its ports.
    pub(crate) learnt: Vec<Learnt>,
    /// Addresses it has resolved.
    pub(crate) arp: Vec<ArpEntry>,
    /// MIBs that it does not have.
    pub(crate) missing: Vec<String>,
    /// What went wrong while it was read.
    pub(crate) notes: Vec<String>,
}

/// An interface by its names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Interface {
    /// Short name (`ifName`).
    pub(crate) name: Option<String>,
    /// Long name (`ifDescr`).
    pub(crate) description: Option<String>,
    /// What an operator calls it (`ifAlias`).
    pub(crate) alias: Option<String>,
    /// Its address.
    pub(crate) mac: Option<Mac>,
}

/// A port of the device itself in LLDP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LldpPort {
    /// What it sends as its identifier.
    pub(crate) id: Option<Named>,
    /// What it sends as its description.
    pub(crate) description: Option<String>,
}

/// A neighbour as LLDP tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LldpNeighbour {
    /// The port that heard it, a key of [`Device::lldp_ports`].
    pub(crate) local_port: u32,
    /// Who it is.
    pub(crate) chassis: Option<Named>,
    /// By which port it is connected.
    pub(crate) port: Option<Named>,
    /// What it says of that port.
    pub(crate) port_description: Option<String>,
    /// Its name.
    pub(crate) name: Option<String>,
    /// What it says it is.
    pub(crate) description: Option<String>,
    /// Whether it says that it forwards packets.
    pub(crate) is_router: bool,
    /// Whether it says that it forwards frames.
    pub(crate) is_bridge: bool,
    /// Where it can be managed.
    pub(crate) addresses: Vec<IpAddr>,
}

/// A neighbour as CDP tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CdpNeighbour {
    /// The interface that heard it.
    pub(crate) if_index: u32,
    /// Who it is: a name, often with a serial number or MAC address in parentheses.
    pub(crate) device: Option<String>,
    /// By which port it is connected.
    pub(crate) port: Option<String>,
    /// What it is.
    pub(crate) platform: Option<String>,
    /// Whether it says that it forwards packets.
    pub(crate) is_router: bool,
    /// Whether it says that it forwards frames.
    pub(crate) is_bridge: bool,
    /// Where it can be managed.
    pub(crate) addresses: Vec<IpAddr>,
}

/// A MAC address that was learnt on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Learnt {
    /// The interface.
    pub(crate) if_index: u32,
    /// Whose frames came in there.
    pub(crate) mac: Mac,
}

/// An address that was resolved on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ArpEntry {
    /// The interface.
    pub(crate) if_index: u32,
    /// The address.
    pub(crate) address: IpAddr,
    /// Who has it.
    pub(crate) mac: Mac,
}

impl Interface {
    /// The name that people know it by.
    pub(crate) fn label(&self, if_index: u32) -> String {
        let name = self.name.clone().or_else(|| self.description.clone());
        name.unwrap_or_else(|| format!("interface {if_index}"))
    }
}

impl Device {
    /// The record of one that has answered, before it has said anything else.
    pub(crate) fn met(address: IpAddr, identity: Identity) -> Self {
        Self {
            asked_at: BTreeSet::from([address]),
            identity,
            ..Self::default()
        }
    }

    /// Takes over what another record of the same device has. The tables are the same at all its
    /// addresses, so those of the more complete record count.
    pub(crate) fn absorb(&mut self, mut other: Self) {
        let size = |it: &Self| it.interfaces.len() + it.lldp.len() + it.cdp.len() + it.learnt.len();
        if size(&other) > size(self) {
            std::mem::swap(self, &mut other);
        }
        self.join(other);
    }

    /// Takes over by what else the same device is known.
    pub(crate) fn join(&mut self, other: Self) {
        self.asked_at.extend(other.asked_at);
        self.addresses.extend(other.addresses);
        self.identity = std::mem::take(&mut self.identity).or(other.identity);
        self.is_router |= other.is_router;
        self.is_bridge |= other.is_bridge;
    }

    /// Name of an interface, also of one that the tables do not have.
    pub(crate) fn label(&self, if_index: u32) -> String {
        match self.interfaces.get(&if_index) {
            Some(interface) => interface.label(if_index),
            None => format!("interface {if_index}"),
        }
    }

    /// The interface that goes by a name: short, long, or an operator's, the first one only if
    /// several do.
    pub(crate) fn interface_named(&self, name: &str) -> Option<u32> {
        let by = |names: fn(&Interface) -> Option<&String>| {
            let found = |it: &Interface| names(it).is_some_and(|it| it.eq_ignore_ascii_case(name));
            self.only(found)
        };
        by(|it| it.name.as_ref())
            .or_else(|| by(|it| it.description.as_ref()))
            .or_else(|| by(|it| it.alias.as_ref()))
    }

    /// The interface with a MAC address; `None` where several have it, as a bridge and its ports.
    pub(crate) fn interface_with(&self, mac: Mac) -> Option<u32> {
        self.only(|it| it.mac == Some(mac))
    }

    fn only(&self, wanted: impl Fn(&Interface) -> bool) -> Option<u32> {
        let mut found = self.interfaces.iter().filter(|(_, it)| wanted(it));
        let (if_index, _) = found.next()?;
        found.next().is_none().then_some(*if_index)
    }

    /// The interface of a port of its own in LLDP. Port numbers are ifIndexes at many devices,
    /// and something else at others, so what the port says of itself counts first.
    pub(crate) fn interface_of_port(&self, number: u32) -> Option<u32> {
        let by_number = || self.interfaces.contains_key(&number).then_some(number);
        let Some(port) = self.lldp_ports.get(&number) else {
            return by_number();
        };
        let by_id = || match port.id.as_ref()? {
            Named::Interface(name) | Named::Alias(name) | Named::Other(name) => {
                self.interface_named(name)
            }
            Named::Mac(mac) => self.interface_with(*mac),
            Named::Address(_) => None,
        };
        let by_description = || self.interface_named(port.description.as_ref()?);
        by_id().or_else(by_description).or_else(by_number)
    }

    /// The port of its own that sends this identifier; of several with the same one, as a bridge's
    /// MAC address, that with the same description.
    pub(crate) fn port_with(&self, id: &Named, description: Option<&String>) -> Option<u32> {
        let mut same = self
            .lldp_ports
            .iter()
            .filter(|(_, port)| port.id.as_ref() == Some(id));
        let (first, _) = same.clone().next()?;
        let described = same.find(|(_, port)| port.description.as_ref() == description);
        Some(*described.map_or(first, |(number, _)| number))
    }

    /// All MAC addresses that are its own.
    pub(crate) fn macs(&self) -> impl Iterator<Item = Mac> {
        let chassis = match &self.identity.chassis {
            Some(Named::Mac(mac)) => Some(*mac),
            _ => None,
        };
        let interfaces = self.interfaces.values().filter_map(|it| it.mac);
        interfaces.chain(self.identity.base_mac).chain(chassis)
    }
}
