use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bus::{Bus, Message, Publish, PublishError};
use protocol::response::RpcError;
use protocol::{Category, Names};
use serde_json::value::RawValue;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use uuid::Uuid;

use super::Kept;
use super::catch_up::Question;
use super::kept;
use super::news;
use super::table::{Entry, Limits, Look, Standing, Table};
use crate::CallKey;

/// Ends of claims that wait to be told; of more, other workers hear at the deadline.
const RELEASES: usize = 1024;
/// Questions of other workers that wait; more are not answered.
const QUESTIONS: usize = 64;
/// How long the others may take to hear an answer before the caller gets it all the same.
const SHARE_TIME: Duration = Duration::from_secs(2);
/// How long a mark may take to come back before another one is sent.
const MARK_TIME: Duration = Duration::from_secs(2);
/// Time after which no claim of this worker is left.
const LONGER_THAN_ANY_CALL: Duration = Duration::from_hours(1);
/// Pause before a publish is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// The answers that a worker keeps, and its way to share them with others of its category.
#[derive(Debug)]
pub(in crate::runtime) struct Memory {
    bus: Arc<dyn Bus>,
    names: Names,
    category: Category,
    instance: String,
    table: Mutex<Table>,
    /// Grows with whatever may let a waiting call go on.
    changes: watch::Sender<u64>,
    /// The control queues on which this process listens now.
    listening: Mutex<Vec<String>>,
    /// What others knew when the first of those began has been told, as far as it was.
    is_told: AtomicBool,
    /// That has happened before.
    was_told: AtomicBool,
    /// Another worker of the category has spoken.
    has_company: AtomicBool,
    /// One connection at a time asks the others; the next ones wait for what it learns.
    pub(super) asking: tokio::sync::Mutex<()>,
    releases: mpsc::Sender<Message>,
    pub(super) questions: mpsc::Sender<Question>,
}

/// What a [`Memory`] wants published beside calls.
#[derive(Debug)]
pub(in crate::runtime) struct ToPublish {
    pub(super) releases: mpsc::Receiver<Message>,
    pub(super) questions: mpsc::Receiver<Question>,
}

/// A call that comes under a key of its caller.
#[derive(Debug, Clone, Copy)]
pub(in crate::runtime) struct Coming<'a> {
    pub(in crate::runtime) key: &'a CallKey,
    pub(in crate::runtime) correlation_id: &'a str,
    /// It was handed out before.
    pub(in crate::runtime) redelivered: bool,
    /// When its caller stops waiting.
    pub(in crate::runtime) deadline: Instant,
}

/// What becomes of it.
#[derive(Debug)]
pub(in crate::runtime) enum Entered {
    /// It runs.
    Run(Claim),
    /// It was answered.
    Answered(Arc<Kept>),
    /// The key stands for another call.
    Reused,
    /// Another call with the key has run for as long as this one may wait.
    Late,
}

/// The right to run the call of a key. Dropped without an answer, it goes to the next; unless the
/// call must not run twice and has begun, then that is what is kept of it.
#[derive(Debug)]
pub(in crate::runtime) struct Claim {
    memory: Arc<Memory>,
    key: String,
    id: String,
    fingerprint: String,
    correlation_id: String,
    deadline: Instant,
    has_begun: bool,
    is_over: bool,
}

/// One connection that hears what others claim and answer, until it is dropped.
#[derive(Debug)]
pub(in crate::runtime) struct Listening {
    memory: Arc<Memory>,
    queue: String,
}

impl Memory {
    /// A worker that knows nothing yet.
    pub(in crate::runtime) fn new(
        bus: Arc<dyn Bus>,
        names: Names,
        category: Category,
        instance: String,
    ) -> (Arc<Self>, ToPublish) {
        let (releases, to_release) = mpsc::channel(RELEASES);
        let (questions, to_answer) = mpsc::channel(QUESTIONS);
        let memory = Self {
            bus,
            names,
            category,
            instance,
            table: Mutex::new(Table::new(Limits::default())),
            changes: watch::Sender::new(0),
            listening: Mutex::default(),
            is_told: AtomicBool::new(false),
            was_told: AtomicBool::new(false),
            has_company: AtomicBool::new(false),
            asking: tokio::sync::Mutex::default(),
            releases,
            questions,
        };
        let to_publish = ToPublish {
            releases: to_release,
            questions: to_answer,
        };
        (Arc::new(memory), to_publish)
    }

