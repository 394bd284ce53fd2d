//! A server that a caller or an operator names: a host, optionally with a port.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use worker::Host;

/// A host with an optional port: `192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1`,
/// `[2001:db8::1]:5353`, `ns.example.com` or `ns.example.com:5353`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    /// Where it runs.
    pub(crate) host: Host,
    /// Where it listens, if not on the port of its protocol.
    pub(crate) port: Option<u16>,
}

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self {
                host: address.into(),
                port: None,
            });
        }
        let (host, port) = match text.rsplit_once(':') {
            _ if bracketed(text).is_some() => {
                return Err(format!(
                    "{text:?}: without a port, an address stands without brackets"
                ));
            }
            Some((host, port)) => (host, Some(self::port(port)?)),
            None => (text, None),
        };
        let host = match bracketed(host) {
            Some(inside) => match inside.parse::<IpAddr>() {
                Ok(IpAddr::V6(address)) => IpAddr::V6(address).into(),
                _ => return Err(format!("{inside:?} in brackets is not an IPv6 address")),
            },
            None => host
                .parse::<Host>()
                .map_err(|error| format!("{error}; a port follows after a colon"))?,
        };
        Ok(Self { host, port })
    }
}

fn bracketed(text: &str) -> Option<&str> {
    text.strip_prefix('[')?.strip_suffix(']')
}

fn port(text: &str) -> Result<u16, String> {
    let digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port @ 1..) if digits_only => Ok(port),
        _ => Err(format!("{text:?} is not a port; allowed: 1 to 65535")),
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (host, None) => host.fmt(f),
            (Host::Address(IpAddr::V6(address)), Some(port)) => write!(f, "[{address}]:{port}"),
            (host, Some(port)) => write!(f, "{host}:{port}"),
        }
    }
}

impl<'de> Deserialize<'de> for Server {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Server {
    fn schema_name() -> Cow<'static, str> {
        "Server".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Host name or address of a server, optionally followed by `:port`; \
                            an IPv6 address with a port stands in brackets.",
            "minLength": 1,
            "maxLength": 259,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Option<(&str, Option<u16>)>) {
        let read = text.parse::<Server>().ok();
        let read = read.map(|server| (server.host.to_string(), server.port));
        let expected = expected.map(|(host, port)| (host.to_owned(), port));
        assert_eq!(read, expected, "{text}");
    }

    #[test]
    fn a_server_is_a_host_with_or_without_a_port() {
        check("192.0.2.1", Some(("192.0.2.1", None)));
        check("192.0.2.1:53", Some(("192.0.2.1", Some(53))));
        check("::1", Some(("::1", None)));
        check("[::1]:5353", Some(("::1", Some(5353))));
        check("ns.example.com", Some(("ns.example.com", None)));
        check(
            "ns.example.com:65535",
            Some(("ns.example.com", Some(65535))),
        );
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in [
            "",
            ":53",
            "ns:",
            "ns:0",
            "ns:65536",
            "ns:+53",
            "ns:53:53",
            "[::1]",
            "[::1",
            "[127.0.0.1]:53",
            "[ns]:53",
            "-ns:53",
            "127.1:53",
            "ns 53",
            "ns\0:53",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn a_server_is_written_as_it_is_read() {
        for text in ["192.0.2.1:53", "[::1]:53", "::1", "ns.example.com:53", "ns"] {
            assert_eq!(text.parse::<Server>().unwrap().to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_read_again_the_same(text in "[-a-z0-9.:\\[\\] ]{0,24}") {
            if let Ok(server) = text.parse::<Server>() {
                prop_assert_eq!(server.to_string().parse::<Server>(), Ok(server));
            }
        }
    }
}
