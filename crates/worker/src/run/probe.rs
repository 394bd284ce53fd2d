use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use service::{ExitError, Settings};

/// How long each step of asking may take.
const STEP_TIME: Duration = Duration::from_secs(2);
/// Longest answer that is read.
const MAX_ANSWER: u64 = 64 * 1024;

/// Asks the worker that runs with these settings whether it is ready.
///
/// # Errors
/// Exit code 1 when it is not, or does not answer; 64 when it has no health port.
pub(super) fn ready(settings: &Settings) -> Result<(), ExitError> {
    let port = settings.health_port;
    if port == 0 {
        let hint = "set HEALTH_PORT to the same port for the worker and for this command";
        return Err(ExitError::usage("HEALTH_PORT is 0: the worker has no health port").hint(hint));
    }
    let host = settings.health_host.as_str();
    let answer = ask(host, port).map_err(|error| {
        let error = format!("the worker does not answer on {host} port {port}: {error}");
        ExitError::new(1, error).hint("look at the worker's log")
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split(' ').nth(1) {
        Some("200") => Ok(()),
        _ => Err(ExitError::new(
            1,
            format!("the worker is not ready: {body}"),
        )),
    }
}

fn ask(host: &str, port: u16) -> io::Result<String> {
    let address = (host, port)
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::Error::other("the host has no address"))?;
    let mut stream = TcpStream::connect_timeout(&reachable(address), STEP_TIME)?;
    stream.set_read_timeout(Some(STEP_TIME))?;
    stream.set_write_timeout(Some(STEP_TIME))?;
    stream.write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer)?;
    Ok(answer)
}

/// A process that listens on all addresses is reached on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let host = match address.ip() {
        IpAddr::V4(host) if host.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(host) if host.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        host => host,
    };
    SocketAddr::new(host, address.port())
}

#[cfg(test)]
mod tests {
    use service::{Health, Metrics, health};
    use tokio::net::TcpListener;
    use tokio::task::{JoinSet, spawn_blocking};
    use tokio_util::sync::CancellationToken;

    use super::*;

    async fn check(settings: &Settings, expected: Option<u8>) -> String {
        let settings = settings.clone();
        let result = spawn_blocking(move || ready(&settings)).await.unwrap();
        let error = result.err();
        assert_eq!(error.as_ref().map(ExitError::code), expected, "{error:?}");
        error.map(|error| error.to_string()).unwrap_or_default()
    }

    #[tokio::test]
    async fn the_answer_of_the_health_port_decides() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = Settings {
            health_host: "0.0.0.0".parse().unwrap(),
            health_port: listener.local_addr().unwrap().port(),
            ..Settings::default()
        };
        let health = Health::default();
        let component = health.component("lab worker");
        let router = health::router(health.clone(), Metrics::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(health::serve(listener, router, CancellationToken::new()));

        let text = check(&settings, Some(1)).await;
        assert!(
            text.contains("lab worker") && text.contains("starting"),
            "{text}"
        );
        component.up();
        check(&settings, None).await;
        health.drain();
        check(&settings, Some(1)).await;
        tasks.shutdown().await;
        let text = check(&settings, Some(1)).await;
        assert!(text.contains("does not answer"), "{text}");
    }

    #[tokio::test]
    async fn without_a_port_there_is_nothing_to_ask() {
        let text = check(&Settings::default(), Some(64)).await;
        assert!(text.contains("HEALTH_PORT"), "{text}");
    }
}
