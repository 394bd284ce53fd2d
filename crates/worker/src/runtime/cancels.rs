use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::absent::Caller;
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
    /// Several under one id where the broker handed out again what runs.
    running: HashMap<String, Vec<Running>>,
    last: u64,
}

#[derive(Debug)]
struct Running {
    number: u64,
    token: CancellationToken,
    /// Without whom nobody waits for it.
    caller: Option<Caller>,
    since: Instant,
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
    /// Enters a call, with the caller whose end is the call's too; `None` if it was cancelled
    /// before.
    pub(super) fn enter(
        self: &Arc<Self>,
        correlation_id: &str,
        caller: Option<Caller>,
    ) -> Option<Registration> {
        let mut state = self.lock();
        if state.cancelled.get(correlation_id).is_some() {
            return None;
        }
        state.last += 1;
        let (number, token) = (state.last, CancellationToken::new());
        let running = Running {
            number,
            token: token.clone(),
            caller,
            since: Instant::now(),
        };
        let copies = state.running.entry(correlation_id.to_owned());
        copies.or_default().push(running);
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
        for running in state.running.get(correlation_id).into_iter().flatten() {
            running.token.cancel();
        }
    }

    /// Who waits for calls that have been here for so long.
    pub(super) fn callers(&self, at_least: Duration) -> HashSet<Caller> {
        let state = self.lock();
        let old = state.running.values().flatten();
        let old = old.filter(|running| running.since.elapsed() >= at_least);
        old.filter_map(|running| running.caller.clone()).collect()
    }

    /// Stops every call of a caller, and says how many these are. Later ones of its calls may run.
    pub(super) fn cancel_calls_of(&self, caller: &Caller) -> usize {
        let state = self.lock();
        let its = state
            .running
            .values()
            .flatten()
            .filter(|it| it.caller.as_ref() == Some(caller));
        its.map(|running| running.token.cancel()).count()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held, so the state is whole even then.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut state = self.cancels.lock();
        let Some(copies) = state.running.get_mut(&self.correlation_id) else {
            return;
        };
        copies.retain(|running| running.number != self.number);
        if copies.is_empty() {
            state.running.remove(&self.correlation_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(cancels: &Arc<Cancels>, correlation_id: &str, reply_to: &str) -> Option<Registration> {
        cancels.enter(correlation_id, Some(Caller::at("", reply_to)))
    }

    #[tokio::test]
    async fn only_the_named_call_is_cancelled() {
        let cancels = Arc::new(Cancels::default());
        let [a, b] = ["a", "b"].map(|id| enter(&cancels, id, "replies").unwrap());
        cancels.cancel("a");
        assert!(a.token.is_cancelled() && !b.token.is_cancelled());
        assert!(enter(&cancels, "a", "replies").is_none());
    }

    #[tokio::test]
    async fn a_call_that_ends_late_does_not_take_its_successor_along() {
        let cancels = Arc::new(Cancels::default());
        let first = enter(&cancels, "a", "replies").unwrap();
        let second = enter(&cancels, "a", "replies").unwrap();
        drop(first);
        cancels.cancel("a");
        assert!(second.token.is_cancelled());
        drop(second);
        assert!(cancels.lock().running.is_empty());
    }

    #[tokio::test]
    async fn a_copy_that_is_dropped_does_not_take_the_call_that_runs_along() {
        let cancels = Arc::new(Cancels::default());
        let running = enter(&cancels, "a", "replies").unwrap();
        drop(enter(&cancels, "a", "replies").unwrap());
        cancels.cancel("a");
        assert!(running.token.is_cancelled());
        drop(running);
        assert!(cancels.lock().running.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_calls_of_one_caller_are_found_by_their_age_and_stopped() {
        let second = Duration::from_secs(1);
        let cancels = Arc::new(Cancels::default());
        let [a, b] = ["a", "b"].map(|id| enter(&cancels, id, "gone").unwrap());
        tokio::time::advance(second).await;
        let other = enter(&cancels, "c", "there").unwrap();
        let gone = Caller::at("", "gone");
        assert_eq!(cancels.callers(second), HashSet::from([gone.clone()]));
        assert_eq!(cancels.cancel_calls_of(&gone), 2);
        assert!(a.token.is_cancelled() && b.token.is_cancelled());
        assert!(!other.token.is_cancelled());
        // The name of the queue may come to life again.
        assert!(enter(&cancels, "d", "gone").is_some());
    }
}
