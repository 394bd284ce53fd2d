//! One connection: resolve, check, connect, agree on TLS; each step timed.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use protocol::{ErrorCode, ToolError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use worker::Scope;

use super::stage::{Progress, Stage};
use super::target::Target;
use super::tls::{Tls, Trust};
use crate::target;

/// Either kind of connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection that is ready for a request.
pub(super) struct Connection {
    pub(super) stream: Box<dyn Stream>,
    pub(super) address: SocketAddr,
    pub(super) tls: Option<Tls>,
    pub(super) dns: Duration,
    pub(super) connect: Duration,
    /// Absent without TLS.
    pub(super) handshake: Option<Duration>,
}

impl Connection {
    /// Connects to a target. Its addresses are checked against the scope, and the checked
    /// addresses are the ones used.
    pub(super) async fn open(
        target: &Target,
        scope: &Scope,
        trust: &Trust,
        end: Instant,
        progress: &mut Progress<'_>,
    ) -> Result<Self, ToolError> {
        let start = Instant::now();
        progress.enter(Stage::Resolve, format!("resolving {}", target.host));
        let addresses = scope.resolve(&target.host).await?;
        let resolved = Instant::now();
        progress.enter(Stage::Connect, format!("connecting to {}", target.host));
        let (stream, address) = connect(&addresses, target.port, end).await?;
        let connected = Instant::now();
        let connection = |stream, tls, handshake| Self {
            stream,
            address,
            tls,
            dns: resolved - start,
            connect: connected - resolved,
            handshake,
        };
        if !target.tls {
            return Ok(connection(Box::new(stream), None, None));
        }
        progress.enter(Stage::Handshake, format!("TLS handshake with {address}"));
        let (stream, tls) = trust.handshake(stream, &target.host).await?;
        Ok(connection(Box::new(stream), tls, Some(connected.elapsed())))
    }
}

/// Tries the addresses in turn, each with its share of the time left.
async fn connect(
    addresses: &[IpAddr],
    port: u16,
    end: Instant,
) -> Result<(TcpStream, SocketAddr), ToolError> {
    let mut failures = Vec::new();
    for (position, &address) in addresses.iter().enumerate() {
        let address = target::socket_address(address, port).await?;
        let n_left = u32::try_from(addresses.len() - position).unwrap_or(u32::MAX);
        let share = end.saturating_duration_since(Instant::now()) / n_left;
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // The request is one small write that nothing follows.
                stream.set_nodelay(true).map_err(|error| lost(&error))?;
                return Ok((stream, address));
            }
            Ok(Err(error)) => failures.push((address, error)),
            Err(_) => {
                let why = format!("no answer within {} ms", share.as_millis());
                failures.push((address, io::Error::new(io::ErrorKind::TimedOut, why)));
            }
        }
    }
    Err(not_connected(&failures))
}

fn not_connected(failures: &[(SocketAddr, io::Error)]) -> ToolError {
    let refused = |(_, error): &(_, io::Error)| error.kind() == io::ErrorKind::ConnectionRefused;
    let all: Vec<String> = failures
        .iter()
        .map(|(address, error)| format!("{address}: {error}"))
        .collect();
    let message = format!("cannot connect to {}", all.join("; "));
    if failures.iter().any(refused) {
        ToolError::new(ErrorCode::ConnectionRefused, message)
            .hint("check the port, and that the service runs; nothing listens there")
    } else {
        ToolError::new(ErrorCode::Unreachable, message)
            .hint("check with ping and route whether the worker's host reaches the address, and that no firewall drops the port")
    }
}

fn lost(error: &io::Error) -> ToolError {
    ToolError::new(
        ErrorCode::Unreachable,
        format!("the connection was lost: {error}"),
    )
}
