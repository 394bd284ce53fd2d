use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request};
use axum::routing::any;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use service::health::LONGEST_TURN;
use service::{Health, Process, health};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::front::{Addresses, Front, MAX_ANSWERS, MAX_REFUSALS, MAX_REQUESTS, MAX_STREAMS, mcp};
use super::guard::Guard;
use super::patient::WriteDeadline;
use crate::config::Http;
use crate::error::Error;
use crate::gateway::Gateway;

/// How long a client may take to send the head of a request, or to begin one.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// Most connections at a time: for every stream, every request, and some that are idle.
const MAX_CONNECTIONS: usize = MAX_STREAMS + MAX_REQUESTS + MAX_ANSWERS + 1000;
/// How long to wait after the system has refused a connection, for want of file descriptors
/// for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a connection without a request stays open once the process shuts down. A request that
/// was on its way when the connection closed would be lost: no client may send it again by itself
/// (RFC 9110, section 9.2.2). So one more is answered, and the answer says that it is the last.
const LAST_REQUEST: Duration = Duration::from_secs(2);
/// How long no further connection may come before nobody is taken to wait for being accepted. The
/// system says that only by having none for a while: that it had none a moment ago says nothing.
const QUIET: Duration = Duration::from_millis(50);
/// How long connections are accepted at most once the process shuts down.
const LAST_ACCEPTS: Duration = Duration::from_millis(500);
/// Pause after a connection could not be accepted meanwhile.
const LAST_ACCEPT_PAUSE: Duration = Duration::from_millis(10);
/// How often streams are looked for that nobody comes back to.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// The HTTP front, listening.
#[derive(Debug)]
pub(crate) struct Listening {
    listener: TcpListener,
    router: Router,
    gateway: Arc<Gateway>,
    health: Health,
}

impl Listening {
    /// Opens the port.
    ///
    /// # Errors
    /// [`Error::Listen`] when the port is taken or the address is not ours.
    pub(crate) async fn bind(
        http: &Http,
        gateway: Arc<Gateway>,
        process: &Process,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Listen {
            host: http.host.clone(),
            port: http.port,
            source,
        };
        let listener = TcpListener::bind((http.host.as_str(), http.port))
            .await
            .map_err(failed)?;
        let front = Arc::new(Front {
            gateway: Arc::clone(&gateway),
            guard: Guard::new(&http.host, &http.allowed_hosts, &http.allowed_origins),
            places: Arc::new(Semaphore::new(MAX_REQUESTS)),
            answers: Semaphore::new(MAX_ANSWERS),
            refusals: Semaphore::new(MAX_REFUSALS),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
        });
        let router = Router::new()
            .route("/mcp", any(mcp))
            .with_state(front)
            .merge(health::router(
                process.health.clone(),
                process.metrics.clone(),
            ));
        Ok(Self {
            listener,
            router,
            gateway,
            health: process.health.clone(),
        })
    }

