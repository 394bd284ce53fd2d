use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};
use uuid::Uuid;

use super::Session;

/// A session that is not used for longer ends.
const IDLE: Duration = Duration::from_mins(30);
/// Most sessions; beyond, the one that was idle longest ends.
const MAX_SESSIONS: usize = 10_000;

/// The sessions of HTTP clients, by their identifier.
#[derive(Debug)]
pub(crate) struct Sessions {
    held: Mutex<HashMap<String, Held>>,
    most: usize,
}

#[derive(Debug)]
struct Held {
    session: Arc<Session>,
    last_used: Instant,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            held: Mutex::default(),
            most: MAX_SESSIONS,
        }
    }
}

impl Sessions {
    /// Keeps a session and gives its identifier.
    pub(crate) fn open(&self, session: Session) -> String {
        let id = Uuid::new_v4().to_string();
        let mut held = self.held();
        if held.len() >= self.most {
            evict(&mut held);
        }
        let session = Arc::new(session);
        held.insert(
            id.clone(),
            Held {
                session,
                last_used: Instant::now(),
            },
        );
        id
    }

    /// A session that is still open; using it keeps it open.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Session>> {
        let mut held = self.held();
        let found = held.get_mut(id)?;
        if found.is_over() {
            held.remove(id);
            return None;
        }
        found.last_used = Instant::now();
        Some(Arc::clone(&found.session))
    }

    /// Ends a session and stops what it runs; false when there was none.
    pub(crate) fn end(&self, id: &str) -> bool {
        let ended = self.held().remove(id);
        if let Some(held) = &ended {
            held.session.ended().cancel();
            held.session.running().cancel_all();
        }
        ended.is_some_and(|held| !held.is_over())
    }

    /// Forgets sessions that were idle for too long.
    pub(crate) fn sweep(&self) {
        let mut held = self.held();
        let before = held.len();
        held.retain(|_, held| !held.is_over());
        let ended = before - held.len();
        if ended > 0 {
            info!(ended, "idle sessions ended");
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn is_over(&self) -> bool {
        self.last_used.elapsed() >= IDLE && self.session.running().is_empty()
    }
}

/// Makes room: ends the session that was idle longest, one that runs something only if all do.
fn evict(held: &mut HashMap<String, Held>) {
    let longest = held
        .iter()
        .min_by_key(|(_, held)| (!held.session.running().is_empty(), held.last_used))
        .map(|(id, _)| id.clone());
    if let Some(held) = longest.and_then(|id| held.remove(&id)) {
        let idle = held.last_used.elapsed();
        warn!(
            ?idle,
            "too many sessions: the one that was idle longest ends"
        );
        held.session.running().cancel_all();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::value::RawValue;

    use super::super::session_for_test;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_when_it_is_idle_for_too_long() {
        let sessions = Sessions::default();
        let id = sessions.open(session_for_test());
        tokio::time::advance(Duration::from_mins(29)).await;
        assert!(sessions.find(&id).is_some(), "use keeps it open");
        tokio::time::advance(IDLE).await;
        assert!(sessions.find(&id).is_none());
        let swept = sessions.open(session_for_test());
        tokio::time::advance(IDLE).await;
        sessions.sweep();
        assert!(!sessions.end(&swept));
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_runs_a_call_is_not_idle() {
        let sessions = Sessions::default();
        let id = sessions.open(session_for_test());
        let request: Box<RawValue> = serde_json::from_str("1").unwrap();
        let begun = sessions
            .find(&id)
            .unwrap()
            .running()
            .begin(&request)
            .unwrap();
        tokio::time::advance(IDLE * 2).await;
        sessions.sweep();
        assert!(sessions.find(&id).is_some());
        drop(begun);
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_the_bound_the_session_idle_longest_ends() {
        let sessions = Sessions {
            most: 2,
            ..Sessions::default()
        };
        let first = sessions.open(session_for_test());
        tokio::time::advance(Duration::from_secs(1)).await;
        let second = sessions.open(session_for_test());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(sessions.find(&first).is_some());
        let third = sessions.open(session_for_test());
        assert!(sessions.find(&second).is_none());
        assert!(sessions.find(&first).is_some() && sessions.find(&third).is_some());
    }

    #[tokio::test]
    async fn an_ended_session_is_gone_and_its_calls_stop() {
        let sessions = Sessions::default();
        let id = sessions.open(session_for_test());
        let request: Box<RawValue> = serde_json::from_str("1").unwrap();
        let begun = sessions
            .find(&id)
            .unwrap()
            .running()
            .begin(&request)
            .unwrap();
        assert!(sessions.end(&id));
        begun.cancelled().await;
        assert!(sessions.find(&id).is_none());
        assert!(!sessions.end(&id));
    }

    #[test]
    fn identifiers_are_visible_ascii_and_never_the_same() {
        let sessions = Sessions::default();
        let ids: HashSet<String> = (0..100)
            .map(|_| sessions.open(session_for_test()))
            .collect();
        assert_eq!(ids.len(), 100);
        assert!(
            ids.iter()
                .all(|id| id.bytes().all(|byte| byte.is_ascii_graphic()))
        );
    }
}
