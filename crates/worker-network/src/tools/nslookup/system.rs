//! The name servers that the worker's host itself uses.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hickory_resolver::proto::rr::Name;
use hickory_resolver::system_conf::parse_resolv_conf;
use protocol::{ErrorCode, ToolError};

/// Where the name servers of the host are found, and how long a server is waited for.
#[derive(Debug, Clone)]
pub struct Config {
    /// File in the form of resolv.conf(5). It is read for each call, because it changes when
    /// the host joins another network.
    pub resolv_conf: PathBuf,
    /// Port of the servers in it.
    pub port: u16,
    /// Longest wait for one server.
    pub patience: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            resolv_conf: PathBuf::from("/etc/resolv.conf"),
            port: 53,
            patience: Duration::from_secs(5),
        }
    }
}

/// The resolver of the host.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct System {
    /// In the order in which they are asked.
    pub(super) servers: Vec<SocketAddr>,
    /// Domains that complete a short name.
    pub(super) search: Vec<Name>,
    /// Names with so many dots are first tried as they are.
    pub(super) ndots: usize,
}

impl System {
    pub(super) async fn read(config: &Config) -> Result<Self, ToolError> {
        let path = &config.resolv_conf;
        let text = tokio::fs::read(path)
            .await
            .map_err(|error| none(path, &error.to_string()))?;
        let (resolver, options) =
            parse_resolv_conf(text).map_err(|error| none(path, &error.to_string()))?;
        let servers = resolver.name_servers().iter();
        Ok(Self {
            servers: servers
                .map(|server| SocketAddr::new(server.ip, config.port))
                .collect(),
            search: resolver.search().to_vec(),
            ndots: options.ndots,
        })
    }
}

fn none(path: &Path, why: &str) -> ToolError {
    ToolError::new(
        ErrorCode::Unsupported,
        format!(
            "the worker's host has no name server to ask: {}: {why}",
            path.display()
        ),
    )
    .hint("name one in the argument \"server\"")
}