    /// The address that is listened on.
    ///
    /// # Errors
    /// When the system does not say.
    pub(crate) fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown`, then until the open requests have their answers.
    pub(crate) async fn run(self, shutdown: &CancellationToken) {
        let mut connections = JoinSet::new();
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut sweep = interval(SWEEP_EVERY);
        let pulse = self.health.pulse("http port", LONGEST_TURN);
        let take = |connections: &mut JoinSet<()>, stream: TcpStream| {
            if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                let (router, shutdown) = (self.router.clone(), shutdown.clone());
                connections.spawn(serve(stream, router, shutdown, place));
            } else {
                turn_away(&stream);
            }
        };
        loop {
            pulse.beat();
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                Some(_) = connections.join_next() => continue,
                _ = sweep.tick() => {
                    self.gateway.streams.sweep();
                    continue;
                }
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => take(&mut connections, stream),
                Err(error) => {
                    warn!(%error, "a connection was not accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // Whoever is connected already has perhaps sent a request, and must not lose it.
        accept_waiting(&self.listener, |stream| take(&mut connections, stream)).await;
        accept_rest(self.listener, |stream| take(&mut connections, stream));
        drop(pulse);
        let open = connections.len();
        if open > 0 {
            info!(open, "waiting for open connections");
        }
        while connections.join_next().await.is_some() {}
    }
}

/// Takes the connections that the system has accepted already, within [`LAST_ACCEPTS`].
async fn accept_waiting(listener: &TcpListener, mut take: impl FnMut(TcpStream)) {
    let until = Instant::now() + LAST_ACCEPTS;
    while Instant::now() < until {
        match timeout(QUIET, listener.accept()).await {
            Ok(Ok((stream, _))) => take(stream),
            Ok(Err(error)) => {
                debug!(%error, "a last connection was not accepted");
                sleep(LAST_ACCEPT_PAUSE).await;
            }
            Err(_) => break,
        }
    }
}

/// Closes the port between two looks at the system's queue, with nothing waited for: clients that
/// go on connecting find it open until the last moment, and whoever is in the queue then is reset.
fn accept_rest(listener: TcpListener, mut take: impl FnMut(TcpStream)) {
    let Ok(listener) = listener.into_std() else {
        return;
    };
    for _ in 0..MAX_CONNECTIONS {
        match listener.accept() {
            Ok((stream, _)) => {
                let stream = stream
                    .set_nonblocking(true)
                    .and_then(|()| TcpStream::from_std(stream));
                match stream {
                    Ok(stream) => take(stream),
                    Err(error) => debug!(%error, "a last connection was not taken"),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => break,
        }
    }
}

async fn serve(
    stream: TcpStream,
    router: Router,
    shutdown: CancellationToken,
    _place: OwnedSemaphorePermit,
) {
    // Small answers must not wait for more to send.
    let addresses = stream.local_addr().and_then(|local| {
        let remote = stream.peer_addr()?;
        Ok(Addresses { local, remote })
    });
    if let (Ok(addresses), Ok(())) = (addresses, stream.set_nodelay(true)) {
        let service = TowerToHyperService::new(router);
        let leaving = shutdown.clone();
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(addresses);
            let (answer, leaving) = (service.call(request), leaving.clone());
            async move {
                let mut response = answer.await?;
                if leaving.is_cancelled() {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(CONNECTION, close);
                }
                Ok::<_, Infallible>(response)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .serve_connection(TokioIo::new(WriteDeadline::new(stream)), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = shutdown.cancelled() => {
                let last_request = timeout(LAST_REQUEST, connection.as_mut()).await;
                if last_request.is_err() {
                    connection.as_mut().graceful_shutdown();
                }
                match last_request {
                    Ok(ended) => ended,
                    Err(_) => connection.await,
                }
            }
        };
        if let Err(error) = ended {
            debug!(%error, "a connection ended");
        }
    }
}

/// Tells a client that there are too many, as far as that is possible without waiting for it.
fn turn_away(stream: &TcpStream) {
    const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\
        Content-Length: 0\r\nConnection: close\r\n\r\n";
    let _ = stream.try_write(BUSY);
    warn!(
        most = MAX_CONNECTIONS,
        "too many connections: one was turned away"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_is_connected_already_is_taken_in_the_end() {
        // As many as every system holds for a listener.
        const CLIENTS: usize = 100;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        // A task of Tokio's has to give way after a while, which must not end it.
        for _ in 0..100 {
            tokio::task::consume_budget().await;
        }
        let mut taken = Vec::new();
        accept_waiting(&listener, |stream| taken.push(stream)).await;
        assert_eq!(taken.len(), CLIENTS);
    }

    #[tokio::test]
    async fn whoever_came_at_the_last_moment_is_taken_without_waiting() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut clients = Vec::new();
        for _ in 0..20 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        let mut n_taken = 0;
        accept_rest(listener, |_| n_taken += 1);
        assert_eq!(n_taken, 20);
        let refused = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn who_goes_on_connecting_does_not_keep_the_port_open() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connecting = async {
            loop {
                if TcpStream::connect(address).await.is_err() {
                    tokio::task::yield_now().await;
                }
            }
        };
        let all_taken = async {
            let mut n_taken = 0_u32;
            accept_waiting(&listener, |stream| {
                drop(stream);
                n_taken += 1;
            })
            .await;
            n_taken
        };
        tokio::select! {
            n_taken = timeout(10 * LAST_ACCEPTS, all_taken) => assert!(n_taken.unwrap() > 0),
            () = connecting => {}
        }
    }
}
