//! Settings that say by which names, and from which pages, the HTTP port may be used.

use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::str::FromStr;

use url::{Origin, Url};

use super::network::check_host_name;
use super::text::{items, setting};

/// Values that the `Host` header may have: host names and IP addresses, without ports and
/// brackets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedHosts(Vec<String>);

/// Values that the `Origin` header may have: scheme, host and, unless it is that of the scheme,
/// port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedOrigins(Vec<String>);

impl Deref for AllowedHosts {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl Deref for AllowedOrigins {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl FromStr for AllowedHosts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let items = items(text)?;
        for item in &items {
            if item.parse::<IpAddr>().is_err() {
                check_host_name(item)?;
            }
        }
        Ok(Self(items.into_iter().map(str::to_owned).collect()))
    }
}

impl FromStr for AllowedOrigins {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let items = items(text)?;
        let origins: Result<Vec<String>, String> = items.into_iter().map(origin).collect();
        Ok(Self(origins?))
    }
}

impl fmt::Display for AllowedHosts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.join(","))
    }
}

impl fmt::Display for AllowedOrigins {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.join(","))
    }
}

setting!(AllowedHosts, allowed: "comma list of host names and IP addresses, without ports");
setting!(AllowedOrigins, allowed: "comma list of `http://host`, `https://host` or `https://host:port`");

/// The text that a browser sends for this origin (RFC 6454, section 6.2).
fn origin(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| format!("`{text}`: {error}"))?;
    let origin = url.origin();
    let is_web =
        matches!(&origin, Origin::Tuple(scheme, ..) if matches!(scheme.as_str(), "http" | "https"));
    let serialized = origin.ascii_serialization();
    // The parser has added the slash of the path.
    if is_web && url.as_str() == format!("{serialized}/") {
        Ok(serialized)
    } else {
        Err(format!(
            "`{text}` is not an origin: a scheme, a host and perhaps a port"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_and_addresses_without_ports() {
        let hosts: AllowedHosts = "gateway, gateway.example.com,10.0.0.1,::1".parse().unwrap();
        assert_eq!(hosts.len(), 4);
        assert_eq!(
            hosts.to_string(),
            "gateway,gateway.example.com,10.0.0.1,::1"
        );
        assert!("".parse::<AllowedHosts>().unwrap().is_empty());
        for text in [
            "gateway:3000",
            "*",
            "http://gateway",
            "[::1]",
            "a,,b",
            "a b",
        ] {
            assert!(text.parse::<AllowedHosts>().is_err(), "{text}");
        }
    }

    #[test]
    fn origins_are_kept_as_browsers_send_them() {
        let origins: AllowedOrigins = "https://Console.example:443, http://a:8080/"
            .parse()
            .unwrap();
        assert_eq!(origins.to_string(), "https://console.example,http://a:8080");
        for text in [
            "console",
            "null",
            "*",
            "file:///a",
            "https://a/path",
            "https://u:p@a",
            "http://a?b",
            "ws://a",
        ] {
            assert!(text.parse::<AllowedOrigins>().is_err(), "{text}");
        }
    }
}
