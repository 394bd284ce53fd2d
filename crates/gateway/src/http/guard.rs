//! Keeps web pages away: a page in a browser can send requests to this server, and a name
//! that its owner points at 127.0.0.1 (DNS rebinding) makes them look local.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Uri};

/// Which `Host` and `Origin` headers are acceptable.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    /// Host names in lower case, without ports.
    hosts: Vec<String>,
    /// Whole origins in lower case.
    origins: Vec<String>,
}

impl Guard {
    /// Accepts loopback names and addresses, the host that is listened on, and these.
    pub(super) fn new(bound: &str, hosts: &[String], origins: &[String]) -> Self {
        let lower = |texts: &[String]| texts.iter().map(|text| text.to_ascii_lowercase()).collect();
        let mut hosts: Vec<String> = lower(hosts);
        hosts.push(bound.to_ascii_lowercase());
        Self {
            hosts,
            origins: lower(origins),
        }
    }

    /// Checks a request that came in at `local`.
    ///
    /// # Errors
    /// Why it is refused, and how to have it accepted.
    pub(super) fn check(
        &self,
        headers: &HeaderMap,
        uri: &Uri,
        local: Option<SocketAddr>,
    ) -> Result<(), String> {
        let mut hosts = headers.get_all(HOST).iter();
        let host = hosts.next().ok_or("the Host header is missing")?;
        if hosts.next().is_some() {
            return Err("there is more than one Host header".to_owned());
        }
        // A request line may carry a host of its own (RFC 9112, section 3.2.2).
        let in_line = uri.authority().map(Authority::as_str);
        for text in in_line.into_iter().chain([text(host)?]) {
            if !authority(text).is_some_and(|it| self.accepts_host(it.host(), local)) {
                return Err(format!(
                    "host {text:?} is not allowed; add it to HTTP_ALLOWED_HOSTS if this server \
                     is to be reached by that name"
                ));
            }
        }
        for origin in headers.get_all(ORIGIN) {
            let origin = text(origin)?;
            if !self.accepts_origin(origin, local) {
                return Err(format!(
                    "origin {origin:?} is not allowed; add it to HTTP_ALLOWED_ORIGINS if pages \
                     from there are to use this server"
                ));
            }
        }
        Ok(())
    }

    fn accepts_host(&self, host: &str, local: Option<SocketAddr>) -> bool {
        let host = host.to_ascii_lowercase();
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(&host);
        if let Ok(address) = bare.parse::<IpAddr>() {
            // An address cannot be pointed elsewhere by its owner; the one that the connection
            // was made to is ours.
            let is_ours = local.is_some_and(|local| local.ip().to_canonical() == address);
            return address.is_loopback() || is_ours || self.lists(bare);
        }
        bare == "localhost" || bare.ends_with(".localhost") || self.lists(bare)
    }

    fn lists(&self, host: &str) -> bool {
        self.hosts.iter().any(|allowed| allowed == host)
    }

    fn accepts_origin(&self, origin: &str, local: Option<SocketAddr>) -> bool {
        let origin = origin.to_ascii_lowercase();
        if self.origins.contains(&origin) {
            return true;
        }
        let rest = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"));
        rest.and_then(authority)
            .is_some_and(|it| self.accepts_host(it.host(), local))
    }
}

fn authority(text: &str) -> Option<Authority> {
    // User information has no place in a Host header or an origin.
    text.parse().ok().filter(|_| !text.contains('@'))
}

fn text(value: &HeaderValue) -> Result<&str, String> {
    value
        .to_str()
        .map_err(|_| "a Host or Origin header has characters beyond ASCII".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, origin: Option<&str>, expected: bool) {
        let lists = (
            ["Gateway.example".to_owned()],
            ["https://console.example".to_owned()],
        );
        let guard = Guard::new("10.0.0.1", &lists.0, &lists.1);
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        let local = Some("192.0.2.7:3000".parse().unwrap());
        let outcome = guard.check(&headers, &Uri::from_static("/mcp"), local);
        assert_eq!(outcome.is_ok(), expected, "{host} {origin:?}: {outcome:?}");
    }

    #[test]
    fn only_our_own_names_and_addresses_are_hosts() {
        for host in [
            "localhost",
            "LOCALHOST:3000",
            "app.localhost:1",
            "127.0.0.1:3000",
            "127.9.9.9",
            "[::1]:3000",
            "10.0.0.1:3000",
            "192.0.2.7:3000",
            "gateway.EXAMPLE",
        ] {
            check(host, None, true);
        }
        for host in [
            "evil.example",
            "evil.example:3000",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "192.0.2.8",
            "[::2]",
            "",
            "localhost@evil.example",
            "a b",
        ] {
            check(host, None, false);
        }
    }

    #[test]
    fn only_our_own_pages_are_origins() {
        for origin in [
            "http://localhost:6274",
            "https://127.0.0.1",
            "http://[::1]:1",
            "https://console.example",
            "HTTPS://Console.example",
            "http://gateway.example",
        ] {
            check("localhost", Some(origin), true);
        }
        for origin in [
            "null",
            "http://evil.example",
            "https://console.example.evil.example",
            "https://console.example:444",
            "file://localhost",
            "localhost",
            "http://localhost@evil.example",
            "",
        ] {
            check("localhost", Some(origin), false);
        }
    }

    #[test]
    fn a_host_in_the_request_line_and_a_second_header_are_checked_too() {
        let guard = Guard::new("127.0.0.1", &[], &[]);
        let mut headers = HeaderMap::new();
        let evil = Uri::from_static("http://evil.example/mcp");
        assert!(
            guard
                .check(&headers, &Uri::from_static("/mcp"), None)
                .is_err(),
            "none at all"
        );
        headers.append(HOST, HeaderValue::from_static("localhost"));
        assert!(guard.check(&headers, &evil, None).is_err());
        headers.append(HOST, HeaderValue::from_static("localhost"));
        assert!(
            guard
                .check(&headers, &Uri::from_static("/mcp"), None)
                .is_err(),
            "two of them"
        );
    }
}
