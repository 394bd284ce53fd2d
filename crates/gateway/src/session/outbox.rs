use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use uuid::Uuid;

use super::clock::{Clock, Moment};
use super::facts::Stamp;

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
}

#[derive(Debug, Default)]
struct Waiting {
    changed: HashSet<Uuid>,
    /// With the expiry of their tokens.
    ended: HashMap<Uuid, u64>,
    /// How much was ever put in.
    put_in: u64,
}

impl Outbox {
    pub(super) fn new(instance: String, clock: Clock) -> Self {
        Self {
            instance,
            clock,
            waiting: Mutex::default(),
            wanted: Notify::new(),
            tried: watch::Sender::new(0),
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
        waiting.put_in += 1;
        drop(waiting);
        self.wanted.notify_one();
    }

    /// A session was ended.
    pub(super) fn ended(&self, id: Uuid, expires: u64) {
        let mut waiting = self.waiting();
        waiting.ended.insert(id, expires);
        waiting.put_in += 1;
        drop(waiting);
        self.wanted.notify_one();
    }

    /// Resolves when there is something new to tell.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Waits until a session's changes were told, or 2 s; at once where there are none.
    pub(super) async fn told(&self, id: Uuid) {
        let put_in = {
            let waiting = self.waiting();
            if !waiting.changed.contains(&id) && !waiting.ended.contains_key(&id) {
                return;
            }
            waiting.put_in
        };
        let mut tried = self.tried.subscribe();
        let _ = timeout(TELL_TIME, tried.wait_for(|tried| *tried >= put_in)).await;
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
