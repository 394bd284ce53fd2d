//! What a deployment may touch.

mod rule;
mod special;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use protocol::{ErrorCode, ToolError};
use tokio::time::timeout;

use crate::{Host, HostName, ScopeError};
use rule::Rule;
use special::Special;

/// Setting that replaces the default list of allowed targets.
const ALLOW: &str = "SCAN_SCOPE_ALLOW";
/// Setting that lists refused targets.
const DENY: &str = "SCAN_SCOPE_DENY";
/// Longest wait for the system's resolver; twice the default of `resolv.conf(5)`.
const RESOLVE_DEADLINE: Duration = Duration::from_secs(10);
/// Addresses of one name that are looked at.
const MAX_ADDRESSES: usize = 64;

/// Loopback, private (RFC 1918, RFC 4193) and link-local IPv6 networks.
const DEFAULT_ALLOW: [&str; 7] = [
    "127.0.0.0/8",
    "::1",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
    "fe80::/10",
];

/// The scan scope: which targets the tools of this worker may touch.
///
/// A denied target is refused even if it is allowed too. Addresses of cloud metadata
/// services are refused unless that one address (`/32` or `/128`) is allowed; multicast,
/// broadcast and the unspecified address always are. An IPv4 address that hides in an
/// IPv6 address (mapped, compatible, 6to4, NAT64, Teredo) is checked as well.
/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Scope {
    rules: Arc<Rules>,
}

#[derive(Debug)]
struct Rules {
    allow: Vec<Rule>,
    deny: Vec<Rule>,
}

impl Scope {
    /// A scope from the settings' items: networks, addresses, host names or `*.domain`.
    ///
    /// A name in `allow` admits the addresses that the name has; a name in `deny` refuses
    /// the name, not its addresses. An empty `allow` stands for the default: loopback and
    /// private networks.
    ///
    /// # Errors
    /// Names the setting and the item that is not a target.
    pub fn new(allow: &[String], deny: &[String]) -> Result<Self, ScopeError> {
        let allow = if allow.is_empty() {
            Rule::parse_all(ALLOW, &DEFAULT_ALLOW)?
        } else {
            Rule::parse_all(ALLOW, allow)?
        };
        let deny = Rule::parse_all(DENY, deny)?;
        let rules = Arc::new(Rules { allow, deny });
        Ok(Self { rules })
    }

    /// Checks one address.
    ///
    /// # Errors
    /// `out_of_scope`, naming the address and the setting.
    pub fn check(&self, address: IpAddr) -> Result<(), ToolError> {
        self.refusal(None, address)
            .map_or(Ok(()), |why| Err(out_of_scope(&address, &why)))
    }

    /// The addresses of a target that may be touched, at least one; names are resolved by
    /// the system's resolver. An IPv4-mapped address comes back as the IPv4 address it is.
    ///
    /// Use these addresses and never the name again: its next resolution may differ.
    ///
    /// # Errors
    /// `out_of_scope` as by [`Scope::admit`]; `name_not_resolved`.
    pub async fn resolve(&self, host: &Host) -> Result<Vec<IpAddr>, ToolError> {
        match host {
            Host::Address(address) => self.check(*address).map(|()| vec![address.to_canonical()]),
            Host::Name(name) => {
                self.check_name(name)?;
                let addresses = lookup(name).await?;
                self.admit_name(name, addresses)
            }
        }
    }

    /// [`Scope::resolve`] for addresses that the tool resolved itself: leaves out those
    /// that are out of scope.
    ///
    /// # Errors
    /// `out_of_scope` when the name is denied or none of its addresses is in scope;
    /// `name_not_resolved` when there is no address; `invalid_arguments` when `name` is
    /// not a host name.
    pub fn admit(&self, name: &str, addresses: Vec<IpAddr>) -> Result<Vec<IpAddr>, ToolError> {
        let name = name
            .parse()
            .map_err(|error: crate::HostError| ToolError::invalid(error.to_string()))?;
        self.check_name(&name)?;
        self.admit_name(&name, addresses)
    }

