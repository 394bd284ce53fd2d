use std::borrow::Cow;
use std::net::IpAddr;

use hickory_resolver::proto::rr::{Name, RecordType};
use protocol::ToolError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

// The variants have no documentation comments, so that the schema is a plain list of names.
/// The record types that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) enum QueryType {
    A,
    #[serde(rename = "AAAA")]
    Aaaa,
    #[serde(rename = "MX")]
    Mx,
    #[serde(rename = "NS")]
    Ns,
    #[serde(rename = "TXT")]
    Txt,
    #[serde(rename = "CNAME")]
    Cname,
    #[serde(rename = "PTR")]
    Ptr,
    #[serde(rename = "SOA")]
    Soa,
    #[serde(rename = "SRV")]
    Srv,
    #[serde(rename = "CAA")]
    Caa,
}

impl From<QueryType> for RecordType {
    fn from(query_type: QueryType) -> Self {
        match query_type {
            QueryType::A => Self::A,
            QueryType::Aaaa => Self::AAAA,
            QueryType::Mx => Self::MX,
            QueryType::Ns => Self::NS,
            QueryType::Txt => Self::TXT,
            QueryType::Cname => Self::CNAME,
            QueryType::Ptr => Self::PTR,
            QueryType::Soa => Self::SOA,
            QueryType::Srv => Self::SRV,
            QueryType::Caa => Self::CAA,
        }
    }
}

/// What is asked: a name, and for which records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    /// Fully qualified.
    pub(super) name: Name,
    /// The records wanted.
    pub(super) query_type: RecordType,
    /// False for a name that the search list of the system may complete.
    pub(super) absolute: bool,
}

impl Question {
    /// Builds the question from the arguments.
    ///
    /// An address is asked for by its reverse name (RFC 1035 section 3.5, RFC 3596 section
    /// 2.5), and by nothing else, since other records of an address do not exist. `A` is what the
    /// schema states as default, so given or not it means the same.
    pub(super) fn new(host: &str, query_type: Option<QueryType>) -> Result<Self, ToolError> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return match query_type {
                None | Some(QueryType::A | QueryType::Ptr) => Ok(Self {
                    name: Name::from(address.to_canonical()),
                    query_type: RecordType::PTR,
                    absolute: true,
                }),
                Some(other) => Err(ToolError::invalid(format!(
                    "argument type: an address has no {} records",
                    RecordType::from(other)
                ))
                .hint("leave \"type\" out, or set it to PTR, to ask for the names of an address")),
            };
        }
        Ok(Self {
            name: name(host)?,
            query_type: query_type.unwrap_or(QueryType::A).into(),
            absolute: host.ends_with('.'),
        })
    }

    /// The names to ask for, in the order of resolv.conf(5): a name with at least `ndots`
    /// dots is tried as it is first, any other after the search list.
    pub(super) fn candidates(&self, search: &[Name], ndots: usize) -> Vec<Name> {
        if self.absolute {
            return vec![self.name.clone()];
        }
        let mut names: Vec<Name> = search
            .iter()
            .filter_map(|domain| {
                let mut relative = self.name.clone();
                relative.set_fqdn(false);
                let mut full = relative.append_domain(domain).ok()?;
                full.set_fqdn(true);
                Some(full)
            })
            .collect();
        let dots = usize::from(self.name.num_labels()).saturating_sub(1);
        let first = if dots >= ndots { 0 } else { names.len() };
        names.insert(first, self.name.clone());
        names
    }
}

/// A name as zones hold them: like a host name, with `_` and a leading `*` allowed, and `/` in
/// reverse names because delegations of parts of an IPv4 network use it (RFC 2317 section 4).
fn name(text: &str) -> Result<Name, ToolError> {
    if text == "." {
        return Ok(Name::root());
    }
    if let Some(why) = broken_rule(text) {
        return Err(refuse(text, &why));
    }
    let labels = text.trim_end_matches('.').split('.').map(str::as_bytes);
    let mut name = Name::from_labels(labels).map_err(|error| refuse(text, &error.to_string()))?;
    name.set_fqdn(true);
    Ok(name)
}

fn broken_rule(text: &str) -> Option<Cow<'static, str>> {
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.is_empty() {
        return Some("it is empty".into());
    }
    if name.len() > 253 {
        return Some("it is longer than 253 characters".into());
    }
    let reverse = name.to_ascii_lowercase().ends_with(".in-addr.arpa");
    name.split('.').enumerate().find_map(|(position, label)| {
        let wildcard = position == 0 && label == "*";
        let allowed = |byte: u8| {
            byte.is_ascii_alphanumeric() || b"-_".contains(&byte) || (reverse && byte == b'/')
        };
        if label.is_empty() {
            Some("a label between two dots is empty".into())
        } else if label.len() > 63 {
            Some("a label is longer than 63 characters".into())
        } else if label.starts_with('-') || label.ends_with('-') {
            Some("a label begins or ends with a hyphen".into())
        } else if !wildcard && !label.bytes().all(allowed) {
            Some(
                "it has a character that is neither letter, digit, hyphen, underscore nor dot"
                    .into(),
            )
        } else {
            None
        }
    })
}

