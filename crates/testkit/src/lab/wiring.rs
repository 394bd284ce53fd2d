//! Who is connected with whom: drawn, not yet built.

use std::{
    collections::{BTreeSet, VecDeque},
    net::Ipv4Addr,
};

use super::random::Random;

/// Addresses of all nodes are in here.
pub const NETWORK: &str = "10.42.0.0/24";

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The host that the test itself runs on.
    Manager,
    /// Forwards frames; has its address on the bridge `br0`.
    Switch,
    /// Forwards packets; has an address on each interface.
    Router,
    /// An end.
    Host,
}

/// By what a node names its ports in LLDP (IEEE 802.1AB, port ID subtype).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortIds {
    /// The interface's MAC address, as Linux hosts do.
    MacAddress,
    /// The interface's name, as switches do.
    InterfaceName,
}

/// An address on an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The interface.
    pub interface: String,
    /// The address.
    pub ip: Ipv4Addr,
    /// Bits of the network.
    pub prefix: u8,
}

/// A machine of the network.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its host name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// How it names its ports in LLDP.
    pub port_ids: PortIds,
    /// Its addresses.
    pub addresses: Vec<Address>,
    interfaces: BTreeSet<String>,
}

/// One end of a cable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Position in [`Wiring::nodes`].
    pub node: usize,
    /// The interface.
    pub interface: String,
}

/// Two ends; each is a node's name and an interface, the smaller end first.
pub type Link = [(String, String); 2];

/// A static route.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) node: usize,
    pub(super) to: (Ipv4Addr, u8),
    pub(super) via: Ipv4Addr,
}

/// A network on paper.
#[derive(Debug, Clone)]
pub struct Wiring {
    /// What it was drawn from.
    pub seed: u64,
    /// The nodes; the first one is the manager.
    pub nodes: Vec<Node>,
    /// The cables.
    pub cables: Vec<[End; 2]>,
}

impl Wiring {
    /// Draws a network of 8 to 11 nodes: two switched networks with a router or two between them.
    /// The switches of the first one form a ring, so some cable is not needed.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut draft = Draft::new(seed);
        let ring = draft.switches(3);
        if let [first, .., last] = ring.as_slice() {
            draft.cable(*first, *last);
        }
        let n_switches = 1 + draft.random.below(2);
        let second = draft.switches(n_switches);
        if let [first, last] = second.as_slice()
            && draft.random.coin()
        {
            draft.cable(*first, *last);
        }
        draft.routers(&ring, &second);
        let n_hosts = 1 + draft.random.below(2);
        draft.hosts(&ring, &second, n_hosts);
        draft.wiring
    }

    /// The cables, with both interface names.
    #[must_use]
    pub fn links(&self) -> BTreeSet<Link> {
        self.cables.iter().map(|cable| self.link(cable)).collect()
    }

    /// A cable by the names of its ends.
    #[must_use]
    pub fn link(&self, cable: &[End; 2]) -> Link {
        let mut ends = cable.each_ref().map(|end| {
            let name = self.nodes.get(end.node).map_or("", |node| &node.name);
            (name.to_owned(), end.interface.clone())
        });
        ends.sort();
        ends
    }

    /// The positions of the cables without which all nodes still reach each other.
    #[must_use]
    pub fn redundant(&self) -> Vec<usize> {
        (0..self.cables.len())
            .filter(|without| self.is_connected_without(*without))
            .collect()
    }

    fn is_connected_without(&self, without: usize) -> bool {
        let mut reached = BTreeSet::from([0]);
        let mut queue = VecDeque::from([0]);
        while let Some(node) = queue.pop_front() {
            for (number, [a, b]) in self.cables.iter().enumerate() {
                let other = match (a.node == node, b.node == node) {
                    (true, _) => b.node,
                    (_, true) => a.node,
                    _ => continue,
                };
                if number != without && reached.insert(other) {
                    queue.push_back(other);
                }
            }
        }
        reached.len() == self.nodes.len()
    }

    /// The routes by which every node reaches every network.
    pub(super) fn routes(&self) -> Vec<Route> {
        let all = || self.nodes.iter().flat_map(|node| &node.addresses);
        let networks: BTreeSet<(Ipv4Addr, u8)> = all().map(Address::network).collect();
        networks
            .into_iter()
            .flat_map(|to| self.routes_to(to))
            .collect()
    }

    fn routes_to(&self, to: (Ipv4Addr, u8)) -> Vec<Route> {
        let is_in = |node: &Node, network| node.addresses.iter().any(|it| it.network() == network);
        let mut reached: Vec<bool> = self.nodes.iter().map(|node| is_in(node, to)).collect();
        let if_router = |node: usize| self.nodes.get(node).filter(|it| it.kind == Kind::Router);
        let mut queue: VecDeque<usize> = (0..self.nodes.len())
            .filter(|node| reached.get(*node) == Some(&true))
            .collect();
        let mut routes = Vec::new();
        while let Some(router) = queue.pop_front().map(if_router) {
            for address in router.into_iter().flat_map(|router| &router.addresses) {
                for (node, reached) in reached.iter_mut().enumerate() {
                    let neighbour = self
                        .nodes
                        .get(node)
                        .is_some_and(|it| is_in(it, address.network()));
                    if neighbour && !*reached {
                        *reached = true;
                        queue.push_back(node);
                        let via = address.ip;
                        routes.push(Route { node, to, via });
                    }
                }
            }
        }
        routes
    }
}

