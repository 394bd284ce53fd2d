//! Clients that share a connection to the broker.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use futures::StreamExt as _;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use protocol::{Category, Names, headers, mcp};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::calls::{self, Template};
use super::client::Client;
use crate::contestant::bare_worker::QUEUE;
use crate::contestant::echo_worker::TOOL;

/// Delivery mode of messages that outlive the broker.
const PERSISTENT: u8 = 2;

/// How long a caller of a worker waits.
const PATIENCE: Duration = Duration::from_secs(30);

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
    async fn call(&self, to: &Address, id: &str, request: Request<'_>) -> Result<Vec<u8>> {
        let (sender, reply) = oneshot::channel();
        self.pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.to_owned(), sender);
        let mandatory = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let properties = request
            .properties
            .with_delivery_mode(PERSISTENT)
            .with_correlation_id(id.into())
            .with_reply_to(self.reply_to.as_str().into());
        let confirmed = self
            .channel
            .basic_publish(
                to.exchange.into(),
                to.key.as_str().into(),
                mandatory,
                request.body,
                properties,
            )
            .await?;
        let (confirmed, reply) = tokio::join!(confirmed, reply);
        match confirmed? {
            Confirmation::Ack(None) => reply.context("the reply queue is gone"),
            other => bail!("the broker refuses: {other:?}"),
        }
    }
}

/// Where requests go.
struct Address {
    exchange: &'static str,
    key: String,
}

struct Request<'a> {
    properties: BasicProperties,
    body: &'a [u8],
}

/// One of the clients of a bare loop.
pub(super) struct BareClient {
    wire: Arc<Wire>,
    to: Address,
    body: Template,
}

impl BareClient {
    pub(super) fn new(wire: Arc<Wire>) -> Self {
        let (exchange, key) = ("", QUEUE.to_owned());
        Self {
            wire,
            to: Address { exchange, key },
            body: Template::new(calls::payload()),
        }
    }
}

impl Client for BareClient {
    async fn call(&mut self, number: u64) -> Result<()> {
        let id = calls::numbered(number);
        let body = self.body.number(&id);
        let properties = BasicProperties::default();
        let request = Request { properties, body };
        let reply = self.wire.call(&self.to, &id, request).await?;
        ensure!(reply == body, "the reply is not the call's");
        Ok(())
    }
}

/// One of the clients that call a worker without a gateway.
pub(super) struct WorkerClient {
    wire: Arc<Wire>,
    to: Address,
    body: Template,
}

impl WorkerClient {
    pub(super) fn new(wire: Arc<Wire>, category: &Category) -> Self {
        let to = Address {
            exchange: "",
            key: Names::default().work_queue(category),
        };
        let body = Template::new(calls::modern_call());
        Self { wire, to, body }
    }

    fn properties(id: &str) -> BasicProperties {
        let deadline = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let deadline = (deadline.unwrap_or_default() + PATIENCE).as_millis();
        let deadline = i64::try_from(deadline).unwrap_or(i64::MAX);
        let mut fields = FieldTable::default();
        let mut text = |name: &str, value: &str| {
            fields.insert(name.into(), AMQPValue::LongString(value.into()));
        };
        text(headers::PROTOCOL_VERSION, mcp::MODERN_VERSION);
        text(headers::METHOD, mcp::method::TOOLS_CALL);
        text(headers::NAME, TOOL);
        fields.insert(headers::DEADLINE.into(), AMQPValue::LongLongInt(deadline));
        BasicProperties::default()
            .with_type(headers::kind::REQUEST.into())
            .with_content_type(headers::CONTENT_TYPE.into())
            .with_message_id(id.into())
            .with_expiration(PATIENCE.as_millis().to_string().into())
            .with_headers(fields)
    }
}

impl Client for WorkerClient {
    async fn call(&mut self, number: u64) -> Result<()> {
        let id = calls::numbered(number);
        let request = Request {
            properties: Self::properties(&id),
            body: self.body.number(&id),
        };
        let reply = self.wire.call(&self.to, &id, request).await?;
        calls::check(&reply, &id)
    }
}
