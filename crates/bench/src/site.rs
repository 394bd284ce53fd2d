//! What runs while measurements are made: a broker, gateways, workers.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::http::{Request, RpcClient};
use testkit::ports::free_port;
use testkit::process::{Process, Program};
use testkit::rabbitmq::Node;
use testkit::wait;

use crate::contestant::{bare_worker, echo_worker};
use crate::role::Role;

/// How long processes may take to know each other.
const READY: Duration = Duration::from_mins(1);
/// How long one question about that may take.
const QUESTION: Duration = Duration::from_secs(10);

/// A broker of our own and an empty folder for the processes; both go with the value.
pub(crate) struct Site {
    pub(crate) node: Node,
    folder: TempDir,
}

/// A server for HTTP clients.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl Site {
    pub(crate) async fn start() -> Result<Self> {
        Ok(Self {
            node: Node::start().await?,
            folder: tempfile::tempdir()?,
        })
    }

    pub(crate) fn url(&self) -> String {
        self.node.amqp_url("/")
    }

    /// A released binary, which lies beside this one; no settings but the broker's address.
    pub(crate) fn released(&self, name: &str) -> Result<Program> {
        let path = std::env::current_exe()?.with_file_name(name);
        ensure!(path.exists(), "{} is not built", path.display());
        Ok(self.on_site(Program::new(path)))
    }

    /// Lets a process find the broker, and no `discovery.toml` of the caller's folder.
    fn on_site(&self, program: Program) -> Program {
        program
            .folder(self.folder.path())
            .env("AMQP_URL", self.url())
    }

    /// The released gateway.
    pub(crate) fn gateway(&self) -> Result<Server> {
        let port = free_port()?;
        let program = self
            .released("discovery-gateway")?
            .env("TRANSPORT_MODE", "http")
            .env("HTTP_PORT", port.to_string());
        Ok(Server {
            process: program.start()?,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        })
    }

    /// A worker of ours with the tool `echo`.
    pub(crate) fn echo_worker(&self) -> Result<Process> {
        self.on_site(Role::EchoWorker.program()?).start()
    }

    /// The other end of a bare loop.
    pub(crate) async fn bare_worker(&self) -> Result<Process> {
        let role = Role::BareWorker {
            url: self.url(),
            prefetch: echo_worker::PREFETCH.get(),
        };
        let process = role.program()?.start()?;
        let is_ready = |line: &str| line == bare_worker::READY;
        let ready = process.stdout().line("the worker", READY, is_ready).await;
        ready.with_context(|| process.stderr().all().join("\n"))?;
        Ok(process)
    }
}

impl Server {
    /// Waits until clients can call the tool `echo`.
    pub(crate) async fn has_echo(&self) -> Result<()> {
        let client = RpcClient::new(format!("http://{}/mcp", self.address));
        let listed = async || match self.process.try_exit() {
            Ok(None) => lists_echo(&client).await.then_some(Ok(())),
            _ => Some(Err(anyhow::anyhow!(
                "the server has ended: {}",
                self.process.stderr().all().join("\n")
            ))),
        };
        wait::until("the tool echo is listed", READY, listed).await?
    }
}

async fn lists_echo(client: &RpcClient) -> bool {
    let list = ask(client, "tools/list").await.unwrap_or_default();
    let tools = list["tools"].as_array();
    tools.is_some_and(|tools| tools.iter().any(|tool| tool["name"] == echo_worker::TOOL))
}

async fn ask(client: &RpcClient, method: &str) -> Result<Value> {
    let request = Request::modern(1, method, json!({}));
    let reply = client.send(&request, QUESTION).await?;
    match reply.answer()? {
        Value::Object(answer) if answer.contains_key("result") => Ok(answer["result"].clone()),
        other => bail!("{method}: {other}"),
    }
}
