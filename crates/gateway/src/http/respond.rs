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
