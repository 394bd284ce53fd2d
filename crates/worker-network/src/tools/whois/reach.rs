//! From a server to the addresses of it that may be asked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use protocol::{ErrorCode, ToolError};
use tokio::time::timeout;
use worker::{Host, Scope};

use super::servers::{PORT, Standing};
use crate::target;
use crate::tools::server::Server;

/// Longest wait for the system's resolver.
const RESOLVE_DEADLINE: Duration = Duration::from_secs(5);

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
