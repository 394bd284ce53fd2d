use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use protocol::{Names, headers};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::debug;

use super::owed::Owed;
use super::{CallError, Frame, MAX_PENDING};
use crate::{Bus, Delivery, Error, Link, Message, Queue};

/// Messages before the answer that wait for a slow reader; beyond, newer ones are dropped.
const FRAMES: usize = 64;

/// How long workers may take to be back after an outage. A broker that lost its disk has no
/// work queues until the workers declare them again.
const RETURN_TIME: Duration = Duration::from_secs(10);

/// The reply queue of this process and everyone who waits on it.
#[derive(Debug)]
pub(super) struct Replies {
    bus: Arc<dyn Bus>,
    names: Names,
    instance: String,
    message_ttl: Duration,
    generation: AtomicU64,
    /// When the last outage ended, if there was one.
    came_back: Mutex<Option<Instant>>,
    /// Name of the reply queue, while it is consumed.
    reply_to: watch::Sender<Option<Arc<str>>>,
    waiting: Mutex<HashMap<String, Waiting>>,
    pending: AtomicUsize,
    owed: Owed,
}

/// Where the replies of one correlation id go.
#[derive(Debug)]
struct Waiting {
    frames: mpsc::Sender<Frame>,
    answer: oneshot::Sender<Result<Bytes, CallError>>,
    started_on: Option<String>,
}

/// The receiving end of one correlation id; forgets it when dropped.
#[derive(Debug)]
pub(super) struct Inbox {
    replies: Arc<Replies>,
    pub(super) correlation_id: String,
    pub(super) frames: mpsc::Receiver<Frame>,
    pub(super) answer: oneshot::Receiver<Result<Bytes, CallError>>,
}

impl Replies {
    pub(super) fn new(
        bus: Arc<dyn Bus>,
        names: Names,
        instance: String,
        message_ttl: Duration,
    ) -> Self {
        Self {
            bus,
            names,
            instance,
            message_ttl,
            generation: AtomicU64::new(0),
            came_back: Mutex::default(),
            reply_to: watch::Sender::new(None),
            waiting: Mutex::default(),
            pending: AtomicUsize::new(0),
            owed: Owed::new(),
        }
    }

    pub(super) fn bus(&self) -> &Arc<dyn Bus> {
        &self.bus
    }

    pub(super) fn owed(&self) -> &Owed {
        &self.owed
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    pub(super) fn instance(&self) -> &str {
        &self.instance
    }

    pub(super) fn message_ttl(&self) -> Duration {
        self.message_ttl
    }

    pub(super) fn reply_to(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.reply_to.subscribe()
    }

    pub(super) fn pending(&self) -> usize {
        self.pending.load(Ordering::Relaxed)
    }

    /// Takes a place among the waiting calls.
    pub(super) fn enter(&self) -> bool {
        let entered = self.pending.fetch_add(1, Ordering::Relaxed) < MAX_PENDING;
        if !entered {
            self.leave();
        }
        entered
    }

    pub(super) fn leave(&self) {
        self.pending.fetch_sub(1, Ordering::Relaxed);
    }

    /// Begins to wait under a new correlation id.
    pub(super) fn inbox(self: &Arc<Self>, correlation_id: String) -> Inbox {
        let (frames_in, frames) = mpsc::channel(FRAMES);
        let (answer_in, answer) = oneshot::channel();
        let waiting = Waiting {
            frames: frames_in,
            answer: answer_in,
            started_on: None,
        };
        self.lock().insert(correlation_id.clone(), waiting);
        Inbox {
            replies: Arc::clone(self),
            correlation_id,
            frames,
            answer,
        }
    }

    /// True shortly after an outage, when workers may not be back with their queues yet.
    pub(super) fn workers_may_be_late(&self) -> bool {
        let came_back = *self
            .came_back
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        came_back.is_some_and(|at| at.elapsed() < RETURN_TIME)
    }

    /// The instance that started the call, if it said so.
    pub(super) fn started_on(&self, correlation_id: &str) -> Option<String> {
        self.lock().get(correlation_id)?.started_on.clone()
    }

    pub(super) fn instance_gone(&self, instance: &str) {
        let gone = |waiting: &mut Waiting| waiting.started_on.as_deref() == Some(instance);
        let answers: Vec<_> = self
            .lock()
            .extract_if(|_, waiting| gone(waiting))
            .map(|(_, waiting)| waiting)
            .collect();
        for waiting in answers {
            // An answer that nobody waits for any more is no loss.
            let _ = waiting
                .answer
                .send(Err(CallError::OutcomeUnknown(instance.to_owned())));
        }
    }

    /// One session of the reply queue.
    pub(super) fn consume(
        self: &Arc<Self>,
        link: Arc<dyn Link>,
    ) -> impl Future<Output = Result<(), Error>> + use<> {
        let replies = Arc::clone(self);
        async move {
            let generation = replies.generation.fetch_add(1, Ordering::Relaxed) + 1;
            if generation > 1 {
                *replies
                    .came_back
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            }
            let name = replies.names.reply_queue(&replies.instance, generation);
            link.declare(&Queue::exclusive(name.clone(), Vec::new()))
                .await?;
            let mut consumer = link.consume(&name, None).await?;
            let _session = Session::begin(&replies, name.into());
            while let Some(delivery) = consumer.next().await {
                replies.take(delivery);
            }
            Err(Error::Lost(
                "the reply queue is no longer delivered".to_owned(),
            ))
        }
    }

    fn take(&self, delivery: Delivery) {
        let message = delivery.message;
        let Some(correlation_id) = message.correlation_id.as_deref() else {
            debug!("a reply without a correlation id was dropped");
            return;
        };
        let mut waiting = self.lock();
        if message.kind.as_deref() == Some(headers::kind::STARTED) {
            if let Some(waiting) = waiting.get_mut(correlation_id) {
                waiting.started_on = message
                    .headers
                    .text(headers::INSTANCE)
                    .map(ToOwned::to_owned);
            }
        } else if message.headers.is_true(headers::FINAL) {
            if let Some(waiting) = waiting.remove(correlation_id) {
                // The caller may have gone in this moment.
                let _ = waiting.answer.send(Ok(message.body));
            }
        } else if let Some(waiting) = waiting.get(correlation_id)
            && waiting.frames.try_send(frame(&message)).is_err()
        {
            debug!(
                correlation_id,
                "a notification for a slow caller was dropped"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a message before the final one tells the caller.
fn frame(message: &Message) -> Frame {
    if message.kind.as_deref() == Some(headers::kind::DETACH) {
        Frame::Detach
    } else {
        Frame::Notification(message.body.clone())
    }
}

/// Makes the reply queue's name known for as long as it is consumed.
struct Session<'a>(&'a Replies);

impl<'a> Session<'a> {
    fn begin(replies: &'a Replies, name: Arc<str>) -> Self {
        replies.reply_to.send_replace(Some(name));
        Self(replies)
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.0.reply_to.send_replace(None);
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.replies.lock().remove(&self.correlation_id);
    }
}
