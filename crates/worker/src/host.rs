use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::HostError;

/// A target: an IP address or a host name, nothing else.
///
/// Read strictly, because other programs would read a careless text as something else:
/// an option (`-iL`), an address in disguise (`127.1`, `0x7f.0.0.1`, `2130706433`), or two
/// targets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// IPv4 in dotted decimal or IPv6 (RFC 4291 section 2.2), without brackets or zone.
    Address(IpAddr),
    /// A name to resolve.
    Name(HostName),
}

/// A host name of RFC 1123 section 2.1; `_` is allowed too, since names in use have it.
///
/// 1 to 253 characters in dot-separated labels of 1 to 63. The last label is never a
/// number, as resolvers would take such a name for an IPv4 address. Upper and lower case
/// do not matter for comparison by [`HostName::is`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostName(String);

impl HostName {
    /// The name as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether both are the same name, whatever the case of their letters.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }

    /// Whether the name lies below a domain; the domain itself does not.
    #[must_use]
    pub fn is_below(&self, domain: &Self) -> bool {
        let (name, domain) = (self.0.as_bytes(), domain.0.as_bytes());
        name.len()
            .checked_sub(domain.len() + 1)
            .is_some_and(|dot| name[dot] == b'.' && name[dot + 1..].eq_ignore_ascii_case(domain))
    }
}

impl FromStr for HostName {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        match broken_rule(text) {
            None => Ok(Self(text.to_owned())),
            Some(why) => Err(refuse(text, why)),
        }
    }
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        if text.contains(':') {
            return Err(refuse(
                text,
                "a colon belongs to an IPv6 address, and this is none",
            ));
        }
        text.parse().map(Self::Name)
    }
}

/// The first rule that the name breaks.
fn broken_rule(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("it is empty");
    }
    if name.len() > 253 {
        return Some("it is longer than 253 characters");
    }
    if name.starts_with('-') {
        return Some("it begins with a hyphen, as an option does");
    }
    if !name.is_ascii() {
        return Some("a name with other than ASCII letters must be written in its xn-- form");
    }
    if name.contains('*') {
        return Some("wildcards are not targets");
    }
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !name.bytes().all(is_allowed) {
        return Some(
            "it has a character that is neither letter, digit, hyphen, underscore nor dot",
        );
    }
    let mut last = "";
    for label in name.split('.') {
        if label.is_empty() {
            return Some("a dot must stand between two labels");
        }
        if label.len() > 63 {
            return Some("a label is longer than 63 characters");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Some("a label begins or ends with a hyphen");
        }
        last = label;
    }
    is_number(last).then_some(
        "its last label is a number, but it is not four decimal numbers from 0 to 255 without leading zeros",
    )
}

/// What the URL Standard ("ends in a number checker") and `inet_aton` take for a number, and
/// what scanners take for a range of numbers.
fn is_number(label: &str) -> bool {
    let hexadecimal = label
        .strip_prefix("0x")
        .or_else(|| label.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'-'),
    }
}

fn refuse(text: &str, why: &'static str) -> HostError {
    let mut host: String = text.chars().take(80).collect();
    if host.len() < text.len() {
        host.push('…');
    }
    HostError { host, why }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        Self::Address(address)
    }
}

impl Serialize for Host {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Host {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Host {
    fn schema_name() -> Cow<'static, str> {
        "Host".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "IPv4 address, IPv6 address (no brackets, no zone) or host name.",
            "minLength": 1,
            "maxLength": 253,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        match (text.parse::<Host>(), expected) {
            (Ok(host), Ok(written)) => assert_eq!(host.to_string(), written),
            (Err(error), Err(why)) => assert!(error.why.contains(why), "{text:?}: {error}"),
            (read, _) => panic!("{text:?} gave {read:?}"),
        }
    }

    #[test]
    fn addresses_and_names_are_hosts() {
        for text in [
            "127.0.0.1",
            "::1",
            "2001:db8::1",
            "localhost",
            "server.example.com",
            "Server-1.Example.COM",
            "my_service",
            "3com.example",
            "1.2.3.4.example",
            "xn--bcher-kva.example",
            "0x7f.example",
        ] {
            check(text, Ok(text));
        }
        check("::FFFF:127.0.0.1", Ok("::ffff:127.0.0.1"));
    }

    #[test]
    fn what_other_programs_read_as_an_address_is_refused() {
        for text in [
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.0.0.1",
            "127.0.0.0x1",
            "127.0.0.0x",
            "0177.0.0.1",
            "127.0.0.01",
            "1.2.3.256",
            "1.2.3.4.5",
            "example.1",
            "00000177.1",
        ] {
            check(text, Err("last label is a number"));
        }
    }

    #[test]
    fn what_is_no_host_is_refused_with_the_rule_it_breaks() {
        check("", Err("empty"));
        check("-iL", Err("option"));
        check("--script=x", Err("option"));
        check("192.168.1.1,2", Err("character"));
        check("10.0.0.0/8", Err("character"));
        check("10.0.0.1-9", Err("last label"));
        check("a b", Err("character"));
        check(" 127.0.0.1", Err("character"));
        check("127.0.0.1\n", Err("character"));
        check("host\0", Err("character"));
        check("127.0.0.1;id", Err("character"));
        check("$(id)", Err("character"));
        check("*.example.com", Err("wildcards"));
        check("bücher.example", Err("xn--"));
        check("１２７.0.0.1", Err("xn--"));
        check("[::1]", Err("colon"));
        check("fe80::1%eth0", Err("colon"));
        check("localhost:80", Err("colon"));
        check("http://localhost", Err("colon"));
        check("example.com.", Err("dot"));
        check("a..b", Err("dot"));
        check(".a", Err("dot"));
        check("a-.b", Err("hyphen"));
        check("a.-b", Err("hyphen"));
        check(&"a".repeat(64), Err("63"));
        check(&"a".repeat(300), Err("253"));
    }

    #[test]
    fn a_long_text_is_not_repeated_in_full() {
        let error = "ä".repeat(10_000).parse::<Host>().unwrap_err();
        assert!(error.to_string().len() < 500);
    }

    #[test]
    fn a_domain_is_above_its_names_only() {
        let below = |name: &str, domain: &str| {
            let (name, domain): (HostName, HostName) =
                (name.parse().unwrap(), domain.parse().unwrap());
            name.is_below(&domain)
        };
        assert!(below("www.Example.com", "example.COM"));
        assert!(below("a.b.example.com", "example.com"));
        assert!(!below("example.com", "example.com"));
        assert!(!below("badexample.com", "example.com"));
        assert!(!below("com", "example.com"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_read_again_the_same(text in "\\PC{0,80}") {
            if let Ok(host) = text.parse::<Host>() {
                prop_assert_eq!(host.to_string().parse::<Host>().unwrap(), host);
            }
        }

        #[test]
        fn a_host_never_holds_what_a_shell_or_an_option_parser_reads(text in "[-a-z0-9.:%/ ;|$*,_\\x00]{1,20}") {
            if let Ok(host) = text.parse::<Host>() {
                let text = host.to_string();
                prop_assert!(!text.starts_with('-'));
                prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte)));
            }
        }
    }
}
