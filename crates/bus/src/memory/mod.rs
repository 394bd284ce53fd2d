//! The bus inside one process: RabbitMQ's promises without a broker.
//!
//! Every message is encoded to bytes and decoded again, so that what could not cross a
//! wire does not cross this bus either. It keeps to RabbitMQ where a program could tell the
//! difference: topic routing, returns, requeue at the head, delivery counts, expiry at
//! the head of a queue, and overflow. It is not durable.

mod broker;
mod frame;
mod link;
mod queue;
mod topic;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::{Bus, Error, Link, Publish, PublishError, QueueState, Stats};
use broker::Broker;
use link::MemoryLink;

/// A bus that lives as long as its last clone.
#[derive(Debug, Clone, Default)]
pub struct MemoryBus {
    broker: Arc<Broker>,
    stats: Arc<Stats>,
    /// True while the bus plays a broker that is away.
    away: Arc<watch::Sender<bool>>,
}

impl MemoryBus {
    /// An empty bus.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Plays an outage: ends every link, and refuses links and publishes until
    /// [`MemoryBus::come_back`]. Durable queues keep their messages.
    pub fn go_away(&self) {
        self.away.send_replace(true);
        self.broker.end_links();
    }

    /// Ends the outage.
    pub fn come_back(&self) {
        self.away.send_replace(false);
    }

    fn is_away(&self) -> bool {
        *self.away.borrow()
    }
}

#[async_trait]
impl Bus for MemoryBus {
    async fn publish(&self, publish: Publish) -> Result<(), PublishError> {
        if self.is_away() {
            return Err(PublishError::Disconnected);
        }
        self.broker.publish(&publish)
    }

    async fn connected(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.away.subscribe().wait_for(|away| !away).await;
    }

    async fn open(&self, _name: &str) -> Result<Box<dyn Link>, Error> {
        if self.is_away() {
            let reason = "the bus plays an outage".to_owned();
            return Err(Error::Connect {
                url: "memory".to_owned(),
                reason,
            });
        }
        Ok(Box::new(MemoryLink::open(Arc::clone(&self.broker))))
    }

    async fn queue_state(&self, queue: &str) -> Result<Option<QueueState>, Error> {
        if self.is_away() {
            return Err(Error::Lost("the bus plays an outage".to_owned()));
        }
        Ok(self.broker.queue_state(queue))
    }

    fn stats(&self) -> &Stats {
        &self.stats
    }

    async fn close(&self) {
        self.broker.end_links();
    }
}
