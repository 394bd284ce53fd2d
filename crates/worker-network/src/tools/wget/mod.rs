//! `wget`: fetches a URL over HTTP/1.1, with the time of each phase, the redirects and the
//! certificate. It writes no files.

mod body;
mod certificate;
mod connection;
mod exchange;
mod output;
mod stage;
mod target;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use hyper::http::HeaderValue;
use protocol::{ErrorCode, ToolError};
use rustls::pki_types::CertificateDer;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};
use worker::{Context, Tool};

use self::body::Received;
use self::connection::Connection;
use self::exchange::{Exchange, bad_response, chain};
use self::output::{Output, Redirect, Timing, headers, text};
use self::stage::{Progress, Stage};
use self::target::{MAX_URL, Target};
use self::tls::Trust;
use super::milliseconds::milliseconds;

/// Seconds that a call may take unless it says otherwise.
const DEFAULT_TIMEOUT: u16 = 30;
/// Seconds that a call may ask for.
const MAX_TIMEOUT: u16 = 300;
/// Redirects that are followed unless the call says otherwise.
const DEFAULT_REDIRECTS: u8 = 5;
/// Bytes of a body that are kept unless the call says otherwise: 1 MiB.
const DEFAULT_BYTES: u32 = 1024 * 1024;
/// Bytes of a body that a call may ask for: 2 MiB. A result may carry the body twice, as
/// structure and as JSON text, and escaping can double and triple those; 16 MiB is the largest
/// message that RabbitMQ takes by default.
const MAX_BYTES: u32 = 2 * 1024 * 1024;
/// What servers see unless the call says otherwise.
const USER_AGENT: &str = concat!("OpenDiscovery/", env!("CARGO_PKG_VERSION"));
/// The argument `timeout` ends a call; the deadline only has to lie behind its maximum.
const DEADLINE: Duration = Duration::from_secs(310);
/// Left of the deadline for writing the answer.
const RESERVE: Duration = Duration::from_millis(250);

/// What the tool trusts besides the authorities of its host.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// More certificate authorities to trust.
    pub extra_roots: Vec<CertificateDer<'static>>,
}

/// The tool, which trusts the certificate authorities of its host.
#[must_use]
pub fn tool() -> Tool {
    tool_with(Config::default())
}

/// The tool with more certificate authorities.
#[must_use]
pub fn tool_with(config: Config) -> Tool {
    let trust = Arc::new(Trust::new(config.extra_roots));
    Tool::new("wget", move |context, arguments| {
        let trust = Arc::clone(&trust);
        async move { run(&context, arguments, &trust).await }
    })
    .title("HTTP fetch")
    .description(
        "Fetches an http or https URL with GET and returns status, headers, body, the redirects \
         that were followed, the time of each phase, and the TLS version and certificate. Every \
         host on the way must lie in the scan scope. Nothing is written to disk; the body is cut \
         at \"max_bytes\". An HTTP error status such as 404 is a result, not an error.",
    )
    .read_only()
    .deadline(DEADLINE, DEADLINE)
}

/// Arguments of `wget`.
#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Absolute http or https URL, percent-encoded, without user name or password.
    #[schemars(length(min = 1, max = MAX_URL), extend("format" = "uri"))]
    url: String,
    /// Seconds that the whole call may take, redirects and body included.
    #[serde(default = "default_timeout")]
    #[schemars(range(min = 1, max = MAX_TIMEOUT))]
    timeout: u16,
    /// Value of the User-Agent header: printable ASCII characters.
    #[serde(default = "default_user_agent")]
    #[schemars(length(min = 1, max = 256))]
    user_agent: String,
    /// Redirects to follow. With 0 a redirect is the result; otherwise one redirect too many is
    /// an error that lists them.
    #[serde(default = "default_redirects")]
    #[schemars(range(min = 0, max = 10))]
    max_redirect: u8,
    /// Bytes of the body to keep; a longer body is cut and marked as truncated.
    #[serde(default = "default_bytes")]
    #[schemars(range(min = 1, max = MAX_BYTES))]
    max_bytes: u32,
}

