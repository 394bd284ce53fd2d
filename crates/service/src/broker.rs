//! The way from settings to a message bus on a broker, the same for every process.

use std::sync::Arc;

use bus::amqp::{AmqpBus, Options, Tls};
use bus::memory::MemoryBus;
use bus::{Backoff, Bus, Routing};
use protocol::{Names, Prefix};

use crate::settings::{AmqpUrl, CallRouting, Milliseconds};
use crate::{ExitError, Settings};

/// The names of this site on the broker.
///
/// # Errors
/// Exit code 64 when the queue prefix is no such name.
pub fn names(settings: &Settings) -> Result<Names, ExitError> {
    let prefix: Prefix = settings
        .amqp_queue_prefix
        .as_str()
        .parse()
        .map_err(ExitError::usage)?;
    Ok(Names::new(prefix, settings.amqp_exchange.as_str()))
}

/// How calls find the queue of their category.
#[must_use]
pub fn routing(settings: &Settings) -> Routing {
    match settings.amqp_call_routing {
        CallRouting::Queue => Routing::Queue,
        CallRouting::Topic => Routing::Topic,
    }
}

/// When a lost connection is tried again.
#[must_use]
pub fn backoff(settings: &Settings) -> Backoff {
    let attempts = settings.amqp_max_reconnect_attempts;
    Backoff {
        first: settings.amqp_reconnect_delay.get(),
        max_attempts: attempts.and_then(|most| usize::try_from(most.get()).ok()),
        ..Backoff::default()
    }
}

/// Begins to connect to the broker that the settings name; `name` is what the broker shows.
///
/// Must be called within a Tokio runtime; returns before there is a connection.
///
/// # Errors
/// Exit code 64 when an address, a certificate or a key is unusable.
pub fn connect(settings: &Settings, name: &str) -> Result<Arc<dyn Bus>, ExitError> {
    let urls = settings.broker_urls();
    let tls = urls.iter().any(AmqpUrl::is_tls).then(|| Tls {
        ca: settings.amqp_ca_cert.clone(),
        certificate: settings.amqp_client_cert.clone(),
        key: settings.amqp_client_key.clone(),
    });
    let bus = AmqpBus::start(Options {
        urls: urls.iter().map(|url| url.expose().to_owned()).collect(),
        tls,
        heartbeat: settings.amqp_heartbeat_interval.get(),
        connect_timeout: settings.amqp_connection_timeout.get(),
        pool_size: settings.amqp_connection_pool_size,
        compression_threshold: usize::try_from(settings.amqp_compression_threshold)
            .ok()
            .filter(|threshold| *threshold > 0),
        max_message_size: settings.amqp_max_message_size.get(),
        queue_ttl: settings.amqp_queue_ttl.map(Milliseconds::get),
        backoff: backoff(settings),
        names: names(settings)?,
        connection_name: name.to_owned(),
    });
    Ok(Arc::new(bus.map_err(exit)?))
}

/// A bus inside this process, with the limits that the settings name.
#[must_use]
pub fn in_memory(settings: &Settings) -> Arc<dyn Bus> {
    let limit = settings.amqp_max_message_size.get();
    Arc::new(MemoryBus::new().with_max_message_size(limit))
}

/// The end of a process whose bus failed: 64 for a bad setting, otherwise 69, "unavailable".
#[must_use]
pub fn exit(error: bus::Error) -> ExitError {
    let hint = error.hint();
    let exit = match error {
        bus::Error::Settings { .. } => ExitError::usage(error),
        _ => ExitError::unavailable(error),
    };
    match hint {
        Some(hint) => exit.hint(hint),
        None => exit,
    }
}
