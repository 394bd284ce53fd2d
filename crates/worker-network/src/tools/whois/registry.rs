//! What registries say of domains, networks and autonomous systems, in common terms.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use schemars::JsonSchema;
use serde::Serialize;

use super::fields::Fields;

/// Most values of one list.
const MAX_VALUES: usize = 50;
/// Longest value in characters.
const MAX_VALUE: usize = 300;

/// A registered domain.
#[derive(Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Domain {
    /// Name as the registry writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) name: Option<String>,
    /// Company through which it is registered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) registrar: Option<String>,
    /// Date of registration, as the registry writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) created: Option<String>,
    /// Date of the last change, as the registry writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) updated: Option<String>,
    /// Date on which the registration ends, as the registry writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) expires: Option<String>,
    /// Name servers in lower case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) name_servers: Vec<String>,
    /// Status words, such as `clientTransferProhibited`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) status: Vec<String>,
    /// DNSSEC state, as the registry writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) dnssec: Option<String>,
    /// Holder.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) registrant: Option<String>,
    /// Organization of the holder.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) organization: Option<String>,
    /// Country of the holder.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) country: Option<String>,
    /// Address for complaints.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) abuse_contact: Option<String>,
}

/// An address block.
#[derive(Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Network {
    /// First and last address, or prefix, as the registry writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) range: Option<String>,
    /// The same as prefixes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub(super) cidr: Vec<IpNet>,
    /// Name of the block.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) name: Option<String>,
    /// Organization that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) organization: Option<String>,
    /// Country code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) country: Option<String>,
    /// Kind of allocation or assignment, as the registry writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) status: Option<String>,
    /// Date of registration, as the registry writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) created: Option<String>,
    /// Date of the last change, as the registry writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) updated: Option<String>,
    /// Address for complaints.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) abuse_contact: Option<String>,
}

/// An autonomous system.
#[derive(Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct AutonomousSystem {
    /// Number or block of numbers, as the registry writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) number: Option<String>,
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) name: Option<String>,
    /// Organization that runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) organization: Option<String>,
    /// Country code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) country: Option<String>,
    /// Date of registration, as the registry writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) created: Option<String>,
    /// Date of the last change, as the registry writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) updated: Option<String>,
    /// Address for complaints.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) abuse_contact: Option<String>,
}

const NAME: [&str; 2] = ["domain name", "domain"];
const CREATED: [&str; 12] = [
    "creation date",
    "created",
    "created on",
    "created date",
    "registered on",
    "registered date",
    "registration date",
    "registration time",
    "domain registration date",
    "domain record activated",
    "registered",
    "regdate",
];
const UPDATED: [&str; 11] = [
    "updated date",
    "updated",
    "last updated",
    "last updated on",
    "last-update",
    "last modified",
    "last-modified",
    "last updated date",
    "modified",
    "changed",
    "domain record last updated",
];
const EXPIRES: [&str; 13] = [
    "registry expiry date",
    "registrar registration expiration date",
    "expiry date",
    "expiration date",
    "expires",
    "expires on",
    "expire date",
    "expire",
    "paid-till",
    "renewal date",
    "expiration time",
    "domain expires",
    "validity",
];
const NAME_SERVERS: [&str; 8] = [
    "name server",
    "name servers",
    "nserver",
    "nameserver",
    "nameservers",
    "host name",
    "domain servers in listed order",
    "domain nameservers",
];
const STATUS: [&str; 5] = [
    "domain status",
    "status",
    "state",
    "eppstatus",
    "registration status",
];
const RANGE: [&str; 4] = ["netrange", "inetnum", "inet6num", "ipv4 address"];
const ABUSE: [&str; 5] = [
    "orgabuseemail",
    "abuse-mailbox",
    "registrar abuse contact email",
    "abuse contact email",
    "abuse contact",
];
const NUMBER: [&str; 3] = ["asnumber", "aut-num", "as-block"];

/// Whether an answer speaks of the domain, as far as it says of which it speaks.
///
/// The root of the registries answers with the top-level domain where it knows no registry.
pub(super) fn speaks_of(fields: Fields<'_>, domain: &str) -> bool {
    let ascii = |name: &str| match url::Host::parse(name.trim_end_matches('.')) {
        Ok(host) => host.to_string().eq_ignore_ascii_case(domain),
        Err(_) => false,
    };
    let mut names = fields.all(&NAME).peekable();
    names.peek().is_none() || names.any(ascii)
}

impl Domain {
    /// What the fields say; `None` if they do not describe a registration.
    pub(super) fn read(fields: Fields<'_>) -> Option<Self> {
        let first = |keys: &[&str]| fields.first(keys).map(|value| bounded(&value));
        let servers = fields.all(&NAME_SERVERS).filter_map(name_server);
        let domain = Self {
            name: first(&NAME),
            registrar: first(&["registrar", "registrar name", "sponsoring registrar"]),
            created: first(&CREATED),
            updated: first(&UPDATED),
            expires: first(&EXPIRES),
            name_servers: distinct(servers),
            status: distinct(fields.all(&STATUS).map(status)),
            dnssec: first(&["dnssec", "dnssec status", "ds-rdata"]),
            registrant: first(&["registrant name", "registrant", "holder", "owner"]),
            organization: first(&[
                "registrant organization",
                "registrant organisation",
                "organization",
                "organisation",
                "org",
            ]),
            country: first(&[
                "registrant country",
                "registrant country/economy",
                "country",
            ]),
            abuse_contact: first(&ABUSE),
        };
        let says_something = domain.registrar.is_some()
            || domain.created.is_some()
            || domain.expires.is_some()
            || !domain.name_servers.is_empty();
        says_something.then_some(domain)
    }

