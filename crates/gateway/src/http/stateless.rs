//! Answers that take time, in the stateless era: a dropped response is a cancel, and a stream
//! cannot be resumed (MCP 2026-07-28, "Receiving Messages").

use axum::body::Body;
use axum::http::Response;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use bytes::Bytes;

use super::respond;
use super::sse::{self, COMMENT, Events, KEEP_ALIVE, event};
use crate::call::{RunningCall, Step};
use crate::news::Subscription;

/// Where the messages of one response come from.
#[derive(Debug)]
pub(super) enum Source {
    /// The call itself: when the response is dropped, the call is cancelled.
    Call(Box<RunningCall>),
    /// News: when the response is dropped, they end.
    Subscription(Box<Subscription>),
}

struct Messages {
    source: Source,
    is_open: bool,
    _place: OwnedSemaphorePermit,
}

/// The answer to a call: JSON if it is the first thing to come, otherwise events.
pub(super) async fn call(mut source: Source, place: OwnedSemaphorePermit) -> Response<Body> {
    let first = match timeout(KEEP_ALIVE, source.next()).await {
        Ok(Some(Step::Final(reply))) => return respond::json(reply, true),
        Ok(Some(Step::Notification(message))) => event(None, &message),
        // Without an answer, which only an event stream can say.
        Ok(Some(Step::Detach) | None) => return sse::whole(Bytes::new()),
        Err(_) => COMMENT,
    };
    let messages = Messages {
        source,
        is_open: true,
        _place: place,
    };
    sse::response(Some(first), messages)
}

impl Source {
    async fn next(&mut self) -> Option<Step> {
        loop {
            let step = match self {
                Self::Call(call) => call.next().await,
                Self::Subscription(news) => news.next().await,
            };
            // A client of this era cannot come back.
            if !matches!(step, Some(Step::Detach)) {
                return step;
            }
        }
    }
}

impl Events for Messages {
    async fn next(&mut self) -> Option<Bytes> {
        if !self.is_open {
            return None;
        }
        match self.source.next().await? {
            Step::Notification(message) => Some(event(None, &message)),
            Step::Final(reply) => {
                self.is_open = false;
                Some(event(None, &reply.body))
            }
            Step::Detach => None,
        }
    }
}
