//! Clients that share a connection to the broker.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, bail, ensure};
use futures::StreamExt as _;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::calls::{self, Template};
use super::client::Client;
use crate::contestant::bare_worker::QUEUE;

/// Delivery mode of messages that outlive the broker.
const PERSISTENT: u8 = 2;

/// The connection that all clients share.
pub(super) struct Wire {
    _connection: Connection,
    channel: Channel,
    reply_to: String,
    pending: Pending,
    /// Hands the replies out.
    _replies: JoinSet<()>,
}

/// Who waits for which reply, by correlation id.
type Pending = Arc<Mutex<HashMap<String, oneshot::Sender<Vec<u8>>>>>;

impl Wire {
    /// Connects, and consumes an exclusive reply queue.
    pub(super) async fn open(url: &str) -> Result<Self> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        let exclusive = QueueDeclareOptions {
            exclusive: true,
            ..QueueDeclareOptions::default()
        };
        let consuming = connection.create_channel().await?;
        let queue = consuming
            .queue_declare("".into(), exclusive, FieldTable::default())
            .await?;
        let reply_to = queue.name().to_string();
        let options = BasicConsumeOptions {
            no_ack: true,
            ..BasicConsumeOptions::default()
        };
        let mut consumer = consuming
            .basic_consume(
                reply_to.as_str().into(),
                "".into(),
                options,
                FieldTable::default(),
            )
            .await?;
        let pending = Pending::default();
        let waiting = Arc::clone(&pending);
        let mut replies = JoinSet::new();
        replies.spawn(async move {
            while let Some(Ok(delivery)) = consumer.next().await {
                let id = delivery.properties.correlation_id().as_ref();
                let id = id.map(lapin::types::ShortString::as_str);
                let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(reply) = id.and_then(|id| waiting.remove(id)) {
                    // Who waited may have given up.
                    let _ = reply.send(delivery.data);
                }
            }
        });
        Ok(Self {
            _connection: connection,
            channel,
            reply_to,
            pending,
            _replies: replies,
        })
    }

    /// Publishes a request and waits for its confirmation and for its reply.
    async fn call(&self, id: &str, body: &[u8]) -> Result<Vec<u8>> {
        let (sender, reply) = oneshot::channel();
        self.pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.to_owned(), sender);
        let mandatory = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_correlation_id(id.into())
            .with_reply_to(self.reply_to.as_str().into());
        let confirmed = self
            .channel
            .basic_publish("".into(), QUEUE.into(), mandatory, body, properties)
            .await?;
        let (confirmed, reply) = tokio::join!(confirmed, reply);
        match confirmed? {
            Confirmation::Ack(None) => reply.context("the reply queue is gone"),
            other => bail!("the broker refuses: {other:?}"),
        }
    }
}

/// One of the clients of a bare loop.
pub(super) struct BareClient {
    wire: Arc<Wire>,
    body: Template,
}

impl BareClient {
    pub(super) fn new(wire: Arc<Wire>) -> Self {
        let body = Template::new(calls::payload());
        Self { wire, body }
    }
}

impl Client for BareClient {
    async fn call(&mut self, number: u64) -> Result<()> {
        let id = calls::numbered(number);
        let body = self.body.number(&id);
        let reply = self.wire.call(&id, body).await?;
        ensure!(reply == body, "the reply is not the call's");
        Ok(())
    }
}
