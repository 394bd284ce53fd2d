//! The health check of a container: asks the gateway on this machine how it is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::HOST;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use service::Settings;
use service::process::ExitError;
use service::settings::Transport;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long the gateway may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(3);
/// Most bytes of its answer that are repeated.
const REPEATED: usize = 2000;

/// Asks `/ready` of the gateway that these settings describe.
///
/// # Errors
/// Exit code 1 when it is not ready or does not answer, 64 when it has no port to ask.
pub(crate) fn health() -> Result<(), ExitError> {
    let settings = Settings::load()?.settings;
    let (host, port) = if settings.transport_mode.contains(Transport::Http) {
        (settings.http_host.as_str(), settings.http_port)
    } else {
        (settings.health_host.as_str(), settings.health_port)
    };
    if port == 0 {
        return Err(ExitError::usage("there is no port to ask")
            .hint("set HTTP_PORT, or without the http transport HEALTH_PORT"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let asked = runtime.block_on(async { timeout(ANSWER_TIME, ready(host, port)).await });
    let failure = match asked {
        Ok(Ok((StatusCode::OK, _))) => return Ok(()),
        Ok(Ok((status, body))) => format!("not ready ({status}): {body}"),
        Ok(Err(error)) => format!("no answer from {host}:{port}: {error}"),
        Err(_) => format!("no answer from {host}:{port} within {ANSWER_TIME:?}"),
    };
    Err(ExitError::new(1, failure).hint("see the log of the gateway"))
}

async fn ready(
    host: &str,
    port: u16,
) -> Result<(StatusCode, String), Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect((reachable(host).as_str(), port)).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get("/ready")
        .header(HOST, "localhost")
        .body(Body::empty())?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        let text = String::from_utf8_lossy(&body)
            .chars()
            .take(REPEATED)
            .collect();
        Ok((status, text))
    };
    tokio::select! {
        answer = exchange => answer,
        ended = connection => Err(ended.err().map_or("the connection was closed".into(), Into::into)),
    }
}

/// Where to reach what listens on this host: on all addresses means also on loopback.
fn reachable(host: &str) -> String {
    match host.parse() {
        Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => Ipv4Addr::LOCALHOST.to_string(),
        Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => Ipv6Addr::LOCALHOST.to_string(),
        _ => host.to_owned(),
    }
}