fn default_timeout() -> u16 {
    DEFAULT_TIMEOUT
}

fn default_user_agent() -> String {
    USER_AGENT.to_owned()
}

fn default_redirects() -> u8 {
    DEFAULT_REDIRECTS
}

fn default_bytes() -> u32 {
    DEFAULT_BYTES
}

/// A call whose arguments are good.
struct Call<'a> {
    context: &'a Context,
    trust: &'a Trust,
    user_agent: HeaderValue,
    max_redirect: usize,
    max_bytes: usize,
    start: Instant,
    end: Instant,
}

async fn run(context: &Context, arguments: Arguments, trust: &Trust) -> Result<Output, ToolError> {
    let target = Target::from_argument(&arguments.url)?;
    let start = Instant::now();
    let limit = Duration::from_secs(arguments.timeout.into())
        .min(context.remaining().saturating_sub(RESERVE));
    let call = Call {
        context,
        trust,
        user_agent: user_agent(&arguments.user_agent)?,
        max_redirect: arguments.max_redirect.into(),
        max_bytes: usize::try_from(arguments.max_bytes).unwrap_or(usize::MAX),
        start,
        end: start + limit,
    };
    let mut progress = Progress::new(context);
    let fetched = timeout_at(call.end, call.fetch(target, &mut progress)).await;
    fetched.unwrap_or_else(|_| Err(progress.timed_out(limit)))
}

fn user_agent(text: &str) -> Result<HeaderValue, ToolError> {
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    HeaderValue::from_str(text)
        .ok()
        .filter(|_| printable && text.trim() == text)
        .ok_or_else(|| {
            ToolError::invalid(format!(
                "argument user_agent: {text:?} is not a header value"
            ))
            .hint("use printable ASCII characters, without a blank at either end")
        })
}

impl Call<'_> {
    async fn fetch(
        &self,
        mut target: Target,
        progress: &mut Progress<'_>,
    ) -> Result<Output, ToolError> {
        let mut redirects: Vec<Redirect> = Vec::new();
        loop {
            let hop = self.hop(&target, progress).await;
            let (exchange, connection) = hop.map_err(|error| on_the_way(error, &redirects))?;
            let Some(next) = self.next(&target, &exchange, &redirects)? else {
                let output = self.finish(&target, exchange, connection, redirects, progress);
                return output.await;
            };
            redirects.push(Redirect {
                url: target.url.to_string(),
                status: exchange.response.status().as_u16(),
                location: next.url.to_string(),
                downgraded: target.tls && !next.tls,
            });
            target = next;
        }
    }

    async fn hop(
        &self,
        target: &Target,
        progress: &mut Progress<'_>,
    ) -> Result<(Exchange, Opened), ToolError> {
        let connection =
            Connection::open(target, self.context.scope(), self.trust, self.end, progress).await?;
        let opened = Opened {
            address: connection.address.to_string(),
            tls: connection.tls,
            dns: connection.dns,
            connect: connection.connect,
            handshake: connection.handshake,
        };
        let exchange =
            Exchange::start(connection.stream, target, &self.user_agent, progress).await?;
        Ok((exchange, opened))
    }

    /// Where the response sends us; `None` if it is the result.
    fn next(
        &self,
        target: &Target,
        exchange: &Exchange,
        redirects: &[Redirect],
    ) -> Result<Option<Target>, ToolError> {
        let status = exchange.response.status();
        let location = exchange.response.headers().get(LOCATION);
        let Some(location) = location.filter(|_| self.max_redirect > 0 && is_redirect(status))
        else {
            return Ok(None);
        };
        let next = target.redirect(location).map_err(|why| {
            ToolError::new(
                ErrorCode::BadResponse,
                format!(
                    "{} answered {status}, but {why}{}",
                    target.url,
                    path(redirects)
                ),
            )
            .hint("set \"max_redirect\" to 0 to get the redirect itself")
        })?;
        let seen = next.url == target.url
            || redirects
                .iter()
                .any(|redirect| redirect.url == next.url.as_str());
        if seen || redirects.len() >= self.max_redirect {
            return Err(too_many(target, &next, self.max_redirect, seen, redirects));
        }
        Ok(Some(next))
    }

    async fn finish(
        &self,
        target: &Target,
        mut exchange: Exchange,
        opened: Opened,
        redirects: Vec<Redirect>,
        progress: &mut Progress<'_>,
    ) -> Result<Output, ToolError> {
        let declared = declared(&exchange);
        let start = Stage::Body {
            received: 0,
            declared,
        };
        progress.enter(start, format!("reading {}", target.url));
        let mut received = Received::default();
        let read = received
            .read(exchange.response.body_mut(), self.max_bytes, |n_bytes| {
                progress.received(n_bytes, declared);
            })
            .await;
        if let Err(error) = read {
            return Err(cut_short(target, &error, received.bytes.len(), declared));
        }
        let response = &exchange.response;
        let content_type = response.headers().get(CONTENT_TYPE).map(text);
        let body = received.encode(content_type.as_deref());
        Ok(Output {
            url: target.url.to_string(),
            status: response.status().as_u16(),
            reason: response.status().canonical_reason().map(str::to_owned),
            http_version: format!("{:?}", response.version()),
            address: opened.address,
            redirects,
            headers: headers(response.headers()),
            content_type,
            content_length: declared,
            body: body.text,
            encoding: body.encoding,
            charset: body.charset.map(str::to_owned),
            body_bytes: u64::try_from(received.bytes.len()).unwrap_or(u64::MAX),
            truncated: received.truncated,
            timing: Timing {
                dns_ms: milliseconds(opened.dns),
                connect_ms: milliseconds(opened.connect),
                tls_ms: opened.handshake.map(milliseconds),
                first_byte_ms: milliseconds(exchange.first_byte),
                total_ms: milliseconds(self.start.elapsed()),
            },
            tls: opened.tls,
        })
    }
}