impl Address {
    pub(super) fn network(&self) -> (Ipv4Addr, u8) {
        let mask = u32::MAX
            .checked_shl(32 - u32::from(self.prefix))
            .unwrap_or(0);
        (Ipv4Addr::from(u32::from(self.ip) & mask), self.prefix)
    }
}

/// A network that is being drawn.
struct Draft {
    random: Random,
    wiring: Wiring,
    n_switched: u8,
    n_hosts_in: [u8; 2],
}

impl Draft {
    fn new(seed: u64) -> Self {
        let mut draft = Self {
            random: Random::of(seed),
            wiring: Wiring {
                seed,
                nodes: Vec::new(),
                cables: Vec::new(),
            },
            n_switched: 0,
            n_hosts_in: [0; 2],
        };
        draft.node("manager", Kind::Manager);
        draft
    }

    fn node(&mut self, name: &str, kind: Kind) -> usize {
        let port_ids = if self.random.coin() {
            PortIds::MacAddress
        } else {
            PortIds::InterfaceName
        };
        self.wiring.nodes.push(Node {
            name: name.to_owned(),
            kind,
            port_ids,
            addresses: Vec::new(),
            interfaces: BTreeSet::new(),
        });
        self.wiring.nodes.len() - 1
    }

    /// A switched network: its switches, each connected with an earlier one.
    fn switches(&mut self, n_switches: usize) -> Vec<usize> {
        let network = self.n_switched;
        self.n_switched += 1;
        let mut switches = Vec::new();
        for number in 1..=n_switches {
            let switch = self.node(&format!("sw{}{number}", network + 1), Kind::Switch);
            self.address(switch, "br0", network);
            if let Some(earlier) = switches.last() {
                self.cable(*earlier, switch);
            }
            switches.push(switch);
        }
        switches
    }

    /// One router in both networks, or two with a cable between them.
    fn routers(&mut self, first: &[usize], second: &[usize]) {
        let near = self.node("rt1", Kind::Router);
        let interface = self.attach(near, first);
        self.address(near, &interface, 0);
        let mut far = near;
        if self.random.coin() {
            far = self.node("rt2", Kind::Router);
            let [a, b] = self.cable(near, far);
            for (router, interface, last) in [(near, a, 225), (far, b, 226)] {
                let ip = Ipv4Addr::new(10, 42, 0, last);
                self.push_address(router, interface, ip, 30);
            }
        }
        let interface = self.attach(far, second);
        self.address(far, &interface, 1);
    }

