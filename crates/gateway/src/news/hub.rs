use protocol::Change;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Changes that a slow listener may be behind; beyond, it is told that it missed some.
const WAITING: usize = 1024;

/// Passes every change to everybody who listens; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Hub(broadcast::Sender<Change>);

/// The changes since somebody began to listen.
#[derive(Debug)]
pub(crate) struct News(broadcast::Receiver<Change>);

/// One piece of news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Something changed.
    Change(Change),
    /// The listener was too slow: anything may have changed.
    Missed,
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(WAITING))
    }

    /// Tells everybody; never waits.
    pub(crate) fn tell(&self, change: Change) {
        // Without listeners there is nobody to tell.
        let _ = self.0.send(change);
    }

    pub(crate) fn listen(&self) -> News {
        News(self.0.subscribe())
    }
}

impl News {
    /// The next piece of news; `None` when there will be no more. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        match self.0.recv().await {
            Ok(change) => Some(Heard::Change(change)),
            Err(RecvError::Lagged(_)) => Some(Heard::Missed),
            Err(RecvError::Closed) => None,
        }
    }
}
