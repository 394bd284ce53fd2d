//! From an address that may be touched to one that a socket takes.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};

use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{LinkFlags, LinkMessage};

use crate::{Error, netlink};

/// The address and port, with the interface that a link-local IPv6 address needs
/// (RFC 4007, section 6).
///
/// # Errors
/// [`Error::LinkLocal`] when the interface is not clear: exactly one that is up and has a
/// link-local address of its own can be meant.
pub(crate) async fn socket_address(address: IpAddr, port: u16) -> Result<SocketAddr, Error> {
    match address {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            let zone = zone(v6, &netlink::links().await?, &netlink::addresses().await?)?;
            Ok(SocketAddrV6::new(v6, port, 0, zone).into())
        }
        _ => Ok(SocketAddr::new(address, port)),
    }
}

/// Whether this host would send to an address at all; nothing is sent.
///
/// # Errors
/// [`Error::Send`] with the kernel's reason, such as a missing route.
pub(crate) fn check_route(target: SocketAddr) -> Result<(), Error> {
    let any: SocketAddr = match target {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    // Connecting a UDP socket looks up the route and sends nothing; the port does not matter,
    // but 0 would be refused on some systems.
    let mut discard = target;
    discard.set_port(9);
    UdpSocket::bind(any)
        .and_then(|socket| socket.connect(discard))
        .map_err(|source| Error::Send {
            address: target.ip(),
            source,
        })
}

fn zone(
    address: Ipv6Addr,
    links: &[LinkMessage],
    addresses: &[AddressMessage],
) -> Result<u32, Error> {
    let is_link_local = |message: &AddressMessage| {
        message.attributes.iter().any(|attribute| {
            matches!(attribute,
                AddressAttribute::Address(IpAddr::V6(own)) if own.is_unicast_link_local())
        })
    };
    let candidates: Vec<(u32, &str)> = links
        .iter()
        .filter(|link| link.header.flags.contains(LinkFlags::Up))
        .filter_map(|link| Some((link.header.index, netlink::interface_name(link)?)))
        .filter(|(index, _)| {
            addresses
                .iter()
                .any(|message| message.header.index == *index && is_link_local(message))
        })
        .collect();
    let found = match candidates.as_slice() {
        [(index, _)] => return Ok(*index),
        [] => "no interface of the worker's host has one".to_owned(),
        several => {
            let names: Vec<&str> = several.iter().map(|(_, name)| *name).collect();
            format!("it could be on any of {}", names.join(", "))
        }
    };
    Err(Error::LinkLocal {
        address: address.into(),
        found,
    })
}
