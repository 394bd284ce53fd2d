//! A bus that does what brokers do on bad days.

use std::num::NonZeroU16;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bus::memory::MemoryBus;
use bus::{Bus, BusState, Consumer, Error, Link, Publish, PublishError, Queue, QueueState, Stats};
use protocol::headers;
use tokio::sync::{Semaphore, watch};

use crate::site::REPLIES;

/// A memory bus with faults, each off at first.
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
    /// Dead letters are taken, and confirmed so much later.
    pub(crate) confirms_letters_after: Mutex<Duration>,
    /// The broker says that the queue has no consumer.
    pub(crate) forgets_consumers: AtomicBool,
    pub(crate) links: AtomicUsize,
    is_dead: AtomicBool,
    open: Mutex<Vec<Weak<dyn Link>>>,
}

impl std::fmt::Debug for Unruly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unruly").finish_non_exhaustive()
    }
}

/// A link that the bus can end.
struct Shared(Arc<dyn Link>);

impl Unruly {
    pub(crate) fn new(memory: &MemoryBus) -> Arc<Self> {
        Arc::new(Self {
            memory: memory.clone(),
            loses_replies: AtomicBool::new(false),
            replies: AtomicUsize::new(0),
            holds_replies: AtomicBool::new(false),
            release: Semaphore::new(0),
            refuses_letters: AtomicUsize::new(0),
            confirms_letters_after: Mutex::default(),
            forgets_consumers: AtomicBool::new(false),
            links: AtomicUsize::new(0),
            is_dead: AtomicBool::new(false),
            open: Mutex::default(),
        })
    }

    /// From here on nothing is published.
    pub(crate) fn die(&self) {
        self.is_dead.store(true, Ordering::SeqCst);
    }

    /// Ends every link that was opened here.
    pub(crate) async fn end_links(&self) {
        let open = std::mem::take(&mut *self.open.lock().unwrap());
        for link in open.iter().filter_map(Weak::upgrade) {
            link.close().await;
        }
    }
}

#[async_trait]
impl Bus for Unruly {
    async fn publish(&self, publish: Publish) -> Result<(), PublishError> {
        if self.is_dead.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
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
            let late = *self.confirms_letters_after.lock().unwrap();
            let taken = self.memory.publish(publish).await;
            tokio::time::sleep(late).await;
            return taken;
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
        let link: Arc<dyn Link> = Arc::from(self.memory.open(name).await?);
        self.open.lock().unwrap().push(Arc::downgrade(&link));
        Ok(Box::new(Shared(link)))
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

#[async_trait]
impl Link for Shared {
    async fn declare(&self, queue: &Queue) -> Result<(), Error> {
        self.0.declare(queue).await
    }

    async fn consume(&self, queue: &str, prefetch: Option<NonZeroU16>) -> Result<Consumer, Error> {
        self.0.consume(queue, prefetch).await
    }

    async fn lost(&self) -> Error {
        self.0.lost().await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}
