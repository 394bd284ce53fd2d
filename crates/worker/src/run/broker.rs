use std::num::NonZeroU8;

use bus::amqp::{AmqpBus, Options, Tls};
use service::Settings;
use service::settings::Milliseconds;

use crate::Error;
use crate::runtime::{backoff, names};

/// Begins to connect to the broker of the settings; there need not be one yet.
pub(super) fn connect(settings: &Settings, name: &str) -> Result<AmqpBus, Error> {
    let url = settings.broker_url();
    let tls = url.is_tls().then(|| Tls {
        ca: settings.amqp_ca_cert.clone(),
        certificate: settings.amqp_client_cert.clone(),
        key: settings.amqp_client_key.clone(),
    });
    let size = settings.amqp_connection_pool_size;
    let pool_size = NonZeroU8::try_from(size).map_err(|_| {
        Error::Bus(bus::Error::Settings {
            setting: "AMQP_CONNECTION_POOL_SIZE",
            reason: format!("{size} is more than 255"),
        })
    })?;
    let options = Options {
        url: url.expose().to_owned(),
        tls,
        heartbeat: settings.amqp_heartbeat_interval.get(),
        connect_timeout: settings.amqp_connection_timeout.get(),
        pool_size,
        queue_ttl: settings.amqp_queue_ttl.map(Milliseconds::get),
        backoff: backoff(settings),
        names: names(settings)?,
        connection_name: name.to_owned(),
        ..Options::default()
    };
    AmqpBus::start(options).map_err(Error::Bus)
}
