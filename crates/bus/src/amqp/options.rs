use std::fmt;
use std::num::NonZeroU8;
use std::path::PathBuf;
use std::time::Duration;

use lapin::uri::{AMQPScheme, AMQPUri};
use protocol::Names;

use crate::{Backoff, Error, MAX_MESSAGE_SIZE};

/// Longest frame in bytes that is asked for, where the URL does not say otherwise.
///
/// All headers of a message must fit into one frame; the most that a gateway sends are 40 KiB.
/// lapin keeps room for 64 frames for every connection, and fills it with zeros when it comes to
/// know the broker's choice, unless that was asked for: of 128 KiB, which RabbitMQ offers, 8 MiB
/// of memory for a connection that does nothing.
const FRAME_MAX: u32 = 64 * 1024;

/// How to reach the broker.
#[derive(Clone)]
pub struct Options {
    /// The nodes of one broker, each as `amqp://user:password@host:port/vhost` (or `amqps://`),
    /// as in RabbitMQ's URI specification; without a path the virtual host is `/`.
    pub urls: Vec<String>,
    /// Present for connections under TLS; an `amqps` URL asks for it too. One TLS node makes all
    /// of them such.
    pub tls: Option<Tls>,
    /// Interval of heartbeats; two missed ones end the connection. Rounded up to seconds.
    pub heartbeat: Duration,
    /// How long a connection to one node may take to stand.
    pub connect_timeout: Duration,
    /// Connections for publishing.
    pub pool_size: NonZeroU8,
    /// Time without a consumer after which a reply queue is removed (`x-expires`).
    pub queue_ttl: Option<Duration>,
    /// Bodies with more bytes, at least [`COMPRESSIBLE`](crate::COMPRESSIBLE), are compressed
    /// where the receiver reads that; `None` for never.
    pub compression_threshold: Option<usize>,
    /// Most bytes of a body, before compression and after decompression.
    pub max_message_size: usize,
    /// When a lost connection for publishing is tried again; without limit, because who
    /// consumes decides when to give up.
    pub backoff: Backoff,
    /// Names of exchanges to declare.
    pub names: Names,
    /// Shown by the broker beside each connection.
    pub connection_name: String,
}

/// Files for TLS, all in PEM.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// The only certificate authorities to trust; otherwise those of the system.
    pub ca: Option<PathBuf>,
    /// Certificate chain to show to the broker.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            urls: vec!["amqp://localhost:5672".to_owned()],
            tls: None,
            heartbeat: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            pool_size: NonZeroU8::MIN,
            queue_ttl: None,
            compression_threshold: Some(64 << 10),
            max_message_size: MAX_MESSAGE_SIZE,
            backoff: Backoff::default(),
            names: Names::default(),
            connection_name: "open-discovery".to_owned(),
        }
    }
}

impl Options {
    /// An address in the form that the transport takes: TLS is the transport's business,
    /// so the scheme is always `amqp`, with the port of the scheme that was asked for.
    pub(super) fn uri(&self, position: usize) -> Result<AMQPUri, Error> {
        let mut url = self.urls.get(position).cloned().unwrap_or_default();
        if self.uses_tls()
            && let Some(rest) = url.strip_prefix("amqp://")
        {
            url = format!("amqps://{rest}");
        }
        let mut uri: AMQPUri = url.parse().map_err(|reason: String| Error::Settings {
            setting: "AMQP_URL",
            reason: match self.urls.len() {
                1 => reason,
                _ => format!("address {}: {reason}", position + 1),
            },
        })?;
        uri.scheme = AMQPScheme::AMQP;
        let seconds = self.heartbeat.as_millis().div_ceil(1000);
        uri.query.frame_max.get_or_insert(FRAME_MAX);
        uri.query.heartbeat = Some(u16::try_from(seconds).unwrap_or(u16::MAX));
        uri.query.connection_timeout =
            Some(u64::try_from(self.connect_timeout.as_millis()).unwrap_or(u64::MAX));
        Ok(uri)
    }

    pub(super) fn uses_tls(&self) -> bool {
        let is_tls = |url: &String| url.starts_with("amqps://");
        self.tls.is_some() || self.urls.iter().any(is_tls)
    }

    /// An address for people: no credentials in it.
    pub(super) fn address(&self, position: usize) -> Result<String, Error> {
        let authority = self.uri(position)?.authority;
        let scheme = if self.uses_tls() { "amqps" } else { "amqp" };
        Ok(format!("{scheme}://{}:{}", authority.host, authority.port))
    }

    fn addresses(&self) -> Vec<String> {
        (0..self.urls.len())
            .map(|position| self.address(position))
            .map(|address| address.unwrap_or_else(|_| "an address in AMQP_URL".to_owned()))
            .collect()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("addresses", &self.addresses())
            .field("tls", &self.tls)
            .field("heartbeat", &self.heartbeat)
            .field("connect_timeout", &self.connect_timeout)
            .field("pool_size", &self.pool_size)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(urls: &[&str]) -> Options {
        Options {
            urls: urls.iter().map(|url| (*url).to_owned()).collect(),
            ..Options::default()
        }
    }

    #[test]
    fn the_port_follows_the_scheme_that_was_asked_for() {
        let check = |url: &str, tls: bool, expected: &str| {
            let tls = tls.then(Tls::default);
            let options = Options {
                tls,
                ..options(&[url])
            };
            assert_eq!(options.address(0).unwrap(), expected);
        };
        check("amqp://localhost", false, "amqp://localhost:5672");
        check("amqp://localhost", true, "amqps://localhost:5671");
        check("amqps://localhost", false, "amqps://localhost:5671");
        check("amqp://u:p@host:1234/v", true, "amqps://host:1234");
    }

    #[test]
    fn no_node_is_left_in_the_clear_beside_one_under_tls() {
        let options = options(&["amqp://a", "amqps://b"]);
        assert_eq!(options.addresses(), ["amqps://a:5671", "amqps://b:5671"]);
    }

    #[test]
    fn the_address_at_fault_is_counted() {
        let error = options(&["amqp://a", "ampq://u:s3cret@b"])
            .uri(1)
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("AMQP_URL: address 2: "), "{text}");
        assert!(!text.contains("s3cret"), "{text}");
    }

    #[test]
    fn credentials_are_never_printed() {
        let options = options(&["amqp://alice:s3cret@localhost", "amqp://bob:s3cret@there"]);
        assert!(!format!("{options:?}").contains("s3cret"));
    }
}
