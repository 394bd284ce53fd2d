//! `telnet`: does a TCP port take connections, and how does the service greet?

mod banner;
mod connect;

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use protocol::{ErrorCode, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};
use worker::{Context, Host, Summary, Tool, markdown};

use banner::Banner;

/// What to connect to.
#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Host to connect to. The addresses of a name are tried one after the other.
    host: Host,
    /// TCP port.
    #[schemars(range(min = 1, max = 65535))]
    port: NonZeroU16,
    /// Seconds until the connection must stand, name resolution and all addresses included.
    #[serde(default = "default_timeout")]
    #[schemars(range(min = 1, max = 60))]
    timeout: u64,
}

/// Whether the port takes connections.
#[derive(Debug, Serialize, JsonSchema)]
struct Reached {
    /// Host as it was asked for.
    host: Host,
    /// Port as it was asked for.
    port: NonZeroU16,
    /// Whether a TCP connection was made.
    reachable: bool,
    /// Address that was connected to; when none was, the last one tried. Absent when the name
    /// does not resolve.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    /// Milliseconds that the TCP handshake took, to the microsecond.
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_ms: Option<f64>,
    /// What the service sent within 1 s; absent when it waits for the client to speak first.
    #[serde(skip_serializing_if = "Option::is_none")]
    banner: Option<Banner>,
    /// Why no connection was made: of the last address tried.
    #[serde(flatten)]
    failure: Option<Failure>,
    /// Every address tried, in order.
    attempts: Vec<Attempt>,
}

/// Why no connection was made; both fields are absent when it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
struct Failure {
    /// Class of the failure, to act on; absent when the connection was made.
    error_class: Class,
    /// The system's words for it.
    error_message: String,
}

/// Classes of failed connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Class {
    /// The host answers that nothing listens on the port.
    Refused,
    /// No answer in time: the host is down, or a firewall drops the packets.
    Timeout,
    /// No route, or a router or firewall on the way says no.
    Unreachable,
    /// The name does not resolve.
    Name,
}

/// One address that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
struct Attempt {
    /// The address.
    address: IpAddr,
    #[serde(flatten)]
    failure: Option<Failure>,
    /// Milliseconds until the outcome, to the microsecond.
    elapsed_ms: f64,
}

/// The declaration of the tool.
pub(crate) fn tool() -> Tool {
    Tool::new("telnet", run)
        .title("TCP connect")
        .description(
            "Connect to a TCP port, measure the handshake, read what the service sends first \
             (banner, at most 512 bytes, waited for 1 s) and close. Nothing is sent to the \
             service. A closed, filtered or unreachable port is a result with `reachable` false \
             and the class of the failure (refused, timeout, unreachable, name), not an error.",
        )
        .read_only()
        .deadline(Duration::from_secs(65), Duration::from_secs(90))
}

async fn run(context: Context, arguments: Arguments) -> Result<Reached, ToolError> {
    let end = Instant::now() + Duration::from_secs(arguments.timeout);
    let addresses = match resolve(&context, &arguments, end).await? {
        Ok(addresses) => addresses,
        Err(failure) => return Ok(Reached::failed(arguments, failure, Vec::new())),
    };
    let mut attempts = Vec::new();
    for (n, address) in addresses.iter().enumerate() {
        let message = format!("connecting to {address} port {}", arguments.port);
        let (n_done, n_all) = (count(n), count(addresses.len()));
        context.progress(n_done, Some(n_all), message);
        // What is left is shared evenly, so that one silent address leaves time for the rest.
        let n_left = u32::try_from(addresses.len() - n).unwrap_or(u32::MAX);
        let share = end.saturating_duration_since(Instant::now()) / n_left;
        let started = Instant::now();
        let outcome = connect::connect(*address, arguments.port.get(), share).await?;
        let elapsed_ms = milliseconds(started.elapsed());
        let (stream, failure) = match outcome {
            Ok(stream) => (Some(stream), None),
            Err(failure) => (None, Some(failure)),
        };
        attempts.push(Attempt {
            address: *address,
            failure,
            elapsed_ms,
        });
        if let Some(stream) = stream {
            let banner = banner::read(stream).await;
            return Ok(Reached::connected(arguments, banner, attempts));
        }
    }
    let failure = attempts.last().and_then(|attempt| attempt.failure.clone());
    let failure = failure.unwrap_or_else(|| Failure {
        error_class: Class::Name,
        error_message: "the name has no address".to_owned(),
    });
    Ok(Reached::failed(arguments, failure, attempts))
}

/// The addresses to try. A name that does not resolve is an outcome, not an error.
async fn resolve(
    context: &Context,
    arguments: &Arguments,
    end: Instant,
) -> Result<Result<Vec<IpAddr>, Failure>, ToolError> {
    let message = match timeout_at(end, context.scope().resolve(&arguments.host)).await {
        Ok(Ok(addresses)) => return Ok(Ok(addresses)),
        Ok(Err(error)) if error.code == ErrorCode::NameNotResolved => error.message,
        Ok(Err(error)) => return Err(error),
        Err(_) => format!(
            "{} was not resolved within {} s",
            arguments.host, arguments.timeout
        ),
    };
    Ok(Err(Failure {
        error_class: Class::Name,
        error_message: message,
    }))
}

impl Reached {
    fn connected(arguments: Arguments, banner: Option<Banner>, attempts: Vec<Attempt>) -> Self {
        let last = attempts.last();
        Self {
            host: arguments.host,
            port: arguments.port,
            reachable: true,
            address: last.map(|attempt| attempt.address),
            connect_ms: last.map(|attempt| attempt.elapsed_ms),
            banner,
            failure: None,
            attempts,
        }
    }

    fn failed(arguments: Arguments, failure: Failure, attempts: Vec<Attempt>) -> Self {
        Self {
            host: arguments.host,
            port: arguments.port,
            reachable: false,
            address: attempts.last().map(|attempt| attempt.address),
            connect_ms: None,
            banner: None,
            failure: Some(failure),
            attempts,
        }
    }
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

fn count(n_items: usize) -> f64 {
    u32::try_from(n_items).unwrap_or(u32::MAX).into()
}

fn default_timeout() -> u64 {
    10
}

impl Summary for Reached {
    fn summary(&self) -> String {
        let (host, port) = (&self.host, self.port);
        let Some(failure) = &self.failure else {
            let address = markdown::or_dash(self.address.as_ref());
            let took = markdown::or_dash(self.connect_ms.as_ref());
            let greeting = match &self.banner {
                Some(banner) => format!("It sends: {}", markdown::plain(&banner.preview())),
                None => "It sends nothing within 1 s.".to_owned(),
            };
            return format!(
                "{host} port {port} is open (address {address}, {took} ms). {greeting}\n"
            );
        };
        let words = match failure.error_class {
            Class::Refused => "is closed: the host refuses the connection",
            Class::Timeout => "does not answer: down, or dropped by a firewall",
            Class::Unreachable => "cannot be reached",
            Class::Name => "cannot be tried: the name does not resolve",
        };
        let table = markdown::table(["address", "outcome", "ms"], &self.attempts, |attempt| {
            let outcome = attempt
                .failure
                .as_ref()
                .map(|failure| &failure.error_message);
            [
                attempt.address.to_string(),
                markdown::or_dash(outcome),
                attempt.elapsed_ms.to_string(),
            ]
        });
        format!(
            "{host} port {port} {words} ({}).\n\n{table}",
            markdown::plain(&failure.error_message)
        )
    }
}
