//! Questions to the kernel's routing tables over netlink (rtnetlink(7)).
//!
//! Each question opens its own socket and is answered or given up within [`DEADLINE`], so
//! a call that is dropped leaves nothing behind.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use futures::{Stream, TryStreamExt as _};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::AddressMessage;
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};
use rtnetlink::packet_route::neighbour::NeighbourMessage;
use rtnetlink::packet_route::route::{RouteFlags, RouteMessage};
use rtnetlink::{Handle, RouteMessageBuilder, new_connection};
use tokio::time::timeout;

use crate::Error;

/// Longest wait for the kernel, which answers from memory.
const DEADLINE: Duration = Duration::from_secs(10);

/// All interfaces of the worker's network namespace.
pub(crate) async fn links() -> Result<Vec<LinkMessage>, Error> {
    ask("interfaces", |handle| handle.link().get().execute()).await
}

/// All addresses of all interfaces.
pub(crate) async fn addresses() -> Result<Vec<AddressMessage>, Error> {
    ask("addresses", |handle| handle.address().get().execute()).await
}

/// The neighbour tables of both IP versions (ARP and neighbour discovery).
pub(crate) async fn neighbours() -> Result<Vec<NeighbourMessage>, Error> {
    ask("neighbours", |handle| handle.neighbours().get().execute()).await
}

/// All routes of one IP version, of all tables.
pub(crate) async fn routes(family: AddressFamily) -> Result<Vec<RouteMessage>, Error> {
    ask("routes", move |handle| {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        handle.route().get(message).execute()
    })
    .await
}

/// The route that the kernel takes to an address.
///
/// With `matched` it is the entry of the table as it was configured, otherwise the outcome
/// for just this address, with the source address chosen.
///
/// # Errors
/// [`Error::Netlink`] with the kernel's error number where there is no route.
pub(crate) async fn route_to(
    address: IpAddr,
    matched: bool,
) -> Result<Option<RouteMessage>, Error> {
    let routes = ask("the route", move |handle| {
        let mut message = match address {
            IpAddr::V4(address) => RouteMessageBuilder::<std::net::Ipv4Addr>::new()
                .destination_prefix(address, 32)
                .build(),
            IpAddr::V6(address) => RouteMessageBuilder::<std::net::Ipv6Addr>::new()
                .destination_prefix(address, 128)
                .build(),
        };
        message.header.flags = RouteFlags::LookupTable;
        if matched {
            message.header.flags |= RouteFlags::FibMatch;
        }
        handle.route().get(message).execute()
    })
    .await?;
    Ok(routes.into_iter().next())
}

/// Names of interfaces by their index.
pub(crate) async fn interface_names() -> Result<BTreeMap<u32, String>, Error> {
    let links = links().await?;
    Ok(links
        .iter()
        .filter_map(|link| Some((link.header.index, interface_name(link)?.to_owned())))
        .collect())
}

/// The name of an interface.
pub(crate) fn interface_name(link: &LinkMessage) -> Option<&str> {
    link.attributes
        .iter()
        .find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name.as_str()),
            _ => None,
        })
}

/// A link-layer address as the kernel writes it, `02:00:5e:10:00:01`; `None` if it is empty.
pub(crate) fn link_layer_address(bytes: &[u8]) -> Option<String> {
    let octets: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    (!octets.is_empty()).then(|| octets.join(":"))
}

async fn ask<T, Q, S>(what: &'static str, question: Q) -> Result<Vec<T>, Error>
where
    Q: FnOnce(Handle) -> S,
    S: Stream<Item = Result<T, rtnetlink::Error>>,
{
    let (connection, handle, _unsolicited) = new_connection().map_err(Error::NetlinkSocket)?;
    let answer = question(handle).try_collect();
    let exchange = async {
        // The connection moves the bytes, so both must be polled until the answer is there.
        tokio::select! {
            biased;
            answer = answer => answer.map_err(|source| Error::Netlink { what, source }),
            () = connection => Err(Error::NetlinkClosed),
        }
    };
    timeout(DEADLINE, exchange)
        .await
        .map_err(|_| Error::KernelSilent(DEADLINE))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_layer_address_is_written_as_the_kernel_does() {
        let check = |bytes: &[u8], expected: Option<&str>| {
            assert_eq!(link_layer_address(bytes).as_deref(), expected);
        };
        check(&[2, 0, 0x5e, 0x10, 0, 0xff], Some("02:00:5e:10:00:ff"));
        check(&[], None);
    }
}
