//! Reads routes from netlink messages (rtnetlink(7)).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteNextHop, RouteProtocol,
    RouteType, RouteVia,
};

use super::{Kind, Route};

/// Name of the table that holds the host's own addresses.
pub(super) const LOCAL: &str = "local";

/// One entry per next hop; none for messages of other families or that are not IP routes.
pub(super) fn routes(message: &RouteMessage, names: &BTreeMap<u32, String>) -> Vec<Route> {
    let Some((route, next_hops)) = route(message, names) else {
        return Vec::new();
    };
    if next_hops.is_empty() {
        return vec![route];
    }
    next_hops
        .iter()
        .map(|next_hop| by_way_of(&route, next_hop, names))
        .collect()
}

fn route<'a>(
    message: &'a RouteMessage,
    names: &BTreeMap<u32, String>,
) -> Option<(Route, &'a [RouteNextHop])> {
    let header = &message.header;
    let mut destination = match header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let mut next_hops: &[RouteNextHop] = &[];
    let mut table = u32::from(header.table);
    let mut route = Route {
        destination: IpNet::from(destination),
        target: None,
        gateway: None,
        interface: None,
        metric: 0,
        source: None,
        table: String::new(),
        kind: header.kind.into(),
        scope: u8::from(header.scope).into(),
        protocol: protocol(header.protocol),
        weight: None,
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => destination = ip(address)?,
            RouteAttribute::Gateway(address) => route.gateway = ip(address),
            RouteAttribute::Via(via) => route.gateway = via_ip(via),
            RouteAttribute::PrefSource(address) => route.source = ip(address),
            RouteAttribute::Oif(index) => route.interface = Some(name(*index, names)),
            RouteAttribute::Priority(metric) => route.metric = *metric,
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::MultiPath(several) => next_hops = several,
            _ => {}
        }
    }
    route.destination = IpNet::new(destination, header.destination_prefix_length).ok()?;
    route.table = table_name(table);
    Some((route, next_hops))
}

fn by_way_of(route: &Route, next_hop: &RouteNextHop, names: &BTreeMap<u32, String>) -> Route {
    let mut route = route.clone();
    route.interface = Some(name(next_hop.interface_index, names));
    // The kernel counts from 0, people from 1.
    route.weight = Some(u16::from(next_hop.hops) + 1);
    for attribute in &next_hop.attributes {
        match attribute {
            RouteAttribute::Gateway(address) => route.gateway = ip(address),
            RouteAttribute::Via(via) => route.gateway = via_ip(via),
            _ => {}
        }
    }
    route
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}

fn via_ip(via: &RouteVia) -> Option<IpAddr> {
    match via {
        RouteVia::Inet(v4) => Some(IpAddr::V4(*v4)),
        RouteVia::Inet6(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}

fn name(index: u32, names: &BTreeMap<u32, String>) -> String {
    names
        .get(&index)
        .cloned()
        .unwrap_or_else(|| format!("if{index}"))
}

/// The names that every Linux gives to its tables (`RT_TABLE_*`).
fn table_name(number: u32) -> String {
    match number {
        253 => "default".to_owned(),
        number if number == u32::from(RouteHeader::RT_TABLE_MAIN) => "main".to_owned(),
        255 => LOCAL.to_owned(),
        number => number.to_string(),
    }
}

/// Names as ip-route(8) writes them (`RTPROT_*`).
fn protocol(protocol: RouteProtocol) -> String {
    let name = match protocol {
        RouteProtocol::Unspec => "unspec",
        RouteProtocol::IcmpRedirect => "redirect",
        RouteProtocol::Mrt => "mrt",
        RouteProtocol::DnRouted => "dnrouted",
        RouteProtocol::Ntk => "ntk",
        RouteProtocol::Dhcp => "dhcp",
        RouteProtocol::Mrouted => "mrouted",
        RouteProtocol::KeepAlived => "keepalived",
        RouteProtocol::Other(number) => return number.to_string(),
        other => return other.to_string(),
    };
    name.to_owned()
}

impl From<RouteType> for Kind {
    fn from(kind: RouteType) -> Self {
        match kind {
            RouteType::Unicast => Self::Unicast,
            RouteType::Local => Self::Local,
            RouteType::Broadcast => Self::Broadcast,
            RouteType::Anycast => Self::Anycast,
            RouteType::Multicast => Self::Multicast,
            RouteType::BlackHole => Self::Blackhole,
            RouteType::Unreachable => Self::Unreachable,
            RouteType::Prohibit => Self::Prohibit,
            RouteType::Throw => Self::Throw,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> BTreeMap<u32, String> {
        BTreeMap::from([(2, "eth0".to_owned())])
    }

    #[test]
    fn a_message_without_destination_is_the_default_route() {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.kind = RouteType::Unicast;
        message.attributes = vec![
            RouteAttribute::Gateway(RouteAddress::Inet(Ipv4Addr::new(192, 0, 2, 1))),
            RouteAttribute::Oif(2),
        ];
        let routes = routes(&message, &names());
        assert_eq!(routes.len(), 1);
        assert_eq!(routes[0].destination, "0.0.0.0/0".parse().unwrap());
        assert_eq!(routes[0].interface.as_deref(), Some("eth0"));
        assert_eq!(routes[0].table, "main");
    }

    #[test]
    fn several_next_hops_are_several_entries_with_their_weights() {
        let next_hop = |index, hops, last| {
            let mut next_hop = RouteNextHop::default();
            next_hop.interface_index = index;
            next_hop.hops = hops;
            let gateway = RouteAddress::Inet(Ipv4Addr::new(192, 0, 2, last));
            next_hop.attributes = vec![RouteAttribute::Gateway(gateway)];
            next_hop
        };
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.attributes = vec![RouteAttribute::MultiPath(vec![
            next_hop(2, 0, 1),
            next_hop(7, 255, 2),
        ])];
        let routes = routes(&message, &names());
        let seen: Vec<_> = routes
            .iter()
            .map(|route| (route.interface.clone().unwrap(), route.weight.unwrap()))
            .collect();
        assert_eq!(seen, [("eth0".to_owned(), 1), ("if7".to_owned(), 256)]);
    }

    #[test]
    fn other_families_are_no_routes_of_ours() {
        assert!(routes(&RouteMessage::default(), &names()).is_empty());
    }
}
