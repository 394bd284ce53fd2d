use schemars::JsonSchema;
use serde::Serialize;

use super::super::fields::Fields;
use super::{ABUSE, CREATED, MAX_VALUES, UPDATED, bounded};

/// A registered domain.
#[derive(Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub(in super::super) struct Domain {
    /// Name as the registry writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(in super::super) name: Option<String>,
    /// Company through which it is registered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(in super::super) registrar: Option<String>,
    /// Date of registration, as the registry writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(in super::super) created: Option<String>,
    /// Date of the last change, as the registry writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(in super::super) updated: Option<String>,
    /// Date on which the registration ends, as the registry writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(in super::super) expires: Option<String>,
    /// Name servers in lower case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in super::super) name_servers: Vec<String>,
    /// Status words, such as `clientTransferProhibited`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in super::super) status: Vec<String>,
    /// DNSSEC state, as the registry writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(in super::super) dnssec: Option<String>,
    /// Holder.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(in super::super) registrant: Option<String>,
    /// Organization of the holder.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(in super::super) organization: Option<String>,
    /// Country of the holder.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(in super::super) country: Option<String>,
    /// Address for complaints.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(in super::super) abuse_contact: Option<String>,
}

const NAME: [&str; 2] = ["domain name", "domain"];
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

/// Whether an answer speaks of the domain, as far as it says of which it speaks.
///
/// The root of the registries answers with the top-level domain where it knows no registry.
pub(in super::super) fn speaks_of(fields: Fields<'_>, domain: &str) -> bool {
    let ascii = |name: &str| match url::Host::parse(name.trim_end_matches('.')) {
        Ok(host) => host.to_string().eq_ignore_ascii_case(domain),
        Err(_) => false,
    };
    let mut names = fields.all(&NAME).peekable();
    names.peek().is_none() || names.any(ascii)
}

impl Domain {
    /// What the fields say; `None` if they do not describe a registration.
    pub(in super::super) fn read(fields: Fields<'_>) -> Option<Self> {
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
    pub(in super::super) fn complete(&mut self, other: Self) {
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
