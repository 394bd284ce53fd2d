use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use lapin::message::Delivery as AmqpDelivery;
use lapin::options::{
    BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection, ExchangeKind};
use tokio::time::timeout;
use tracing::{debug, info};

use super::acks::{Acks, Settled};
use super::asking::Links;
use super::encoding::Encoding;
use super::nodes::{self, Node};
use super::watcher::Watcher;
use super::{ANSWER_TIME, CLOSE_TIME, Endpoint, bundle, fault};
use crate::bus::Cancel;
use crate::topology::{Exchange, Lifetime, Overflow};
use crate::{Consumer, Delivery, Error, Link, Message, Queue, Settle};

/// One connection for consuming.
pub(super) struct AmqpLink {
    node: Arc<Node>,
    connection: Arc<Connection>,
    watcher: tokio::sync::Mutex<Watcher>,
    exchanges: Mutex<Vec<Exchange>>,
    queue_ttl_ms: Option<u32>,
    encoding: Arc<Encoding>,
}

impl AmqpLink {
    pub(super) async fn open(
        endpoint: &Endpoint,
        purpose: &str,
        links: &Links,
    ) -> Result<Self, Error> {
        let time = endpoint.options.connect_timeout;
        let connecting = async |node: Arc<Node>| {
            let (properties, runtime) = (
                nodes::properties(&endpoint.options, purpose),
                node.runtime.clone(),
            );
            Connection::connect_with_runtime(&node.url, properties, runtime)
                .await
                .map_err(|error| error.to_string())
        };
        let (node, connection) = endpoint.nodes.connect(time, connecting).await?;
        if endpoint.nodes.are_many() {
            info!(
                link = purpose,
                node = node.address,
                "connected to a node of the message broker"
            );
        }
        let connection = Arc::new(connection);
        links.add(&connection);
        let queue_ttl_ms = endpoint
            .options
            .queue_ttl
            .map(|ttl| u32::try_from(ttl.as_millis()).unwrap_or(u32::MAX));
        Ok(Self {
            node,
            watcher: tokio::sync::Mutex::new(Watcher::of(&connection)),
            connection,
            exchanges: Mutex::new(Exchange::all(&endpoint.options.names)),
            queue_ttl_ms,
            encoding: Arc::clone(&endpoint.encoding),
        })
    }

    async fn declare_on(&self, channel: &Channel, queue: &Queue) -> Result<(), Error> {
        let pending = {
            let mut exchanges = self
                .exchanges
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *exchanges)
        };
        declare_exchanges(channel, &pending).await?;
        let exclusive = queue.lifetime == Lifetime::Exclusive;
        let options = QueueDeclareOptions {
            durable: !exclusive,
            exclusive,
            ..QueueDeclareOptions::default()
        };
        let name = ShortString::from(queue.name.as_str());
        channel
            .queue_declare(name.clone(), options, self.arguments(queue))
            .await
            .map_err(|error| fault::of_operation(&error, &queue.name))?;
        for binding in &queue.bindings {
            let (exchange, pattern) = (binding.exchange.as_str(), binding.pattern.as_str());
            let (options, none) = (QueueBindOptions::default(), FieldTable::default());
            channel
                .queue_bind(name.clone(), exchange.into(), pattern.into(), options, none)
                .await
                .map_err(|error| fault::of_operation(&error, &queue.name))?;
        }
        Ok(())
    }

    fn arguments(&self, queue: &Queue) -> FieldTable {
        let mut table = FieldTable::default();
        let text = |text: &str| AMQPValue::LongString(text.into());
        let number = |number: u32| AMQPValue::LongLongInt(i64::from(number));
        if queue.lifetime == Lifetime::Durable {
            table.insert("x-queue-type".into(), text("quorum"));
        } else if let Some(ttl) = self.queue_ttl_ms {
            table.insert("x-expires".into(), number(ttl));
        }
        if let Some((most, overflow)) = queue.max_length {
            let overflow = match overflow {
                Overflow::RejectPublish => "reject-publish",
                Overflow::DropHead => "drop-head",
            };
            table.insert("x-max-length".into(), number(most));
            table.insert("x-overflow".into(), text(overflow));
        }
        if let Some(limit) = queue.delivery_limit {
            table.insert("x-delivery-limit".into(), number(limit));
        }
        table
    }

    async fn channel(&self) -> Result<Channel, Error> {
        let channel = self.connection.create_channel();
        in_time(async {
            channel
                .await
                .map_err(|error| Error::Lost(error.to_string()))
        })
        .await
    }
}