    /// Takes from another answer what this one does not say.
    pub(super) fn complete(&mut self, other: Self) {
        let fill = |mine: &mut Option<String>, theirs: Option<String>| {
            if mine.is_none() {
                *mine = theirs;
            }
        };
        fill(&mut self.name, other.name);
        fill(&mut self.registrar, other.registrar);
        fill(&mut self.created, other.created);
        fill(&mut self.updated, other.updated);
        fill(&mut self.expires, other.expires);
        fill(&mut self.dnssec, other.dnssec);
        fill(&mut self.registrant, other.registrant);
        fill(&mut self.organization, other.organization);
        fill(&mut self.country, other.country);
        fill(&mut self.abuse_contact, other.abuse_contact);
        if self.name_servers.is_empty() {
            self.name_servers = other.name_servers;
        }
        if self.status.is_empty() {
            self.status = other.status;
        }
    }
}

impl Network {
    /// The smallest block that the fields describe, if any.
    pub(super) fn read(fields: Fields<'_>, text: &str) -> Option<Self> {
        let smallest = |object: &Fields<'_>| {
            let range = object.first(&RANGE).unwrap_or_default();
            prefixes(&range).first().map_or(0, IpNet::prefix_len)
        };
        // The first of equals, where `max_by_key` would take the last.
        let objects = fields.objects(&RANGE);
        let object = *objects.iter().rev().max_by_key(|object| smallest(object))?;
        let first = |keys: &[&str]| object.first(keys).map(|value| bounded(&value));
        let range = first(&RANGE);
        Some(Self {
            cidr: range.as_deref().map(prefixes).unwrap_or_default(),
            range,
            name: first(&["netname", "network-name"]),
            organization: first(&[
                "orgname",
                "org-name",
                "organization",
                "organisation",
                "owner",
                "descr",
            ]),
            country: first(&["country"]),
            status: first(&["nettype", "status"]),
            created: first(&["regdate", "created"]),
            updated: first(&["updated", "last-modified", "changed"]),
            abuse_contact: first(&ABUSE).or_else(|| abuse_comment(text)),
        })
    }
}

impl AutonomousSystem {
    /// What the fields say, if they describe one.
    pub(super) fn read(fields: Fields<'_>, text: &str) -> Option<Self> {
        let object = *fields.objects(&NUMBER).last()?;
        let first = |keys: &[&str]| object.first(keys).map(|value| bounded(&value));
        Some(Self {
            number: first(&NUMBER),
            name: first(&["asname", "as-name"]),
            organization: first(&[
                "orgname",
                "org-name",
                "organization",
                "organisation",
                "owner",
                "descr",
            ]),
            country: first(&["country"]),
            created: first(&["regdate", "created"]),
            updated: first(&["updated", "last-modified", "changed"]),
            abuse_contact: first(&ABUSE).or_else(|| abuse_comment(text)),
        })
    }
}

/// Whether an answer says that nothing of that name is registered.
pub(super) fn says_absent(text: &str) -> bool {
    const PHRASES: [&str; 16] = [
        "no match",
        "not found",
        "no entries found",
        "no data found",
        "no object found",
        "no matching record",
        "nothing found",
        "not registered",
        "does not exist",
        "is available for registration",
        "is free",
        "no information available",
        "no such domain",
        "object not found",
        "status: free",
        "status: available",
    ];
    text.lines()
        .map(|line| {
            line.split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .to_lowercase()
        })
        .any(|line| PHRASES.iter().any(|phrase| line.contains(phrase)))
}

/// The name at the front, without the addresses that may follow.
fn name_server(value: &str) -> Option<String> {
    let name = value.split_whitespace().next()?.trim_end_matches('.');
    (name.contains('.') && name.len() <= 253).then(|| name.to_ascii_lowercase())
}

/// The status word, without the address of its explanation.
fn status(value: &str) -> String {
    let end = [" http", " ("]
        .iter()
        .filter_map(|mark| value.find(mark))
        .min();
    bounded(value[..end.unwrap_or(value.len())].trim())
}

fn distinct(values: impl Iterator<Item = String>) -> Vec<String> {
    let mut distinct: Vec<String> = Vec::new();
    for value in values {
        if distinct.len() < MAX_VALUES && !distinct.contains(&value) {
            distinct.push(value);
        }
    }
    distinct
}

/// A range (`first - last`), a prefix or a comma list of prefixes as prefixes.
fn prefixes(range: &str) -> Vec<IpNet> {
    let listed: Option<Vec<IpNet>> = range
        .split(',')
        .map(|part| part.trim().parse().ok())
        .collect();
    if let Some(listed) = listed {
        return listed.into_iter().take(MAX_VALUES).collect();
    }
    let Some((first, last)) = range.split_once('-') else {
        return Vec::new();
    };
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(IpAddr::V4(first)), Ok(IpAddr::V4(last))) if first <= last => {
            let subnets = Ipv4Subnets::new(first, last, 0);
            subnets.map(IpNet::V4).take(MAX_VALUES).collect()
        }
        (Ok(IpAddr::V6(first)), Ok(IpAddr::V6(last))) if first <= last => {
            let subnets = Ipv6Subnets::new(first, last, 0);
            subnets.map(IpNet::V6).take(MAX_VALUES).collect()
        }
        _ => Vec::new(),
    }
}

/// `% Abuse contact for '…' is '…'`, which RIPE and APNIC put in a comment.
fn abuse_comment(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (_, contact) = line
            .strip_prefix("% Abuse contact for ")?
            .rsplit_once(" is ")?;
        Some(bounded(contact.trim().trim_matches('\'')))
    })
}

fn bounded(value: &str) -> String {
    value.chars().take(MAX_VALUE).collect()
}

#[cfg(test)]
mod tests;
