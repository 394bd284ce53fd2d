use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::recent::Recent;

/// Cancelled ids that are remembered, because their calls may still be queued.
const CAPACITY: usize = 16_384;
/// How long a cancelled id is remembered.
const KEEP: Duration = Duration::from_mins(10);

/// Which calls run here, and which were cancelled lately; by correlation id.
#[derive(Debug)]
pub(super) struct Cancels {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    cancelled: Recent<()>,
    /// With a number for each, because a call that lost its link may end after the same
    /// message was delivered again.
    running: HashMap<String, (u64, CancellationToken)>,
    last: u64,
}

/// A call among those that can be cancelled, until it is dropped.
#[derive(Debug)]
pub(super) struct Registration {
    cancels: Arc<Cancels>,
    correlation_id: String,
    number: u64,
    pub(super) token: CancellationToken,
}

impl Default for Cancels {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                cancelled: Recent::new(CAPACITY, KEEP),
                running: HashMap::new(),
                last: 0,
            }),
        }
    }
}

impl Cancels {
    /// Enters a call; `None` if it was cancelled before.
    pub(super) fn enter(self: &Arc<Self>, correlation_id: &str) -> Option<Registration> {
        let mut state = self.lock();
        if state.cancelled.get(correlation_id).is_some() {
            return None;
        }
        state.last += 1;
        let (number, token) = (state.last, CancellationToken::new());
        state
            .running
            .insert(correlation_id.to_owned(), (number, token.clone()));
        Some(Registration {
            cancels: Arc::clone(self),
            correlation_id: correlation_id.to_owned(),
            number,
            token,
        })
    }

    /// Stops a call, or one that is still to come.
    pub(super) fn cancel(&self, correlation_id: &str) {
        let mut state = self.lock();
        state.cancelled.entry(correlation_id, || ());
        if let Some((_, token)) = state.running.get(correlation_id) {
            token.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held, so the state is whole even then.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut state = self.cancels.lock();
        let is_own = |(number, _): &(u64, CancellationToken)| *number == self.number;
        if state.running.get(&self.correlation_id).is_some_and(is_own) {
            state.running.remove(&self.correlation_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_named_call_is_cancelled() {
        let cancels = Arc::new(Cancels::default());
        let (a, b) = (cancels.enter("a").unwrap(), cancels.enter("b").unwrap());
        cancels.cancel("a");
        assert!(a.token.is_cancelled() && !b.token.is_cancelled());
        assert!(cancels.enter("a").is_none());
    }

    #[tokio::test]
    async fn a_call_that_ends_late_does_not_take_its_successor_along() {
        let cancels = Arc::new(Cancels::default());
        let first = cancels.enter("a").unwrap();
        let second = cancels.enter("a").unwrap();
        drop(first);
        cancels.cancel("a");
        assert!(second.token.is_cancelled());
        drop(second);
        assert!(cancels.lock().running.is_empty());
    }
}
