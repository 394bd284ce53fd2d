use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use protocol::ToolError;
use schemars::JsonSchema;
use serde::Serialize;

/// Kinds of objects in registries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum Kind {
    /// A domain name.
    Domain,
    /// An IP address or network.
    Ip,
    /// An autonomous system.
    Asn,
}

/// What is asked about. Whatever it is, its text has no blank and no control character, so that
/// it cannot become a second line or an option of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Query {
    /// In lower case, without a final dot.
    Domain(String),
    /// One address.
    Address(IpAddr),
    /// A network whose host bits are zero.
    Network(IpNet),
    /// Number of an autonomous system.
    Asn(u32),
}

impl Query {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Domain(_) => Kind::Domain,
            Self::Address(_) | Self::Network(_) => Kind::Ip,
            Self::Asn(_) => Kind::Asn,
        }
    }

    /// Whether it is a top-level domain, about which the root of the registries itself answers.
    pub(super) fn is_top_level(&self) -> bool {
        matches!(self, Self::Domain(name) if !name.contains('.'))
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
            Self::Network(network) => network.fmt(f),
            Self::Asn(number) => write!(f, "AS{number}"),
        }
    }
}

impl FromStr for Query {
    type Err = ToolError;

    fn from_str(text: &str) -> Result<Self, ToolError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(address.to_canonical()));
        }
        if text.contains(['/', ':']) {
            return network(text);
        }
        if let Some(number) = number_of_as(text) {
            return number.map(Self::Asn);
        }
        domain(text)
    }
}

fn network(text: &str) -> Result<Query, ToolError> {
    let network: IpNet = text
        .parse()
        .map_err(|_| refuse(text, "it is neither an address nor a network"))?;
    if network.trunc() == network {
        return Ok(Query::Network(network));
    }
    let error = refuse(text, "it has bits set beyond its prefix length");
    Err(error.hint(format!("ask for {}", network.trunc())))
}

/// The number of an autonomous system, of text that looks like one.
fn number_of_as(text: &str) -> Option<Result<u32, ToolError>> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if is_number(text) {
        let error = refuse(text, "a bare number is ambiguous");
        return Some(Err(
            error.hint(format!("write AS{text} for an autonomous system"))
        ));
    }
    let prefix = text.get(..2)?;
    let digits = text.get(2..)?;
    if !prefix.eq_ignore_ascii_case("AS") || !is_number(digits) {
        return None;
    }
    Some(match digits.parse() {
        Ok(number) => Ok(number),
        Err(_) => Err(refuse(text, "the number is larger than 4294967295")),
    })
}

fn domain(text: &str) -> Result<Query, ToolError> {
    let name = text.strip_suffix('.').unwrap_or(text);
    match broken_rule(name) {
        None => Ok(Query::Domain(name.to_ascii_lowercase())),
        Some(why) => {
            let error = refuse(text, why);
            Err(match ascii_form(text) {
                Some(ascii) => error.hint(format!("registries know this name as {ascii:?}")),
                None => error,
            })
        }
    }
}

/// Registered names consist of letters, digits and hyphens (RFC 1123 section 2.1).
pub(super) fn broken_rule(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("it is empty");
    }
    if name.len() > 253 {
        return Some("it is longer than 253 characters");
    }
    let mut last = "";
    for label in name.split('.') {
        if label.is_empty() {
            return Some("a label is empty");
        }
        if label.len() > 63 {
            return Some("a label is longer than 63 characters");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Some("a label begins or ends with a hyphen");
        }
        if !label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        {
            return Some("it has a character that is neither letter, digit, hyphen nor dot");
        }
        last = label;
    }
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit());
    numeric.then_some("its last label is a number, but it is not an address")
}

fn ascii_form(text: &str) -> Option<String> {
    if text.is_ascii() || text.len() > 253 {
        return None;
    }
    match url::Host::parse(text) {
        Ok(url::Host::Domain(name)) if broken_rule(&name).is_none() => Some(name),
        _ => None,
    }
}

fn refuse(text: &str, why: &str) -> ToolError {
    let shown: String = text.chars().take(80).collect();
    ToolError::invalid(format!(
        "argument query: {shown:?} is neither a domain, an IP address or network, nor an AS number: {why}"
    ))
    .hint("give for example example.com, 192.0.2.1, 2001:db8::/32 or AS64496")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Result<(Kind, &str), &str>) {
        match (text.parse::<Query>(), expected) {
            (Ok(query), Ok((kind, written))) => {
                assert_eq!((query.kind(), query.to_string().as_str()), (kind, written));
            }
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "{text}: {error}");
            }
            (read, expected) => panic!("{text}: {read:?} in place of {expected:?}"),
        }
    }

    #[test]
    fn registries_are_asked_for_domains_networks_and_autonomous_systems() {
        check("Example.COM", Ok((Kind::Domain, "example.com")));
        check("example.com.", Ok((Kind::Domain, "example.com")));
        check("com", Ok((Kind::Domain, "com")));
        check(
            "xn--bcher-kva.example",
            Ok((Kind::Domain, "xn--bcher-kva.example")),
        );
        check("as.example", Ok((Kind::Domain, "as.example")));
        check("192.0.2.1", Ok((Kind::Ip, "192.0.2.1")));
        check("::ffff:192.0.2.1", Ok((Kind::Ip, "192.0.2.1")));
        check("192.0.2.0/24", Ok((Kind::Ip, "192.0.2.0/24")));
        check("2001:db8::/32", Ok((Kind::Ip, "2001:db8::/32")));
        check("AS64496", Ok((Kind::Asn, "AS64496")));
        check("as4294967295", Ok((Kind::Asn, "AS4294967295")));
    }

    #[test]
    fn what_could_be_more_than_one_query_is_refused() {
        check("", Err("empty"));
        check("example.com\r\nexample.org", Err("character"));
        check("example.com example.org", Err("character"));
        check("-T dn", Err("hyphen"));
        check("--help", Err("hyphen"));
        check("example\0.com", Err("character"));
        check("n + 1.2.3.4", Err("character"));
        check("a..b", Err("empty"));
        check("*.example", Err("character"));
        check("_dmarc.example", Err("character"));
        check(&"a".repeat(300), Err("253"));
        check("bücher.example", Err("xn--bcher-kva.example"));
        check(
            "https://example.com",
            Err("neither an address nor a network"),
        );
    }

    #[test]
    fn numbers_and_networks_are_read_strictly() {
        check("64496", Err("AS64496"));
        check("AS4294967296", Err("4294967295"));
        check("192.0.2.1/24", Err("ask for 192.0.2.0/24"));
        check("192.0.2.0/33", Err("neither"));
        check("1.2.3", Err("last label is a number"));
        check("1.2.3.256", Err("last label is a number"));
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_one_word_of_one_line(text in "[-a-zA-Z0-9.:/+ \\r\\n\\x00*]{0,24}") {
            if let Ok(query) = text.parse::<Query>() {
                let line = query.to_string();
                prop_assert!(line.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:/".contains(&b)));
                prop_assert!(!line.starts_with('-'));
                prop_assert_eq!(line.parse::<Query>(), Ok(query));
            }
        }
    }
}
