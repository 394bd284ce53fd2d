//! Where a request goes: an http or https URL, read strictly from a caller and as a browser
//! would from a redirect.

use std::cell::Cell;

use hyper::http::HeaderValue;
use protocol::ToolError;
use url::{Position, SyntaxViolation, Url};
use worker::Host;

/// Longest URL that is asked for.
pub(super) const MAX_URL: usize = 2048;

/// An http or https URL without credentials, with what is needed to ask for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) url: Url,
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) tls: bool,
}

impl Target {
    /// Reads the URL of a caller; what a browser would mend is refused.
    pub(super) fn from_argument(text: &str) -> Result<Self, ToolError> {
        read_strictly(text).map_err(|why| {
            let shown = shown(text);
            ToolError::invalid(format!("argument url: {shown:?}: {why}")).hint(
                "give an absolute address such as https://server.example.com/path?query, \
                 percent-encoded and without user name or password",
            )
        })
    }

    /// Follows a `Location` header (RFC 9110 section 10.2.2), relative to this URL.
    pub(super) fn redirect(&self, location: &HeaderValue) -> Result<Self, String> {
        let location = location
            .to_str()
            .map_err(|_| "its Location has characters beyond ASCII".to_owned())?;
        let shown = shown(location);
        let mut url = self
            .url
            .join(location)
            .map_err(|error| format!("its Location {shown:?} is not a URL: {error}"))?;
        url.set_fragment(None);
        Self::new(url).map_err(|why| format!("its Location {shown:?}: {why}"))
    }

    /// Path and query as the request line carries them.
    pub(super) fn path_and_query(&self) -> &str {
        &self.url[Position::BeforePath..Position::AfterQuery]
    }

    /// Host and port as the `Host` header carries them.
    pub(super) fn authority(&self) -> &str {
        &self.url[Position::BeforeHost..Position::AfterPort]
    }

    fn new(url: Url) -> Result<Self, String> {
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            other => return Err(format!("the scheme {other:?} is neither http nor https")),
        };
        if url.as_str().len() > MAX_URL {
            return Err(format!("it is longer than {MAX_URL} characters"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a user name or password in a URL is not sent".to_owned());
        }
        let host = match url.host() {
            Some(url::Host::Ipv4(address)) => Host::Address(address.into()),
            Some(url::Host::Ipv6(address)) => Host::Address(address.into()),
            Some(url::Host::Domain(name)) => name
                .parse()
                .map(Host::Name)
                .map_err(|error: worker::HostError| error.to_string())?,
            None => return Err("it has no host".to_owned()),
        };
        let port = match url.port_or_known_default() {
            Some(0) | None => return Err("port 0 is not a port".to_owned()),
            Some(port) => port,
        };
        Ok(Self {
            url,
            host,
            port,
            tls,
        })
    }
}

fn read_strictly(text: &str) -> Result<Target, String> {
    if text.len() > MAX_URL {
        return Err(format!("it is longer than {MAX_URL} characters"));
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("it has a blank or a control character".to_owned());
    }
    let violation = Cell::new(None);
    let note = |found| match found {
        // Common in query strings (`filter[name]=x`), and sent as they are.
        SyntaxViolation::NonUrlCodePoint => {}
        other => violation.set(Some(other)),
    };
    let url = Url::options()
        .syntax_violation_callback(Some(&note))
        .parse(text)
        .map_err(|error| match error {
            url::ParseError::RelativeUrlWithoutBase => "it has no scheme".to_owned(),
            other => other.to_string(),
        })?;
    let mut target = Target::new(url)?;
    if let Some(violation) = violation.get() {
        return Err(violation.description().to_owned());
    }
    let host = target.url.host_str().unwrap_or_default();
    let is_ipv6 = host.starts_with('[');
    if !is_ipv6 && !host_of(text).eq_ignore_ascii_case(host) {
        return Err(format!(
            "its host is another way to write {host}; write it so"
        ));
    }
    target.url.set_fragment(None);
    Ok(target)
}

/// A URL as errors repeat it: its beginning, without what may be a password.
fn shown(text: &str) -> String {
    let is_scheme = |word: &str| !word.contains(['/', '\\', '?', '#', '@']);
    let (scheme, rest) = match text.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (format!("{scheme}:"), rest),
        _ => (String::new(), text),
    };
    let authority = rest.trim_start_matches(['/', '\\']);
    let end = authority.find(['/', '\\', '?', '#']);
    let credentials = authority
        .get(..end.unwrap_or(authority.len()))
        .and_then(|authority| authority.rfind('@'));
    let masked = match credentials.and_then(|at| authority.get(at..)) {
        Some(host) => format!("{scheme}//***{host}"),
        None => text.to_owned(),
    };
    masked.chars().take(120).collect()
}

