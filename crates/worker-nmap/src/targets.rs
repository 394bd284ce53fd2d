//! What a caller wants scanned: read strictly, resolved, and checked against the scan scope
//! before any process starts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use ipnet::IpNet;
use protocol::{ErrorCode, ToolError};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use worker::{Host, Scope};

use crate::addresses::{AddressSet, in_short};

/// Targets that one call may name.
const MAX_TARGETS: usize = 256;
/// Characters that one target may have: a host name of 253, or any network.
const MAX_LENGTH: usize = 253;
/// Addresses of all targets together: those of an IPv4 network /16.
pub(crate) const MAX_ADDRESSES: u128 = 1 << 16;
/// Names that are resolved at a time.
const LOOKUPS: usize = 8;
/// Addresses that are checked before other calls get their turn.
const CHECKED_AT_ONCE: usize = 4096;
/// Parts outside the scope that a refusal names.
const NAMED_PARTS: usize = 5;

/// The argument `target`: one target or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Targets(Vec<Target>);

/// A host or a network, as a caller may write it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Host(Host),
    /// Without bits beyond its prefix.
    Network(IpNet),
}

/// Addresses that may be scanned, and what the caller called them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) addresses: AddressSet,
    /// The names that were resolved to an address.
    pub(crate) names: BTreeMap<IpAddr, Vec<String>>,
}

impl Targets {
    /// The addresses of the targets, each of them in scope. Of a name with several addresses
    /// it is the first one that is.
    ///
    /// # Errors
    /// `out_of_scope` naming the part of a network that is, `name_not_resolved`,
    /// `invalid_arguments` for more than [`MAX_ADDRESSES`], `unsupported` for link-local IPv6.
    pub(crate) async fn resolve(&self, scope: &Scope) -> Result<Resolved, ToolError> {
        self.check_size()?;
        let mut each = Vec::with_capacity(self.0.len());
        for target in &self.0 {
            each.push(resolve_one(target, scope));
        }
        let networks: Vec<(IpNet, Option<String>)> =
            stream::iter(each).buffered(LOOKUPS).try_collect().await?;
        let mut names: BTreeMap<IpAddr, Vec<String>> = BTreeMap::new();
        for (network, name) in &networks {
            let Some(name) = name else { continue };
            let known = names.entry(network.addr()).or_default();
            if !known.contains(name) {
                known.push(name.clone());
            }
        }
        let addresses = AddressSet::of(networks.into_iter().map(|(network, _)| network));
        Ok(Resolved { addresses, names })
    }

    fn check_size(&self) -> Result<(), ToolError> {
        let networks = self.0.iter().map(|target| match target {
            Target::Host(_) => 1,
            Target::Network(network) => size(*network),
        });
        let sum = networks.fold(0, u128::saturating_add);
        if sum <= MAX_ADDRESSES {
            return Ok(());
        }
        let message =
            format!("the targets have {sum} addresses, and one call scans at most {MAX_ADDRESSES}");
        Err(ToolError::invalid(message)
            .hint("split them over several calls: 65536 addresses are an IPv4 /16 or an IPv6 /112"))
    }
}

async fn resolve_one(target: &Target, scope: &Scope) -> Result<(IpNet, Option<String>), ToolError> {
    let network = match target {
        Target::Network(network) => {
            check_network(*network, scope).await?;
            *network
        }
        Target::Host(host) => {
            let addresses = scope.resolve(host).await?;
            let first = addresses.first().ok_or_else(|| {
                let message = format!("{host} does not resolve: it has no address");
                ToolError::new(ErrorCode::NameNotResolved, message)
            })?;
            IpNet::from(*first)
        }
    };
    if matches!(network.addr(), IpAddr::V6(address) if address.is_unicast_link_local()) {
        let message = format!(
            "{} is link-local: it means another host on each link of the worker's host",
            in_short(network)
        );
        return Err(ToolError::new(ErrorCode::Unsupported, message)
            .hint("scan an address of a wider scope; `arp` lists the neighbours on each link"));
    }
    let name = match target {
        Target::Host(Host::Name(name)) => Some(name.to_string()),
        _ => None,
    };
    Ok((network, name))
}

