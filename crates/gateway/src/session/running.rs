use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::mcp::code;
use protocol::response::RpcError;
use protocol::{RequestParams, json};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Most characters of a client's own words that are logged.
pub(super) const LOGGED: usize = 200;

/// The requests of one client that are under way, by their JSON-RPC identifier.
#[derive(Debug, Clone, Default)]
pub(crate) struct Running(Arc<Mutex<HashMap<RequestId, CancellationToken>>>);

/// A JSON-RPC identifier: the string 1 is not the number 1, and how a string is escaped
/// does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum RequestId {
    Number(String),
    Text(String),
}

/// A request that is under way until this is dropped.
#[derive(Debug)]
pub(crate) struct Begun {
    running: Running,
    id: RequestId,
    cancelled: CancellationToken,
}

impl Running {
    /// Notes a request as under way.
    ///
    /// # Errors
    /// Invalid request when the client already waits for one of this identifier.
    pub(crate) fn begin(&self, id: &RawValue) -> Result<Begun, RpcError> {
        let id = RequestId::of(id);
        let cancelled = CancellationToken::new();
        let mut running = self.lock();
        if running.contains_key(&id) {
            let message = format!("a request with id {id} is still under way; use another id");
            return Err(RpcError::new(code::INVALID_REQUEST, message));
        }
        running.insert(id.clone(), cancelled.clone());
        drop(running);
        Ok(Begun {
            running: self.clone(),
            id,
            cancelled,
        })
    }

    /// Cancels what the parameters of `notifications/cancelled` name; false when that is not
    /// under way here. It may have been answered meanwhile: the answer may have crossed the
    /// notification.
    pub(crate) fn cancel(&self, params: &RequestParams<'_>) -> bool {
        let reason = params.string("reason").unwrap_or_default();
        params
            .get("requestId")
            .is_some_and(|id| self.cancel_one(id, &reason))
    }

    /// Cancels one request; false when it is not under way here.
    pub(crate) fn cancel_one(&self, id: &RawValue, reason: &str) -> bool {
        let id = RequestId::of(id);
        let token = self.lock().get(&id).cloned();
        let Some(token) = token else { return false };
        let reason: String = reason.chars().take(LOGGED).collect();
        info!(%id, reason, "request cancelled by its client");
        token.cancel();
        true
    }

    /// Cancels everything.
    pub(crate) fn cancel_all(&self) {
        for token in self.lock().values() {
            token.cancel();
        }
    }

    /// Whether nothing is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RequestId, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Begun {
    /// Resolves when the client no longer wants the answer.
    pub(crate) async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.running.lock().remove(&self.id);
    }
}

impl RequestId {
    fn of(id: &RawValue) -> Self {
        match json::as_string(id) {
            Some(text) => Self::Text(text.into_owned()),
            None => Self::Number(id.get().to_owned()),
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Number(number) => number.clone(),
            Self::Text(text) => format!("{text:?}"),
        };
        let shown: String = text.chars().take(LOGGED).collect();
        f.write_str(&shown)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    fn cancel(running: &Running, params: &str) -> bool {
        let params = raw(params);
        running.cancel(&RequestParams::parse(&params).unwrap())
    }

    fn is_cancelled(begun: &Begun) -> bool {
        begun.cancelled().now_or_never().is_some()
    }

    #[test]
    fn a_cancel_concerns_the_one_request_it_names() {
        let running = Running::default();
        let number = running.begin(&raw("1")).unwrap();
        let text = running.begin(&raw(r#""1""#)).unwrap();
        let other = running.begin(&raw(r#""ab""#)).unwrap();
        assert!(cancel(&running, r#"{"requestId":"1","reason":"enough"}"#));
        assert!(!is_cancelled(&number) && is_cancelled(&text) && !is_cancelled(&other));
        assert!(cancel(&running, r#"{"requestId":"a\u0062"}"#));
        assert!(is_cancelled(&other));
        for ignored in [
            "{}",
            r#"{"requestId":null}"#,
            r#"{"requestId":[1]}"#,
            r#"{"requestId":2}"#,
        ] {
            assert!(!cancel(&running, ignored), "{ignored}");
        }
        assert!(!is_cancelled(&number));
    }

    #[test]
    fn an_identifier_is_free_again_when_its_request_is_done() {
        let running = Running::default();
        let first = running.begin(&raw("1")).unwrap();
        assert_eq!(
            running.begin(&raw("1")).unwrap_err().code,
            code::INVALID_REQUEST
        );
        drop(first);
        assert!(running.is_empty());
        assert!(running.begin(&raw("1")).is_ok());
    }
}
