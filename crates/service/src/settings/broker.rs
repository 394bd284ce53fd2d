//! The address, the names and the credentials of the broker.

use std::fmt;
use std::str::FromStr;

use url::Url;

use super::text::{items, setting};

/// Address of the broker, `amqp://` or `amqps://`; prints `***` in place of its password.
#[derive(Clone, PartialEq, Eq)]
pub struct AmqpUrl(Url);

/// Addresses of the nodes of one broker, at least one; prints `***` in place of passwords.
///
/// All begin with the same scheme, because a list that fell back to a node without TLS would be
/// as open as that node; and all name the same virtual host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AmqpUrls(Vec<AmqpUrl>);

/// Prefix of every queue and routing key of a site.
///
/// At most 100 characters, because a routing key is at most 255 bytes (AMQP 0-9-1, section
/// 4.2.5.3) and the category and the tool follow the prefix.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QueuePrefix(String);

/// Name of an exchange, up to 127 characters of those that AMQP 0-9-1 allows in names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExchangeName(String);

/// Text that is never printed: `Debug`, `Display` and `Serialize` give `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl AmqpUrl {
    /// The address with its password, for the connection itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }

    /// Host name or address of the broker; brackets around an IPv6 address are kept.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Port; without one in the address 5671 for `amqps`, 5672 for `amqp`.
    #[must_use]
    pub fn port(&self) -> u16 {
        let default = if self.is_tls() { 5671 } else { 5672 };
        self.0.port().unwrap_or(default)
    }

    /// Whether the address begins with `amqps`.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.0.scheme() == "amqps"
    }

    /// The same broker with these credentials and, if wanted, over TLS.
    pub(super) fn with(
        mut self,
        username: Option<&str>,
        password: Option<&str>,
        tls: bool,
    ) -> Self {
        // The setters refuse addresses without a host only, and the parser accepts none of these.
        if let Some(username) = username {
            let _ = self.0.set_username(username);
        }
        if let Some(password) = password {
            let _ = self.0.set_password(Some(password));
        }
        if tls {
            let _ = self.0.set_scheme("amqps");
        }
        self
    }
}

impl AmqpUrls {
    /// The addresses in their order.
    pub fn iter(&self) -> impl Iterator<Item = &AmqpUrl> {
        self.0.iter()
    }

    /// Hosts with their ports, for people: `one:5672, two:5672`.
    #[must_use]
    pub fn hosts(&self) -> String {
        let hosts: Vec<String> = self
            .iter()
            .map(|url| format!("{}:{}", url.host(), url.port()))
            .collect();
        hosts.join(", ")
    }
}

impl From<AmqpUrl> for AmqpUrls {
    fn from(url: AmqpUrl) -> Self {
        Self(vec![url])
    }
}

impl Default for AmqpUrls {
    /// `amqp://localhost:5672`.
    fn default() -> Self {
        AmqpUrl::default().into()
    }
}

impl QueuePrefix {
    /// The prefix.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ExchangeName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Secret {
    /// The text itself. Hand it to whom it authenticates, and to nobody else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Default for AmqpUrl {
    /// `amqp://localhost:5672`.
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "the text is a constant")]
        Self(Url::parse("amqp://localhost:5672").expect("a valid address"))
    }
}

impl Default for QueuePrefix {
    fn default() -> Self {
        Self("mcp.discovery".to_owned())
    }
}

impl Default for ExchangeName {
    fn default() -> Self {
        Self("mcp.notifications".to_owned())
    }
}

impl FromStr for AmqpUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| error.to_string())?;
        if !matches!(url.scheme(), "amqp" | "amqps") {
            return Err("the scheme is neither `amqp` nor `amqps`".to_owned());
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err("the address has no host".to_owned());
        }
        if url.path().trim_start_matches('/').contains('/') {
            return Err("a slash in the virtual host must be written `%2f`".to_owned());
        }
        if url.fragment().is_some() {
            return Err("a `#` must be written `%23`".to_owned());
        }
        Ok(Self(url))
    }
}

impl FromStr for AmqpUrls {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let texts = items(text)?;
        if let [text] = texts.as_slice() {
            return Ok(text.parse::<AmqpUrl>()?.into());
        }
        let mut urls: Vec<AmqpUrl> = Vec::with_capacity(texts.len());
        for (text, number) in texts.into_iter().zip(1..) {
            let at_fault = |why: &str| format!("address {number}: {why}");
            let url: AmqpUrl = text.parse().map_err(|error: String| at_fault(&error))?;
            if let Some(first) = urls.first() {
                if first.is_tls() != url.is_tls() {
                    return Err(at_fault(
                        "it begins otherwise than the first: `amqp` or `amqps`",
                    ));
                }
                if first.0.path() != url.0.path() {
                    return Err(at_fault("it has another virtual host than the first"));
                }
            }
            urls.push(url);
        }
        if urls.is_empty() {
            return Err("there is no address".to_owned());
        }
        Ok(Self(urls))
    }
}

