//! The bus over RabbitMQ, by AMQP 0-9-1.
//!
//! Publishing goes over pooled connections, each held by one long-lived publisher task;
//! consuming over connections of its own, one per [`Link`]. Recovery is ours throughout:
//! whatever fails, the connection is dropped with all it holds and made anew.

mod codec;
mod fault;
mod in_flight;
mod link;
mod options;
mod publisher;
mod transport;

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_rs::Runtime;
use async_trait::async_trait;
use deadpool_lapin::{Manager, Pool};
use lapin::ConnectionProperties;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use tokio::task::JoinSet;

use crate::{Bus, Error, Link, Publish, PublishError, QueueState, Stats};
use link::AmqpLink;
pub use options::{Options, Tls};
use publisher::Publisher;
use transport::Transport;

/// How long the broker may take to confirm a message or to answer an operation.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// Connections to one RabbitMQ broker.
pub struct AmqpBus {
    endpoint: Arc<Endpoint>,
    publishers: Vec<Publisher>,
    tasks: Mutex<JoinSet<()>>,
    stats: Arc<Stats>,
}

/// Where and how to connect.
#[derive(Debug)]
struct Endpoint {
    options: Options,
    url: String,
    runtime: Runtime<Transport>,
}

impl Endpoint {
    fn properties(&self, purpose: &str) -> ConnectionProperties {
        let name = format!("{} {purpose}", self.options.connection_name);
        ConnectionProperties::default().with_connection_name(name.into())
    }
}

impl AmqpBus {
    /// Begins to connect; returns before there is a connection.
    ///
    /// Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`Error::Settings`] when the URL, a certificate or a key is unusable.
    pub fn start(options: Options) -> Result<Self, Error> {
        let uri = options.uri()?;
        let runtime = Runtime::new(Transport::new(&options, &uri.authority.host)?);
        let url = uri.to_string();
        let endpoint = Arc::new(Endpoint {
            options,
            url,
            runtime,
        });
        let pool = pool(&endpoint)?;
        let stats = Arc::new(Stats::default());
        let mut tasks = JoinSet::new();
        let publishers = (0..endpoint.options.pool_size.get())
            .map(|_| {
                let endpoint = Arc::clone(&endpoint);
                Publisher::start(pool.clone(), endpoint, Arc::clone(&stats), &mut tasks)
            })
            .collect();
        Ok(Self {
            endpoint,
            publishers,
            tasks: Mutex::new(tasks),
            stats,
        })
    }

    /// One publisher for all messages of a call, so that they keep their order.
    fn publisher_of(&self, publish: &Publish) -> Option<&Publisher> {
        let mut hasher = DefaultHasher::new();
        publish.message.correlation_id.hash(&mut hasher);
        let count = u64::try_from(self.publishers.len()).ok()?;
        self.publishers
            .get(usize::try_from(hasher.finish().checked_rem(count)?).ok()?)
    }
}

fn pool(endpoint: &Arc<Endpoint>) -> Result<Pool, Error> {
    let named = Arc::clone(endpoint);
    let manager = Manager::new(
        endpoint.url.clone(),
        move || named.properties("publisher"),
        endpoint.runtime.clone(),
    );
    Pool::builder(manager)
        .max_size(usize::from(endpoint.options.pool_size.get()))
        .build()
        .map_err(|error| Error::Settings {
            setting: "AMQP_CONNECTION_POOL_SIZE",
            reason: error.to_string(),
        })
}

#[async_trait]
impl Bus for AmqpBus {
    async fn publish(&self, publish: Publish) -> Result<(), PublishError> {
        publish
            .message
            .check(&publish.exchange, &publish.routing_key)?;
        let publisher = self
            .publisher_of(&publish)
            .ok_or(PublishError::Disconnected)?;
        publisher.publish(publish).await
    }

    async fn connected(&self) {
        for publisher in &self.publishers {
            publisher.connected().await;
        }
    }

    async fn open(&self, name: &str) -> Result<Box<dyn Link>, Error> {
        let link = AmqpLink::open(&self.endpoint, name);
        let time = self.endpoint.options.connect_timeout;
        tokio::time::timeout(time, link)
            .await
            .map_err(|_| Error::Timeout(time))?
            .map(|link| {
                let link: Box<dyn Link> = Box::new(link);
                link
            })
    }

    async fn queue_state(&self, queue: &str) -> Result<Option<QueueState>, Error> {
        let connection = self
            .publishers
            .first()
            .and_then(Publisher::connection)
            .ok_or_else(|| Error::Lost("not connected".to_owned()))?;
        let ask = async {
            let channel = connection.create_channel().await?;
            let passive = QueueDeclareOptions {
                passive: true,
                ..QueueDeclareOptions::default()
            };
            let declared = channel
                .queue_declare(queue.into(), passive, FieldTable::default())
                .await?;
            let (consumers, messages) = (declared.consumer_count(), declared.message_count());
            channel.close(200, "done".into()).await?;
            Ok(QueueState {
                consumers,
                messages,
            })
        };
        match tokio::time::timeout(ANSWER_TIME, ask).await {
            Err(_) => Err(Error::Timeout(ANSWER_TIME)),
            Ok(Ok(state)) => Ok(Some(state)),
            Ok(Err(error)) if fault::is_not_found(&error) => Ok(None),
            Ok(Err(error)) => Err(fault::of_operation(&error, queue)),
        }
    }

    fn stats(&self) -> &Stats {
        &self.stats
    }

    async fn close(&self) {
        for publisher in &self.publishers {
            publisher.close().await;
        }
        let mut tasks =
            std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
    }
}

impl fmt::Debug for AmqpBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpBus")
            .field("options", &self.endpoint.options)
            .finish_non_exhaustive()
    }
}
