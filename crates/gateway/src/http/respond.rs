//! Answers as HTTP that are there at once.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::http::{Response, StatusCode};
use protocol::mcp::code;
use protocol::response::RpcError;

use crate::message::Reply;

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