/// What is known of a connection once its stream is in use.
struct Opened {
    address: String,
    tls: Option<tls::Tls>,
    dns: Duration,
    connect: Duration,
    handshake: Option<Duration>,
}

/// Statuses that send a GET elsewhere (RFC 9110 section 15.4).
fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn declared(exchange: &Exchange) -> Option<u64> {
    let length = exchange.response.headers().get(CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

fn too_many(
    target: &Target,
    next: &Target,
    max_redirect: usize,
    seen: bool,
    redirects: &[Redirect],
) -> ToolError {
    let (what, hint) = if seen {
        (
            "a redirect loop".to_owned(),
            "set \"max_redirect\" to 0 to get the first redirect itself",
        )
    } else {
        (
            format!("more than {max_redirect} redirects"),
            "raise \"max_redirect\" (at most 10), or ask for the last address directly",
        )
    };
    ToolError::new(
        ErrorCode::BadResponse,
        format!(
            "{what}: {} leads to {}{}",
            target.url,
            next.url,
            path(redirects)
        ),
    )
    .hint(hint)
}

fn cut_short(
    target: &Target,
    error: &hyper::Error,
    n_bytes: usize,
    declared: Option<u64>,
) -> ToolError {
    if error.is_parse() {
        return bad_response(target, error);
    }
    let of = declared.map_or_else(String::new, |declared| format!(" of {declared}"));
    ToolError::new(
        ErrorCode::BadResponse,
        format!(
            "the body of {} ended after {n_bytes}{of} bytes: {}",
            target.url,
            chain(error)
        ),
    )
    .hint("the server or something on the way closed the connection early; try again")
}

/// Adds to an error which redirects led to it.
fn on_the_way(mut error: ToolError, redirects: &[Redirect]) -> ToolError {
    error.message.push_str(&path(redirects));
    error
}

fn path(redirects: &[Redirect]) -> String {
    let hops: Vec<String> = redirects
        .iter()
        .map(|redirect| {
            format!(
                "{} from {} to {}",
                redirect.status, redirect.url, redirect.location
            )
        })
        .collect();
    match hops.as_slice() {
        [] => String::new(),
        hops => format!("; redirects before: {}", hops.join(", ")),
    }
}
