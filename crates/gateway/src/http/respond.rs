//! Answers as HTTP: one JSON object, or a stream of events.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use protocol::mcp::code;
use protocol::response::RpcError;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

use crate::call::{RunningCall, Step};
use crate::message::Reply;
use crate::news::Subscription;

/// A stream that is quiet for longer gets a comment, so that no proxy takes it for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Server-sent events, "Parsing an event stream": a line that begins with a colon is a comment.
const COMMENT: &[u8] = b": keep-alive\n\n";
/// Asks nginx not to hold events back.
const NO_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Where the messages of one call come from.
#[derive(Debug)]
pub(super) enum Source {
    /// The call itself: when the response is dropped, the call is cancelled.
    Call(Box<RunningCall>),
    /// News: when the response is dropped, they end.
    Subscription(Box<Subscription>),
    /// A task that sees the call through whatever becomes of the response.
    Task(mpsc::Receiver<Step>),
}

impl Source {
    async fn next(&mut self) -> Option<Step> {
        loop {
            let step = match self {
                Self::Call(call) => call.next().await,
                Self::Subscription(news) => news.next().await,
                Self::Task(steps) => steps.recv().await,
            };
            if !matches!(step, Some(Step::Detach)) {
                return step;
            }
        }
    }
}

/// The answer to a call: JSON if it is the first thing to come, otherwise events.
pub(super) async fn call(
    mut source: Source,
    is_modern: bool,
    place: OwnedSemaphorePermit,
) -> Response<Body> {
    let first = match timeout(KEEP_ALIVE, source.next()).await {
        Ok(Some(Step::Final(reply))) => return json(reply, is_modern),
        Ok(Some(Step::Notification(body))) => Some(event(&body)),
        // Cancelled: there is no answer, which only an event stream can say.
        Ok(Some(Step::Detach) | None) => None,
        Err(_) => Some(Bytes::from_static(COMMENT)),
    };
    let is_open = first.is_some();
    let stream = Stream {
        source,
        first,
        is_open,
        _place: place,
    };
    let body = Body::from_stream(futures::stream::unfold(stream, |mut stream| async move {
        let chunk = stream.next().await?;
        Some((Ok::<_, Infallible>(chunk), stream))
    }));
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-transform"),
    );
    headers.insert(NO_BUFFERING, HeaderValue::from_static("no"));
    response
}

struct Stream {
    source: Source,
    first: Option<Bytes>,
    is_open: bool,
    _place: OwnedSemaphorePermit,
}

impl Stream {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        if !self.is_open {
            return None;
        }
        match timeout(KEEP_ALIVE, self.source.next()).await {
            Ok(Some(Step::Notification(body))) => Some(event(&body)),
            Ok(Some(Step::Final(reply))) => {
                self.is_open = false;
                Some(event(&reply.body))
            }
            Ok(Some(Step::Detach) | None) => None,
            Err(_) => Some(Bytes::from_static(COMMENT)),
        }
    }
}

/// One message as an event. Every line of it needs a field of its own, and a line ends with
/// CR, LF or both; between the parts of a JSON text they mean the same.
fn event(body: &[u8]) -> Bytes {
    let mut event = Vec::with_capacity(body.len() + 32);
    event.extend_from_slice(b"event: message\n");
    for line in body
        .split(|byte| matches!(byte, b'\n' | b'\r'))
        .filter(|line| !line.is_empty())
    {
        event.extend_from_slice(b"data: ");
        event.extend_from_slice(line);
        event.push(b'\n');
    }
    event.push(b'\n');
    event.into()
}

/// A reply as one JSON object, with the status its era gives to it.
pub(super) fn json(reply: Reply, is_modern: bool) -> Response<Body> {
    let status = reply
        .code
        .filter(|_| is_modern)
        .map_or(StatusCode::OK, status);
    with_status(status, reply)
}

/// A reply under a status of the transport.
pub(super) fn with_status(status: StatusCode, reply: Reply) -> Response<Body> {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A request that is not even looked at, as an error without an identifier.
pub(super) fn refused(status: StatusCode, error: &RpcError) -> Response<Body> {
    with_status(status, Reply::error(None, error))
}

/// Too many requests at a time.
pub(super) fn overloaded() -> Response<Body> {
    let error = RpcError::new(
        code::BUSY,
        "too many requests are under way; try again in a second",
    );
    let mut response = refused(StatusCode::SERVICE_UNAVAILABLE, &error);
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// No content, for what needs no answer.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// The status of an error in the stateless era (MCP 2026-07-28, "Streamable HTTP"); errors of
/// the call itself come with 200, as in every revision.
fn status(error_code: i64) -> StatusCode {
    match error_code {
        code::PARSE_ERROR
        | code::INVALID_REQUEST
        | code::INVALID_PARAMS
        | code::HEADER_MISMATCH
        | code::MISSING_CLIENT_CAPABILITY
        | code::UNSUPPORTED_VERSION => StatusCode::BAD_REQUEST,
        code::METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt;
    use tokio::sync::Semaphore;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_quiet_call_becomes_a_stream_of_comments_until_its_answer() {
        let (steps, source) = mpsc::channel(1);
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let started = Instant::now();
        let mut response = call(Source::Task(source), true, place).await;
        assert_eq!(started.elapsed(), KEEP_ALIVE);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        let mut next = async || response.body_mut().frame().await?.unwrap().into_data().ok();
        assert_eq!(next().await.unwrap(), COMMENT);
        assert_eq!(next().await.unwrap(), COMMENT);
        assert_eq!(started.elapsed(), KEEP_ALIVE * 2);
        let reply = Reply {
            body: Bytes::from_static(b"{}"),
            code: None,
        };
        steps.send(Step::Final(reply)).await.unwrap();
        assert_eq!(next().await.unwrap(), "event: message\ndata: {}\n\n");
        assert!(next().await.is_none());
    }

    #[tokio::test]
    async fn a_call_that_ends_without_an_answer_is_an_empty_stream() {
        let (steps, source) = mpsc::channel(1);
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        drop(steps);
        let mut response = call(Source::Task(source), false, place).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.body_mut().frame().await.is_none());
    }

    #[test]
    fn each_line_of_a_message_is_a_data_field() {
        assert_eq!(event(b"{\"a\":1}"), "event: message\ndata: {\"a\":1}\n\n");
        assert_eq!(
            event(b"{\r\n\"a\":\r1\n}\n"),
            "event: message\ndata: {\ndata: \"a\":\ndata: 1\ndata: }\n\n"
        );
    }
}