    fn admit_name(
        &self,
        name: &HostName,
        addresses: Vec<IpAddr>,
    ) -> Result<Vec<IpAddr>, ToolError> {
        let mut refused = None;
        let mut admitted: Vec<IpAddr> = Vec::new();
        for address in addresses.into_iter().take(MAX_ADDRESSES) {
            match self.refusal(Some(name), address) {
                None if admitted.contains(&address.to_canonical()) => {}
                None => admitted.push(address.to_canonical()),
                Some(why) => {
                    refused.get_or_insert((address, why));
                }
            }
        }
        match refused {
            _ if !admitted.is_empty() => Ok(admitted),
            None => Err(not_resolved(name, "it has no address")),
            Some((address, why)) => Err(out_of_scope(&format!("{address} of {name}"), &why)),
        }
    }

    fn check_name(&self, name: &HostName) -> Result<(), ToolError> {
        match self.rules.deny.iter().find(|rule| rule.matches_name(name)) {
            Some(rule) => Err(out_of_scope(name, &Refusal::Denied(rule.to_string()))),
            None => Ok(()),
        }
    }

    fn refusal(&self, name: Option<&HostName>, address: IpAddr) -> Option<Refusal> {
        special::faces(address)
            .into_iter()
            .find_map(|face| self.refusal_of_face(name, face))
    }

    /// Why an address is refused, taken for nothing but what it looks like.
    fn refusal_of_face(&self, name: Option<&HostName>, face: IpAddr) -> Option<Refusal> {
        let Rules { allow, deny } = &*self.rules;
        if let Some(rule) = deny.iter().find(|rule| rule.contains(face)) {
            return Some(Refusal::Denied(rule.to_string()));
        }
        match special::special(face) {
            Some(Special::Never(what)) => return Some(Refusal::Never(what)),
            Some(Special::Metadata) if !allow.iter().any(|rule| rule.is_exactly(face)) => {
                return Some(Refusal::Metadata(face));
            }
            _ => {}
        }
        let allowed = allow
            .iter()
            .any(|rule| rule.contains(face) || name.is_some_and(|name| rule.matches_name(name)));
        (!allowed).then_some(Refusal::NotAllowed(face))
    }
}

impl Default for Scope {
    /// Loopback and private networks.
    fn default() -> Self {
        // The constants are well formed; a test holds that.
        Self::new(&[], &[]).unwrap_or_else(|_| Self {
            rules: Arc::new(Rules {
                allow: Vec::new(),
                deny: Vec::new(),
            }),
        })
    }
}

/// Why a target is refused.
#[derive(Debug)]
enum Refusal {
    /// A rule denies it.
    Denied(String),
    /// Nobody can allow it.
    Never(&'static str),
    /// Only the address itself can allow it.
    Metadata(IpAddr),
    /// No rule allows it.
    NotAllowed(IpAddr),
}

fn out_of_scope(target: &dyn fmt::Display, refusal: &Refusal) -> ToolError {
    let (why, hint) = match refusal {
        Refusal::Denied(rule) => (
            format!("{DENY} lists {rule}"),
            format!("the operator of this worker can remove {rule} from {DENY}"),
        ),
        Refusal::Never(what) => (
            format!("it is {what}, which no setting allows"),
            "name a single host".to_owned(),
        ),
        Refusal::Metadata(face) => (
            format!("{face} is a cloud metadata service"),
            format!("the operator of this worker can allow it by that exact address in {ALLOW}"),
        ),
        Refusal::NotAllowed(face) => (
            format!("{ALLOW} does not contain {face}"),
            format!(
                "the operator of this worker can add the address, its network or its name to \
                 {ALLOW}, which replaces the default of loopback and private networks"
            ),
        ),
    };
    let message = format!("{target} is outside the scan scope: {why}");
    ToolError::new(ErrorCode::OutOfScope, message).hint(hint)
}

async fn lookup(name: &HostName) -> Result<Vec<IpAddr>, ToolError> {
    match timeout(
        RESOLVE_DEADLINE,
        tokio::net::lookup_host((name.as_str(), 0)),
    )
    .await
    {
        Ok(Ok(sockets)) => Ok(sockets.map(|socket| socket.ip()).collect()),
        Ok(Err(error)) => Err(not_resolved(name, &error.to_string())),
        Err(_) => Err(not_resolved(name, "the resolver did not answer in 10 s")),
    }
}

fn not_resolved(name: &HostName, why: &str) -> ToolError {
    let message = format!("{name} does not resolve: {why}");
    ToolError::new(ErrorCode::NameNotResolved, message)
        .hint("check the spelling, or give the address itself")
}

#[cfg(test)]
mod tests;
