use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use schemars::JsonSchema;
use serde::Serialize;

use super::super::fields::Fields;
use super::{ABUSE, MAX_VALUES, bounded};

/// An address block.
#[derive(Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub(in super::super) struct Network {
    /// First and last address, or prefix, as the registry writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(in super::super) range: Option<String>,
    /// The same as prefixes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub(in super::super) cidr: Vec<IpNet>,
    /// Name of the block.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(in super::super) name: Option<String>,
    /// Organization that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(in super::super) organization: Option<String>,
    /// Country code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(in super::super) country: Option<String>,
    /// Kind of allocation or assignment, as the registry writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(in super::super) status: Option<String>,
    /// Date of registration, as the registry writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(in super::super) created: Option<String>,
    /// Date of the last change, as the registry writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(in super::super) updated: Option<String>,
    /// Address for complaints.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(in super::super) abuse_contact: Option<String>,
}

/// An autonomous system.
#[derive(Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub(in super::super) struct AutonomousSystem {
    /// Number or block of numbers, as the registry writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(in super::super) number: Option<String>,
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(in super::super) name: Option<String>,
    /// Organization that runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(in super::super) organization: Option<String>,
    /// Country code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(in super::super) country: Option<String>,
    /// Date of registration, as the registry writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(in super::super) created: Option<String>,
    /// Date of the last change, as the registry writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(in super::super) updated: Option<String>,
    /// Address for complaints.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(in super::super) abuse_contact: Option<String>,
}

const RANGE: [&str; 4] = ["netrange", "inetnum", "inet6num", "ipv4 address"];
const NUMBER: [&str; 3] = ["asnumber", "aut-num", "as-block"];

impl Network {
    /// The smallest block that the fields describe, if any.
    pub(in super::super) fn read(fields: Fields<'_>, text: &str) -> Option<Self> {
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
    pub(in super::super) fn read(fields: Fields<'_>, text: &str) -> Option<Self> {
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

/// A range (`first - last`), a prefix or a comma list of prefixes as prefixes.
pub(super) fn prefixes(range: &str) -> Vec<IpNet> {
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
