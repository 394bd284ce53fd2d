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
use crate::load::Command;
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

    /// Lets a process find the broker, and no `discovery.toml` of the caller's folder.
    fn on_site(&self, program: Program) -> Program {
        self.alone(program).env("AMQP_URL", self.url())
    }

    fn alone(&self, program: Program) -> Program {
        program.folder(self.folder.path())
    }

    /// The released gateway.
    pub(crate) fn gateway(&self) -> Result<Server> {
        let program = Program::new(released("discovery-gateway")?);
        Server::start(self.on_site(program))
    }

    /// The released worker of the category network.
    pub(crate) fn network_worker(&self) -> Result<Process> {
        let program = Program::new(released("discovery-worker-network")?);
        self.on_site(program).start()
    }

    /// The command, with everything in one process.
    pub(crate) fn discovery_up(&self) -> Result<Server> {
        let program = Program::new(released("discovery")?).arg("up");
        Server::start(self.alone(program))
    }

    /// Gateway and worker of the tool `echo` in one process, without the broker.
    pub(crate) fn embedded(&self) -> Result<Server> {
        Server::start(self.alone(Role::Embedded.program()?))
    }

    /// The official SDK's server with the tool `echo`.
    pub(crate) fn rmcp_server(&self) -> Result<Server> {
        self.server(|port| Role::RmcpServer { port })
    }

    /// The least that a server over HTTP can be.
    pub(crate) fn http_server(&self) -> Result<Server> {
        self.server(|port| Role::HttpServer { port })
    }

    fn server(&self, role: impl FnOnce(u16) -> Role) -> Result<Server> {
        let port = free_port()?;
        let program = self.alone(role(port).program()?);
        Ok(Server {
            process: program.start()?,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        })
    }

    /// A gateway for one client on its standard streams, in words.
    pub(crate) fn on_stdio(&self, is_embedded: bool) -> Result<Command> {
        let mut environment = vec![("TRANSPORT_MODE".to_owned(), "stdio".to_owned())];
        let (path, arguments) = if is_embedded {
            Role::Embedded.command()?
        } else {
            environment.push(("AMQP_URL".to_owned(), self.url()));
            (released("discovery-gateway")?, Vec::new())
        };
        Ok(Command {
            path,
            arguments,
            environment,
            folder: self.folder.path().display().to_string(),
        })
    }

    /// Workers with so many tools.
    pub(crate) fn announcer(&self, tools: usize) -> Result<Process> {
        self.on_site(Role::Announcer { tools }.program()?).start()
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

/// The path of a released binary, which lies beside this one.
pub(crate) fn released(name: &str) -> Result<String> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(path.exists(), "{} is not built", path.display());
    Ok(path.display().to_string())
}

impl Server {
    /// Starts a gateway on a free port.
    pub(crate) fn start(program: Program) -> Result<Self> {
        let port = free_port()?;
        let program = program
            .env("TRANSPORT_MODE", "http")
            .env("HTTP_PORT", port.to_string());
        Ok(Self {
            process: program.start()?,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        })
    }

    /// Waits until clients see so many tools, page by page.
    pub(crate) async fn has_tools(&self, wanted: usize) -> Result<()> {
        let client = self.client();
        let all_listed = async || (count_tools(&client).await.ok()? == wanted).then_some(());
        wait::until("all tools are listed", READY, all_listed).await
    }

    fn client(&self) -> RpcClient {
        RpcClient::new(format!("http://{}/mcp", self.address))
    }

    /// Waits until clients can call the tool `echo`.
    pub(crate) async fn has_echo(&self) -> Result<()> {
        self.has_tool(echo_worker::TOOL).await
    }

    /// Waits until clients see a tool on the first page of the list.
    pub(crate) async fn has_tool(&self, name: &str) -> Result<()> {
        let client = self.client();
        let listed = async || match self.process.try_exit() {
            Ok(None) => lists(&client, name).await.then_some(Ok(())),
            _ => Some(Err(anyhow::anyhow!(
                "the server has ended: {}",
                self.process.stderr().all().join("\n")
            ))),
        };
        wait::until(&format!("the tool {name} is listed"), READY, listed).await?
    }
}

async fn lists(client: &RpcClient, name: &str) -> bool {
    let list = ask(client, json!({})).await.unwrap_or_default();
    let tools = list["tools"].as_array();
    tools.is_some_and(|tools| tools.iter().any(|tool| tool["name"] == name))
}

async fn count_tools(client: &RpcClient) -> Result<usize> {
    let mut counted = 0;
    let mut parameters = json!({});
    loop {
        let list = ask(client, parameters).await?;
        counted += list["tools"].as_array().map_or(0, Vec::len);
        match &list["nextCursor"] {
            Value::String(cursor) => parameters = json!({ "cursor": cursor }),
            _ => return Ok(counted),
        }
    }
}

async fn ask(client: &RpcClient, parameters: Value) -> Result<Value> {
    let request = Request::modern(1, "tools/list", parameters);
    let reply = client.send(&request, QUESTION).await?;
    match reply.answer()? {
        Value::Object(answer) if answer.contains_key("result") => Ok(answer["result"].clone()),
        other => bail!("{other}"),
    }
}
