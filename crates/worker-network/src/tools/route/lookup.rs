//! The route that the kernel takes to an address.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use rtnetlink::Error as NetlinkError;
use rtnetlink::packet_route::route::RouteMessage;

use super::{Kind, Route, decode};
use crate::{Error, netlink};

/// One route for each target that has one.
///
/// # Errors
/// [`Error::NoRoute`] for the first target, if there is none to any of them.
pub(super) async fn chosen(
    targets: &[IpAddr],
    names: &BTreeMap<u32, String>,
    worker_host: &str,
) -> Result<Vec<Route>, Error> {
    let mut found = Vec::new();
    let mut refused = None;
    for target in targets {
        match route_to(*target, names, worker_host).await {
            Ok(route) => found.push(route),
            Err(error @ Error::NoRoute { .. }) => refused = refused.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    match refused {
        Some(error) if found.is_empty() => Err(error),
        _ => Ok(found),
    }
}

async fn route_to(
    target: IpAddr,
    names: &BTreeMap<u32, String>,
    worker_host: &str,
) -> Result<Route, Error> {
    let no_route = |why| Error::NoRoute {
        address: target,
        worker_host: worker_host.to_owned(),
        why,
    };
    let outcome = match netlink::route_to(target, false).await {
        Err(error) => return Err(refusal(&error).map_or(error, no_route)),
        Ok(outcome) => {
            first(outcome.as_ref(), names).ok_or_else(|| no_route("the kernel names none"))?
        }
    };
    // Kernels answer this second question since 4.13 (IPv4) and 4.18 (IPv6); the first answer
    // stands alone where it is refused.
    let entry = netlink::route_to(target, true).await.ok().flatten();
    let route = join(outcome, first(entry.as_ref(), names), target);
    match route.kind {
        Kind::Unreachable => Err(no_route("it is marked as unreachable in the routing table")),
        Kind::Blackhole => Err(no_route("the routing table drops its packets (blackhole)")),
        Kind::Prohibit => Err(no_route("it is prohibited in the routing table")),
        _ => Ok(route),
    }
}

fn first(message: Option<&RouteMessage>, names: &BTreeMap<u32, String>) -> Option<Route> {
    decode::routes(message?, names).into_iter().next()
}

/// The outcome for the target, with the entry's prefix, metric, protocol and scope.
///
/// The kernel describes the outcome as a host route of its own making, which hides what was
/// configured.
fn join(outcome: Route, entry: Option<Route>, target: IpAddr) -> Route {
    let mut route = Route {
        target: Some(target),
        ..outcome
    };
    if let Some(entry) = entry {
        route.destination = entry.destination;
        route.metric = entry.metric;
        route.protocol = entry.protocol;
        route.scope = entry.scope;
        route.table = entry.table;
    }
    route
}

/// Why there is no route, where that is what the kernel says.
fn refusal(error: &Error) -> Option<&'static str> {
    let Error::Netlink {
        source: NetlinkError::NetlinkError(message),
        ..
    } = error
    else {
        return None;
    };
    match message.to_io().kind() {
        io::ErrorKind::NetworkUnreachable => Some("the network is unreachable"),
        io::ErrorKind::HostUnreachable => Some("the host is unreachable"),
        io::ErrorKind::PermissionDenied => Some("it is prohibited in the routing table"),
        io::ErrorKind::InvalidInput => Some("the routing table drops its packets (blackhole)"),
        _ => None,
    }
}
