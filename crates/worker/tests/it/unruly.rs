//! A bus that does what brokers do on bad days.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use bus::memory::MemoryBus;
use bus::{Bus, BusState, Error, Link, Publish, PublishError, QueueState, Stats};
use protocol::headers;
use tokio::sync::{Semaphore, watch};

use crate::site::REPLIES;

/// A memory bus with faults, each off at first.
#[derive(Debug)]
pub(crate) struct Unruly {
    memory: MemoryBus,
    /// Replies are not confirmed.
    pub(crate) loses_replies: AtomicBool,
    /// Replies that were tried.
    pub(crate) replies: AtomicUsize,
    /// Replies wait for a permit.
    pub(crate) holds_replies: AtomicBool,
    pub(crate) release: Semaphore,
    /// Dead letters are refused, so many times.
    pub(crate) refuses_letters: AtomicUsize,
    /// The broker says that the queue has no consumer.
    pub(crate) forgets_consumers: AtomicBool,
    pub(crate) links: AtomicUsize,
}

impl Unruly {
    pub(crate) fn new(memory: &MemoryBus) -> Arc<Self> {
        Arc::new(Self {
            memory: memory.clone(),
            loses_replies: AtomicBool::new(false),
            replies: AtomicUsize::new(0),
            holds_replies: AtomicBool::new(false),
            release: Semaphore::new(0),
            refuses_letters: AtomicUsize::new(0),
            forgets_consumers: AtomicBool::new(false),
            links: AtomicUsize::new(0),
        })
    }
}

#[async_trait]
impl Bus for Unruly {
    async fn publish(&self, publish: Publish) -> Result<(), PublishError> {
        if publish.routing_key == REPLIES {
            self.replies.fetch_add(1, Ordering::SeqCst);
            if self.holds_replies.load(Ordering::SeqCst) {
                self.release.acquire().await.unwrap().forget();
            }
            if self.loses_replies.load(Ordering::SeqCst) {
                return Err(PublishError::Lost);
            }
        }
        if publish.message.kind.as_deref() == Some(headers::kind::DEAD_LETTER) {
            let left = self.refuses_letters.load(Ordering::SeqCst);
            if left > 0 {
                self.refuses_letters.store(left - 1, Ordering::SeqCst);
                return Err(PublishError::Busy(publish.routing_key));
            }
        }
        self.memory.publish(publish).await
    }

    async fn connected(&self) {
        self.memory.connected().await;
    }

    fn state(&self) -> watch::Receiver<BusState> {
        self.memory.state()
    }

    async fn open(&self, name: &str) -> Result<Box<dyn Link>, Error> {
        self.links.fetch_add(1, Ordering::SeqCst);
        self.memory.open(name).await
    }

    async fn queue_state(&self, queue: &str) -> Result<Option<QueueState>, Error> {
        let mut state = self.memory.queue_state(queue).await?;
        if self.forgets_consumers.load(Ordering::SeqCst)
            && let Some(state) = &mut state
        {
            state.consumers = 0;
        }
        Ok(state)
    }

    fn stats(&self) -> &Stats {
        self.memory.stats()
    }

    async fn close(&self) {
        self.memory.close().await;
    }
}
