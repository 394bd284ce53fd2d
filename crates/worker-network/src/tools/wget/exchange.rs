//! One request and its response.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, CONNECTION, HOST, USER_AGENT};
use hyper::http::HeaderValue;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use protocol::{ErrorCode, ToolError};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::connection::Stream;
use super::stage::{Progress, Stage};
use super::target::Target;

/// Most header fields of a response.
const MAX_HEADERS: usize = 128;
/// Largest response head in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// A response whose body is still to come.
pub(super) struct Exchange {
    pub(super) response: Response<Incoming>,
    pub(super) first_byte: Duration,
    // Moves the bytes of the connection; it ends with this value.
    _driver: JoinSet<()>,
}

impl Exchange {
    /// Sends a GET for the target and waits for the head of the response.
    pub(super) async fn start(
        stream: Box<dyn Stream>,
        target: &Target,
        user_agent: &HeaderValue,
        progress: &mut Progress<'_>,
    ) -> Result<Self, ToolError> {
        let request = request(target, user_agent)?;
        let (mut sender, connection) = http1::Builder::new()
            .max_headers(MAX_HEADERS)
            .max_header_size(MAX_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| bad_response(target, &error))?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // Its errors arrive at the request and the body too.
            let _ = connection.await;
        });
        progress.enter(Stage::FirstByte, format!("waiting for {}", target.url));
        let start = Instant::now();
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| bad_response(target, &error))?;
        Ok(Self {
            response,
            first_byte: start.elapsed(),
            _driver: driver,
        })
    }
}

fn request(target: &Target, user_agent: &HeaderValue) -> Result<Request<Empty<Bytes>>, ToolError> {
    Request::get(target.path_and_query())
        .header(HOST, target.authority())
        .header(USER_AGENT, user_agent)
        .header(ACCEPT, "*/*")
        .header(ACCEPT_ENCODING, "identity")
        .header(CONNECTION, "close")
        .body(Empty::new())
        .map_err(|error| {
            ToolError::invalid(format!("{} cannot be asked for: {error}", target.url))
                .hint("percent-encode the characters that are not allowed in a URL")
        })
}

/// A response that is not HTTP, too large a head, or a connection that ended before it.
pub(super) fn bad_response(target: &Target, error: &hyper::Error) -> ToolError {
    let why = if error.is_parse_too_large() {
        format!("its head has more than {MAX_HEADERS} fields or {MAX_HEAD} bytes")
    } else if error.is_parse() {
        format!("it is not HTTP/1.1 ({})", chain(error))
    } else if error.is_incomplete_message() {
        "the connection ended before it was complete".to_owned()
    } else {
        chain(error)
    };
    let hint = if target.tls {
        "check that the port serves HTTP over TLS"
    } else {
        "check that the port serves HTTP; a port that serves TLS needs https://"
    };
    ToolError::new(
        ErrorCode::BadResponse,
        format!("no usable response from {}: {why}", target.url),
    )
    .hint(hint)
}

/// An error with its causes, outermost first.
pub(super) fn chain(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}
