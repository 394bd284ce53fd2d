//! Server-sent events (WHATWG HTML, "Server-sent events").

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use axum::body::Body;
use axum::http::Response;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use bytes::Bytes;
use tokio::time::timeout;

use crate::streams::EventId;

/// A stream that is quiet for longer gets a comment, so that no proxy takes it for dead.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A line that begins with a colon is a comment.
pub(super) const COMMENT: Bytes = Bytes::from_static(b": keep-alive\n\n");
/// How long clients wait before they come back for the rest of a stream.
const RETRY: Duration = Duration::from_secs(1);
/// Asks nginx not to hold events back.
const NO_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Where the events of a response come from.
pub(super) trait Events: Send + 'static {
    /// The next event, or several, as they are written; `None` at the end. Cancel safe.
    fn next(&mut self) -> impl Future<Output = Option<Bytes>> + Send;
}

/// A response of these events. `first` goes out with the head.
pub(super) fn response(first: Option<Bytes>, events: impl Events) -> Response<Body> {
    let state = (first, events);
    let body = futures::stream::unfold(state, |(mut first, mut events)| async move {
        let chunk = match first.take() {
            Some(first) => first,
            None => match timeout(KEEP_ALIVE, events.next()).await {
                Ok(event) => event?,
                Err(_) => COMMENT,
            },
        };
        Some((Ok::<_, Infallible>(chunk), (None, events)))
    });
    head(Body::from_stream(body))
}

/// A response of these events alone.
pub(super) fn whole(events: Bytes) -> Response<Body> {
    head(Body::from(events))
}

fn head(body: Body) -> Response<Body> {
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

/// One message as an event. Every line of it needs a field of its own, and a line ends with
/// CR, LF or both; between the parts of a JSON text they mean the same.
pub(super) fn event(id: Option<&EventId>, message: &[u8]) -> Bytes {
    let mut event = Vec::with_capacity(message.len() + 128);
    event.extend_from_slice(b"event: message\n");
    if let Some(id) = id {
        event.extend_from_slice(format!("id: {id}\n").as_bytes());
    }
    for line in message
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

/// What a stream begins with so that its client can come back even before the first message,
/// and when (MCP 2025-11-25, "Sending Messages to the Server").
pub(super) fn priming(id: &EventId) -> Bytes {
    let retry = RETRY.as_millis();
    format!("id: {id}\nretry: {retry}\ndata: \n\n").into()
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use http_body_util::BodyExt;
    use tokio::sync::mpsc;
    use tokio::time::Instant;

    use super::*;

    impl Events for mpsc::Receiver<Bytes> {
        async fn next(&mut self) -> Option<Bytes> {
            self.recv().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_stream_has_comments() {
        let (sender, events) = mpsc::channel(1);
        let started = Instant::now();
        let mut response = response(Some(Bytes::from_static(b"1")), events);
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-cache, no-transform");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        let mut next = async || response.body_mut().frame().await?.unwrap().into_data().ok();
        assert_eq!(next().await.unwrap(), "1");
        assert_eq!(next().await.unwrap(), COMMENT);
        assert_eq!(next().await.unwrap(), COMMENT);
        assert_eq!(started.elapsed(), KEEP_ALIVE * 2);
        sender.send(Bytes::from_static(b"2")).await.unwrap();
        assert_eq!(next().await.unwrap(), "2");
        drop(sender);
        assert!(next().await.is_none());
    }

    #[test]
    fn each_line_of_a_message_is_a_data_field() {
        assert_eq!(
            event(None, b"{\"a\":1}"),
            "event: message\ndata: {\"a\":1}\n\n"
        );
        assert_eq!(
            event(None, b"{\r\n\"a\":\r1\n}\n"),
            "event: message\ndata: {\ndata: \"a\":\ndata: 1\ndata: }\n\n"
        );
    }

    #[test]
    fn an_event_that_can_be_resumed_has_an_id() {
        let id: EventId = "g.c1.2".parse().unwrap();
        assert_eq!(
            event(Some(&id), b"{}"),
            "event: message\nid: g.c1.2\ndata: {}\n\n"
        );
        assert_eq!(priming(&id), "id: g.c1.2\nretry: 1000\ndata: \n\n");
    }
}