/// Refuses a network unless every address of it is in scope.
async fn check_network(network: IpNet, scope: &Scope) -> Result<(), ToolError> {
    let mut outside: Vec<IpNet> = Vec::new();
    let mut first_refusal = None;
    let whole = AddressSet::of([network]);
    let mut rest = whole.clone();
    while let Some(from) = rest.first() {
        let part = rest.first_part(CHECKED_AT_ONCE as u128);
        for address in part.addresses() {
            if let Err(refusal) = scope.check(address) {
                first_refusal.get_or_insert(refusal);
                outside.push(address.into());
            }
        }
        rest = part
            .last()
            .map_or_else(AddressSet::default, |last| rest.after(last));
        debug_assert!(!rest.contains(from), "each round takes a part away");
        tokio::task::yield_now().await;
    }
    let Some(refusal) = first_refusal else {
        return Ok(());
    };
    let outside = AddressSet::of(outside);
    if outside == whole {
        let message = format!(
            "no address of {network} is in the scan scope: {}",
            refusal.message
        );
        return Err(ToolError { message, ..refusal });
    }
    let parts = outside.networks();
    let mut named: Vec<String> = parts
        .iter()
        .take(NAMED_PARTS)
        .copied()
        .map(in_short)
        .collect();
    if parts.len() > NAMED_PARTS {
        named.push(format!("{} more", parts.len() - NAMED_PARTS));
    }
    let message = format!(
        "{} of the {} addresses of {network} are outside the scan scope, in {}: {}",
        outside.len(),
        whole.len(),
        named.join(", "),
        refusal.message
    );
    Err(ToolError { message, ..refusal })
}

fn size(network: IpNet) -> u128 {
    let bits = u32::from(network.max_prefix_len() - network.prefix_len());
    1_u128.checked_shl(bits).unwrap_or(u128::MAX)
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("it is longer than {MAX_LENGTH} characters"));
        }
        if text.starts_with('-') || !text.contains('/') {
            return match text.parse() {
                Ok(host) => Ok(Self::Host(host)),
                Err(error) => Err(format!(
                    "{error}; it must be one address, one host name or one network in CIDR \
                     notation, and several of them an array"
                )),
            };
        }
        let network: IpNet = text.parse().map_err(|_| {
            format!("{text:?} is not a network in CIDR notation, such as 10.0.0.0/24")
        })?;
        if network.trunc() != network {
            return Err(format!(
                "{text} has bits set beyond its prefix length; the network is {}",
                network.trunc()
            ));
        }
        let is_mapped = |network: IpNet| matches!(network.addr(), IpAddr::V6(address) if address.to_ipv4_mapped().is_some());
        if is_mapped(network) {
            return Err(format!(
                "{text} is an IPv4 network in disguise: write it as IPv4"
            ));
        }
        Ok(Self::Network(network))
    }
}

impl<'de> Deserialize<'de> for Targets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrSeveral)
    }
}

struct OneOrSeveral;

