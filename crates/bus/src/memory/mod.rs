//! The bus inside one process: RabbitMQ's promises without a broker.
//!
//! Every message is encoded to bytes and decoded again, so that what could not cross a
//! wire does not cross this bus either. It keeps to RabbitMQ where a program could tell the
//! difference: topic routing, returns, requeue at the head, delivery counts, expiry at
//! the head of a queue, and overflow. It is not durable.

mod broker;
mod link;
mod queue;
mod topic;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::{
    Bus, BusState, Error, Link, MAX_MESSAGE_SIZE, Publish, PublishError, QueueState, Stats,
};
use broker::Broker;
use link::MemoryLink;

/// A bus that lives as long as its last clone.
#[derive(Debug, Clone)]
pub struct MemoryBus {
    broker: Arc<Broker>,
    stats: Arc<Stats>,
    state: Arc<watch::Sender<BusState>>,
    max_message_size: usize,
}

impl MemoryBus {
    /// An empty bus.
    #[must_use]
    pub fn new() -> Self {
        Self {
            max_message_size: MAX_MESSAGE_SIZE,
            broker: Arc::default(),
            stats: Arc::default(),
            state: Arc::new(watch::Sender::new(BusState::Connected)),
        }
    }

    /// The same bus for somebody who refuses to send bodies with more bytes.
    #[must_use]
    pub fn with_max_message_size(self, bytes: usize) -> Self {
        Self {
            max_message_size: bytes,
            ..self
        }
    }

    /// Plays an outage: ends every link, and refuses links and publishes until
    /// [`MemoryBus::come_back`]. Durable queues keep their messages.
    pub fn go_away(&self) {
        self.state.send_replace(BusState::Disconnected);
        self.broker.end_links();
    }

    /// Ends the outage.
    pub fn come_back(&self) {
        self.state.send_replace(BusState::Connected);
    }

    /// Plays a broker that has raised an alarm for this reason: requests are refused, other
    /// messages wait, until [`MemoryBus::unblock`]. Nothing else changes.
    pub fn block(&self, reason: &str) {
        self.state.send_replace(BusState::Blocked(reason.into()));
    }

    /// Ends the alarm.
    pub fn unblock(&self) {
        self.come_back();
    }

    /// Messages of a queue that were handed out and are not settled yet.
    #[must_use]
    pub fn unsettled(&self, queue: &str) -> usize {
        self.broker.unsettled(queue)
    }

    fn is_away(&self) -> bool {
        *self.state.borrow() == BusState::Disconnected
    }
}

impl Default for MemoryBus {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Bus for MemoryBus {
    async fn publish(&self, publish: Publish) -> Result<(), PublishError> {
        let mut state = self.state.subscribe();
        loop {
            let now = state.borrow_and_update().clone();
            match now {
                BusState::Connected => return self.broker.publish(publish, self.max_message_size),
                BusState::Disconnected => return Err(PublishError::Disconnected),
                BusState::Blocked(reason) if publish.gives_way() => {
                    return Err(PublishError::Blocked {
                        reason: reason.to_string(),
                        may_arrive: false,
                    });
                }
                BusState::Blocked(_) => {}
            }
            // The sender lives as long as `self`, so waiting cannot fail.
            let _ = state.changed().await;
        }
    }

    async fn connected(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let is_there = |state: &BusState| *state != BusState::Disconnected;
        let _ = self.state.subscribe().wait_for(is_there).await;
    }

    fn state(&self) -> watch::Receiver<BusState> {
        self.state.subscribe()
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
