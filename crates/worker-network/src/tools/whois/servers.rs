//! Which server is asked first, and which servers may be asked at all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use protocol::{ErrorCode, ToolError};
use thiserror::Error as ThisError;
use tokio::time::timeout;
use worker::{Host, Scope};

use super::query::{Query, broken_rule};
use crate::target;
use crate::tools::server::Server;

/// Port of whois (RFC 3912).
pub(super) const PORT: u16 = 43;
/// Knows the registry of every top-level domain, address block and AS number.
const ROOT: &str = "whois.iana.org";
/// Further servers that a caller may name: the regional registries and the largest registry of
/// domains.
const KNOWN: [&str; 7] = [
    ROOT,
    "whois.afrinic.net",
    "whois.apnic.net",
    "whois.arin.net",
    "whois.lacnic.net",
    "whois.ripe.net",
    "whois.verisign-grs.com",
];
/// Longest wait for the system's resolver.
const RESOLVE_DEADLINE: Duration = Duration::from_secs(5);

/// An item of the setting that is not usable.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[error(
    "WHOIS_SERVERS: {item:?} {why}; allowed: `domain`, `ip`, `asn` or a domain such as `com`, then `=host` or `=host:port`"
)]
pub struct ServersError {
    /// The item.
    pub item: String,
    /// What is wrong with it.
    pub why: String,
}

/// The servers of the setting, in front of the built-in ones.
#[derive(Debug, Clone, Default)]
pub(super) struct Servers {
    domain: Option<Server>,
    ip: Option<Server>,
    asn: Option<Server>,
    /// Domains with a server of their own.
    zones: Vec<(String, Server)>,
}

/// Why a server may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The operator configured it.
    Configured,
    /// It is built in, or a registry refers to it: its addresses must be public, or in scope.
    Public,
    /// The caller named it: its addresses must be in scope.
    Scope,
}

impl Servers {
    pub(super) fn new(items: &[String]) -> Result<Self, ServersError> {
        let mut servers = Self::default();
        for item in items {
            let fault = |why: String| ServersError {
                item: item.clone(),
                why,
            };
            let (key, server) = item
                .split_once('=')
                .ok_or_else(|| fault("has no `=`".to_owned()))?;
            let server: Server = server.parse().map_err(fault)?;
            let slot = match key {
                "domain" => &mut servers.domain,
                "ip" => &mut servers.ip,
                "asn" => &mut servers.asn,
                zone => {
                    if let Some(why) = broken_rule(zone) {
                        return Err(fault(format!("does not begin with a domain: {why}")));
                    }
                    servers.zones.push((zone.to_ascii_lowercase(), server));
                    continue;
                }
            };
            *slot = Some(server);
        }
        Ok(servers)
    }

    /// The server to begin with: of the closest domain, of the kind, or the root of all.
    pub(super) fn first(&self, query: &Query) -> (Server, Standing) {
        let configured = match query {
            Query::Domain(name) => self.of_domain(name).or(self.domain.as_ref()),
            Query::Address(_) | Query::Network(_) => self.ip.as_ref(),
            Query::Asn(_) => self.asn.as_ref(),
        };
        match configured {
            Some(server) => (server.clone(), Standing::Configured),
            None => (root(), Standing::Public),
        }
    }