    /// A connection begins to listen on its control queue.
    pub(in crate::runtime) fn listen(self: &Arc<Self>, queue: &str) -> Listening {
        let mut listening = self.queues();
        if listening.is_empty() {
            // Nobody listened: what became of the others' calls is not known.
            self.change(Table::unheard);
            self.is_told.store(false, Ordering::Release);
        }
        listening.push(queue.to_owned());
        Listening {
            memory: Arc::clone(self),
            queue: queue.to_owned(),
        }
    }

    /// Nothing has been missed since the others were asked.
    pub(super) fn is_told(&self) -> bool {
        self.is_told.load(Ordering::Acquire)
    }

    pub(super) fn told(&self) {
        self.is_told.store(true, Ordering::Release);
        self.was_told.store(true, Ordering::Release);
    }

    /// Another worker of the category has spoken.
    pub(super) fn has_met(&self) {
        self.has_company.store(true, Ordering::Release);
    }

    /// Whether this worker has been here before, and has never heard of another one.
    pub(super) fn is_alone(&self) -> bool {
        self.was_told.load(Ordering::Acquire) && !self.has_company.load(Ordering::Acquire)
    }

    /// A control queue on which this process listens.
    pub(super) fn listens_on(&self) -> Option<String> {
        self.queues().first().cloned()
    }

    /// Finds out what becomes of a call, within its deadline. Cancel safe.
    pub(in crate::runtime) async fn enter(self: &Arc<Self>, coming: Coming<'_>) -> Entered {
        let entered = timeout_at(coming.deadline, self.enter_when_free(coming));
        entered.await.unwrap_or(Entered::Late)
    }

