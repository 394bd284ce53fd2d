//! Answers as HTTP that are there at once.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::http::{Response, StatusCode};
use protocol::mcp::code;
use protocol::response::RpcError;
use serde_json::value::RawValue;

use crate::busy::Busy;
use crate::message::Reply;

/// A reply as one JSON object, with the status its era gives to it.
pub(super) fn json(reply: Reply, is_modern: bool) -> Response<Body> {
    let code = reply.code;
    if let Some(after) = reply.retry_after.or_else(|| busy_by_code(code)) {
        return busy(after, reply);
    }
    let status = code.filter(|_| is_modern).map_or(StatusCode::OK, status);
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

/// There is no room now. Without the identifier of a request it is plain text: clients that look
/// for the request of a JSON-RPC error would find none, and wait for ever.
pub(super) fn overloaded(what: Busy, id: Option<&RawValue>) -> Response<Body> {
    let error = what.error(match what {
        Busy::Requests => "too many requests are under way; try again in a second",
        _ => "too many streams are open; try again later, or close some",
    });
    let reply = Reply::error(id, &error);
    if id.is_some() {
        return busy(what.retry_after(), reply);
    }
    let text = Reply {
        body: error.message.into(),
        ..reply
    };
    let mut response = busy(what.retry_after(), text);
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// A reply that says that there is no room now, in every era (RFC 9110, sections 10.2.3 and
/// 15.6.4).
fn busy(after: Duration, reply: Reply) -> Response<Body> {
    let mut response = with_status(StatusCode::SERVICE_UNAVAILABLE, reply);
    let seconds = after.as_millis().div_ceil(1000).max(1);
    let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// When to try again what a worker has refused for want of room.
fn busy_by_code(code: Option<i64>) -> Option<Duration> {
    (code == Some(code::BUSY)).then_some(Duration::from_secs(1))
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
    use crate::refusal;

    use super::*;

    fn check(reply: Reply, is_modern: bool, expected: (u16, Option<&str>)) {
        let response = json(reply, is_modern);
        let after = response.headers().get(RETRY_AFTER);
        let after = after.map(|value| value.to_str().unwrap());
        assert_eq!((response.status().as_u16(), after), expected);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    }

    #[test]
    fn no_room_has_the_same_status_in_both_eras() {
        let id = RawValue::from_string("1".to_owned()).unwrap();
        let of = |error: &RpcError| Reply::error(Some(&id), error);
        let by_worker = Reply {
            body: "{}".into(),
            code: Some(code::BUSY),
            retry_after: None,
        };
        for is_modern in [true, false] {
            check(of(&refusal::ending()), is_modern, (503, Some("1")));
            check(of(&Busy::Queue.error("full")), is_modern, (503, Some("5")));
            check(by_worker.clone(), is_modern, (503, Some("1")));
            check(of(&refusal::no_broker()), is_modern, (200, None));
            check(Reply::result(&id, "{}"), is_modern, (200, None));
        }
        let refused = RpcError::new(code::INVALID_PARAMS, "m");
        check(of(&refused), true, (400, None));
        check(of(&refused), false, (200, None));
    }

    #[test]
    fn retry_after_is_in_whole_seconds_and_never_too_early() {
        for (milliseconds, expected) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2")] {
            let reply = Reply {
                body: "{}".into(),
                code: None,
                retry_after: Some(Duration::from_millis(milliseconds)),
            };
            check(reply, false, (503, Some(expected)));
        }
    }
}