impl FromStr for QueuePrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > 100 {
            return Err("the prefix must have 1 to 100 characters".to_owned());
        }
        if !text.bytes().all(is_name_byte) {
            return Err("the prefix has a character that is not allowed".to_owned());
        }
        if text.split('.').any(str::is_empty) {
            return Err("a dot must stand between two words".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for ExchangeName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > 127 {
            return Err("the name must have 1 to 127 characters".to_owned());
        }
        if !text.bytes().all(|byte| is_name_byte(byte) || byte == b':') {
            return Err("the name has a character that is not allowed".to_owned());
        }
        if text.starts_with("amq.") {
            return Err("names that begin with `amq.` belong to the broker".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for AmqpUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.0.clone();
        if url.password().is_some() {
            let _ = url.set_password(Some("***"));
        }
        formatter.write_str(url.as_str())
    }
}

impl fmt::Display for AmqpUrls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, url) in self.iter().enumerate() {
            if position > 0 {
                formatter.write_str(",")?;
            }
            url.fmt(formatter)?;
        }
        Ok(())
    }
}

impl fmt::Debug for AmqpUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AmqpUrl({self})")
    }
}

impl fmt::Display for QueuePrefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for ExchangeName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

setting!(AmqpUrl,
    allowed: "`amqp://` or `amqps://` with a host: `amqp://user:password@host:port/vhost`",
    "x-secret": true);
setting!(AmqpUrls,
    allowed: "one or more of `amqp://user:password@host:port/vhost`, separated by commas, or all with `amqps://`; a comma in a password is written `%2C`",
    "x-secret": true);
setting!(QueuePrefix,
    allowed: "1 to 100 letters, digits, `_`, `-` and `.`; dots only between words");
setting!(ExchangeName,
    allowed: "1 to 127 letters, digits, `_`, `-`, `.` and `:`, not beginning with `amq.`");
setting!(Secret, allowed: "any text", "x-secret": true);

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_an_address_is_never_printed() {
        let url: AmqpUrl = "amqp://guest:hunter2@broker:5673/%2f".parse().unwrap();
        let printed = format!("{url} {url:?} {}", serde_json::to_string(&url).unwrap());
        assert!(!printed.contains("hunter2"), "{printed}");
        assert!(
            printed.contains("amqp://guest:***@broker:5673/%2f"),
            "{printed}"
        );
        assert!(url.expose().contains("hunter2"));
    }

    #[test]
    fn a_secret_is_never_printed() {
        let secret: Secret = "hunter2".parse().unwrap();
        let json = serde_json::to_string(&secret).unwrap();
        assert_eq!(format!("{secret} {secret:?} {json}"), "*** *** \"***\"");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn an_address_without_port_has_the_port_of_its_scheme() {
        let port = |text: &str| text.parse::<AmqpUrl>().unwrap().port();
        assert_eq!(port("amqp://broker"), 5672);
        assert_eq!(port("amqps://broker"), 5671);
        assert_eq!(port("amqp://[::1]:5673"), 5673);
    }

    #[test]
    fn credentials_and_tls_replace_those_of_the_address() {
        let url: AmqpUrl = "amqp://a:b@broker/dc1".parse().unwrap();
        let url = url.with(Some("us er"), Some("p@ss/word"), true);
        assert_eq!(url.expose(), "amqps://us%20er:p%40ss%2Fword@broker/dc1");
    }

    #[test]
    fn an_address_that_is_not_a_broker_is_refused() {
        for text in [
            "",
            "broker",
            "http://broker",
            "amqp://",
            "amqp:broker",
            "amqp://b/a/b",
            "amqp://b:70000",
        ] {
            assert!(text.parse::<AmqpUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_list_of_addresses_keeps_its_order_and_its_secrets() {
        let text = "amqps://u:hunter2@one, amqps://u:hunter2@two:5673";
        let urls: AmqpUrls = text.parse().unwrap();
        assert_eq!(urls.hosts(), "one:5671, two:5673");
        assert_eq!(urls.to_string(), "amqps://u:***@one,amqps://u:***@two:5673");
        assert!(!format!("{urls:?}").contains("hunter2"));
        assert_eq!(
            "amqp://one".parse::<AmqpUrls>().unwrap().hosts(),
            "one:5672"
        );
    }

    #[test]
    fn the_address_that_does_not_fit_in_a_list_is_counted() {
        let check = |text: &str, expected: &str| {
            let error = text.parse::<AmqpUrls>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        };
        check("", "no address");
        check("amqp://one,,amqp://two", "empty item");
        check("amqp://one,http://u:hunter2@two", "address 2: the scheme");
        check(
            "amqp://one,amqp://two,amqps://u:hunter2@three",
            "address 3: it begins",
        );
        check(
            "amqp://one/a,amqp://two/b",
            "address 2: it has another virtual host",
        );
        check("broker", "relative URL");
    }

    #[test]
    fn a_prefix_keeps_routing_keys_well_formed() {
        for text in ["mcp.discovery", "a", "dc-1_x", &"a".repeat(100)] {
            assert!(text.parse::<QueuePrefix>().is_ok(), "{text}");
        }
        for text in [
            "",
            ".a",
            "a.",
            "a..b",
            "a b",
            "a#",
            "*",
            "ä",
            &"a".repeat(101),
        ] {
            assert!(text.parse::<QueuePrefix>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_exchange_of_the_broker_itself_is_refused() {
        assert!("amq.topic".parse::<ExchangeName>().is_err());
        assert!("".parse::<ExchangeName>().is_err());
        assert!("mcp.notifications".parse::<ExchangeName>().is_ok());
    }
}
