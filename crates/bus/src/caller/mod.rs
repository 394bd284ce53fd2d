//! Calls over a bus: correlate, wait, and ask again after an outage.
//!
//! Every call waits in its own future, so nothing central decides its fate: the future
//! sees its replies, its deadline, and each new generation of the reply queue, on which it
//! publishes its request again under the same message id. The first final answer wins.
//!
//! Calls that must not run twice are granted by the caller, once, to a worker that asks.

mod grants;
mod owed;
mod pending;
mod replies;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::{Category, Names};
use thiserror::Error as ThisError;
use tokio_util::sync::CancellationToken;

use crate::supervise::supervise;
use crate::{Backoff, Bus, Error};

pub use pending::{Frame, PendingCall};
use replies::Replies;

/// One call to make.
#[derive(Debug, Clone)]
pub struct CallRequest {
    /// Category whose work queue takes it.
    pub category: Category,
    /// Listed name of the tool, for the routing key of [`Routing::Topic`].
    pub tool: String,
    /// JSON-RPC method, mirrored in a header.
    pub method: &'static str,
    /// Name as it stands in the body, mirrored in a header.
    pub name: String,
    /// JSON-RPC request, unchanged until it is answered.
    pub body: Bytes,
    /// How long the caller waits.
    pub timeout: Duration,
    /// Idempotency key; the same over republishing.
    pub message_id: String,
    /// It stands for a key of the caller: the same call again gets the same answer.
    pub idempotent: bool,
    /// Every worker of the category reads requests that are compressed with zstd.
    pub workers_read_zstd: bool,
    /// Waits for the category's first worker, which makes the work queue, until the deadline.
    pub waits_for_worker: bool,
    /// Arguments that are mirrored in headers: the header's name behind its prefix, in lower
    /// case, and the value.
    pub params: Vec<(String, String)>,
    /// W3C `traceparent`, `tracestate` and `baggage`, where there are such.
    pub trace: Vec<(&'static str, String)>,
}

/// Why a call has no answer from a worker.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum CallError {
    /// The category has no work queue: none of its workers ever ran, and the call does not wait
    /// for one.
    #[error("no worker of category {0} has ever run here")]
    Unroutable(Category),
    /// The work queue is full, or too many calls wait already.
    #[error("the platform has too many calls of category {0} waiting")]
    Busy(Category),
    /// The broker has raised an alarm and takes no calls until it is over.
    #[error(
        "the message broker has raised an alarm ({reason}) and takes no calls until it is over; \
         try again"
    )]
    Blocked {
        /// The category that was called.
        category: Category,
        /// What the broker is short of, in its own words.
        reason: String,
    },
    /// The caller's time is over.
    #[error("no answer within {} ms", .0.as_millis())]
    DeadlineExceeded(Duration),
    /// The caller's time is over, and there was no connection to the broker at its end.
    #[error("no connection to the message broker within {} ms", .0.as_millis())]
    Disconnected(Duration),
    /// The call must not run twice and was granted to this instance, of which no answer will come.
    #[error(
        "the call may have run on worker {0}, from which no answer came, and it must not run twice; \
         look at what it was to change before calling again"
    )]
    OutcomeUnknown(String),
    /// The answer of a worker cannot be read.
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
    /// The request cannot be sent.
    #[error("the request cannot be sent: {0}")]
    Limit(String),
}

/// Most calls that wait at a time; beyond, calls are refused as busy.
pub const MAX_PENDING: usize = 16_384;

/// How a request finds the work queue of its category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Routing {
    /// By its name: the default exchange takes it there, which costs a broker least.
    #[default]
    Queue,
    /// By the exchange for requests and the tool's routing key, where other queues and exchanges
    /// may be bound too.
    Topic,
}

/// Makes calls; cheap to clone.
#[derive(Debug, Clone)]
pub struct Caller {
    replies: Arc<Replies>,
    routing: Routing,
}

impl Caller {
    /// A caller on a bus; `instance` is unique per process start and becomes part of the
    /// reply queue's name. [`Caller::run`] must be driven for calls to be answered.
    ///
    /// `message_ttl` caps how long a request may lie in a queue.
    #[must_use]
    pub fn new(
        bus: Arc<dyn Bus>,
        names: Names,
        instance: impl Into<String>,
        message_ttl: Duration,
    ) -> Self {
        Self {
            replies: Arc::new(Replies::new(bus, names, instance.into(), message_ttl)),
            routing: Routing::default(),
        }
    }

    /// The same, with requests that find their queue in this way.
    #[must_use]
    pub fn routed_by(mut self, routing: Routing) -> Self {
        self.routing = routing;
        self
    }

    /// Keeps the reply queue alive until `shutdown`.
    ///
    /// # Errors
    /// When the bus gives up; see [`supervise`].
    pub async fn run(&self, backoff: &Backoff, shutdown: &CancellationToken) -> Result<(), Error> {
        let replies = &self.replies;
        let consuming = supervise(replies.bus(), "replies", backoff, shutdown, |link| {
            replies.consume(link)
        });
        tokio::select! {
            ended = consuming => ended,
            // Cancels are owed for as long as calls are made.
            () = replies.owed().pay(replies.bus()) => Ok(()),
        }
    }

    /// True while replies can arrive.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.replies.reply_to().borrow().is_some()
    }

    /// Waits until replies can arrive.
    pub async fn connected(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.replies.reply_to().wait_for(Option::is_some).await;
    }

    /// Calls that wait for their answer.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.replies.pending()
    }

    /// Registers a call; nothing is sent before [`PendingCall::next`] is polled.
    ///
    /// # Errors
    /// [`CallError::Busy`] when [`MAX_PENDING`] calls wait already.
    pub fn call(&self, request: impl Into<Arc<CallRequest>>) -> Result<PendingCall, CallError> {
        PendingCall::new(Arc::clone(&self.replies), self.routing, request.into())
    }

    /// Says that a worker instance is gone: the calls that were granted to it are answered at
    /// once.
    pub fn instance_gone(&self, instance: &str) {
        self.replies.instance_gone(instance);
    }
}
