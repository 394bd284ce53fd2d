//! Nodes and links, as the tool gives them.

use std::collections::HashMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;

use super::index::{Machine, Machines};
use super::links::{Cable, End, cables};
use super::{Device, Identity, claims};

/// What is wired with what.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Graph {
    /// In the order of their identifiers.
    pub(crate) nodes: Vec<Node>,
    /// In the order of their ends.
    pub(crate) links: Vec<Link>,
    /// What was left out because there is too much of it.
    pub(crate) left_out: Option<&'static str>,
}

/// Most links of a graph, the surest first.
const MOST_LINKS: usize = 10_000;

/// A machine.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Node {
    /// Identifier within this result; the same in a later one as long as the machine tells the
    /// same of itself.
    pub(crate) id: String,
    /// Name for people: its own, or else an address or identifier.
    pub(crate) name: String,
    /// What it does in the network.
    pub(crate) kind: Kind,
    /// By what it is told from others; absent where it is known by an address alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<NodeIdentity>,
    /// Whether it answered SNMP. Of one that did not, others speak.
    pub(crate) answered: bool,
    /// All its addresses that are known.
    pub(crate) addresses: Vec<IpAddr>,
    /// What it says it is, or what a neighbour says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    /// Its type by its maker, sysObjectID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) object_id: Option<String>,
    /// MIBs that it does not have, so that it cannot tell what they would.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) missing: Vec<String>,
    /// What went wrong while it was asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
}

/// By what a node is told from others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct NodeIdentity {
    /// serial (ENTITY-MIB), engine (`snmpEngineID`), chassis (LLDP), mac or name (`sysName`).
    pub(crate) by: &'static str,
    /// The value.
    pub(crate) value: String,
}

/// What a machine does in the network, as far as it or its neighbours tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Forwards packets.
    Router,
    /// Forwards frames.
    Switch,
    /// Forwards packets between networks and frames within them.
    RoutingSwitch,
    /// Answered, and forwards nothing.
    Host,
    /// Nobody says.
    Unknown,
}

/// A connection between two machines.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Link {
    /// The end whose node comes first in the order of identifiers.
    pub(crate) a: LinkEnd,
    /// The other end.
    pub(crate) b: LinkEnd,
    /// How sure it is: 1 when both ends say it in LLDP or CDP, 0.8 when one does, 0.5 when a
    /// switch has learnt one single MAC address on the port, 0.2 when a device has only resolved
    /// the address, so that switches may be between.
    #[schemars(range(min = 0, max = 1))]
    pub(crate) confidence: f64,
    /// Who says so, and why.
    pub(crate) evidence: Vec<Evidence>,
}

/// One end of a link.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub(crate) struct LinkEnd {
    /// Identifier of the node.
    pub(crate) node: String,
    /// Name of the interface; absent where nobody tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) interface: Option<String>,
}

/// Why a link is believed to be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Evidence {
    /// What was seen.
    pub(crate) kind: EvidenceKind,
    /// Identifier of the node that saw it.
    pub(crate) seen_by: String,
}

/// What a device can see of its neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EvidenceKind {
    /// LLDP-MIB: the neighbour announces itself.
    Lldp,
    /// CISCO-CDP-MIB: the neighbour announces itself.
    Cdp,
    /// BRIDGE-MIB or Q-BRIDGE-MIB: one single MAC address was learnt on the port.
    Forwarding,
    /// IP-MIB: the neighbour's address was resolved.
    Arp,
}

