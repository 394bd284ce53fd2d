use std::collections::HashSet;
use std::time::Duration;

use bus::{Backoff, Routing};
use protocol::{Category, Names, Prefix};
use seal::Keyring;
use service::Settings;
use service::settings::{NoWorker, Transport};

use crate::Error;
use crate::bulkhead::Limits;

/// What a gateway needs to know, in usable form.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whether to serve newline-delimited JSON-RPC on standard input and output.
    pub stdio: bool,
    /// Whose calls come over standard input, for gateways that have a client in common: it meets
    /// its own idempotency keys at each of them. Without it every gateway has a client of its own.
    pub stdio_client: Option<String>,
    /// Where to serve Streamable HTTP, if at all.
    pub http: Option<Http>,
    /// Whether the AMQP front was asked for, which does not exist yet.
    pub amqp: bool,
    /// Names on the broker.
    pub names: Names,
    /// Categories whose calls wait for a worker until their deadline.
    pub patient: HashSet<Category>,
    /// Most calls under way at a time, of one category and of one client.
    pub limits: Limits,
    /// How calls find the queue of their category.
    pub routing: Routing,
    /// Longest time that a request lies in a queue.
    pub message_ttl: Duration,
    /// When a lost connection is tried again.
    pub backoff: Backoff,
    /// Keys that seal the identifiers of sessions, the same at every replica; without them the
    /// gateway makes one of its own.
    pub session_keys: Option<Keyring>,
    /// How long a session lives without use.
    pub session_ttl: Duration,
    /// Whether there is a broker, over which other replicas may serve the same clients.
    pub broker: bool,
}

/// Where HTTP is served, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Address or name to listen on.
    pub host: String,
    /// Port; 0 takes any free one.
    pub port: u16,
    /// Further values of `Host` that are accepted, without ports.
    pub allowed_hosts: Vec<String>,
    /// Further values of `Origin` that are accepted.
    pub allowed_origins: Vec<String>,
}

impl Config {
    /// The part of the settings that a gateway needs.
    ///
    /// # Errors
    /// [`Error::Setting`] when a value is no name on a broker, [`Error::SessionKey`] when one is
    /// no key.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let serves = |transport| settings.transport_mode.contains(transport);
        let prefix = settings.amqp_queue_prefix.as_str();
        let prefix: Prefix = prefix.parse().map_err(|source| Error::Setting {
            name: "AMQP_QUEUE_PREFIX",
            source,
        })?;
        let patient = settings
            .when_no_worker
            .iter()
            .filter(|(_, choice)| *choice == NoWorker::Queue)
            .map(|(category, _)| category.parse())
            .collect::<Result<_, _>>()
            .map_err(|source| Error::Setting {
                name: "WHEN_NO_WORKER",
                source,
            })?;
        let keys = settings.session_key.as_ref();
        let session_keys = keys.map(|keys| Keyring::parse(keys.expose()));
        Ok(Self {
            stdio: serves(Transport::Stdio),
            stdio_client: None,
            http: serves(Transport::Http).then(|| Http {
                host: settings.http_host.as_str().to_owned(),
                port: settings.http_port,
                allowed_hosts: settings.http_allowed_hosts.to_vec(),
                allowed_origins: settings.http_allowed_origins.to_vec(),
            }),
            amqp: serves(Transport::Amqp),
            names: Names::new(prefix, settings.amqp_exchange.as_str()),
            patient,
            limits: Limits {
                per_category: settings.max_calls_per_category,
                per_client: settings.max_calls_per_client,
            },
            routing: service::broker::routing(settings),
            message_ttl: settings.amqp_message_ttl.get(),
            backoff: service::broker::backoff(settings),
            session_keys: session_keys.transpose().map_err(Error::SessionKey)?,
            session_ttl: settings.mcp_session_ttl_ms.get(),
            broker: settings.amqp_url.is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_and_patience_follow_the_settings() {
        let settings = Settings {
            transport_mode: "stdio,amqp".parse().unwrap(),
            when_no_worker: "nmap=queue,network=refuse".parse().unwrap(),
            amqp_queue_prefix: "dc1".parse().unwrap(),
            ..Settings::default()
        };
        let config = Config::new(&settings).unwrap();
        assert!(config.stdio && config.amqp && config.http.is_none());
        assert_eq!(config.patient, HashSet::from(["nmap".parse().unwrap()]));
        assert_eq!(config.names.announce_key(), "dc1.announce");
        let all = Config::new(&Settings::default()).unwrap();
        assert_eq!(all.http.unwrap().port, 3000);
    }

    #[test]
    fn keys_of_sessions_are_read_in_their_order() {
        let (first, second) = ("5e".repeat(32), "6f".repeat(32));
        let settings = |keys: String| Settings {
            session_key: Some(keys.parse().unwrap()),
            ..Settings::default()
        };
        let ids = |keys: String| {
            let config = Config::new(&settings(keys)).unwrap();
            config.session_keys.unwrap().ids()
        };
        let both = ids(format!("{first},{second}"));
        assert_eq!(both, [ids(first).concat(), ids(second).concat()]);
        let none = Config::new(&Settings::default()).unwrap();
        assert!(none.session_keys.is_none());
    }
}
