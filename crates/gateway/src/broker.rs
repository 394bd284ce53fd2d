use bus::amqp::{AmqpBus, Options, Tls};
use service::Settings;
use service::settings::Milliseconds;

use crate::{Config, Error};

/// Begins to connect to the broker that the settings name.
///
/// Must be called within a Tokio runtime; returns before there is a connection.
///
/// # Errors
/// [`Error::Bus`] when an address, a certificate or a key is unusable.
pub fn connect(settings: &Settings, config: &Config, name: &str) -> Result<AmqpBus, Error> {
    let url = settings.broker_url();
    let tls = url.is_tls().then(|| Tls {
        ca: settings.amqp_ca_cert.clone(),
        certificate: settings.amqp_client_cert.clone(),
        key: settings.amqp_client_key.clone(),
    });
    Ok(AmqpBus::start(Options {
        url: url.expose().to_owned(),
        tls,
        heartbeat: settings.amqp_heartbeat_interval.get(),
        connect_timeout: settings.amqp_connection_timeout.get(),
        pool_size: settings.amqp_connection_pool_size,
        queue_ttl: settings.amqp_queue_ttl.map(Milliseconds::get),
        backoff: config.backoff,
        names: config.names.clone(),
        connection_name: name.to_owned(),
        ..Options::default()
    })?)
}
