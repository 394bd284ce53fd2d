//! A gateway with a memory bus behind it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bus::memory::MemoryBus;
use gateway::{Config, Error, Server};
use service::{Process, Settings};
use std::sync::Arc;
use tokio::io::DuplexStream;
use tokio::task::JoinSet;

use super::client::Client;

/// How long a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running gateway.
pub struct Gate {
    pub process: Process,
    pub address: Option<SocketAddr>,
    serving: JoinSet<Result<(), Error>>,
}

impl Gate {
    /// Over HTTP on a free port.
    pub async fn http(bus: &MemoryBus) -> Self {
        Self::with(bus, |_| {}).await
    }

    /// With settings of its own.
    pub async fn with(bus: &MemoryBus, change: impl FnOnce(&mut Settings)) -> Self {
        let (input, output) = (tokio::io::empty(), tokio::io::sink());
        let mut settings = Settings {
            http_port: 0,
            ..Settings::default()
        };
        change(&mut settings);
        let process = Process::new("gateway", settings);
        let config = Config::new(&process.settings).unwrap();
        let server = Server::bind(config, Arc::new(bus.clone()), &process)
            .await
            .unwrap();
        let address = server.http_address();
        let mut serving = JoinSet::new();
        serving.spawn(server.serve_on(input, output));
        Self {
            process,
            address,
            serving,
        }
    }

    /// Over stdio; gives the client's ends of both pipes.
    pub async fn stdio(bus: &MemoryBus) -> (Self, DuplexStream, DuplexStream) {
        let (to_server, input) = tokio::io::duplex(64 * 1024);
        let (output, from_server) = tokio::io::duplex(64 * 1024);
        let settings = Settings {
            transport_mode: "stdio".parse().unwrap(),
            ..Settings::default()
        };
        let process = Process::new("gateway", settings);
        let config = Config::new(&process.settings).unwrap();
        let server = Server::bind(config, Arc::new(bus.clone()), &process)
            .await
            .unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(server.serve_on(input, output));
        (
            Self {
                process,
                address: None,
                serving,
            },
            to_server,
            from_server,
        )
    }

    pub fn client(&self) -> Client {
        Client::new(self.address.expect("a gateway with an HTTP front"))
    }

    /// Waits until the tool list names a tool.
    pub async fn lists(&self, tool: &str) {
        let client = self.client();
        eventually(&format!("{tool} is listed"), || async {
            client.tools().await.iter().any(|listed| listed == tool)
        })
        .await;
    }

    /// Waits for the gateway to end by itself.
    pub async fn ended(mut self) -> Result<(), Error> {
        tokio::time::timeout(PATIENCE, self.serving.join_next())
            .await
            .expect("the gateway ends in time")
            .unwrap()
            .unwrap()
    }

    /// Asks it to shut down and waits for that.
    pub async fn shut_down(self) -> Result<(), Error> {
        self.process.shutdown.cancel();
        self.ended().await
    }
}

/// Waits until a condition holds.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(
            Instant::now() < deadline,
            "still not after {PATIENCE:?}: {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
