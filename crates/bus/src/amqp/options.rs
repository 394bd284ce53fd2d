use std::fmt;
use std::num::NonZeroU8;
use std::path::PathBuf;
use std::time::Duration;

use lapin::uri::{AMQPScheme, AMQPUri};
use protocol::Names;

use crate::{Backoff, Error};

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
    /// `amqp://user:password@host:port/vhost` (or `amqps://`), as in RabbitMQ's URI
    /// specification; without a path the virtual host is `/`.
    pub url: String,
    /// Present for a connection under TLS; an `amqps` URL asks for it too.
    pub tls: Option<Tls>,
    /// Interval of heartbeats; two missed ones end the connection. Rounded up to seconds.
    pub heartbeat: Duration,
    /// How long a connection may take to stand.
    pub connect_timeout: Duration,
    /// Connections for publishing.
    pub pool_size: NonZeroU8,
    /// Time without a consumer after which a reply queue is removed (`x-expires`).
    pub queue_ttl: Option<Duration>,
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
            url: "amqp://localhost:5672".to_owned(),
            tls: None,
            heartbeat: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            pool_size: NonZeroU8::MIN,
            queue_ttl: None,
            backoff: Backoff::default(),
            names: Names::default(),
            connection_name: "open-discovery".to_owned(),
        }
    }
}

impl Options {
    /// The address in the form that the transport takes: TLS is the transport's business,
    /// so the scheme is always `amqp`, with the port of the scheme that was asked for.
    pub(super) fn uri(&self) -> Result<AMQPUri, Error> {
        let unusable = |reason: String| Error::Settings {
            setting: "AMQP_URL",
            reason,
        };
        let mut url = self.url.clone();
        if self.tls.is_some()
            && let Some(rest) = url.strip_prefix("amqp://")
        {
            url = format!("amqps://{rest}");
        }
        let mut uri: AMQPUri = url.parse().map_err(unusable)?;
        uri.scheme = AMQPScheme::AMQP;
        let seconds = self.heartbeat.as_millis().div_ceil(1000);
        uri.query.frame_max.get_or_insert(FRAME_MAX);
        uri.query.heartbeat = Some(u16::try_from(seconds).unwrap_or(u16::MAX));
        uri.query.connection_timeout =
            Some(u64::try_from(self.connect_timeout.as_millis()).unwrap_or(u64::MAX));
        Ok(uri)
    }

    pub(super) fn uses_tls(&self) -> bool {
        self.tls.is_some() || self.url.starts_with("amqps://")
    }

    /// The address for people: no credentials in it.
    pub(super) fn address(&self) -> String {
        match self.uri() {
            Ok(uri) => {
                let scheme = if self.uses_tls() { "amqps" } else { "amqp" };
                format!("{scheme}://{}:{}", uri.authority.host, uri.authority.port)
            }
            Err(_) => "the address in AMQP_URL".to_owned(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("address", &self.address())
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

    #[test]
    fn the_port_follows_the_scheme_that_was_asked_for() {
        let check = |url: &str, tls: bool, expected: &str| {
            let tls = tls.then(Tls::default);
            let options = Options {
                url: url.to_owned(),
                tls,
                ..Options::default()
            };
            assert_eq!(options.address(), expected);
        };
        check("amqp://localhost", false, "amqp://localhost:5672");
        check("amqp://localhost", true, "amqps://localhost:5671");
        check("amqps://localhost", false, "amqps://localhost:5671");
        check("amqp://u:p@host:1234/v", true, "amqps://host:1234");
    }

    #[test]
    fn credentials_are_never_printed() {
        let options = Options {
            url: "amqp://alice:s3cret@localhost".to_owned(),
            ..Options::default()
        };
        assert!(!format!("{options:?}{}", options.address()).contains("s3cret"));
    }
}