    fn hosts(&mut self, first: &[usize], second: &[usize], n_hosts: usize) {
        let manager = std::iter::once(0);
        let hosts: Vec<usize> = (0..=n_hosts)
            .map(|number| self.node(&format!("host{}", number + 1), Kind::Host))
            .collect();
        for node in manager.chain(hosts) {
            let network = self.random.coin();
            let switches = if network { second } else { first };
            let interface = self.attach(node, switches);
            self.address(node, &interface, u8::from(network));
        }
    }

    /// A cable to one of these switches; gives the node's own interface.
    fn attach(&mut self, node: usize, switches: &[usize]) -> String {
        let switch = self.random.one_of(switches).unwrap_or_default();
        let [own, _] = self.cable(node, switch);
        own
    }

    fn cable(&mut self, a: usize, b: usize) -> [String; 2] {
        let ends = [a, b].map(|node| End {
            node,
            interface: self.interface(node),
        });
        let names = ends.each_ref().map(|end| end.interface.clone());
        self.wiring.cables.push(ends);
        names
    }

    /// A new interface with a number that says nothing of the order of cables.
    fn interface(&mut self, node: usize) -> String {
        let Some(node) = self.wiring.nodes.get_mut(node) else {
            return String::new();
        };
        let stem = match node.kind {
            Kind::Switch => "swp",
            Kind::Router => "ge-0.",
            Kind::Manager | Kind::Host => "eth",
        };
        loop {
            let name = format!("{stem}{}", self.random.below(48));
            if node.interfaces.insert(name.clone()) {
                return name;
            }
        }
    }

    /// The next address of a switched network.
    fn address(&mut self, node: usize, interface: &str, network: u8) {
        if let Some(n_hosts) = self.n_hosts_in.get_mut(usize::from(network)) {
            *n_hosts += 1;
            let ip = Ipv4Addr::new(10, 42, 0, 32 * network + *n_hosts);
            self.push_address(node, interface.to_owned(), ip, 27);
        }
    }

    fn push_address(&mut self, node: usize, interface: String, ip: Ipv4Addr, prefix: u8) {
        if let Some(node) = self.wiring.nodes.get_mut(node) {
            node.addresses.push(Address {
                interface,
                ip,
                prefix,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_network_and_others_differ() {
        assert_eq!(Wiring::draw(7).links(), Wiring::draw(7).links());
        let different: BTreeSet<_> = (0..50).map(|seed| Wiring::draw(seed).links()).collect();
        assert_eq!(different.len(), 50);
    }

    #[test]
    fn every_network_is_connected_and_bounded_and_has_a_cable_too_many() {
        for seed in 0..500 {
            let wiring = Wiring::draw(seed);
            assert!((8..=11).contains(&wiring.nodes.len()), "seed {seed}");
            assert!(wiring.is_connected_without(usize::MAX), "seed {seed}");
            assert!(wiring.redundant().len() >= 3, "seed {seed}");
            assert_eq!(wiring.nodes[0].kind, Kind::Manager);
        }
    }

    #[test]
    fn no_interface_has_two_cables_and_no_address_two_nodes() {
        for seed in 0..500 {
            let wiring = Wiring::draw(seed);
            let ends: BTreeSet<_> = wiring.links().into_iter().flatten().collect();
            assert_eq!(ends.len(), 2 * wiring.cables.len(), "seed {seed}");
            let all = || wiring.nodes.iter().flat_map(|node| &node.addresses);
            let distinct: BTreeSet<_> = all().map(|address| address.ip).collect();
            assert_eq!(distinct.len(), all().count(), "seed {seed}");
        }
    }

    #[test]
    fn every_node_has_a_way_to_every_network() {
        for seed in 0..500 {
            let wiring = Wiring::draw(seed);
            let routes = wiring.routes();
            let all = || wiring.nodes.iter().flat_map(|node| &node.addresses);
            for (number, node) in wiring.nodes.iter().enumerate() {
                for network in all().map(Address::network) {
                    let attached = node.addresses.iter().any(|it| it.network() == network);
                    let has_route = routes
                        .iter()
                        .any(|it| it.node == number && it.to == network);
                    assert!(
                        attached != has_route,
                        "seed {seed}: {} to {network:?}",
                        node.name
                    );
                }
            }
        }
    }
}
