//! `route`: the routing tables of the worker's host, and the route it takes to a target.

mod decode;
mod lookup;

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use protocol::ToolError;
use rtnetlink::packet_route::AddressFamily;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use worker::{Context, Host, HostIdentity, Page, Summary, Tool, markdown, paginate};

use crate::netlink;
use crate::scopes::AddressScope;

/// Which routes to list.
#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Give the route that the kernel takes to this address, or to each address of this name.
    /// Without it all routes are listed, except those of the table `local` (the host's own and
    /// broadcast addresses).
    #[serde(default)]
    destination: Option<Host>,
    #[serde(flatten)]
    page: Page,
}

/// Routes of the worker's host.
#[derive(Debug, Serialize, JsonSchema)]
struct RouteList {
    #[serde(flatten)]
    host: HostIdentity,
    /// IPv4 first, then by table, destination and metric. A route with several next hops is
    /// one entry per next hop.
    routes: Vec<Route>,
    /// Cursor of the next page; absent on the last one.
    #[serde(rename = "nextCursor", skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// Whether there are more routes than this page holds.
    truncated: bool,
}

/// One route, or one next hop of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
struct Route {
    /// Where it leads to, in CIDR notation; `0.0.0.0/0` and `::/0` are the default routes.
    #[schemars(with = "String")]
    destination: IpNet,
    /// The address that was asked for; only with the argument `destination`.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<IpAddr>,
    /// Router that packets are handed to; absent when the destination is on the link.
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<IpAddr>,
    /// Interface that packets leave by; absent for routes that refuse packets.
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<String>,
    /// The lower one wins between routes to the same destination.
    metric: u32,
    /// Source address that the host prefers on this route.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<IpAddr>,
    /// Routing table: `main`, `local`, `default`, or its number.
    table: String,
    /// What packets meet with.
    #[serde(rename = "type")]
    kind: Kind,
    /// How far away the destination is.
    scope: AddressScope,
    /// Who set the route up, for example `kernel`, `boot`, `static`, `dhcp`, `ra` or `bgp`.
    protocol: String,
    /// Share of the traffic among several next hops of one route.
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<u16>,
}

/// What becomes of a packet that takes a route (ip-route(8)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// Sent on.
    Unicast,
    /// Delivered on this host.
    Local,
    /// Sent as broadcast.
    Broadcast,
    /// Delivered here as one of several hosts with the address.
    Anycast,
    /// Sent as multicast.
    Multicast,
    /// Dropped in silence.
    Blackhole,
    /// Dropped; the sender is told that the host is unreachable.
    Unreachable,
    /// Dropped; the sender is told that it is prohibited.
    Prohibit,
    /// Sought in the next table.
    Throw,
    /// A type that Linux does not use today.
    Other,
}

/// The declaration of the tool.
pub(crate) fn tool() -> Tool {
    Tool::new("route", run)
        .title("Routing table")
        .description(
            "List the IPv4 and IPv6 routes of the worker's host, or, with `destination`, show \
             which route its kernel takes to that host: gateway, interface, source address, \
             metric and table. It asks the kernel and sends nothing to the destination (a name \
             is resolved first). The result names the worker host and site it speaks for.",
        )
        .read_only()
        .closed_world()
        .deadline(Duration::from_secs(15), Duration::from_mins(1))
}

async fn run(context: Context, arguments: Arguments) -> Result<RouteList, ToolError> {
    let names = netlink::interface_names().await?;
    let found = match &arguments.destination {
        None => {
            let mut found = Vec::new();
            for family in [AddressFamily::Inet, AddressFamily::Inet6] {
                let messages = netlink::routes(family).await?;
                found.extend(
                    messages
                        .iter()
                        .flat_map(|message| decode::routes(message, &names)),
                );
            }
            found.retain(|route| route.table != decode::LOCAL);
            found.sort_by(|a, b| order(a).cmp(&order(b)));
            found
        }
        Some(destination) => {
            // Only the kernel of this host is asked about an address. A name has to be
            // resolved, and its addresses must be ones this deployment may know about.
            let targets = match destination {
                Host::Address(address) => vec![address.to_canonical()],
                Host::Name(_) => context.scope().resolve(destination).await?,
            };
            lookup::chosen(&targets, &names, &context.host().worker_host).await?
        }
    };
    let page = paginate(&arguments.page, found)?;
    Ok(RouteList {
        host: context.host().clone(),
        routes: page.items,
        next_cursor: page.next_cursor,
        truncated: page.truncated,
    })
}

fn order(route: &Route) -> (bool, &str, IpNet, u32, Option<IpAddr>, Option<&str>) {
    (
        route.destination.addr().is_ipv6(),
        &route.table,
        route.destination,
        route.metric,
        route.gateway,
        route.interface.as_deref(),
    )
}

impl Summary for RouteList {
    fn summary(&self) -> String {
        let table = markdown::table(
            [
                "destination",
                "gateway",
                "interface",
                "source",
                "metric",
                "table",
                "type",
            ],
            &self.routes,
            |route| {
                let destination = match route.target {
                    Some(target) => format!("{target} (by {})", route.destination),
                    None => route.destination.to_string(),
                };
                [
                    destination,
                    markdown::or_dash(route.gateway.as_ref()),
                    markdown::or_dash(route.interface.as_ref()),
                    markdown::or_dash(route.source.as_ref()),
                    route.metric.to_string(),
                    route.table.clone(),
                    format!("{:?}", route.kind).to_lowercase(),
                ]
            },
        );
        format!(
            "{} of {} (site {})\n\n{table}{}",
            markdown::count(self.routes.len(), "route"),
            self.host.worker_host,
            self.host.site,
            markdown::more(self.next_cursor.as_ref()),
        )
    }
}
