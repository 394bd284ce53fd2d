//! A TCP proxy that makes the network bad: slow, narrow, deaf, rude or closed.
//!
//! It stands in front of one address, for instance a broker's, and passes bytes on until it is
//! told otherwise; every change takes effect at once, on connections that are open, too.
//!
//! ```no_run
//! # async fn example(broker: std::net::SocketAddr) -> anyhow::Result<()> {
//! use std::time::Duration;
//! use testkit::tcp_proxy::{TcpProxy, Way};
//!
//! let proxy = TcpProxy::start(broker).await?;
//! proxy.both(Way::delayed(Duration::from_millis(50), Duration::from_millis(20)));
//! proxy.both(Way::OPEN);
//! proxy.forget();
//! # Ok(())
//! # }
//! ```

mod connection;
mod way;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context as _, Result};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::JoinSet,
    time::{Duration, sleep},
};

use crate::ports::free_port;
pub use way::Way;

/// Pause before the proxy tries to have its port again.
const PAUSE: Duration = Duration::from_millis(10);

/// A proxy in front of one address; dropping it ends it with its connections.
#[derive(Debug)]
pub struct TcpProxy {
    address: SocketAddr,
    conduct: watch::Sender<Conduct>,
    n_accepted: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

/// How the proxy treats its clients.
#[derive(Debug, Clone, Copy)]
struct Conduct {
    to_upstream: Way,
    to_client: Way,
    is_refusing: bool,
    /// Connections with lower numbers have been forgotten.
    forgotten: u64,
    /// Connections with lower numbers are to be reset.
    reset: u64,
}

impl TcpProxy {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// There is no port.
    pub async fn start(upstream: SocketAddr) -> Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        let conduct = watch::Sender::new(Conduct {
            to_upstream: Way::OPEN,
            to_client: Way::OPEN,
            is_refusing: false,
            forgotten: 0,
            reset: 0,
        });
        let n_accepted = Arc::new(AtomicU64::new(0));
        let accepting = Accepting {
            address,
            upstream,
            conduct: conduct.subscribe(),
            n_accepted: Arc::clone(&n_accepted),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(accepting.run(listener));
        Ok(Self {
            address,
            conduct,
            n_accepted,
            _tasks: tasks,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has accepted so far.
    #[must_use]
    pub fn n_accepted(&self) -> u64 {
        self.n_accepted.load(Ordering::SeqCst)
    }

    /// Treats what goes in both directions like this from now on.
    pub fn both(&self, way: Way) {
        self.conduct.send_modify(|conduct| {
            conduct.to_upstream = way;
            conduct.to_client = way;
        });
    }

    /// Treats what clients send like this from now on.
    pub fn to_upstream(&self, way: Way) {
        self.conduct
            .send_modify(|conduct| conduct.to_upstream = way);
    }

    /// Treats what clients are sent like this from now on.
    pub fn to_client(&self, way: Way) {
        self.conduct.send_modify(|conduct| conduct.to_client = way);
    }

    /// Passes nothing on for the connections that are open, for good: their sockets stay, and
    /// neither side is told. New connections are not concerned. That is what a firewall does that
    /// has lost its table.
    pub fn forget(&self) {
        let n_accepted = self.n_accepted();
        self.conduct
            .send_modify(|conduct| conduct.forgotten = n_accepted);
    }

    /// Resets the connections that are open, on both sides.
    pub fn reset(&self) {
        let n_accepted = self.n_accepted();
        self.conduct
            .send_modify(|conduct| conduct.reset = n_accepted);
    }

    /// Refuses new connections, or takes them again. Open ones are not concerned.
    pub fn refuse(&self, is_refusing: bool) {
        self.conduct
            .send_modify(|conduct| conduct.is_refusing = is_refusing);
    }
}

/// The accepting side.
struct Accepting {
    address: SocketAddr,
    upstream: SocketAddr,
    conduct: watch::Receiver<Conduct>,
    n_accepted: Arc<AtomicU64>,
}

impl Accepting {
    async fn run(mut self, listener: TcpListener) {
        let mut listener = Some(listener);
        let mut connections = JoinSet::new();
        loop {
            let is_refusing = self.conduct.borrow_and_update().is_refusing;
            if is_refusing {
                listener = None;
            } else if listener.is_none() {
                listener = TcpListener::bind(self.address).await.ok();
            }
            tokio::select! {
                changed = self.conduct.changed() => if changed.is_err() {
                    return;
                },
                Some(stream) = accepted(listener.as_ref()) => {
                    let number = self.n_accepted.fetch_add(1, Ordering::SeqCst);
                    let conduct = self.conduct.clone();
                    connections.spawn(connection::serve(stream, self.upstream, number, conduct));
                }
                Some(_) = connections.join_next() => {}
                () = sleep(PAUSE), if !is_refusing && listener.is_none() => {}
            }
        }
    }
}

/// The next connection; none while there is no listener.
async fn accepted(listener: Option<&TcpListener>) -> Option<tokio::net::TcpStream> {
    let (stream, _) = listener?.accept().await.ok()?;
    Some(stream)
}