/// The host as it was written, in a URL without user name.
fn host_of(text: &str) -> &str {
    let (_, rest) = text.split_once("//").unwrap_or_default();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.split(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_error_does_not_repeat_a_password() {
        for (text, expected) in [
            ("http://user:hunter2@host/a@b", "http://***@host/a@b"),
            ("http:user:hunter2@host", "http://***@host"),
            ("http:\\\\u:hunter2@host\\x", "http://***@host\\x"),
            ("//u:hunter2@x:hunter2@host?q", "//***@host?q"),
            ("http://host/?to=a@b", "http://host/?to=a@b"),
            ("host", "host"),
            ("", ""),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    fn check(text: &str, expected: Result<(&str, u16, &str), &str>) {
        match (Target::from_argument(text), expected) {
            (Ok(target), Ok((authority, port, path))) => {
                assert_eq!(target.authority(), authority, "{text}");
                assert_eq!(target.port, port, "{text}");
                assert_eq!(target.path_and_query(), path, "{text}");
            }
            (Err(error), Err(part)) => {
                assert!(error.message.contains(part), "{text}: {error}");
            }
            (read, expected) => panic!("{text}: {read:?} in place of {expected:?}"),
        }
    }

    #[test]
    fn a_url_is_taken_as_it_is() {
        check("http://10.0.0.1", Ok(("10.0.0.1", 80, "/")));
        check("https://host.example", Ok(("host.example", 443, "/")));
        check(
            "http://host:8080/a/b?c=d&e=%20#top",
            Ok(("host:8080", 8080, "/a/b?c=d&e=%20")),
        );
        check("http://host:80/", Ok(("host", 80, "/")));
        check("http://[::1]:8080/", Ok(("[::1]:8080", 8080, "/")));
        check(
            "http://host/?filter[name]=x|y",
            Ok(("host", 80, "/?filter[name]=x|y")),
        );
    }

    #[test]
    fn what_a_browser_would_mend_is_refused() {
        check("", Err("no scheme"));
        check("host.example/path", Err("no scheme"));
        check("//host/path", Err("no scheme"));
        check("http:host", Err("//"));
        check("http:\\\\host", Err("//"));
        check("http://host\\@10.0.0.1/", Err("backslash"));
        check(" http://host/", Err("blank"));
        check("http://host/a b", Err("blank"));
        check("http://ho\tst/", Err("blank"));
        check("http://host/\0", Err("control"));
        check("http://host/\r\nX-Injected: 1", Err("control"));
        check("http://host/100%", Err("hex"));
    }

    #[test]
    fn only_http_without_credentials_is_asked_for() {
        check("ftp://host/", Err("neither http nor https"));
        check("file:///etc/passwd", Err("neither http nor https"));
        check("gopher://host:70/_x", Err("neither http nor https"));
        check("javascript:alert(1)", Err("neither http nor https"));
        check("data:text/plain,x", Err("neither http nor https"));
        check("http://user:secret@host/", Err("user name or password"));
        check("http://user@host/", Err("user name or password"));
        check("http://@host/", Err(""));
        check("http://host:0/", Err("port 0"));
        check("http://host:65536/", Err("port"));
        check("http:///path", Err(""));
        check(&format!("http://host/{}", "a".repeat(MAX_URL)), Err("2048"));
    }

    #[test]
    fn an_address_in_disguise_is_refused_and_named() {
        check("http://2130706433/", Err("write 127.0.0.1"));
        check("http://0x7f.1/", Err("write 127.0.0.1"));
        check("http://0177.0.0.1/", Err("write 127.0.0.1"));
        check("http://0x7f.1/127.0.0.1", Err("write 127.0.0.1"));
        check("http://%31%32%37.0.0.1/", Err("write 127.0.0.1"));
        check("http://１２７.0.0.1/", Err("write 127.0.0.1"));
        check("http://bücher.example/", Err("write xn--bcher-kva.example"));
        check("http://ⓔxample.com/", Err("write example.com"));
        check("HTTP://Example.COM/", Ok(("example.com", 80, "/")));
        check("http://[0::1]/", Ok(("[::1]", 80, "/")));
        check("http://1.2.3.4.5/", Err(""));
        check("http://-host/", Err("hyphen"));
    }

    #[test]
    fn a_redirect_is_relative_to_where_it_comes_from() {
        let from = Target::from_argument("https://host:8443/a/b?c").unwrap();
        let to = |location: &'static str| {
            from.redirect(&HeaderValue::from_static(location))
                .map(|target| target.url.to_string())
        };
        assert_eq!(to("/x").unwrap(), "https://host:8443/x");
        assert_eq!(to("x?y#z").unwrap(), "https://host:8443/a/x?y");
        assert_eq!(to("//other/x").unwrap(), "https://other/x");
        assert_eq!(to("http://other").unwrap(), "http://other/");
        assert_eq!(to("http://2852039166/").unwrap(), "http://169.254.169.254/");
        assert!(to("ftp://host/").unwrap_err().contains("neither http"));
        assert!(
            to("http://user:secret@host/")
                .unwrap_err()
                .contains("user name")
        );
        assert!(to("http://").unwrap_err().contains("not a URL"));
    }

    proptest! {
        #[test]
        fn an_accepted_url_names_its_host_as_it_was_written(
            rest in "[a-z0-9.:@/?#%\\\\\\[\\]é-]{1,40}"
        ) {
            let text = format!("http://{rest}");
            if let Ok(target) = Target::from_argument(&text) {
                prop_assert_eq!(target.url.username(), "");
                prop_assert!(target.port > 0);
                let again = Target::from_argument(target.url.as_str()).unwrap();
                prop_assert_eq!(again, target);
            }
        }
    }
}