    fn of_domain(&self, name: &str) -> Option<&Server> {
        let covers = |zone: &str| {
            name.strip_suffix(zone)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        self.zones
            .iter()
            .filter(|(zone, _)| covers(zone))
            .max_by_key(|(zone, _)| zone.len())
            .map(|(_, server)| server)
    }

    /// Why a server that a registry refers to may be asked.
    pub(super) fn standing_of_referral(&self, server: &Server) -> Standing {
        if self.is_configured(server) {
            Standing::Configured
        } else {
            Standing::Public
        }
    }

    /// Why a server that a caller names may be asked.
    pub(super) fn standing_of_argument(&self, server: &Server) -> Standing {
        if self.is_configured(server) {
            Standing::Configured
        } else if is_known(server) {
            Standing::Public
        } else {
            Standing::Scope
        }
    }

    fn is_configured(&self, server: &Server) -> bool {
        let zones = self.zones.iter().map(|(_, server)| server);
        [&self.domain, &self.ip, &self.asn]
            .into_iter()
            .flatten()
            .chain(zones)
            .any(|configured| same(configured, server))
    }
}

fn root() -> Server {
    // The constant is well formed; a test holds that.
    ROOT.parse().unwrap_or_else(|_| Server {
        host: Host::Address(Ipv4Addr::LOCALHOST.into()),
        port: None,
    })
}

/// Whether both are the same host and port.
pub(super) fn same(one: &Server, other: &Server) -> bool {
    one.port.unwrap_or(PORT) == other.port.unwrap_or(PORT)
        && match (&one.host, &other.host) {
            (Host::Name(one), Host::Name(other)) => one.is(other),
            (one, other) => one == other,
        }
}

fn is_known(server: &Server) -> bool {
    server.port.unwrap_or(PORT) == PORT
        && matches!(&server.host, Host::Name(name)
            if KNOWN.iter().any(|known| name.as_str().eq_ignore_ascii_case(known)))
}

/// The addresses of a server that may be asked, at least one.
///
/// A registry, or whoever answers in its place, could refer to a host inside the network of the
/// worker; so the addresses decide, not the name.
///
/// # Errors
/// `out_of_scope` when none of its addresses may be asked; `name_not_resolved`.
pub(super) async fn addresses(
    server: &Server,
    standing: Standing,
    scope: &Scope,
) -> Result<Vec<SocketAddr>, ToolError> {
    let port = server.port.unwrap_or(PORT);
    let addresses = match standing {
        Standing::Scope => scope.resolve(&server.host).await.map_err(|error| {
            error.hint("name a server in scan scope, or let the operator add it to WHOIS_SERVERS")
        })?,
        Standing::Configured => lookup(&server.host).await?,
        Standing::Public => admitted(server, port, lookup(&server.host).await?, scope)?,
    };
    let mut sockets = Vec::new();
    for address in addresses {
        sockets.push(target::socket_address(address, port).await?);
    }
    Ok(sockets)
}

fn admitted(
    server: &Server,
    port: u16,
    addresses: Vec<IpAddr>,
    scope: &Scope,
) -> Result<Vec<IpAddr>, ToolError> {
    let may =
        |address: &IpAddr| (port == PORT && is_public(*address)) || scope.check(*address).is_ok();
    let (good, bad): (Vec<IpAddr>, Vec<IpAddr>) = addresses.into_iter().partition(may);
    match bad.first() {
        Some(address) if good.is_empty() => Err(ToolError::new(
            ErrorCode::OutOfScope,
            format!(
                "whois server {server} has the address {address}, which is neither in SCAN_SCOPE_ALLOW nor public on port {PORT}"
            ),
        )
        .hint("the operator can name the server in WHOIS_SERVERS")),
        _ => Ok(good),
    }
}

async fn lookup(host: &Host) -> Result<Vec<IpAddr>, ToolError> {
    let name = match host {
        Host::Address(address) => return Ok(vec![address.to_canonical()]),
        Host::Name(name) => name.as_str(),
    };
    let why = match timeout(RESOLVE_DEADLINE, tokio::net::lookup_host((name, PORT))).await {
        Ok(Ok(found)) => {
            let mut addresses: Vec<IpAddr> = found.map(|found| found.ip().to_canonical()).collect();
            addresses.dedup();
            if !addresses.is_empty() {
                return Ok(addresses);
            }
            "it has no address".to_owned()
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", RESOLVE_DEADLINE.as_secs()),
    };
    Err(ToolError::new(
        ErrorCode::NameNotResolved,
        format!("whois server {name} cannot be resolved: {why}"),
    )
    .hint("check the resolver of the worker's host; WHOIS_SERVERS can name servers by address"))
}

/// Whether an address is that of a host on the Internet: global unicast, and not of a special
/// purpose (IANA registries of special-purpose addresses, RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        [0 | 10 | 127 | 224..=255, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 168, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
            // The virtual machine's own wire server on Azure.
            | [168, 63, 129, 16]
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // IPv4 behind a translator (RFC 6052).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            is_public_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
        }
        // Protocol assignments with Teredo, documentation, 6to4.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(items: &[&str]) -> Servers {
        let items: Vec<String> = items.iter().map(|&item| item.to_owned()).collect();
        Servers::new(&items).unwrap()
    }

    #[test]
    fn the_closest_server_is_asked_first() {
        let servers = servers(&[
            "domain=d.example",
            "uk=uk.example:4343",
            "co.uk=co.example",
            "ip=::1",
        ]);
        let check = |query: &str, expected: &str, standing| {
            let (server, found) = servers.first(&query.parse().unwrap());
            assert_eq!(
                (server.to_string().as_str(), found),
                (expected, standing),
                "{query}"
            );
        };
        check("a.co.uk", "co.example", Standing::Configured);
        check("a.org.uk", "uk.example:4343", Standing::Configured);
        check("uk", "uk.example:4343", Standing::Configured);
        check("notuk", "d.example", Standing::Configured);
        check("192.0.2.0/24", "::1", Standing::Configured);
        check("AS64496", ROOT, Standing::Public);
    }

    #[test]
    fn an_unusable_item_is_named() {
        for item in [
            "com",
            "com=",
            "com=host:0",
            "-x=host",
            "a b=host",
            "127=host",
        ] {
            let error = Servers::new(&[item.to_owned()]).unwrap_err();
            assert!(error.to_string().contains(&format!("{item:?}")), "{error}");
        }
    }

    #[test]
    fn a_caller_may_name_configured_known_and_scoped_servers() {
        let servers = servers(&["lab=10.0.0.1:4343"]);
        let check = |server: &str, expected| {
            assert_eq!(
                servers.standing_of_argument(&server.parse().unwrap()),
                expected,
                "{server}"
            );
        };
        check("10.0.0.1:4343", Standing::Configured);
        check("10.0.0.1", Standing::Scope);
        check("WHOIS.ripe.net", Standing::Public);
        check("whois.ripe.net:22", Standing::Scope);
        check("whois.example", Standing::Scope);
    }

    #[test]
    fn only_addresses_on_the_internet_are_public() {
        let check = |address: &str, expected| {
            assert_eq!(is_public(address.parse().unwrap()), expected, "{address}");
        };
        for address in [
            "192.0.43.8",
            "1.1.1.1",
            "172.32.0.1",
            "2620:0:2d0::1",
            "2a00::1",
            "64:ff9b::101:101",
        ] {
            check(address, true);
        }
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.2.1",
            "192.168.0.1",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:a00:1::",
            "3fff::1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
        ] {
            check(address, false);
        }
    }

    #[test]
    fn the_built_in_servers_are_well_formed() {
        assert_eq!(root().to_string(), ROOT);
        for known in KNOWN {
            assert!(
                known
                    .parse::<Server>()
                    .is_ok_and(|server| is_known(&server)),
                "{known}"
            );
        }
    }

    #[test]
    fn a_server_inside_the_network_needs_the_scope_or_the_operator() {
        let scope = Scope::default();
        let server: Server = "whois.example".parse().unwrap();
        let check = |address: &str, port, expected| {
            let addresses = vec![address.parse().unwrap()];
            let admitted = admitted(&server, port, addresses, &scope);
            assert_eq!(admitted.is_ok(), expected, "{address} {port}");
        };
        check("192.0.43.8", PORT, true);
        check("192.0.43.8", 25, false);
        check("10.0.0.1", 4343, true);
        check("169.254.169.254", PORT, false);
        check("::ffff:169.254.169.254", PORT, false);
        check("203.0.113.1", PORT, false);
    }
}
