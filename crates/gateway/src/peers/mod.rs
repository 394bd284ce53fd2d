//! What gateways of one site tell each other, over the control exchange.
//!
//! Any replica serves any client, so what one of them learns others may need: that a session
//! ended, that a call was cancelled, that a client answered, that a stream goes on elsewhere.
//! Each room defines its own messages, and takes them in [`dispatch`]; this one carries them.

mod dispatch;
mod listen;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bus::{Bus, Headers, Message, Publish, PublishError};
use protocol::{Names, headers, response};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::warn;

/// How long a message may take to be sent, a short outage of the broker included.
const SEND_TIME: Duration = Duration::from_secs(2);

/// The way to the other gateways; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Peers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    bus: Arc<dyn Bus>,
    names: Names,
    instance: String,
    generation: AtomicU64,
    /// Messages that were made.
    last_number: AtomicI64,
    /// How often this gateway has begun to hear the others.
    joined: watch::Sender<u64>,
    /// When this gateway last ceased to hear the others.
    lost: Mutex<Option<Instant>>,
}

/// A gateway that cannot be told anything: it is gone, or the broker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreachable;

impl Peers {
    pub(crate) fn new(bus: Arc<dyn Bus>, names: Names, instance: String) -> Self {
        Self {
            shared: Arc::new(Shared {
                bus,
                names,
                instance,
                generation: AtomicU64::new(0),
                last_number: AtomicI64::new(0),
                joined: watch::Sender::new(0),
                lost: Mutex::default(),
            }),
        }
    }

    /// The name of this gateway, unique per process start.
    pub(crate) fn instance(&self) -> &str {
        &self.shared.instance
    }

    /// How often this gateway has begun to hear the others: at 0 it does not yet, and with each
    /// further number an outage is over, during which it heard nothing.
    pub(crate) fn joined(&self) -> watch::Receiver<u64> {
        self.shared.joined.subscribe()
    }

    /// When this gateway last ceased to hear the others, as far as that was noticed; never, if it
    /// has heard them from the beginning, or not yet.
    pub(crate) fn lost(&self) -> Option<Instant> {
        *self.last_lost()
    }

    fn last_lost(&self) -> MutexGuard<'_, Option<Instant>> {
        self.shared
            .lost
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells all other gateways; false when that was not possible within 2 s, which is logged.
    ///
    /// Messages of one gateway arrive in the order in which they were sent, those to
    /// [all](Self::broadcast) and those to [one](Self::send) alike. A connection that is lost
    /// meanwhile can make one arrive twice.
    pub(crate) async fn broadcast(
        &self,
        method: &'static str,
        params: &(impl Serialize + Sync),
    ) -> bool {
        let Some(message) = self.message(method, params) else {
            return false;
        };
        let key = self.shared.names.gateways_key();
        let publish = Publish::broadcast(Names::CONTROL, key, message);
        match self.publish(publish).await {
            Ok(()) => true,
            Err(error) => {
                warn!(method, %error, "the other gateways could not be told");
                false
            }
        }
    }

    /// Tells one other gateway.
    ///
    /// # Errors
    /// [`Unreachable`] at once when no gateway of that name listens, and after 2 s without a
    /// broker.
    pub(crate) async fn send(
        &self,
        instance: &str,
        method: &'static str,
        params: &(impl Serialize + Sync),
    ) -> Result<(), Unreachable> {
        let message = self.message(method, params).ok_or(Unreachable)?;
        let publish = Publish {
            exchange: Names::CONTROL.to_owned(),
            routing_key: self.shared.names.gateway_key(instance),
            mandatory: true,
            may_share: false,
            message,
        };
        self.publish(publish).await.map_err(|error| {
            warn!(method, instance, %error, "a gateway could not be told");
            Unreachable
        })
    }

    fn message(&self, method: &'static str, params: &impl Serialize) -> Option<Message> {
        let body = response::notification(method, params)
            .inspect_err(|error| warn!(method, %error, "a message to gateways is not JSON"))
            .ok()?;
        let number = self.shared.last_number.fetch_add(1, Ordering::Relaxed) + 1;
        Some(Message {
            kind: Some(headers::kind::NOTIFICATION.to_owned()),
            app_id: Some(self.shared.instance.clone()),
            // One identifier for all of a gateway's messages: the bus keeps the order of those.
            correlation_id: Some(self.shared.instance.clone()),
            // What the broker returns is told apart by its number: a gateway that is gone must not
            // be taken for another that is there.
            headers: Headers::default()
                .with(headers::METHOD, method)
                .with(headers::SEQ, number),
            body: body.into(),
            ..Message::default()
        })
    }

    /// Publishes, again after a lost connection, for as long as a message may take.
    async fn publish(&self, publish: Publish) -> Result<(), PublishError> {
        let bus = &self.shared.bus;
        let attempts = async {
            loop {
                match bus.publish(publish.clone()).await {
                    Err(PublishError::Disconnected | PublishError::Lost) => bus.connected().await,
                    outcome => return outcome,
                }
            }
        };
        timeout(SEND_TIME, attempts)
            .await
            .unwrap_or(Err(PublishError::Disconnected))
    }
}

#[cfg(test)]
mod tests;
