//! The bus over RabbitMQ, by AMQP 0-9-1.
//!
//! Publishing goes over pooled connections, each held by one long-lived publisher task;
//! consuming over connections of its own, one per [`Link`]. Recovery is ours throughout:
//! whatever fails, the connection is dropped with all it holds and made anew, at another node
//! where there are several.

mod acks;
mod asking;
mod bundle;
mod codec;
mod encoding;
mod fault;
mod in_flight;
mod link;
mod nodes;
mod options;
mod publisher;
mod silence;
mod states;
mod transport;
mod watcher;
mod woken;

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::{join_all, select_all};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::{Bus, BusState, Error, Link, Publish, PublishError, QueueState, Stats};
use asking::Links;
use encoding::Encoding;
use link::AmqpLink;
use nodes::Nodes;
pub use options::{Options, Tls};
use publisher::{Publisher, Shared};
use states::States;

/// How long the broker may take to confirm a message or to answer an operation.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// How long a farewell may take; a connection that does not answer it is given up.
const CLOSE_TIME: Duration = Duration::from_secs(2);

/// Connections to one RabbitMQ broker, which may have several nodes.
pub struct AmqpBus {
    endpoint: Arc<Endpoint>,
    publishers: Vec<Publisher>,
    links: Links,
    tasks: Mutex<JoinSet<()>>,
    stats: Arc<Stats>,
    states: Arc<States>,
}

/// Where and how to connect.
struct Endpoint {
    options: Options,
    nodes: Nodes,
    encoding: Arc<Encoding>,
}

impl AmqpBus {
    /// Begins to connect; returns before there is a connection.
    ///
    /// Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`Error::Settings`] when the URL, a certificate or a key is unusable.
    pub fn start(options: Options) -> Result<Self, Error> {
        let endpoint = Arc::new(Endpoint {
            nodes: Nodes::new(&options)?,
            encoding: Encoding::of(&options),
            options,
        });
        let publishers = usize::from(endpoint.options.pool_size.get());
        let shared = Shared {
            endpoint: Arc::clone(&endpoint),
            stats: Arc::new(Stats::default()),
            states: Arc::new(States::of(publishers)),
        };
        let mut tasks = JoinSet::new();
        Ok(Self {
            publishers: (0..publishers)
                .map(|number| Publisher::start(shared.clone(), number, &mut tasks))
                .collect(),
            endpoint,
            links: Links::default(),
            tasks: Mutex::new(tasks),
            stats: shared.stats,
            states: shared.states,
        })
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
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

#[async_trait]
impl Bus for AmqpBus {
    async fn publish(&self, publish: Publish) -> Result<(), PublishError> {
        let encoding = &self.endpoint.encoding;
        publish
            .message
            .check(&publish.exchange, &publish.routing_key, encoding.limit())?;
        if publish.gives_way()
            && let Some(reason) = self.states.blocked()
        {
            return Err(PublishError::Blocked {
                reason,
                may_arrive: false,
            });
        }
        let publisher = self
            .publisher_of(&publish)
            .ok_or(PublishError::Disconnected)?;
        publisher.publish(encoding.encode(publish).await).await
    }

    async fn connected(&self) {
        for publisher in &self.publishers {
            publisher.connected().await;
        }
    }

    fn state(&self) -> watch::Receiver<BusState> {
        self.states.together()
    }

    async fn open(&self, name: &str) -> Result<Box<dyn Link>, Error> {
        let link = AmqpLink::open(&self.endpoint, name, &self.links).await?;
        Ok(Box::new(link))
    }

    async fn queue_state(&self, queue: &str) -> Result<Option<QueueState>, Error> {
        if let Some(link) = self.links.any() {
            return asking::queue_state(&link, queue).await;
        }
        let publisher = self.publishers.iter().find_map(Publisher::open_connection);
        let connection = publisher.ok_or_else(|| Error::Lost("not connected".to_owned()))?;
        asking::queue_state(&connection, queue).await
    }

    fn stats(&self) -> &Stats {
        &self.stats
    }

    async fn failed(&self) -> Error {
        let ended = self.publishers.iter().map(|it| Box::pin(it.ended()));
        select_all(ended).await;
        // Tasks that the owner has ended are not here any more.
        let is_closed = self.tasks().is_empty();
        if is_closed {
            std::future::pending::<()>().await;
        }
        Error::Failed("a task that publishes")
    }

    async fn close(&self) {
        join_all(self.publishers.iter().map(Publisher::close)).await;
        let mut tasks = std::mem::take(&mut *self.tasks());
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;
    use tokio_util::sync::CancellationToken;

    use crate::{Backoff, Message, supervise};

    use super::*;

    /// A bus whose broker is not there.
    fn bus() -> Arc<AmqpBus> {
        let options = Options {
            urls: vec!["amqp://127.0.0.1:1".to_owned()],
            ..Options::default()
        };
        Arc::new(AmqpBus::start(options).unwrap())
    }

    #[tokio::test]
    async fn a_publisher_that_dies_is_not_taken_for_connected_and_ends_who_uses_the_bus() {
        let bus = bus();
        let shared: Arc<dyn Bus> = bus.clone();
        let (backoff, shutdown) = (Backoff::default(), CancellationToken::new());
        let supervised = supervise(&shared, "test", &backoff, &shutdown, |_| async { Ok(()) });
        bus.states.set(0, BusState::Connected);
        bus.tasks().abort_all();
        let ended = timeout(Duration::from_secs(10), supervised).await.unwrap();
        assert!(matches!(ended, Err(Error::Failed(_))), "{ended:?}");
        assert_eq!(*bus.state().borrow(), BusState::Disconnected);
        let sent = bus
            .publish(Publish::to_queue("q", Message::default()))
            .await;
        assert!(matches!(sent, Err(PublishError::Disconnected)), "{sent:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_bus_that_was_closed_has_not_failed() {
        let bus = bus();
        bus.close().await;
        assert!(
            timeout(Duration::from_secs(10), bus.failed())
                .await
                .is_err()
        );
    }
}