impl Graph {
    /// Nodes and links of what devices say.
    pub(crate) fn build(devices: Vec<Device>) -> Self {
        let devices = merge(devices);
        let mut machines = Machines::of(&devices);
        let mut cables = cables(claims::all(&devices, &mut machines));
        cables.sort_by(|a, b| b.confidence().total_cmp(&a.confidence()));
        let left_out = match (machines.has_left_out(), cables.len() > MOST_LINKS) {
            (true, _) => Some("there are too many machines that did not answer themselves"),
            (false, true) => Some("there are too many links; the least sure are left out"),
            (false, false) => None,
        };
        cables.truncate(MOST_LINKS);
        let ids = identifiers(machines.all());
        let node = |(number, machine): (usize, &Machine)| {
            let id = ids.get(number).cloned().unwrap_or_default();
            Node::of(id, machine, devices.get(number))
        };
        let mut nodes: Vec<Node> = machines.all().iter().enumerate().map(node).collect();
        nodes.sort_by(|a, b| a.id.cmp(&b.id));
        let mut links: Vec<Link> = cables.iter().map(|cable| Link::of(cable, &ids)).collect();
        links.sort_by(|a, b| (&a.a, &a.b).cmp(&(&b.a, &b.b)));
        Self {
            nodes,
            links,
            left_out,
        }
    }
}

/// One record of each device.
fn merge(devices: Vec<Device>) -> Vec<Device> {
    let mut merged: Vec<Device> = Vec::new();
    for mut device in devices {
        device.identity = device.identity.meaningful();
        match merged
            .iter_mut()
            .find(|it| it.identity.is_same(&device.identity))
        {
            Some(same) => same.absorb(device),
            None => merged.push(device),
        }
    }
    merged.sort_by(|a, b| {
        let key = |it: &Device| (it.identity.best(), it.asked_at.first().copied());
        key(a).cmp(&key(b))
    });
    merged
}

/// An identifier for each machine, none twice.
fn identifiers(machines: &[Machine]) -> Vec<String> {
    let mut n_seen: HashMap<String, usize> = HashMap::new();
    let identifier = |machine: &Machine| {
        let best = machine.identity.best();
        let address = || {
            machine
                .addresses
                .first()
                .map(|address| ("address", address.to_string()))
        };
        let best = best
            .or_else(address)
            .map(|(by, value)| format!("{by}:{value}"));
        let id = best.unwrap_or_else(|| "unknown".to_owned());
        let n = n_seen.entry(id.clone()).or_default();
        *n += 1;
        if *n == 1 { id } else { format!("{id}#{n}") }
    };
    machines.iter().map(identifier).collect()
}

impl Node {
    fn of(id: String, machine: &Machine, device: Option<&Device>) -> Self {
        let identity = &machine.identity;
        let addresses: Vec<IpAddr> = machine.addresses.iter().copied().collect();
        let best = identity.best();
        let kind = match (machine.is_router, machine.is_bridge) {
            (true, true) => Kind::RoutingSwitch,
            (true, false) => Kind::Router,
            (false, true) => Kind::Switch,
            (false, false) if device.is_some() => Kind::Host,
            (false, false) => Kind::Unknown,
        };
        Self {
            name: label(identity, &addresses, &id),
            kind,
            identity: best.map(|(by, value)| NodeIdentity { by, value }),
            answered: device.is_some(),
            addresses,
            description: machine.description.clone(),
            object_id: device.and_then(|it| it.object_id.clone()),
            missing: device.map(|it| it.missing.clone()).unwrap_or_default(),
            notes: device.map(|it| it.notes.clone()).unwrap_or_default(),
            id,
        }
    }
}

/// What people call a machine.
fn label(identity: &Identity, addresses: &[IpAddr], id: &str) -> String {
    let address = || addresses.first().map(IpAddr::to_string);
    let best = || identity.best().map(|(_, value)| value);
    let name = identity.name.clone().or_else(address).or_else(best);
    name.unwrap_or_else(|| id.to_owned())
}

impl Link {
    fn of(cable: &Cable, ids: &[String]) -> Self {
        let id = |number: usize| ids.get(number).cloned().unwrap_or_default();
        let end = |(machine, interface): &End| LinkEnd {
            node: id(*machine),
            interface: interface.clone(),
        };
        let (one, other) = (end(&cable.a), end(&cable.b));
        let (a, b) = if one <= other {
            (one, other)
        } else {
            (other, one)
        };
        Self {
            a,
            b,
            confidence: cable.confidence(),
            evidence: cable.told(id),
        }
    }
}
