use std::sync::Arc;
use std::time::Duration;

use protocol::Change;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};
use tokio::time::timeout;

/// Changes that a slow listener may be behind; beyond, it is told that it missed some.
const WAITING: usize = 1024;
/// How long a new listener waits at the start of the process for events to arrive at all.
const BEGIN_LIMIT: Duration = Duration::from_secs(2);
/// What all subscriptions of the stateless era may keep together, in bytes.
pub(super) const ROOM: usize = 64 * 1024 * 1024;

/// Passes every change to everybody who listens; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    news: broadcast::Sender<Heard>,
    /// Whether events have been arriving since the start of the process.
    begun: watch::Sender<bool>,
    room: Arc<Semaphore>,
}

/// The changes since somebody began to listen.
#[derive(Debug)]
pub(crate) struct News(broadcast::Receiver<Heard>);

/// One piece of news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Something changed.
    Change(Change),
    /// The listener was too slow, or nobody heard the events: anything may have changed.
    Missed,
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self {
            news: broadcast::Sender::new(WAITING),
            begun: watch::Sender::new(false),
            room: Arc::new(Semaphore::new(ROOM)),
        }
    }

    /// Tells everybody; never waits.
    pub(crate) fn tell(&self, change: Change) {
        // Without listeners there is nobody to tell.
        let _ = self.news.send(Heard::Change(change));
    }

    /// Tells everybody that events arrive again, and that some may have been lost before.
    pub(super) fn begin(&self) {
        let _ = self.news.send(Heard::Missed);
        self.begun.send_replace(true);
    }

    /// Waits at the start of the process until events arrive, 2 s at most: who listens later
    /// than that is told of what it missed. Cancel safe.
    pub(super) async fn begun(&self) {
        let mut begun = self.begun.subscribe();
        let _ = timeout(BEGIN_LIMIT, begun.wait_for(|begun| *begun)).await;
    }

    pub(crate) fn listen(&self) -> News {
        News(self.news.subscribe())
    }

    /// Room for what a subscription keeps, in bytes; `None` while others fill it.
    pub(super) fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes).ok()?;
        Arc::clone(&self.room).try_acquire_many_owned(bytes).ok()
    }
}

impl News {
    /// The next piece of news; `None` when there will be no more. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        match self.0.recv().await {
            Ok(heard) => Some(heard),
            Err(RecvError::Lagged(_)) => Some(Heard::Missed),
            Err(RecvError::Closed) => None,
        }
    }

    /// The next piece of news, if it is there already.
    pub(super) fn ready(&mut self) -> Option<Heard> {
        match self.0.try_recv() {
            Ok(heard) => Some(heard),
            Err(TryRecvError::Lagged(_)) => Some(Heard::Missed),
            Err(TryRecvError::Empty | TryRecvError::Closed) => None,
        }
    }
}
