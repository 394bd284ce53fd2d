//! There is no room now: said at once, so that nobody waits, and so that programs know when to
//! try again.

use std::time::Duration;

use protocol::Category;
use protocol::mcp::code;
use protocol::response::RpcError;
use serde_json::{Value, json};

/// Member of an error's data: how long to wait, in milliseconds.
const RETRY_AFTER: &str = "retryAfterMs";
/// Member of an error's data: why, in one word.
const REASON: &str = "reason";

/// What there is no room in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Busy {
    /// The work queue of a category.
    Queue,
    /// The broker's memory or disk.
    Alarm,
    /// The calls that wait in this gateway.
    Pending,
    /// The calls of one category in this gateway.
    Category,
    /// The calls of one client in this gateway.
    Client,
    /// The requests that are under way in this gateway.
    Requests,
    /// The streams that clients keep open.
    Streams,
    /// The subscriptions of clients.
    Subscriptions,
    /// The requests to clients that have no answer yet.
    Inputs,
    /// The time that is left before the gateway ends.
    Ending,
}

impl Busy {
    /// The word for programs and metrics.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Queue => "queue_full",
            Self::Alarm => "broker_alarm",
            Self::Pending => "pending_full",
            Self::Category => "category_limit",
            Self::Client => "client_limit",
            Self::Requests => "requests_full",
            Self::Streams => "streams_full",
            Self::Subscriptions => "subscriptions_full",
            Self::Inputs => "inputs_full",
            Self::Ending => "shutting_down",
        }
    }

    /// When it is worth trying again. Places in a gateway are free in the time of a call; a queue
    /// of 100,000 calls takes longer to have room.
    pub(crate) fn retry_after(self) -> Duration {
        match self {
            Self::Queue | Self::Alarm => Duration::from_secs(5),
            Self::Streams | Self::Subscriptions | Self::Inputs => Duration::from_secs(10),
            _ => Duration::from_secs(1),
        }
    }

    /// The error for a client.
    pub(crate) fn error(self, message: impl Into<String>) -> RpcError {
        RpcError::new(code::BUSY, message).data(self.data())
    }

    /// The error for a client that has called something of this category.
    pub(crate) fn error_of(self, category: &Category, message: impl Into<String>) -> RpcError {
        let mut data = self.data();
        data["category"] = json!(category);
        RpcError::new(code::BUSY, message).data(data)
    }

    fn data(self) -> Value {
        let after = u64::try_from(self.retry_after().as_millis()).unwrap_or(u64::MAX);
        json!({ "retryable": true, RETRY_AFTER: after, REASON: self.word() })
    }
}

/// Why a request was refused, in the word that its error's data has for it.
pub(crate) fn reason(error: &RpcError) -> Option<&str> {
    error.data.as_ref()?.get(REASON)?.as_str()
}

/// When to try again what was refused for want of room.
pub(crate) fn retry_after(error: &RpcError) -> Option<Duration> {
    let milliseconds = error.data.as_ref()?.get(RETRY_AFTER)?.as_u64()?;
    (error.code == code::BUSY).then(|| Duration::from_millis(milliseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_why_and_when_to_try_again() {
        let error = Busy::Queue.error_of(&Category::network(), "full");
        let data = json!({
            "retryable": true, "retryAfterMs": 5000, "reason": "queue_full", "category": "network",
        });
        assert_eq!((error.code, error.data.as_ref()), (-31002, Some(&data)));
        assert_eq!(reason(&error), Some("queue_full"));
        assert_eq!(retry_after(&error), Some(Duration::from_secs(5)));
        let other = RpcError::new(code::INTERNAL_ERROR, "m").data(data);
        assert_eq!(retry_after(&other), None);
    }
}