impl<'de> Visitor<'de> for OneOrSeveral {
    type Value = Targets;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a target, or an array of 1 to {MAX_TARGETS} targets")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Targets, E> {
        let target = text.parse().map_err(E::custom)?;
        Ok(Targets(vec![target]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Targets, A::Error> {
        let mut targets = Vec::new();
        while let Some(text) = items.next_element::<Cow<'_, str>>()? {
            targets.push(text.parse().map_err(serde::de::Error::custom)?);
            if targets.len() > MAX_TARGETS {
                return Err(serde::de::Error::invalid_length(targets.len(), &self));
            }
        }
        if targets.is_empty() {
            return Err(serde::de::Error::invalid_length(0, &self));
        }
        Ok(Targets(targets))
    }
}

impl JsonSchema for Targets {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Targets".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let one = json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_LENGTH,
            "description": "Host name, address or network.",
        });
        json_schema!({
            "anyOf": [
                one,
                { "type": "array", "items": one, "minItems": 1, "maxItems": MAX_TARGETS },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Target, String> {
        text.parse()
    }

    #[test]
    fn hosts_addresses_and_networks_are_targets() {
        for good in [
            "10.0.0.1",
            "fd00::1",
            "router.example",
            "10.0.0.0/8",
            "10.0.0.1/32",
            "fd00::/120",
            "10.0.0.0/31",
        ] {
            assert!(read(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn what_nmap_would_read_as_something_else_is_refused() {
        let check = |text: &str, word: &str| {
            let error = read(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        };
        check("-iL/etc/passwd", "hyphen");
        check("-oN/tmp/x", "hyphen");
        check("--script=x", "hyphen");
        check("1.2.3.4,5", "character");
        check("192.168.1.1,2", "character");
        check("10.0.0.1-9", "label");
        check("10.0.0.*", "wildcard");
        check("10.0.0.1 10.0.0.2", "character");
        check(" 10.0.0.1", "character");
        check("10.0.0.0/24 ", "CIDR");
        check("10.0.0.0/33", "CIDR");
        check("10.0.0.0/24,25", "CIDR");
        check("10.0.0.0-9/24", "CIDR");
        check("router.example/24", "CIDR");
        check("10.0.0.0/", "CIDR");
        check("/24", "CIDR");
        check("10.0.0.5/24", "10.0.0.0/24");
        check("::ffff:10.0.0.0/104", "IPv4");
        check("127.1", "number");
        check("0x7f000001", "number");
        check("fe80::1%eth0", "IPv6");
        check("[::1]", "IPv6");
        check("", "empty");
    }

    #[tokio::test]
    async fn a_network_is_in_scope_only_as_a_whole() {
        let scope = |allow: &[&str], deny: &[&str]| {
            let list = |items: &[&str]| items.iter().map(ToString::to_string).collect::<Vec<_>>();
            Scope::new(&list(allow), &list(deny)).unwrap()
        };
        let check = async |scope: &Scope, text: &str, words: &[&str]| {
            let resolved = Targets(vec![read(text).unwrap()]).resolve(scope).await;
            match (words, resolved) {
                ([], resolved) => {
                    assert_eq!(in_short(resolved.unwrap().addresses.networks()[0]), text);
                }
                (words, resolved) => {
                    let error = resolved.unwrap_err();
                    assert_eq!(error.code, ErrorCode::OutOfScope, "{text}");
                    for word in words {
                        assert!(error.message.contains(word), "{text}: {}", error.message);
                    }
                }
            }
        };
        let default = Scope::default();
        check(&default, "10.0.0.0/20", &[]).await;
        check(&default, "10.0.0.0/16", &[]).await;
        check(
            &default,
            "8.8.8.0/24",
            &["no address of 8.8.8.0/24", "SCAN_SCOPE_ALLOW"],
        )
        .await;
        check(&default, "172.32.0.0/24", &["SCAN_SCOPE_ALLOW"]).await;
        check(&default, "169.254.169.0/24", &["no address"]).await;
        let narrow = scope(&["10.0.0.0/25", "fd00::/120"], &["10.0.0.7"]);
        check(&narrow, "10.0.0.16/28", &[]).await;
        check(
            &narrow,
            "10.0.0.0/24",
            &["129 of the 256", "10.0.0.7", "10.0.0.128/25"],
        )
        .await;
        check(&narrow, "fd00::/119", &["256 of the 512", "fd00::100/120"]).await;
        let error = Targets(vec![read("10.0.0.0/15").unwrap()])
            .resolve(&default)
            .await;
        let error = error.unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArguments);
        assert!(error.message.contains("131072"), "{}", error.message);
        let error = Targets(vec![read("::/0").unwrap(), read("::/0").unwrap()])
            .resolve(&default)
            .await;
        assert_eq!(error.unwrap_err().code, ErrorCode::InvalidArguments);
        let error = Targets(vec![read("fe80::1").unwrap()])
            .resolve(&default)
            .await;
        assert_eq!(error.unwrap_err().code, ErrorCode::Unsupported);
    }
}
