use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::MAX_HOLD;
use tokio::sync::oneshot;

use super::recent::Recent;

/// Calls of the past that are remembered; their callers refuse them beyond that.
const CAPACITY: usize = 16_384;

/// The calls that must not run twice which this instance has or had, by correlation id, and what
/// their callers say.
#[derive(Debug)]
pub(super) struct Grants {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Calls that are asked for or run here, with who waits for the caller's word.
    here: HashMap<String, oneshot::Sender<bool>>,
    past: Recent<()>,
}

/// A call that this instance may ask for, and run when it is granted. It is the only one under
/// its correlation id in the life of the process.
#[derive(Debug)]
pub(super) struct Claim {
    grants: Arc<Grants>,
    correlation_id: String,
    word: oneshot::Receiver<bool>,
}

impl Default for Grants {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                here: HashMap::new(),
                // As long as a request can still be handed out again.
                past: Recent::new(CAPACITY, MAX_HOLD),
            }),
        }
    }
}

impl Grants {
    /// `None` for a call that is here already, or was: the broker hands out again what was begun
    /// when the acknowledgement got lost.
    pub(super) fn claim(self: &Arc<Self>, correlation_id: &str) -> Option<Claim> {
        let mut state = self.lock();
        if state.here.contains_key(correlation_id) || state.past.get(correlation_id).is_some() {
            return None;
        }
        let (teller, word) = oneshot::channel();
        state.here.insert(correlation_id.to_owned(), teller);
        Some(Claim {
            grants: Arc::clone(self),
            correlation_id: correlation_id.to_owned(),
            word,
        })
    }

    /// Takes a caller's word; one that nobody waits for is of no use.
    pub(super) fn tell(&self, correlation_id: &str, granted: bool) {
        let mut state = self.lock();
        let Some(teller) = state.here.get_mut(correlation_id) else {
            return;
        };
        // What is left in its place keeps the call known; only the first word counts.
        let teller = std::mem::replace(teller, oneshot::channel().0);
        let _ = teller.send(granted);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held, so the state is whole even then.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// What the caller says; waits for ever if it says nothing. Cancel safe.
    pub(super) async fn word(&mut self) -> bool {
        // The other end lives as long as the call is known, which is as long as this.
        (&mut self.word).await.unwrap_or(false)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut state = self.grants.lock();
        state.here.remove(&self.correlation_id);
        state.past.entry(&self.correlation_id, || ());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_is_claimed_once() {
        let grants = Arc::new(Grants::default());
        let mut claim = grants.claim("a").unwrap();
        assert!(grants.claim("a").is_none());
        assert!(grants.claim("b").is_some());
        grants.tell("a", true);
        grants.tell("a", false);
        assert!(claim.word().await);
        assert!(grants.claim("a").is_none(), "it runs");
        drop(claim);
        assert!(grants.claim("a").is_none(), "it has run");
        grants.tell("a", true);
        assert!(grants.lock().here.is_empty());
    }

    #[tokio::test]
    async fn a_call_that_runs_is_known_however_many_came_after_it() {
        let grants = Arc::new(Grants::default());
        let long = grants.claim("long").unwrap();
        for number in 0..=CAPACITY {
            drop(grants.claim(&number.to_string()));
        }
        assert!(grants.claim("long").is_none());
        assert!(grants.claim("0").is_some(), "its caller refuses it");
        drop(long);
        assert!(grants.claim("long").is_none());
    }
}
