//! What one request to `/mcp` goes through.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::ALLOW;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use bytes::Bytes;
use protocol::Envelope;
use protocol::mcp::{MODERN_VERSION, code};
use protocol::response::RpcError;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::guard::Guard;
use super::headers::{self, McpHeaders};
use super::respond;
use crate::busy::Busy;
use crate::gateway::Gateway;

/// Largest body, in bytes.
pub(crate) const MAX_BODY: usize = 4 * 1024 * 1024;
/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);
/// How long it may take while all places are taken.
const SHORT_BODY_TIME: Duration = Duration::from_secs(5);
/// Most requests at a time; beyond, clients are told to come back.
pub(super) const MAX_REQUESTS: usize = 8192;
/// Most messages beyond those that begin nothing new: answers above all, which requests under
/// way may wait for.
pub(super) const MAX_ANSWERS: usize = 1024;
/// Most requests whose bodies are read only to refuse them.
pub(super) const MAX_REFUSALS: usize = 1024;
/// Largest body that is read only to refuse it, in bytes.
const MAX_REFUSED_BODY: usize = 64 * 1024;
/// How long such a body may take to arrive.
const REFUSED_BODY_TIME: Duration = Duration::from_secs(1);
/// Most streams at a time that clients keep open for as long as they like.
pub(super) const MAX_STREAMS: usize = 16_384;

/// The two ends of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addresses {
    /// What it was made to.
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
}

/// The Streamable HTTP front.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) gateway: Arc<Gateway>,
    pub(super) guard: Guard,
    pub(super) places: Arc<Semaphore>,
    pub(super) answers: Semaphore,
    pub(super) refusals: Semaphore,
    pub(super) streams: Arc<Semaphore>,
}

/// Every request to the endpoint of both eras.
pub(super) async fn mcp(State(front): State<Arc<Front>>, request: Request) -> Response<Body> {
    let addresses = request.extensions().get::<Addresses>();
    let local = addresses.map(|addresses| addresses.local);
    if let Err(reason) = front.guard.check(request.headers(), request.uri(), local) {
        return refuse(StatusCode::FORBIDDEN, &reason);
    }
    match *request.method() {
        Method::POST => front.post(request).await,
        Method::GET => front.get(request.headers()).await,
        Method::DELETE => front.delete(request.headers()).await,
        _ => not_allowed("GET, POST, DELETE"),
    }
}

impl Front {
    async fn post(self: &Arc<Self>, request: Request) -> Response<Body> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return self.taken(request, Some(place), BODY_TIME).await;
        }
        // Only within a session there is something to answer or to cancel.
        let is_within = request.headers().contains_key(headers::SESSION);
        match self.answers.try_acquire() {
            Ok(_place) if is_within => self.taken(request, None, SHORT_BODY_TIME).await,
            _ => self.refuse_unread(request.into_body()).await,
        }
    }

    /// Refuses a request for want of room. It is read as far as that costs little, because an
    /// error without its identifier says nothing to many clients.
    async fn refuse_unread(&self, body: Body) -> Response<Body> {
        let mut read = Bytes::new();
        if let Ok(_place) = self.refusals.try_acquire()
            && let Ok(Ok(body)) = timeout(REFUSED_BODY_TIME, to_bytes(body, MAX_REFUSED_BODY)).await
        {
            read = body;
        }
        let envelope = Envelope::parse(&read).ok();
        let id = envelope.and_then(|envelope| envelope.id());
        self.overloaded(Busy::Requests, id)
    }

    /// Says that there is no room now.
    pub(super) fn overloaded(&self, what: Busy, id: Option<&RawValue>) -> Response<Body> {
        self.gateway.metrics.refused("", what.word());
        respond::overloaded(what, id)
    }

    /// Takes a message; without a place only one that begins nothing.
    async fn taken(
        self: &Arc<Self>,
        request: Request,
        place: Option<OwnedSemaphorePermit>,
        time: Duration,
    ) -> Response<Body> {
        let (parts, body) = request.into_parts();
        if !headers::is_json(&parts.headers) {
            let reason = "the header Content-Type must be application/json";
            return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason);
        }
        if !headers::accepts_both(&parts.headers) {
            let reason = "the header Accept must list application/json and text/event-stream";
            return refuse(StatusCode::NOT_ACCEPTABLE, reason);
        }
        let remote = parts.extensions.get::<Addresses>();
        let remote = remote.map(|addresses| addresses.remote.ip());
        match read(&parts.headers, body, time).await {
            Ok(body) => {
                let from = (&parts.headers, remote);
                self.message(from, &body, place).await
            }
            Err(response) => response,
        }
    }

    /// Ends a session (MCP 2025-11-25, "Session Management").
    async fn delete(&self, headers: &HeaderMap) -> Response<Body> {
        let session = match McpHeaders::read(headers) {
            // It has no sessions (MCP 2026-07-28, "Earlier Streamable HTTP Revisions").
            Ok(headers) if headers.version == Some(MODERN_VERSION) => return not_allowed("POST"),
            Ok(headers) => headers.session,
            Err(error) => return respond::refused(StatusCode::BAD_REQUEST, &error),
        };
        match session {
            Some(id) => match self.gateway.sessions.end(id).await {
                Ok(()) => respond::empty(StatusCode::NO_CONTENT),
                Err(gone) => respond::refused(StatusCode::NOT_FOUND, &gone.into()),
            },
            None => refuse(
                StatusCode::BAD_REQUEST,
                "the header Mcp-Session-Id is missing",
            ),
        }
    }
}

