//! Settings that name hosts and networks.

use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::str::FromStr;

use ipnet::IpNet;
use url::Url;

use super::text::{items, setting};

/// Where a port is opened or a host is found: an IP address without brackets, or a host name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host(String);

/// Targets of the scan scope, each one a network in CIDR notation, an address, a host name or
/// `*.domain`.
///
/// The text of each item is kept; it is known to be well formed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope(Vec<String>);

/// Base address of an OTLP receiver; spans go to `/v1/traces` below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpEndpoint(Url);

impl Host {
    /// The address or name, as `TcpListener::bind((host, port))` takes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl OtlpEndpoint {
    /// Where spans are posted: the base address with `v1/traces` appended, whether or not the
    /// base ends in a slash (OpenTelemetry protocol exporter, "Endpoint URLs for OTLP/HTTP").
    #[must_use]
    pub fn traces(&self) -> Url {
        let mut url = self.0.clone();
        let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url
    }
}

impl Default for Host {
    fn default() -> Self {
        Self("127.0.0.1".to_owned())
    }
}

impl Deref for Scope {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.parse::<IpAddr>().is_err() {
            check_host_name(text)?;
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let items = items(text)?;
        for item in &items {
            check_target(item)?;
        }
        Ok(Self(items.into_iter().map(str::to_owned).collect()))
    }
}

impl FromStr for OtlpEndpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| error.to_string())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("the scheme is neither `http` nor `https`".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("credentials belong in OTEL_EXPORTER_OTLP_HEADERS".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("a base address has no `?` and no `#`".to_owned());
        }
        Ok(Self(url))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.join(","))
    }
}

impl fmt::Display for OtlpEndpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.as_str())
    }
}

setting!(Host, allowed: "an IP address without brackets, or a host name");
setting!(Scope, allowed: "comma list of CIDR networks, IP addresses, host names and `*.domain`");
setting!(OtlpEndpoint,
    allowed: "`http://` or `https://` base address without credentials",
    "x-secret": true);

fn check_target(target: &str) -> Result<(), String> {
    if let Some((_, length)) = target.split_once('/') {
        let network: IpNet = target
            .parse()
            .map_err(|_| format!("`{target}` is not a network"))?;
        if network.trunc() != network {
            let network = network.trunc();
            return Err(format!(
                "`{target}` has bits set beyond /{length}; the network is `{network}`"
            ));
        }
        return Ok(());
    }
    if target.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    check_host_name(target.strip_prefix("*.").unwrap_or(target))
}

/// Accepts a host name of RFC 1123, section 2.1; `_` is allowed too, since names in use have it.
///
/// A name whose last label is a number is refused: resolvers read it as an IPv4 address.
pub(super) fn check_host_name(name: &str) -> Result<(), String> {
    let labels: Vec<&str> = name.split('.').collect();
    let well_formed = |label: &&str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if name.len() > 253 || !labels.iter().all(well_formed) {
        return Err(format!("`{name}` is neither an address nor a host name"));
    }
    let is_number = |label: &&str| label.bytes().all(|byte| byte.is_ascii_digit());
    if labels.last().is_some_and(is_number) {
        return Err(format!("`{name}` is not an address"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: FromStr>(text: &str, expected: bool) {
        assert_eq!(text.parse::<T>().is_ok(), expected, "{text}");
    }

    #[test]
    fn a_scope_takes_networks_addresses_names_and_domains() {
        check::<Scope>("", true);
        check::<Scope>(
            "10.0.0.0/8, 192.0.2.1,2001:db8::/32,::1,host,*.example.com",
            true,
        );
        for text in [
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0",
            "10.0.0.256",
            "300",
            "*",
            "*.",
            "a.*.b",
            "-host",
            "a b",
            "host/8",
            "a,,b",
            "[::1]",
            "host:22",
            "exa$mple",
        ] {
            check::<Scope>(text, false);
        }
    }

    #[test]
    fn a_network_with_host_bits_is_refused_with_the_network_it_lies_in() {
        let reason = "10.1.2.3/8".parse::<Scope>().unwrap_err();
        assert!(reason.contains("`10.0.0.0/8`"), "{reason}");
    }

    #[test]
    fn a_host_is_an_address_or_a_name() {
        for text in [
            "127.0.0.1",
            "::1",
            "0.0.0.0",
            "localhost",
            "gateway.example.com",
        ] {
            check::<Host>(text, true);
        }
        for text in [
            "",
            "[::1]",
            "localhost:80",
            "1.2.3",
            "http://localhost",
            "a/b",
        ] {
            check::<Host>(text, false);
        }
    }

    #[test]
    fn spans_go_below_the_base_address() {
        let traces = |text: &str| text.parse::<OtlpEndpoint>().unwrap().traces().to_string();
        assert_eq!(
            traces("http://collector:4318"),
            "http://collector:4318/v1/traces"
        );
        assert_eq!(
            traces("https://o.example/otlp/"),
            "https://o.example/otlp/v1/traces"
        );
    }

    #[test]
    fn an_endpoint_is_a_plain_http_address() {
        for text in [
            "",
            "collector:4318",
            "grpc://collector",
            "http://",
            "http://u:p@c",
            "http://c?a=b",
        ] {
            check::<OtlpEndpoint>(text, false);
        }
    }
}
