//! What this program is when it is started by itself.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use testkit::process::Program;

use crate::contestant::{announcer, bare_worker, echo_worker, embedded, http_server, rmcp_server};
use crate::load::{self, Plan};
use crate::network;

/// The program with the allocator of the released servers.
const SERVER: &str = "bench-server";

/// A process of a measurement.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Role {
    /// Makes calls; see [`crate::load`].
    Load(Plan),
    /// A worker of ours with the tool `echo`; its settings come from the environment.
    EchoWorker,
    /// The other end of a bare loop over the broker.
    BareWorker { url: String, prefetch: u16 },
    /// Gateway and worker in one process; its settings come from the environment.
    Embedded,
    /// The official SDK's server.
    RmcpServer { port: u16 },
    /// The least that a server over HTTP can be.
    HttpServer { port: u16 },
    /// Workers with so many tools; their settings come from the environment.
    Announcer { tools: usize },
    /// Measures from inside a network; see [`crate::network`].
    Network(network::Plan),
}

impl Role {
    /// Plays it until the parent is gone or ends it.
    pub(crate) fn play(self) -> Result<ExitCode> {
        match self {
            Self::Load(plan) => load::generate(plan),
            Self::EchoWorker => Ok(echo_worker::run()),
            Self::BareWorker { url, prefetch } => bare_worker::run(&url, prefetch),
            Self::Embedded => Ok(embedded::run()),
            Self::RmcpServer { port } => rmcp_server::run(port),
            Self::HttpServer { port } => http_server::run(port),
            Self::Announcer { tools } => Ok(announcer::run(tools)),
            Self::Network(plan) => network::inside::play(plan),
        }
    }

    /// How a process with this role is started.
    pub(crate) fn program(&self) -> Result<Program> {
        let (path, arguments) = self.command()?;
        Ok(Program::new(path).args(arguments))
    }

    /// The same in words: a program and its arguments.
    pub(crate) fn command(&self) -> Result<(String, Vec<String>)> {
        let mut path = std::env::current_exe().context("the path of this program is unknown")?;
        if let Self::Embedded | Self::RmcpServer { .. } | Self::HttpServer { .. } = self {
            path.set_file_name(SERVER);
        }
        let arguments = vec!["as".to_owned(), serde_json::to_string(self)?];
        Ok((path.display().to_string(), arguments))
    }
}
