use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::LogLevel;
use protocol::mcp::code;
use protocol::response::RpcError;

/// Most resources that one session is told of.
const MAX_SUBSCRIPTIONS: usize = 1000;
/// Longest URI that is subscribed to, in bytes.
const MAX_URI: usize = 2048;

/// What changes in a session after `initialize`.
#[derive(Debug, Default)]
pub(super) struct State(Mutex<Changing>);

#[derive(Debug, Default)]
struct Changing {
    level: LogLevel,
    subscriptions: BTreeSet<String>,
}

impl State {
    pub(super) fn level(&self) -> LogLevel {
        self.lock().level
    }

    pub(super) fn set_level(&self, level: LogLevel) {
        self.lock().level = level;
    }

    /// # Errors
    /// Invalid params when there are too many, or the URI is too long.
    pub(super) fn subscribe(&self, uri: &str) -> Result<(), RpcError> {
        if uri.len() > MAX_URI {
            let message = format!("params.uri is longer than {MAX_URI} bytes");
            return Err(RpcError::new(code::INVALID_PARAMS, message));
        }
        let mut state = self.lock();
        if state.subscriptions.len() >= MAX_SUBSCRIPTIONS && !state.subscriptions.contains(uri) {
            let message = format!(
                "the session has {MAX_SUBSCRIPTIONS} subscriptions already; end some with \
                 resources/unsubscribe"
            );
            return Err(RpcError::new(code::INVALID_PARAMS, message));
        }
        state.subscriptions.insert(uri.to_owned());
        Ok(())
    }

    pub(super) fn unsubscribe(&self, uri: &str) {
        self.lock().subscriptions.remove(uri);
    }

    pub(super) fn is_subscribed(&self, uri: &str) -> bool {
        self.lock().subscriptions.contains(uri)
    }

    pub(super) fn subscriptions(&self) -> Vec<String> {
        self.lock().subscriptions.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Changing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
