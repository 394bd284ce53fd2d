//! A process with a port.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;

use serde_json::{Value, json};
use testkit::http::{Connection, Request, RpcClient, get};
use testkit::ports::free_port;
use testkit::process::{Process, Program};
use testkit::wait;

use super::{READY, SOON};

/// A gateway, an embedded platform or a worker, with the port where it tells how it is. Its
/// last words are printed when the test fails.
#[derive(Debug)]
pub(crate) struct Running {
    process: Process,
    address: SocketAddr,
    client: RpcClient,
}

impl Running {
    /// Starts what serves HTTP, on a free port.
    pub(crate) fn gateway(program: Program) -> Self {
        Self::start(program, "HTTP_PORT")
    }

    /// Starts what has a health port, on a free one.
    pub(crate) fn worker(program: Program) -> Self {
        Self::start(program, "HEALTH_PORT")
    }

    fn start(program: Program, port_setting: &str) -> Self {
        let port = free_port().unwrap();
        let process = program.env(port_setting, port.to_string()).start().unwrap();
        Self {
            process,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            client: RpcClient::new(format!("http://127.0.0.1:{port}/mcp")),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The endpoint for clients.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// A client that shares its connections with the other calls of this value.
    pub(crate) fn client(&self) -> RpcClient {
        self.client.clone()
    }

    /// Whether it is ready, by its own word.
    pub(crate) async fn is_ready(&self) -> bool {
        let answer = get(self.address, "/ready", SOON).await;
        answer.is_ok_and(|response| response.status == 200)
    }

    /// Whether its loops turn, by its own word.
    pub(crate) async fn is_live(&self) -> bool {
        let answer = get(self.address, "/live", SOON).await;
        answer.is_ok_and(|response| response.status == 200)
    }

    /// Waits until it is ready.
    pub(crate) async fn ready(&self) {
        let ready = async || {
            if let Some(status) = self.process.try_exit().unwrap() {
                panic!("it has ended, {status}");
            }
            self.is_ready().await.then_some(())
        };
        wait::until("it is ready", READY, ready).await.unwrap();
    }

    /// Waits until the gateway lists a tool.
    pub(crate) async fn lists(&self, tool: &str) {
        let listed = async || {
            let list = self.tools().await;
            list.iter().any(|it| it["name"] == tool).then_some(())
        };
        wait::until("the tool is listed", SOON, listed)
            .await
            .unwrap();
    }

    /// The descriptors of all tools.
    pub(crate) async fn tools(&self) -> Vec<Value> {
        let (mut tools, mut cursor) = (Vec::new(), json!({}));
        loop {
            let request = Request::modern(1, "tools/list", cursor);
            let reply = self.client.send(&request, SOON).await.unwrap();
            let Ok(answer) = reply.answer() else {
                panic!("no list: {reply:?}")
            };
            tools.extend(
                answer["result"]["tools"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default(),
            );
            match &answer["result"]["nextCursor"] {
                Value::String(next) => cursor = json!({ "cursor": next }),
                _ => return tools,
            }
        }
    }

    /// Calls a tool as a client of revision 2026-07-28 and gives the whole answer.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Value {
        let request = Request::modern_call(1, tool, &arguments);
        let reply = self.client.send(&request, READY).await.unwrap();
        reply.answer().unwrap().clone()
    }

    /// Sends a request on a connection of its own and leaves the answer to be read.
    pub(crate) async fn open(&self, request: &Request) -> Connection {
        let mut connection = Connection::open(self.address).await.unwrap();
        connection.send(&self.written(request)).await.unwrap();
        connection
    }

    /// A request as it goes over a connection.
    pub(crate) fn written(&self, request: &Request) -> Vec<u8> {
        let body = request.body.to_string();
        let mut head = format!(
            "POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n",
            self.address,
            body.len()
        );
        for (name, value) in &request.headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        format!("{head}\r\n{body}").into_bytes()
    }

    /// The sum of a metric over all its labels that contain `labels`, by its name as exposed.
    pub(crate) async fn metric(&self, name: &str, labels: &str) -> f64 {
        let text = get(self.address, "/metrics", SOON).await.unwrap().text();
        let values = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (found, its_labels) = series.split_once('{').unwrap_or((series, ""));
            (found == name && its_labels.contains(labels)).then(|| value.parse::<f64>().ok())?
        });
        values.sum()
    }
}

/// Memory of a process that is in use, in KiB (`VmRSS` of `proc_pid_status(5)`).
pub(crate) fn resident(process: &Running) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

impl Deref for Running {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let lines = self.process.stderr().all();
            let from = lines.len().saturating_sub(30);
            println!("--- {} said last:", self.address);
            for line in &lines[from..] {
                println!("{line}");
            }
        }
    }
}
