use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::{HostName, ScopeError};

/// One item of a list of targets.
#[derive(Debug, Clone)]
pub(super) enum Rule {
    /// Addresses; a single one is a network of full length.
    Network(IpNet),
    /// Exactly this name.
    Name(HostName),
    /// The names below this one.
    Below(HostName),
}

impl Rule {
    pub(super) fn parse_all<S: AsRef<str>>(
        setting: &'static str,
        items: &[S],
    ) -> Result<Vec<Self>, ScopeError> {
        let parse = |item: &S| {
            let item = item.as_ref();
            Self::parse(item).map_err(|why| ScopeError {
                setting,
                item: item.to_owned(),
                why,
            })
        };
        items.iter().map(parse).collect()
    }

    fn parse(item: &str) -> Result<Self, String> {
        if let Ok(address) = item.parse::<IpAddr>() {
            return Ok(Self::Network(address.to_canonical().into()));
        }
        if item.contains('/') {
            return network(item).map(Self::Network);
        }
        let name = |text: &str| {
            text.parse::<HostName>()
                .map_err(|error| format!("is not a target: {}", error.why))
        };
        match item.strip_prefix("*.") {
            Some(domain) => name(domain).map(Self::Below),
            None => name(item).map(Self::Name),
        }
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        matches!(self, Self::Network(network) if network.contains(&address))
    }

    /// Whether the rule is this address and no other.
    pub(super) fn is_exactly(&self, address: IpAddr) -> bool {
        matches!(self, Self::Network(network)
            if network.addr() == address && network.prefix_len() == network.max_prefix_len())
    }

    pub(super) fn matches_name(&self, name: &HostName) -> bool {
        match self {
            Self::Network(_) => false,
            Self::Name(own) => own.is(name),
            Self::Below(domain) => name.is_below(domain),
        }
    }
}

fn network(item: &str) -> Result<IpNet, String> {
    let network: IpNet = item
        .parse()
        .map_err(|_| "is not a network in CIDR notation".to_owned())?;
    if network.trunc() != network {
        return Err(format!(
            "has bits set beyond its prefix length; the network is {}",
            network.trunc()
        ));
    }
    // A rule for mapped addresses is one for the IPv4 addresses that they are.
    match (network.addr().to_canonical(), network.prefix_len()) {
        (IpAddr::V4(address), length @ 96..) if network.addr().is_ipv6() => {
            IpNet::new(address.into(), length - 96).map_err(|error| error.to_string())
        }
        _ => Ok(network),
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) if network.prefix_len() == network.max_prefix_len() => {
                network.addr().fmt(f)
            }
            Self::Network(network) => network.fmt(f),
            Self::Name(name) => name.fmt(f),
            Self::Below(domain) => write!(f, "*.{domain}"),
        }
    }
}
