//! `wget`: fetches a URL over HTTP/1.1, with the time of each phase, the redirects and the
//! certificate. It writes no files.

mod body;
mod call;
mod certificate;
mod connection;
mod exchange;
mod output;
mod redirect;
mod stage;
mod target;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use hyper::http::HeaderValue;
use protocol::ToolError;
use rustls::pki_types::CertificateDer;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};
use worker::{Context, Tool};

use self::call::Call;
use self::output::Output;
use self::stage::Progress;
use self::target::{MAX_URL, Target};
use self::tls::Trust;

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