/// Declares the platform's exchanges; harmless where they exist.
pub(super) async fn declare_exchanges(
    channel: &Channel,
    exchanges: &[Exchange],
) -> Result<(), Error> {
    for Exchange(name) in exchanges {
        let options = ExchangeDeclareOptions {
            durable: true,
            ..ExchangeDeclareOptions::default()
        };
        channel
            .exchange_declare(
                name.as_str().into(),
                ExchangeKind::Topic,
                options,
                FieldTable::default(),
            )
            .await
            .map_err(|error| fault::of_operation(&error, name))?;
    }
    Ok(())
}

/// Bounds an operation on the broker.
pub(super) async fn in_time<T>(
    operation: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(ANSWER_TIME, operation)
        .await
        .map_err(|_| Error::Timeout(ANSWER_TIME))?
}

#[async_trait]
impl Link for AmqpLink {
    async fn declare(&self, queue: &Queue) -> Result<(), Error> {
        let channel = self.channel().await?;
        in_time(self.declare_on(&channel, queue)).await?;
        // A channel that fails to close goes with its connection.
        let _ = in_time(async {
            channel
                .close(200, "done".into())
                .await
                .map_err(|error| Error::Lost(error.to_string()))
        })
        .await;
        Ok(())
    }

    async fn consume(&self, queue: &str, prefetch: Option<NonZeroU16>) -> Result<Consumer, Error> {
        let channel = self.channel().await?;
        let begin = async {
            if let Some(prefetch) = prefetch {
                channel
                    .basic_qos(prefetch.get(), BasicQosOptions::default())
                    .await?;
            }
            let options = BasicConsumeOptions {
                no_ack: prefetch.is_none(),
                ..BasicConsumeOptions::default()
            };
            channel
                .basic_consume(queue.into(), "".into(), options, FieldTable::default())
                .await
        };
        let consumer = in_time(async {
            begin
                .await
                .map_err(|error| fault::of_operation(&error, queue))
        })
        .await?;
        let acks = prefetch.map(|_| Acks::new(channel.clone()));
        let canceller = Canceller {
            channel,
            tag: consumer.tag(),
        };
        let encoding = Arc::clone(&self.encoding);
        let deliveries = consumer
            .take_while(|next| {
                if let Err(error) = next {
                    debug!(%error, "a consumer ended");
                }
                std::future::ready(next.is_ok())
            })
            .filter_map(|next| std::future::ready(next.ok()))
            .then(move |mut next| {
                let encoding = Arc::clone(&encoding);
                let settle = acks.as_ref().map(|acks| acks.settle(next.delivery_tag));
                async move {
                    let message = encoding
                        .decode(&next.properties, std::mem::take(&mut next.data))
                        .await;
                    stream::iter(match settle {
                        Some(settle) => vec![delivery(message, &next, settle)],
                        None => settled(message, &next),
                    })
                }
            })
            .flatten();
        Ok(Consumer::new(deliveries.boxed(), canceller))
    }

    async fn lost(&self) -> Error {
        let error = self.watcher.lock().await.ended().await;
        self.node.failed();
        error
    }

    async fn close(&self) {
        // A connection that is gone already is closed well enough.
        let _ = timeout(CLOSE_TIME, self.connection.close(200, "done".into())).await;
    }
}

struct Canceller {
    channel: Channel,
    tag: ShortString,
}

#[async_trait]
impl Cancel for Canceller {
    async fn cancel(&self) -> Result<(), Error> {
        let cancelled = self
            .channel
            .basic_cancel(self.tag.clone(), BasicCancelOptions::default());
        in_time(async {
            cancelled
                .await
                .map_err(|error| Error::Lost(error.to_string()))
        })
        .await
    }
}

/// What a message brought that counts as settled.
fn settled(message: Message, next: &AmqpDelivery) -> Vec<Delivery> {
    let messages = bundle::unbundle(message).into_iter();
    messages
        .map(|message| delivery(message, next, Settled))
        .collect()
}

fn delivery(message: Message, delivery: &AmqpDelivery, settle: impl Settle + 'static) -> Delivery {
    Delivery::new(
        message,
        delivery.exchange.to_string(),
        delivery.routing_key.to_string(),
        delivery.redelivered,
        settle,
    )
}
