//! Finding the node that somebody speaks of.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::net::IpAddr;

use super::{Device, Identity, Mac, Named};

/// Machines that are told apart; those that are only spoken of beyond that are left out.
const MOST: usize = 5_000;

/// What is told of a machine by others.
#[derive(Debug, Clone, Default)]
pub(super) struct Clue {
    pub(super) identity: Identity,
    pub(super) mac: Option<Mac>,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) description: Option<String>,
    pub(super) is_router: bool,
    pub(super) is_bridge: bool,
}

/// A machine, by all that is told of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Machine {
    pub(super) identity: Identity,
    pub(super) mac: Option<Mac>,
    pub(super) addresses: BTreeSet<IpAddr>,
    pub(super) description: Option<String>,
    pub(super) is_router: bool,
    pub(super) is_bridge: bool,
}

/// All machines, those that answered first and in the order of their devices.
#[derive(Debug, Default)]
pub(super) struct Machines {
    all: Vec<Machine>,
    by_serial: Names<String>,
    by_chassis: Names<Named>,
    by_mac: Names<Mac>,
    by_address: Names<IpAddr>,
    by_name: Names<String>,
    by_short_name: Names<String>,
    has_left_out: bool,
}

/// Whom a name belongs to: nobody in particular where several have it.
#[derive(Debug)]
struct Names<T>(HashMap<T, Option<usize>>);

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Hash + Eq> Names<T> {
    fn add(&mut self, name: T, machine: usize) {
        self.0
            .entry(name)
            .and_modify(|whose| *whose = whose.filter(|it| *it == machine))
            .or_insert(Some(machine));
    }

    fn get(&self, name: &T) -> Option<usize> {
        self.0.get(name).copied().flatten()
    }
}

impl Machines {
    /// The machines that answered.
    pub(super) fn of(devices: &[Device]) -> Self {
        let mut machines = Self::default();
        for (number, device) in devices.iter().enumerate() {
            let clue = Clue {
                identity: device.identity.clone(),
                mac: None,
                addresses: device.asked_at.union(&device.addresses).copied().collect(),
                description: device.description.clone(),
                is_router: device.is_router,
                is_bridge: device.is_bridge,
            };
            machines.all.push(Machine::default());
            machines.learn(number, clue);
            for mac in device.macs() {
                machines.by_mac.add(mac, number);
            }
        }
        machines
    }

    pub(super) fn all(&self) -> &[Machine] {
        &self.all
    }

    /// Whether machines had to be left out.
    pub(super) fn has_left_out(&self) -> bool {
        self.has_left_out
    }

    /// The machine that the clue is of; a new one where it fits none. `None` when there are too
    /// many.
    pub(super) fn find_or_add(&mut self, clue: Clue) -> Option<usize> {
        let machine = self.find(&clue).or_else(|| {
            self.has_left_out |= self.all.len() >= MOST;
            if self.has_left_out {
                return None;
            }
            self.all.push(Machine::default());
            Some(self.all.len() - 1)
        })?;
        self.learn(machine, clue);
        Some(machine)
    }

    /// The machine with a MAC address.
    pub(super) fn with_mac(&self, mac: Mac) -> Option<usize> {
        self.by_mac.get(&mac)
    }

    /// The machine with an address that means the same everywhere.
    pub(super) fn with_address(&self, address: IpAddr) -> Option<usize> {
        self.by_address.get(&address)
    }

    fn find(&self, clue: &Clue) -> Option<usize> {
        let by_serial = || self.by_serial.get(clue.identity.serial.as_ref()?);
        let by_chassis = || self.by_chassis.get(clue.identity.chassis.as_ref()?);
        let by_mac = || self.by_mac.get(&clue.mac?);
        let by_chassis_mac = || match clue.identity.chassis.as_ref()? {
            Named::Mac(mac) => self.by_mac.get(mac),
            Named::Address(address) => self.by_address.get(address),
            _ => None,
        };
        let certain = by_serial()
            .or_else(by_chassis)
            .or_else(by_mac)
            .or_else(by_chassis_mac);
        certain.or_else(|| {
            let mut by_address = clue
                .addresses
                .iter()
                .filter_map(|it| self.by_address.get(it));
            let by_name = || self.named(clue.identity.name.as_ref()?);
            let likely = by_address.next().or_else(by_name)?;
            self.is_possible(likely, clue).then_some(likely)
        })
    }

    /// The machine of a name. Some devices tell their domain and some do not, so a name without
    /// one is that of any domain; two domains are two machines.
    fn named(&self, name: &str) -> Option<usize> {
        let name = name.to_ascii_lowercase();
        let without_domain = || {
            let likely = self.by_short_name.get(&short(&name).to_owned())?;
            let known = self.all.get(likely)?.identity.name.as_ref()?;
            let is_same = is_short(&name) || is_short(&known.to_ascii_lowercase());
            is_same.then_some(likely)
        };
        self.by_name.get(&name).or_else(without_domain)
    }

    /// Whether nothing that the clue tells speaks against a machine.
    fn is_possible(&self, machine: usize, clue: &Clue) -> bool {
        let Some(machine) = self.all.get(machine) else {
            return false;
        };
        let chassis = (&machine.identity.chassis, &clue.identity.chassis);
        let serials = (&machine.identity.serial, &clue.identity.serial);
        !matches!(chassis, (Some(one), Some(other)) if one != other)
            && !matches!(serials, (Some(one), Some(other)) if one != other)
    }

    fn learn(&mut self, number: usize, clue: Clue) {
        let Some(machine) = self.all.get_mut(number) else {
            return;
        };
        let identity = machine.identity.clone().or(clue.identity.meaningful());
        machine.mac = machine.mac.or(clue.mac);
        machine.description = machine.description.take().or(clue.description);
        machine.is_router |= clue.is_router;
        machine.is_bridge |= clue.is_bridge;
        for address in clue.addresses.into_iter().filter(is_global) {
            machine.addresses.insert(address);
            self.by_address.add(address, number);
        }
        if let Some(serial) = &identity.serial {
            self.by_serial.add(serial.clone(), number);
        }
        if let Some(chassis) = &identity.chassis {
            self.by_chassis.add(chassis.clone(), number);
        }
        if let Some(name) = &identity.name {
            let name = name.to_ascii_lowercase();
            self.by_short_name.add(short(&name).to_owned(), number);
            self.by_name.add(name, number);
        }
        for mac in clue.mac.into_iter().chain(identity.base_mac) {
            self.by_mac.add(mac, number);
        }
        machine.identity = identity;
    }
}

/// Whether an address means the same machine wherever it is used.
fn is_global(address: &IpAddr) -> bool {
    let is_link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(address.is_loopback() || address.is_unspecified() || address.is_multicast() || is_link_local)
}

/// A name without its domain.
fn short(name: &str) -> &str {
    let is_address = name.parse::<IpAddr>().is_ok();
    match name.split_once('.') {
        Some((host, _)) if !is_address && !host.is_empty() => host,
        _ => name,
    }
}

/// Whether a name has no domain.
fn is_short(name: &str) -> bool {
    short(name) == name
}