    async fn enter_when_free(self: &Arc<Self>, coming: Coming<'_>) -> Entered {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            let until = match self.look_or_claim(coming) {
                Ok(claim) if claim.stands().await => return Entered::Run(claim),
                Ok(_) => continue,
                Err(Look::Answered(kept)) if kept.fingerprint == coming.key.fingerprint() => {
                    return Entered::Answered(kept);
                }
                Err(Look::Claimed { fingerprint, until })
                    if fingerprint == coming.key.fingerprint() =>
                {
                    until
                }
                Err(_) => return Entered::Reused,
            };
            tokio::select! {
                _ = changes.changed() => {}
                () = sleep_until(until) => {}
            }
        }
    }

    /// Claims a key that nobody has; otherwise says who has it.
    fn look_or_claim(self: &Arc<Self>, coming: Coming<'_>) -> Result<Claim, Look> {
        let key = coming.key.id();
        let mut table = self.table();
        match table.look(key, coming.correlation_id, coming.redelivered) {
            Look::Free => {}
            taken => return Err(taken),
        }
        let claim = Claim {
            memory: Arc::clone(self),
            key: key.to_owned(),
            id: Uuid::now_v7().simple().to_string(),
            fingerprint: coming.key.fingerprint().to_owned(),
            correlation_id: coming.correlation_id.to_owned(),
            deadline: coming.deadline,
            has_begun: false,
            is_over: false,
        };
        table.claim(key, claim.entry(false));
        Ok(claim)
    }

    /// Changes what is known, and lets whoever waits look again.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        let changed = change(&mut self.table());
        self.changes.send_modify(|changes| *changes += 1);
        changed
    }

    /// A caller wants no answer to a call that another worker may run.
    pub(in crate::runtime) fn cancelled(&self, correlation_id: &str) {
        self.change(|table| table.cancelled(correlation_id));
    }

    pub(super) fn instance(&self) -> &str {
        &self.instance
    }

    /// Tells the other workers, however long that takes.
    ///
    /// # Errors
    /// Only when the message can never be sent.
    pub(super) async fn broadcast(&self, message: Message) -> Result<(), PublishError> {
        let key = self.names.answers_key(&self.category);
        self.confirmed(Publish::broadcast(Names::CONTROL, key, message))
            .await
    }

    pub(super) async fn publish(&self, publish: Publish) -> Result<(), PublishError> {
        self.bus.publish(publish).await
    }

    /// Publishes until the broker confirms.
    async fn confirmed(&self, publish: Publish) -> Result<(), PublishError> {
        while let Err(error) = self.bus.publish(publish.clone()).await {
            if error.is_final() {
                tracing::warn!(%error, "other workers cannot be told of a call with a key");
                return Err(error);
            }
            tracing::debug!(%error, "a message on answers was not confirmed");
            sleep(PAUSE).await;
            self.bus.connected().await;
        }
        Ok(())
    }

    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing panics while the lock is held, so the table is whole even then.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queues(&self) -> MutexGuard<'_, Vec<String>> {
        self.listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// Tells the others, and finds out whether it is the only one; it is to be dropped if not.
    async fn stands(&self) -> bool {
        let memory = &self.memory;
        self.tell(false).await;
        let mut changes = memory.changes.subscribe();
        let mut marked = Instant::now();
        loop {
            changes.mark_unchanged();
            let standing = memory.table().standing(&self.key, &self.id);
            let until = match standing {
                Standing::Alone => return true,
                Standing::Behind | Standing::Over => return false,
                Standing::First(until) => until,
                Standing::Unmarked => {
                    if marked <= Instant::now() {
                        self.send_mark().await;
                        marked = Instant::now() + MARK_TIME;
                    }
                    marked
                }
            };
            tokio::select! {
                _ = changes.changed() => {}
                () = sleep_until(until) => {}
            }
        }
    }

    /// Sends a message to this worker's own queue: behind all that has reached it so far.
    async fn send_mark(&self) {
        let queue = self.memory.listens_on();
        let mark = news::mark(&self.memory, &self.key, &self.id);
        let Some((queue, message)) = queue.zip(mark) else {
            return;
        };
        let publish = self.memory.publish(Publish::to_queue(queue, message));
        // Lost with its connection, perhaps; then another one follows.
        if !matches!(timeout(MARK_TIME, publish).await, Ok(Ok(()))) {
            tracing::debug!("a mark was not confirmed");
        }
    }

    /// The call must not run twice, and begins now; the others know it when this returns.
    pub(in crate::runtime) async fn begin(&mut self) {
        self.has_begun = true;
        self.memory.change(|table| table.begin(&self.key, &self.id));
        if timeout_at(self.deadline, self.tell(true)).await.is_err() {
            tracing::warn!("other workers do not know that a call has begun");
        }
    }

    /// Keeps the answer and tells the others, within a bound: the caller waits for it. An answer
    /// that is not to be kept frees the key, as dropping this does.
    pub(in crate::runtime) async fn answered(mut self, body: &Result<Box<RawValue>, RpcError>) {
        let Some(kept) = Kept::of(&self.fingerprint, body) else {
            // What asks its client comes again, and is not done before.
            self.has_begun &= !kept::asks(body);
            return;
        };
        self.is_over = true;
        let memory = Arc::clone(&self.memory);
        let message = news::keep(&memory, &self.key, &self.id, &kept, Duration::ZERO);
        memory.change(|table| table.keep(&self.key, kept, Duration::ZERO));
        let told = async {
            let Some(message) = message else { return };
            if memory.broadcast(message).await.is_err() {
                self.tell_that_it_has_run().await;
            }
        };
        if timeout(SHARE_TIME, told).await.is_err() {
            tracing::warn!("an answer that may be asked for again was not told to other workers");
        }
    }

    /// Keeps, and tells, of an answer that no message can hold that the call has run: otherwise
    /// others would run it again.
    async fn tell_that_it_has_run(&self) {
        let memory = &self.memory;
        let kept = Kept::too_long(&self.fingerprint);
        let message = news::keep(memory, &self.key, &self.id, &kept, Duration::ZERO);
        memory.change(|table| table.replace(&self.key, kept));
        if let Some(message) = message {
            // It is short.
            let _ = memory.broadcast(message).await;
        }
    }

    fn entry(&self, begun: bool) -> Entry {
        let left = self.deadline.saturating_duration_since(Instant::now());
        Entry {
            id: self.id.clone(),
            fingerprint: self.fingerprint.clone(),
            correlation_id: self.correlation_id.clone(),
            deadline: unix_ms_in(left),
            // The claim itself says when it is over.
            until: Instant::now() + LONGER_THAN_ANY_CALL,
            begun,
            is_own: true,
            marked: false,
        }
    }

    /// Tells the others of the claim, and whether what it is for has begun.
    async fn tell(&self, begun: bool) {
        let claim = news::claim(&self.memory, &self.key, &self.entry(begun));
        if let Some(message) = claim {
            // One that cannot be told counts here all the same.
            let _ = self.memory.broadcast(message).await;
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let (memory, key, id) = (&self.memory, &self.key, &self.id);
        let message = if self.has_begun {
            let unknown = Kept::unknown(std::mem::take(&mut self.fingerprint));
            let message = news::keep(memory, key, id, &unknown, Duration::ZERO);
            memory.change(|table| table.keep(key, unknown, Duration::ZERO));
            message
        } else {
            memory.change(|table| table.release(key, id));
            news::release(memory, key, id)
        };
        let is_told = message.is_some_and(|message| memory.releases.try_send(message).is_ok());
        if !is_told {
            tracing::debug!("other workers wait for a call until its deadline");
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.memory.queues().retain(|queue| *queue != self.queue);
    }
}

/// Milliseconds since the Unix epoch, some time from now.
fn unix_ms_in(time: Duration) -> u64 {
    let at = SystemTime::now() + time;
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
