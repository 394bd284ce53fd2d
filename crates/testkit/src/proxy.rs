//! A proxy that gives each request to the next replica, whatever connection it came on.
//!
//! It is what a load balancer without stickiness does at its worst, so what works through it does
//! not depend on which replica a client meets. Header fields go through as they are, `Host` too;
//! only those that concern a single connection (RFC 9110, section 7.6.1) are its own.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full, Limited};
use hyper::{
    Request, Response, StatusCode, Uri,
    body::Incoming,
    header::{self, HeaderMap},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use tokio::time::timeout;

use crate::targets::{ANY_PORT, listener::Listener};

/// The longest request body that is passed on.
const MAX_BODY: usize = 16 << 20;
/// How long a client may take for its request's body.
const BODY_TIME: Duration = Duration::from_secs(10);
/// How long a replica may take to accept a connection.
const CONNECT_TIME: Duration = Duration::from_secs(2);
/// How long a connection to a replica is kept without use.
const IDLE_TIME: Duration = Duration::from_secs(5);
/// Fields about one connection and not about the message.
const HOP_BY_HOP: [header::HeaderName; 7] = [
    header::CONNECTION,
    header::EXPECT,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

type Body = Either<Incoming, Full<Bytes>>;

/// A proxy in front of replicas; dropping it ends it with its connections.
///
/// The first request goes to the first replica, the next one to the second, and so on around. A
/// replica that cannot be connected to is passed over; with none left the answer is status 502. A
/// replica that breaks off after it was asked is not replaced: that request may have had effects.
/// Bodies of answers go through as they come, and a client that goes ends its request at the
/// replica at once.
#[derive(Debug)]
pub struct RoundRobin {
    listener: Listener,
    turns: Arc<Mutex<Turns>>,
}

#[derive(Debug)]
struct Turns {
    upstreams: Vec<Upstream>,
    next: usize,
}

#[derive(Debug, Clone)]
struct Upstream {
    address: SocketAddr,
    n_requests: u64,
}

impl RoundRobin {
    /// Listens on a port of 127.0.0.1 that the system chooses.
    ///
    /// # Errors
    /// There is no port.
    pub async fn start(upstreams: Vec<SocketAddr>) -> Result<Self> {
        let turns = Arc::new(Mutex::new(Turns {
            upstreams: Vec::new(),
            next: 0,
        }));
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIME));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIME)
            .pool_timer(TokioTimer::new())
            .build(connector);
        let forwarder = Forwarder {
            client,
            turns: Arc::clone(&turns),
        };
        let serve = move |stream| {
            let forwarder = forwarder.clone();
            async move {
                let service = service_fn(|request| forwarder.answer(request));
                // A client that breaks off is the client's affair.
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            }
        };
        let listener = Listener::start(ANY_PORT, serve).await?;
        let proxy = Self { listener, turns };
        proxy.set_upstreams(upstreams);
        Ok(proxy)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.address
    }

    /// Replaces the replicas; those that stay keep their counts. Requests under way are not
    /// touched.
    pub fn set_upstreams(&self, upstreams: Vec<SocketAddr>) {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |address| {
            let known = turns.upstreams.iter().find(|it| it.address == address);
            known.map_or(0, |it| it.n_requests)
        };
        let upstreams = upstreams.into_iter().map(|address| Upstream {
            address,
            n_requests: count(address),
        });
        turns.upstreams = upstreams.collect();
    }

    /// How many requests each replica has answered, in the order of the replicas. One whose answer
    /// still streams counts.
    #[must_use]
    pub fn requests_per_upstream(&self) -> Vec<(SocketAddr, u64)> {
        let turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = turns.upstreams.iter();
        counts.map(|it| (it.address, it.n_requests)).collect()
    }
}

impl Turns {
    /// The replicas in the order in which this request tries them.
    fn take(&mut self) -> Vec<SocketAddr> {
        let mut order: Vec<SocketAddr> = self.upstreams.iter().map(|it| it.address).collect();
        if !order.is_empty() {
            let first = self.next % order.len();
            order.rotate_left(first);
            self.next = first + 1;
        }
        order
    }

    /// A replica has answered: the next request begins with the one after it.
    fn answered(&mut self, address: SocketAddr, passed_over: usize) {
        self.next += passed_over;
        if let Some(it) = self.upstreams.iter_mut().find(|it| it.address == address) {
            it.n_requests += 1;
        }
    }
}

#[derive(Debug, Clone)]
struct Forwarder {
    client: Client<HttpConnector, Full<Bytes>>,
    turns: Arc<Mutex<Turns>>,
}

impl Forwarder {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        Ok(self.forward(request).await.unwrap_or_else(|error| {
            let reason = Bytes::from(format!("{error:#}\n"));
            let mut response = Response::new(Either::Right(Full::new(reason)));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }))
    }

    async fn forward(&self, request: Request<Incoming>) -> Result<Response<Body>> {
        let (mut head, body) = request.into_parts();
        remove_hop_by_hop(&mut head.headers);
        let body = timeout(BODY_TIME, Limited::new(body, MAX_BODY).collect())
            .await
            .context("the request's body did not come")?
            .map_err(|error| anyhow::anyhow!("the request's body: {error}"))?
            .to_bytes();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let order = self.turns().take();
        for (passed_over, address) in order.into_iter().enumerate() {
            let mut request = Request::new(Full::new(body.clone()));
            *request.method_mut() = head.method.clone();
            *request.headers_mut() = head.headers.clone();
            *request.uri_mut() = Uri::try_from(format!("http://{address}{path}"))?;
            match self.client.request(request).await {
                Ok(mut response) => {
                    self.turns().answered(address, passed_over);
                    remove_hop_by_hop(response.headers_mut());
                    return Ok(response.map(Either::Left));
                }
                Err(error) if error.is_connect() => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("{address} broke off"));
                }
            }
        }
        anyhow::bail!("no replica can be connected to")
    }

    fn turns(&self) -> std::sync::MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}
