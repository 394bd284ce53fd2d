use std::fmt;
use std::num::NonZeroU16;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use futures::Stream;
use futures::stream::BoxStream;
use protocol::headers;
use tokio::sync::watch;

use crate::{BusState, Error, Message, PublishError, Queue, Stats};

/// A message on its way out.
#[derive(Debug, Clone)]
pub struct Publish {
    /// Exchange; empty for the default exchange, where the routing key is a queue's name.
    pub exchange: String,
    /// Routing key.
    pub routing_key: String,
    /// Whether a message that no queue takes is an error.
    pub mandatory: bool,
    /// Whether a final reply may travel in one message with others to the same queue, because
    /// whoever reads that queue understands them (`protocol::headers::BUNDLE`). Its body is JSON.
    pub may_share: bool,
    /// The message.
    pub message: Message,
}

impl Publish {
    /// To one queue, by the default exchange; an error if it is gone.
    #[must_use]
    pub fn to_queue(queue: impl Into<String>, message: Message) -> Self {
        Self {
            exchange: String::new(),
            routing_key: queue.into(),
            mandatory: true,
            may_share: false,
            message,
        }
    }

    /// To everyone who listens; no error if nobody does.
    #[must_use]
    pub fn broadcast(exchange: &str, routing_key: String, message: Message) -> Self {
        Self {
            exchange: exchange.to_owned(),
            routing_key,
            mandatory: false,
            may_share: false,
            message,
        }
    }

    /// Whether this is refused while the broker is blocked: a request is, because whoever asks
    /// can be told at once. What other parties wait for is kept until the alarm is over.
    pub(crate) fn gives_way(&self) -> bool {
        self.message.kind.as_deref() == Some(headers::kind::REQUEST)
    }
}

/// What the broker says of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueState {
    /// Consumers that take from it.
    pub consumers: u32,
    /// Messages that wait in it.
    pub messages: u32,
}

/// A message broker, or what stands in for one.
#[async_trait]
pub trait Bus: Send + Sync + fmt::Debug + 'static {
    /// Hands a message to the broker and waits for its confirmation.
    ///
    /// Messages with one correlation id keep their order when their futures are first
    /// polled in that order. Dropping the future does not take the message back.
    ///
    /// While the broker is [blocked](BusState::Blocked) a request (property `type`) is refused,
    /// within a second if it was on its way already; every other message waits for the end of the
    /// alarm, which may take hours: the caller has to set a bound.
    ///
    /// # Errors
    /// See [`PublishError`]; after [`PublishError::Lost`] and [`PublishError::Blocked`] the
    /// message may have arrived, or may do so yet.
    async fn publish(&self, publish: Publish) -> Result<(), PublishError>;

    /// Waits until there is a connection for publishing; the broker may be blocked.
    async fn connected(&self);

    /// Whether messages are taken now, and a way to wait for a change.
    fn state(&self) -> watch::Receiver<BusState>;

    /// Opens a connection of its own for consuming.
    ///
    /// # Errors
    /// [`Error::Connect`] or [`Error::Timeout`]; see [`crate::supervise`] for trying again.
    async fn open(&self, name: &str) -> Result<Box<dyn Link>, Error>;

    /// What the broker says of a queue; `None` when there is no such queue.
    ///
    /// # Errors
    /// [`Error::Lost`] or [`Error::Timeout`] when the broker does not answer.
    async fn queue_state(&self, queue: &str) -> Result<Option<QueueState>, Error>;

    /// What this bus has lived through.
    fn stats(&self) -> &Stats;

    /// Resolves when the bus will never work again by a fault of its own, with
    /// [`Error::Failed`]; [`crate::supervise`] ends by it. A bus that cannot fail like that, or was
    /// closed, never resolves.
    async fn failed(&self) -> Error {
        std::future::pending().await
    }

    /// Lets go of all connections; pending publishes fail.
    async fn close(&self);
}

/// One connection for consuming; everything exclusive that was declared on it goes with it.
#[async_trait]
pub trait Link: Send + Sync {
    /// Declares a queue with its exchanges and bindings; declaring it again is harmless.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when it exists with other arguments.
    async fn declare(&self, queue: &Queue) -> Result<(), Error>;

    /// Begins to take messages from a queue.
    ///
    /// With `prefetch` at most so many deliveries are unsettled at a time; without, every
    /// message counts as settled when it is handed out.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is no such queue or it belongs to somebody else.
    async fn consume(&self, queue: &str, prefetch: Option<NonZeroU16>) -> Result<Consumer, Error>;

    /// Resolves when the connection has ended, with the reason.
    async fn lost(&self) -> Error;

    /// Ends the connection; unsettled deliveries go back to their queues.
    async fn close(&self);
}

/// A stream of deliveries; it ends with its link, or some time after [`Consumer::cancel`].
pub struct Consumer {
    deliveries: BoxStream<'static, Delivery>,
    canceller: Box<dyn Cancel>,
}

#[async_trait]
pub(crate) trait Cancel: Send + Sync {
    async fn cancel(&self) -> Result<(), Error>;
}

impl Consumer {
    pub(crate) fn new(
        deliveries: BoxStream<'static, Delivery>,
        canceller: impl Cancel + 'static,
    ) -> Self {
        Self {
            deliveries,
            canceller: Box::new(canceller),
        }
    }

    /// Asks the broker for no more messages; what was handed out can still be settled, and
    /// what was on its way still comes out of the stream before it ends.
    ///
    /// # Errors
    /// [`Error::Lost`] when the link is gone.
    pub async fn cancel(&mut self) -> Result<(), Error> {
        self.canceller.cancel().await
    }
}

impl Stream for Consumer {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.deliveries.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").finish_non_exhaustive()
    }
}

/// A message that was handed out.
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// Exchange it was published to.
    pub exchange: String,
    /// Routing key it was published with.
    pub routing_key: String,
    /// Whether it was handed out before.
    pub redelivered: bool,
    settle: Box<dyn Settle>,
}

/// How a delivery is settled.
#[async_trait]
pub trait Settle: Send + Sync {
    /// Done: the broker forgets the message.
    async fn ack(&self) -> Result<(), Error>;
    /// Not done: the message goes back to the queue.
    async fn requeue(&self) -> Result<(), Error>;
}

impl Delivery {
    pub(crate) fn new(
        message: Message,
        exchange: String,
        routing_key: String,
        redelivered: bool,
        settle: impl Settle + 'static,
    ) -> Self {
        Self {
            message,
            exchange,
            routing_key,
            redelivered,
            settle: Box::new(settle),
        }
    }

    /// Which hand-out this is, from 1.
    ///
    /// Quorum queues count; whether a requeue counts too depends on the broker's version.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        let before = self
            .message
            .headers
            .int(headers::DELIVERY_COUNT)
            .unwrap_or(0);
        u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// Settles it: the broker forgets the message.
    ///
    /// # Errors
    /// [`Error::Lost`] when the link is gone; the broker hands the message out again.
    pub async fn ack(&self) -> Result<(), Error> {
        self.settle.ack().await
    }

    /// Gives it back to the queue.
    ///
    /// # Errors
    /// [`Error::Lost`] when the link is gone; the broker hands the message out again anyway.
    pub async fn requeue(&self) -> Result<(), Error> {
        self.settle.requeue().await
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("routing_key", &self.routing_key)
            .field("redelivered", &self.redelivered)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}
