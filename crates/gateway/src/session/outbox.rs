use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use uuid::Uuid;

use super::clock::{Clock, Moment};
use super::facts::Stamp;
use super::replicas::Replicas;
use super::state::ROOM;
use crate::budget::Budget;

/// How long a client waits for the other replicas to be told what it changed.
const TELL_TIME: Duration = Duration::from_secs(2);

/// What the other replicas have not been told yet.
#[derive(Debug)]
pub(super) struct Outbox {
    /// The name of this gateway.
    instance: String,
    clock: Clock,
    waiting: Mutex<Waiting>,
    /// There is something new to tell.
    wanted: Notify,
    /// How much of what was put in has been tried to tell.
    tried: watch::Sender<u64>,
    pub(super) replicas: Replicas,
    /// What the sessions keep.
    pub(super) room: Arc<Budget>,
}

#[derive(Debug, Default)]
struct Waiting {
    changed: HashSet<Uuid>,
    /// With the expiry of their tokens.
    ended: HashMap<Uuid, u64>,
    /// How much was ever put in.
    put_in: u64,
    /// What was put in last of a session, until it is known everywhere or of no interest.
    marks: HashMap<Uuid, u64>,
    /// How much was put in when marks were last forgotten.
    forgotten: u64,
}

impl Outbox {
    pub(super) fn new(instance: String, clock: Clock) -> Self {
        Self {
            instance,
            clock,
            waiting: Mutex::default(),
            wanted: Notify::new(),
            tried: watch::Sender::new(0),
            replicas: Replicas::default(),
            room: Arc::new(Budget::new(ROOM)),
        }
    }

    /// The stamp of a change that follows another one: later in any case, even where the clock
    /// of the other writer is ahead.
    pub(super) fn stamp(&self, last: &Stamp) -> Stamp {
        let now = self.clock.unix_ms();
        Stamp(now.max(last.0.saturating_add(1)), self.instance.clone())
    }

    pub(super) fn now(&self) -> Moment {
        self.clock.now()
    }

    /// A session has changed.
    pub(super) fn changed(&self, id: Uuid) {
        let mut waiting = self.waiting();
        waiting.changed.insert(id);
        waiting.put_in(id);
        drop(waiting);
        self.wanted.notify_one();
    }

    /// A session was ended.
    pub(super) fn ended(&self, id: Uuid, expires: u64) {
        let mut waiting = self.waiting();
        waiting.ended.insert(id, expires);
        waiting.put_in(id);
        drop(waiting);
        self.wanted.notify_one();
    }

    /// Resolves when there is something new to tell.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Waits until the other replicas know a session's changes: 2 s at most for the broker to
    /// take what is told, then 250 ms for the replicas. At once where there is nothing to know.
    pub(super) async fn known(&self, id: Uuid) {
        let Some(mark) = self.waiting().marks.get(&id).copied() else {
            return;
        };
        let mut tried = self.tried.subscribe();
        let _ = timeout(TELL_TIME, tried.wait_for(|tried| *tried >= mark)).await;
        if self.waiting().is_told(id) {
            self.replicas.know(mark).await;
        }
        let mut waiting = self.waiting();
        if waiting.marks.get(&id) == Some(&mark) {
            waiting.marks.remove(&id);
        }
    }

    /// Another replica was heard, now.
    pub(super) fn heard(&self, sender: &str) {
        let put_in = self.waiting().put_in;
        self.replicas.heard(sender, put_in, self.now());
    }

    /// Forgets which of the changes before the last time nobody has waited for to the end.
    pub(super) fn forget(&self) {
        let mut waiting = self.waiting();
        let old = waiting.forgotten;
        waiting.marks.retain(|_, mark| *mark > old);
        waiting.forgotten = waiting.put_in;
    }

    /// Everything that is to tell, and the mark to give to [`Outbox::tried`].
    pub(super) fn contents(&self) -> (HashSet<Uuid>, Vec<(Uuid, u64)>, u64) {
        let waiting = self.waiting();
        let ended = waiting.ended.iter().map(|(id, at)| (*id, *at)).collect();
        (waiting.changed.clone(), ended, waiting.put_in)
    }

    /// What was put in until the mark was told, as far as that was possible.
    pub(super) fn tried(&self, mark: u64) {
        self.tried.send_replace(mark);
    }

    pub(super) fn is_tried(&self, mark: u64) -> bool {
        *self.tried.borrow() >= mark
    }

    pub(super) fn remove_changed(&self, id: Uuid) {
        self.waiting().changed.remove(&id);
    }

    pub(super) fn remove_ended(&self, id: Uuid) {
        self.waiting().ended.remove(&id);
    }

    /// A change that could not be told yet, and needs no hurry.
    pub(super) fn put_back(&self, id: Uuid) {
        self.waiting().changed.insert(id);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn put_in(&mut self, id: Uuid) {
        self.put_in += 1;
        self.marks.insert(id, self.put_in);
    }

    fn is_told(&self, id: Uuid) -> bool {
        !self.changed.contains(&id) && !self.ended.contains_key(&id)
    }
}
