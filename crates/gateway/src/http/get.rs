//! GET: the stream of what no request asked for, and the rest of a broken stream (MCP
//! 2025-11-25, "Listening for Messages from the Server").

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode};
use protocol::mcp::{MODERN_VERSION, code};
use protocol::response::{self, RpcError};
use serde_json::json;

use super::front::{Front, not_allowed, refuse};
use super::headers::{self, McpHeaders};
use super::resumable::{self, Dialect, Occupied};
use super::{respond, sse};
use crate::busy::Busy;
use crate::era;
use crate::session::Session;
use crate::streams::{EventId, Kind, Reader, Resumed};

const LAST_EVENT_ID: &str = "last-event-id";

impl Front {
    pub(super) async fn get(self: &Arc<Self>, headers: &HeaderMap) -> Response<Body> {
        let mcp = match McpHeaders::read(headers) {
            Ok(mcp) => mcp,
            Err(error) => return respond::refused(StatusCode::BAD_REQUEST, &error),
        };
        if mcp.version == Some(MODERN_VERSION) {
            // Its streams are answers to subscriptions/listen.
            return not_allowed("POST");
        }
        if let Err(error) = era::check_of_session(mcp.version) {
            return respond::refused(StatusCode::BAD_REQUEST, &error);
        }
        if !headers::accepts_events(headers) {
            let reason = "the header Accept must list text/event-stream";
            return refuse(StatusCode::NOT_ACCEPTABLE, reason);
        }
        let session = match self.session(&mcp).await {
            Ok(session) => session,
            Err((status, error)) => return respond::refused(status, &error),
        };
        let event = match last_event(headers) {
            Ok(event) => event,
            Err(error) => return respond::refused(StatusCode::BAD_REQUEST, &error),
        };
        let Ok(place) = Arc::clone(&self.streams).try_acquire_owned() else {
            return self.overloaded(Busy::Streams, None);
        };
        let occupied = (place, session.hold());
        match event {
            None => self.standalone(self.gateway.open_standalone(&session), &session, occupied),
            Some(event) => self.resume(&session, &event, occupied).await,
        }
    }

    async fn resume(
        &self,
        session: &Arc<Session>,
        event: &EventId,
        occupied: Occupied,
    ) -> Response<Body> {
        let dialect = Dialect::of(session);
        match self.gateway.resume(session.id(), event).await {
            Resumed::Here(reader) => resumable::live(reader, dialect, occupied),
            Resumed::There(relayed) => {
                let after = (&event.address, event.seq);
                resumable::from_elsewhere(relayed, after, dialect, occupied)
            }
            // No content tells clients not to come back (WHATWG HTML, "Server-sent events").
            Resumed::Over => respond::empty(StatusCode::NO_CONTENT),
            Resumed::Replaced => refuse(
                StatusCode::CONFLICT,
                "the session has opened another stream in place of this one",
            ),
            // An owner that is there after all is told that it is replaced.
            Resumed::Gone | Resumed::Busy if event.address.stream.kind == Kind::Standalone => {
                self.standalone(self.gateway.reopen_standalone(session), session, occupied)
            }
            Resumed::Gone => lost(event),
            Resumed::Busy => self.overloaded(Busy::Streams, None),
        }
    }

    fn standalone(
        &self,
        reader: Option<Reader>,
        session: &Session,
        occupied: Occupied,
    ) -> Response<Body> {
        match reader {
            Some(reader) => resumable::live(reader, Dialect::of(session), occupied),
            None => self.overloaded(Busy::Streams, None),
        }
    }
}

/// The event that the client saw last, if it says so.
///
/// # Errors
/// Invalid request when this server has never given out such an event.
fn last_event(headers: &HeaderMap) -> Result<Option<EventId>, RpcError> {
    let mut values = headers.get_all(LAST_EVENT_ID).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let event = value
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse().ok());
    if event.is_some() && values.next().is_none() {
        return Ok(event);
    }
    Err(RpcError::new(
        code::INVALID_REQUEST,
        "the header Last-Event-ID is not the id of an event of this server; leave it out to open \
         a new stream",
    ))
}

/// A call whose answer is not kept any more. Its client is told as if by the call itself: by a
/// status alone, clients would not learn which of their calls it concerns.
fn lost(event: &EventId) -> Response<Body> {
    let error = RpcError::new(
        code::OUTCOME_UNKNOWN,
        "the stream of the call is gone, so its outcome is not known: the gateway that held it \
         has ended, or the answer was kept for its time",
    )
    .data(json!({ "retryable": false }));
    match event.address.request() {
        Some(request) => {
            let message = response::error(Some(request), &error);
            sse::whole(sse::event(None, &message))
        }
        None => respond::refused(StatusCode::BAD_REQUEST, &error),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use axum::http::header::ACCEPT;

    use super::*;
    use crate::session::session_for_test;

    #[tokio::test(start_paused = true)]
    async fn streams_have_a_bound_of_their_own() {
        let front = Arc::new(Front::for_test(1, 2));
        let get = async || {
            let session = front.gateway.sessions.open(session_for_test()).unwrap();
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
            headers.insert(headers::SESSION, session.try_into().unwrap());
            front.get(&headers).await
        };
        let first = get().await;
        let second = get().await;
        assert_eq!(
            (first.status(), second.status()),
            (StatusCode::OK, StatusCode::OK)
        );
        assert_eq!(get().await.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(front.places.available_permits(), 1);
        drop(first);
        assert_eq!(get().await.status(), StatusCode::OK);
    }
}
