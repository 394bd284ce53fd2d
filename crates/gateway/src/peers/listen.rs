use std::sync::Arc;
use std::sync::atomic::Ordering;

use bus::{Backoff, Binding, Delivery, Error, Link, Message, Queue, supervise};
use futures::StreamExt;
use protocol::{Envelope, Kind, Names};
use serde_json::value::RawValue;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Peers;
use crate::gateway::Gateway;

impl Peers {
    /// Hears the other gateways until `shutdown`.
    ///
    /// # Errors
    /// When the bus gives up; see [`supervise`].
    pub(crate) async fn run(
        &self,
        gateway: &Arc<Gateway>,
        backoff: &Backoff,
        shutdown: &CancellationToken,
    ) -> Result<(), Error> {
        let bus = &self.shared.bus;
        supervise(bus, "gateways", backoff, shutdown, |link| {
            self.session(gateway, link)
        })
        .await
    }

    async fn session(&self, gateway: &Arc<Gateway>, link: Arc<dyn Link>) -> Result<(), Error> {
        let queue = self.queue();
        link.declare(&queue).await?;
        let mut consumer = link.consume(&queue.name, None).await?;
        let _hearing = Hearing(self);
        self.shared.joined.send_modify(|times| *times += 1);
        while let Some(delivery) = consumer.next().await {
            self.take(gateway, &delivery);
        }
        Err(Error::Lost(
            "messages of other gateways are no longer delivered".to_owned(),
        ))
    }

    /// A queue of this connection's own. Its name must not be that of the queue for
    /// announcements, which this process has too.
    fn queue(&self) -> Queue {
        let shared = &self.shared;
        let generation = shared.generation.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("{}.peers", shared.instance);
        let keys = [
            shared.names.gateways_key(),
            shared.names.gateway_key(&shared.instance),
        ];
        let bindings = keys.map(|pattern| Binding {
            exchange: Names::CONTROL.to_owned(),
            pattern,
        });
        Queue::exclusive(
            shared.names.control_queue(&name, generation),
            bindings.into(),
        )
    }

    fn take(&self, gateway: &Arc<Gateway>, delivery: &Delivery) {
        match read(&delivery.message) {
            Ok(heard) if heard.sender == self.instance() => {}
            Ok(heard) => {
                gateway.heard(heard.sender, &heard.method, heard.params);
            }
            Err(reason) => warn!(reason, "a message of another gateway was refused"),
        }
    }
}

/// Notes when this gateway ceases to hear the others, however that comes.
struct Hearing<'a>(&'a Peers);

impl Drop for Hearing<'_> {
    fn drop(&mut self) {
        *self.0.last_lost() = Some(Instant::now());
    }
}

/// A message of a gateway.
struct Heard<'a> {
    sender: &'a str,
    method: String,
    params: &'a RawValue,
}

fn read(message: &Message) -> Result<Heard<'_>, String> {
    let sender = message
        .app_id
        .as_deref()
        .ok_or("it has no property app-id, which names its sender")?;
    let envelope = Envelope::parse(&message.body).map_err(|error| error.to_string())?;
    let Kind::Notification {
        params: Some(params),
        ..
    } = envelope.kind
    else {
        return Err("it is no notification with parameters".to_owned());
    };
    let method = envelope.method().unwrap_or_default().into_owned();
    Ok(Heard {
        sender,
        method,
        params,
    })
}