fn refuse(text: &str, why: &str) -> ToolError {
    let shown: String = text.chars().take(80).collect();
    let error = ToolError::invalid(format!("argument host: {shown:?} is not a DNS name: {why}"));
    match ascii_form(text) {
        Some(ascii) => error.hint(format!("in DNS this name is written {ascii:?}")),
        None => error.hint(
            "give a name such as example.com or _sip._tcp.example.com, or an address such as 192.0.2.1",
        ),
    }
}

/// The `xn--` form of a name with letters beyond ASCII, as a hint only.
fn ascii_form(text: &str) -> Option<String> {
    if text.is_ascii() || text.len() > 253 {
        return None;
    }
    match url::Host::parse(text) {
        Ok(url::Host::Domain(name)) if broken_rule(&name).is_none() => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::record::shown;
    use super::*;

    fn check(
        host: &str,
        query_type: Option<QueryType>,
        expected: Result<(&str, RecordType), &str>,
    ) {
        match (Question::new(host, query_type), expected) {
            (Ok(question), Ok((name, query_type))) => {
                assert_eq!(shown(&question.name), name, "{host}");
                assert_eq!(question.query_type, query_type, "{host}");
            }
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "{host}: {error}");
            }
            (read, expected) => panic!("{host}: {read:?} in place of {expected:?}"),
        }
    }

    #[test]
    fn an_address_is_asked_for_by_its_reverse_name() {
        check(
            "192.0.2.7",
            None,
            Ok(("7.2.0.192.in-addr.arpa", RecordType::PTR)),
        );
        check(
            "::ffff:192.0.2.7",
            Some(QueryType::Ptr),
            Ok(("7.2.0.192.in-addr.arpa", RecordType::PTR)),
        );
        let nibbles = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
        check("2001:db8::1", None, Ok((nibbles, RecordType::PTR)));
        check(
            "192.0.2.7",
            Some(QueryType::A),
            Ok(("7.2.0.192.in-addr.arpa", RecordType::PTR)),
        );
        check("192.0.2.7", Some(QueryType::Aaaa), Err("no AAAA records"));
        check("::1", Some(QueryType::Mx), Err("no MX records"));
    }

    #[test]
    fn a_name_is_asked_for_addresses_unless_a_type_is_given() {
        check("example.com", None, Ok(("example.com", RecordType::A)));
        check(
            "_sip._tcp.example.com",
            Some(QueryType::Srv),
            Ok(("_sip._tcp.example.com", RecordType::SRV)),
        );
        check("*.example.com", None, Ok(("*.example.com", RecordType::A)));
        check(".", Some(QueryType::Ns), Ok((".", RecordType::NS)));
        check(
            "0/25.2.0.192.in-addr.arpa",
            Some(QueryType::Ns),
            Ok(("0/25.2.0.192.in-addr.arpa", RecordType::NS)),
        );
    }

    #[test]
    fn what_no_zone_holds_is_refused() {
        check("", None, Err("empty"));
        check("..", None, Err("empty"));
        check("a..b", None, Err("empty"));
        check(&"a".repeat(64), None, Err("63"));
        check(&vec!["a".repeat(60); 5].join("."), None, Err("253"));
        check("-iL", None, Err("hyphen"));
        check("a-.b", None, Err("hyphen"));
        check("a b", None, Err("character"));
        check("a\0b", None, Err("character"));
        check("a\\.b", None, Err("character"));
        check("a.*.b", None, Err("character"));
        check("10.0.0.0/8", None, Err("character"));
        check("http://a", None, Err("character"));
        check("münchen.example", None, Err("xn--mnchen-3ya.example"));
    }

    #[test]
    fn the_search_list_completes_short_names_first_and_long_names_last() {
        let search = ["lab.example.".parse().unwrap(), "example.".parse().unwrap()];
        let candidates = |host: &str, ndots| -> Vec<String> {
            let question = Question::new(host, None).unwrap();
            let names = question.candidates(&search, ndots);
            names.iter().map(shown).collect()
        };
        assert_eq!(
            candidates("nas", 1),
            ["nas.lab.example", "nas.example", "nas"]
        );
        assert_eq!(
            candidates("a.b", 1),
            ["a.b", "a.b.lab.example", "a.b.example"]
        );
        assert_eq!(
            candidates("a.b", 5),
            ["a.b.lab.example", "a.b.example", "a.b"]
        );
        assert_eq!(candidates("nas.", 1), ["nas"]);
        assert_eq!(candidates("192.0.2.1", 5), ["1.2.0.192.in-addr.arpa"]);
    }

    proptest! {
        #[test]
        fn an_accepted_name_is_asked_for_as_it_was_written(text in "[-a-zA-Z0-9_.*/\\\\ é]{1,40}") {
            if let Ok(question) = Question::new(&text, Some(QueryType::Txt)) {
                let written = text.strip_suffix('.').filter(|name| !name.is_empty());
                prop_assert_eq!(shown(&question.name), written.unwrap_or(&text));
            }
        }
    }
}
