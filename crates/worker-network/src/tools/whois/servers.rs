//! Which server is asked first, and why a server may be asked at all.

use std::net::Ipv4Addr;

use thiserror::Error as ThisError;
use worker::Host;

use super::query::{Query, broken_rule};
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
}
