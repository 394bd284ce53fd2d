use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use protocol::{Names, headers};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::grants::{self, Ask, Grant};
use super::owed::Owed;
use super::{CallError, Frame, MAX_PENDING};
use crate::{Bus, Delivery, Error, Link, Message, Queue};

/// Messages before the answer that wait for a slow reader; beyond, newer ones are dropped.
const FRAMES: usize = 64;

/// How long queues may take to be back after an outage. A broker that lost its disk has no work
/// queues until the workers declare them again; one that lost the node with a queue's leader
/// refuses messages as if the queue were full.
const RETURN_TIME: Duration = Duration::from_secs(10);

/// The reply queue of this process and everyone who waits on it.
#[derive(Debug)]
pub(super) struct Replies {
    bus: Arc<dyn Bus>,
    names: Names,
    instance: String,
    message_ttl: Duration,
    generation: AtomicU64,
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
    /// Nothing is granted after it.
    deadline: Instant,
    grant: Grant,
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
    pub(super) fn inbox(self: &Arc<Self>, correlation_id: String, deadline: Instant) -> Inbox {
        let (frames_in, frames) = mpsc::channel(FRAMES);
        let (answer_in, answer) = oneshot::channel();
        let waiting = Waiting {
            frames: frames_in,
            answer: answer_in,
            deadline,
            grant: Grant::default(),
        };
        self.lock().insert(correlation_id.clone(), waiting);
        Inbox {
            replies: Arc::clone(self),
            correlation_id,
            frames,
            answer,
        }
    }

    /// True shortly after an outage, when queues may not take messages yet: workers are not back
    /// with them, or their nodes have not elected a leader.
    pub(super) fn queues_may_be_late(&self) -> bool {
        self.bus.stats().has_reconnected_within(RETURN_TIME)
    }

    pub(super) fn instance_gone(&self, instance: &str) {
        let gone = |waiting: &mut Waiting| waiting.grant.holder() == Some(instance);
        // Under the lock, so that whoever finds an entry gone finds its answer too.
        for (_, waiting) in self.lock().extract_if(|_, waiting| gone(waiting)) {
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
            let name = replies.names.reply_queue(&replies.instance, generation);
            link.declare(&Queue::exclusive(name.clone(), Vec::new()))
                .await?;
            let mut consumer = link.consume(&name, None).await?;
            let _session = Session::begin(&replies, name.into());
            let mut telling = JoinSet::new();
            while let Some(delivery) = consumer.next().await {
                if let Some((ask, granted)) = replies.take(delivery) {
                    while telling.try_join_next().is_some() {}
                    if telling.len() < MAX_PENDING {
                        telling.spawn(grants::tell(Arc::clone(&replies), ask, granted));
                    } else {
                        warn!(?ask, "too many workers wait for a word, one gets none");
                    }
                }
            }
            Err(Error::Lost(
                "the reply queue is no longer delivered".to_owned(),
            ))
        }
    }

    /// Takes a message; gives the word for an instance that asks whether it may run a call.
    fn take(&self, delivery: Delivery) -> Option<(Ask, bool)> {
        let message = delivery.message;
        let Some(correlation_id) = message.correlation_id.as_deref() else {
            debug!("a reply without a correlation id was dropped");
            return None;
        };
        if message.headers.is_true(headers::FINAL) {
            let mut waiting = self.lock();
            if let Some(waiting) = waiting.remove(correlation_id) {
                let answer = match message.unreadable {
                    None => Ok(message.body),
                    Some(why) => Err(CallError::Unreadable(why)),
                };
                // The caller may have gone in this moment.
                let _ = waiting.answer.send(answer);
            }
            return None;
        }
        match message.kind.as_deref() {
            Some(headers::kind::STARTED) => return self.asked(&message),
            Some(headers::kind::WITHDRAWN) => self.withdrawn(&message, correlation_id),
            _ if message.unreadable.is_some() => {
                let why = message.unreadable;
                debug!(correlation_id, why, "a notification cannot be read");
            }
            _ => {
                if let Some(waiting) = self.lock().get(correlation_id)
                    && waiting.frames.try_send(frame(&message)).is_err()
                {
                    debug!(
                        correlation_id,
                        "a notification for a slow caller was dropped"
                    );
                }
            }
        }
        None
    }

    /// The word on a call, which does not wait for whoever waits for the call: its future may
    /// not be polled for long. A call that nobody waits for any more is not granted.
    fn asked(&self, message: &Message) -> Option<(Ask, bool)> {
        let Some(ask) = Ask::of(message) else {
            warn!("a worker asks for a call without saying who it is and where it listens");
            return None;
        };
        let mut waiting = self.lock();
        let granted = waiting.get_mut(&ask.correlation_id).is_some_and(|waiting| {
            Instant::now() < waiting.deadline && waiting.grant.ask(&ask.instance)
        });
        drop(waiting);
        debug!(?ask, granted, "a worker asked for a call");
        Some((ask, granted))
    }

    /// An instance will never run a call; unless another one has the grant, nobody may have the
    /// request any more.
    fn withdrawn(&self, message: &Message, correlation_id: &str) {
        let Some(instance) = message.headers.text(headers::INSTANCE) else {
            return;
        };
        debug!(correlation_id, instance, "a worker withdraws from a call");
        let is_void = |waiting: &Waiting| waiting.grant.is_void_without(instance);
        self.ask_again_if(correlation_id, |waiting| is_void(waiting));
    }

    /// Takes note that a grant has not reached the instance that asked for it.
    pub(super) fn grant_came_back(&self, ask: &Ask) {
        self.ask_again_if(&ask.correlation_id, |waiting| {
            waiting.grant.came_back(&ask.instance)
        });
    }

    /// Ends the wait under a correlation id without an answer, so that the call is asked again
    /// under another one.
    fn ask_again_if(&self, correlation_id: &str, is_void: impl FnOnce(&mut Waiting) -> bool) {
        let mut waiting = self.lock();
        if waiting.get_mut(correlation_id).is_some_and(is_void) {
            // Whoever waits is woken by the loss of the sender.
            waiting.remove(correlation_id);
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

/// What the end of an inbox found.
#[derive(Debug)]
pub(super) enum Closed {
    /// The answer had just come.
    Answered(Result<Bytes, CallError>),
    /// The named instance may run the call.
    Granted(String),
    /// Nobody may run it, and nobody will be granted it under this correlation id.
    Open,
}

impl Inbox {
    /// Gives the correlation id up.
    pub(super) fn close(&mut self) -> Closed {
        let waiting = self.replies.lock().remove(&self.correlation_id);
        let holder = waiting.and_then(|waiting| waiting.grant.holder().map(ToOwned::to_owned));
        match self.answer.try_recv() {
            Ok(answer) => Closed::Answered(answer),
            Err(_) => holder.map_or(Closed::Open, Closed::Granted),
        }
    }

    /// The same, but keeps the correlation id of a call that is granted.
    pub(super) fn close_unless_granted(&mut self) -> Closed {
        let holder = {
            let mut all = self.replies.lock();
            let waiting = all.get(&self.correlation_id);
            let holder = waiting.and_then(|waiting| waiting.grant.holder().map(ToOwned::to_owned));
            if holder.is_none() {
                all.remove(&self.correlation_id);
            }
            holder
        };
        match holder {
            Some(instance) => Closed::Granted(instance),
            None => self.close(),
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.replies.lock().remove(&self.correlation_id);
    }
}
