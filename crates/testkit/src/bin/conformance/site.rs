//! A broker, two gateways behind a proxy, and the worker.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use testkit::{
    http::{Request, RpcClient},
    ports::free_port,
    process::{Process, Program},
    proxy::RoundRobin,
    rabbitmq::Node,
    wait,
};
use uuid::Uuid;

/// How long the processes may take to know each other.
const READY: Duration = Duration::from_mins(1);
/// How long one question about that may take.
const QUESTION: Duration = Duration::from_secs(10);
/// A tool of the worker: with it comes everything else it has.
const TOOL: &str = "test_simple_text";
/// An extension of the protocol that the gateway does not have, so it must not offer it.
const TASKS: &str = "io.modelcontextprotocol/tasks";

pub(crate) struct Site {
    proxy: RoundRobin,
    gateways: Vec<Gateway>,
    worker: Process,
    /// Ends last: the others say goodbye to it.
    _node: Node,
    output: PathBuf,
}

struct Gateway {
    process: Process,
    address: SocketAddr,
}

impl Site {
    /// Starts everything; logs go to the output folder at the end.
    pub(crate) async fn start(output: &Path) -> Result<Self> {
        let node = Node::start().await?;
        let url = node.amqp_url("/");
        let program = |name: &str| -> Result<Program> {
            let path = std::env::current_exe()?.with_file_name(name);
            ensure!(path.exists(), "{} is not built", path.display());
            // No discovery.toml of the caller's folder is to be read.
            let program = Program::new(path).folder(output).env("AMQP_URL", &url);
            Ok(program.env("RUST_LOG", "info,gateway=debug,worker=debug"))
        };
        let key = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let gateway = || -> Result<Gateway> {
            let port = free_port()?;
            let program = program("discovery-gateway")?
                .env("TRANSPORT_MODE", "http")
                .env("HTTP_PORT", port.to_string())
                .env("SESSION_KEY", &key);
            Ok(Gateway {
                process: program.start()?,
                address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            })
        };
        let gateways = vec![gateway()?, gateway()?];
        let worker = program("discovery-conformance-worker")?.start()?;
        let addresses = gateways.iter().map(|it| it.address).collect();
        Ok(Self {
            proxy: RoundRobin::start(addresses).await?,
            gateways,
            worker,
            _node: node,
            output: output.to_owned(),
        })
    }

    /// What clients are given.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.proxy.address())
    }

    /// How many requests each gateway has had.
    pub(crate) fn requests(&self) -> Vec<(SocketAddr, u64)> {
        self.proxy.requests_per_upstream()
    }

    /// Waits until both gateways list what the worker has.
    pub(crate) async fn ready(&self) -> Result<()> {
        for Gateway { process, address } in &self.gateways {
            let client = RpcClient::new(format!("http://{address}/mcp"));
            let listed = async || match (process.try_exit(), self.worker.try_exit()) {
                (Ok(None), Ok(None)) => lists(&client).await.then_some(Ok(())),
                _ => Some(Err(anyhow::anyhow!("a process has ended"))),
            };
            wait::until("the worker's tools are listed", READY, listed).await??;
            let discovered = ask(&client, "server/discover").await?;
            let offered = discovered.to_string();
            ensure!(!offered.contains(TASKS), "{TASKS} is offered: {offered}");
        }
        Ok(())
    }

    /// Writes what the processes have said.
    pub(crate) fn keep_logs(&self) -> Result<()> {
        let write = |name: &str, process: &Process| {
            let text = process.stderr().all().join("\n");
            let path = self.output.join(name);
            fs::write(&path, text).with_context(|| path.display().to_string())
        };
        for (number, gateway) in (1..).zip(&self.gateways) {
            write(&format!("gateway-{number}.log"), &gateway.process)?;
        }
        write("worker.log", &self.worker)
    }
}

async fn lists(client: &RpcClient) -> bool {
    let list = ask(client, "tools/list").await.unwrap_or_default();
    let tools = list["tools"].as_array();
    tools.is_some_and(|tools| tools.iter().any(|tool| tool["name"] == TOOL))
}

async fn ask(client: &RpcClient, method: &str) -> Result<Value> {
    let request = Request::modern(1, method, json!({}));
    let reply = client.send(&request, QUESTION).await?;
    match reply.answer()? {
        Value::Object(answer) if answer.contains_key("result") => Ok(answer["result"].clone()),
        other => bail!("{method}: {other}"),
    }
}