/// Reads a body within its bounds.
async fn read(headers: &HeaderMap, body: Body, time: Duration) -> Result<Bytes, Response<Body>> {
    let too_large = || {
        refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            &format!("a message may have {MAX_BODY} bytes at most"),
        )
    };
    let announced = headers
        .get(axum::http::header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > MAX_BODY) {
        return Err(too_large());
    }
    match timeout(time, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if is_limit(&error) => Err(too_large()),
        Ok(Err(_)) => Err(refuse(
            StatusCode::BAD_REQUEST,
            "the body did not arrive whole",
        )),
        Err(_) => Err(refuse(
            StatusCode::REQUEST_TIMEOUT,
            "the body took too long to arrive",
        )),
    }
}

fn is_limit(error: &axum::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// A method that is not served here, or not to clients of this revision.
pub(super) fn not_allowed(allowed: &'static str) -> Response<Body> {
    let mut response = refuse(
        StatusCode::METHOD_NOT_ALLOWED,
        &format!("the method must be one of: {allowed}"),
    );
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

pub(super) fn refuse(status: StatusCode, reason: &str) -> Response<Body> {
    respond::refused(status, &RpcError::new(code::INVALID_REQUEST, reason))
}

#[cfg(test)]
impl Front {
    /// A front of a gateway without workers, with so many places and streams.
    pub(super) fn for_test(places: usize, streams: usize) -> Self {
        Self {
            gateway: Gateway::for_test(),
            guard: Guard::new("127.0.0.1", &[], &[]),
            places: Arc::new(Semaphore::new(places)),
            answers: Semaphore::new(1),
            refusals: Semaphore::new(1),
            streams: Arc::new(Semaphore::new(streams)),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header::{ACCEPT, CONTENT_TYPE, HOST, RETRY_AFTER};
    use http_body_util::BodyExt;
    use protocol::json::Members;
    use protocol::mcp::method;
    use serde_json::{Value, json};

    use super::*;
    use crate::input::{Asked, Client, Round};
    use crate::session::session_for_test;

    /// A front with one place, which is taken.
    fn full() -> (Arc<Front>, OwnedSemaphorePermit) {
        let front = Arc::new(Front::for_test(1, 1));
        let taken = Arc::clone(&front.places).try_acquire_owned().unwrap();
        (front, taken)
    }

    #[tokio::test]
    async fn beyond_the_bound_clients_are_told_to_come_back() {
        let (front, taken) = full();
        let request = |body: &'static str| {
            Request::post("/mcp")
                .header(HOST, "localhost")
                .body(Body::from(body))
                .unwrap()
        };
        let refused = async |body| {
            let response = mcp(State(Arc::clone(&front)), request(body)).await;
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers()[RETRY_AFTER], "1");
            let content = response.headers()[CONTENT_TYPE]
                .to_str()
                .unwrap()
                .to_owned();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            (content, String::from_utf8(body.to_vec()).unwrap())
        };
        // An error without the request's identifier would be nobody's.
        let ping = r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#;
        let (content, body) = refused(ping).await;
        assert_eq!(content, "application/json");
        let error: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (&error["id"], &error["error"]["code"]),
            (&json!("p"), &json!(-31002))
        );
        assert_eq!(error["error"]["data"]["reason"], "requests_full");
        let busy_with_others = front.refusals.try_acquire().unwrap();
        for unread in ["", "{", ping] {
            let (content, body) = refused(unread).await;
            assert!(content.starts_with("text/plain"), "{content}");
            assert!(body.starts_with("too many requests"), "{body}");
        }
        drop(busy_with_others);
        drop(taken);
        let taken_in = mcp(State(front), request("")).await;
        assert_eq!(taken_in.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }

    #[tokio::test]
    async fn an_answer_is_taken_although_all_places_are() {
        let (front, _taken) = full();
        let token = front.gateway.sessions.open(session_for_test()).unwrap();
        let session = front.gateway.sessions.find(&token).await.unwrap();
        let asks =
            r#"{"resultType":"input_required","inputRequests":{"k":{"method":"roots/list"}}}"#;
        let asked = Asked::read(method::TOOLS_CALL, &Members::parse(asks).unwrap());
        let asked = asked.unwrap().unwrap();
        let mut round = Round::new(&front.gateway.inputs, &Client::new(&session), asked).unwrap();
        let question: Value = serde_json::from_slice(&round.send().unwrap()).unwrap();
        let post = async |body: Value| {
            let request = Request::post("/mcp")
                .header(HOST, "localhost")
                .header(CONTENT_TYPE, "application/json")
                .header(ACCEPT, "application/json, text/event-stream")
                .header(headers::SESSION, &token)
                .body(Body::from(body.to_string()))
                .unwrap();
            mcp(State(Arc::clone(&front)), request).await.status()
        };
        let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
        assert_eq!(post(ping).await, StatusCode::SERVICE_UNAVAILABLE);
        let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled" });
        assert_eq!(post(cancel).await, StatusCode::ACCEPTED);
        let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "roots": [] } });
        assert_eq!(post(answer).await, StatusCode::ACCEPTED);
        round.answered().await.unwrap();
        let _all = front.answers.try_acquire_many(1).unwrap();
        let other = json!({ "jsonrpc": "2.0", "id": 1, "result": {} });
        assert_eq!(post(other).await, StatusCode::SERVICE_UNAVAILABLE);
    }
}
