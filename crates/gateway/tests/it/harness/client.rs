//! An HTTP client that can also do what no proper client would.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client of one gateway; every request has a connection of its own.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// An answer that is still coming; dropping it closes the connection.
pub struct Open {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
    _connection: JoinSet<()>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// A request with exactly these headers, `Host` excepted where it is not given.
    pub async fn send(
        &self,
        method: Method,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        timeout(PATIENCE, async {
            self.open(method, headers, body).await.whole().await
        })
        .await
        .expect("an answer in time")
    }

    pub async fn open(
        &self,
        method: Method,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Open {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let _ = connection.await;
        });
        let mut request = Request::builder().method(method).uri("/mcp");
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            request = request.header("host", self.address.to_string());
        }
        for (name, value) in headers {
            request = request.header(*name, value.as_bytes());
        }
        let response = sender
            .send_request(request.body(body.into()).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        Open {
            status: parts.status,
            headers: parts.headers,
            body,
            _connection: tasks,
        }
    }

    /// A POST with what every client sends, and these headers on top.
    pub async fn post(&self, headers: &[(&str, &str)], body: &str) -> Answer {
        self.send(Method::POST, &with_usual(headers), body.to_owned())
            .await
    }

    pub async fn open_post(&self, headers: &[(&str, &str)], body: &str) -> Open {
        let headers = with_usual(headers);
        timeout(PATIENCE, self.open(Method::POST, &headers, body.to_owned()))
            .await
            .expect("an answer in time")
    }

    /// A request of the stateless era with the headers that belong to it.
    pub async fn modern(&self, body: &Value) -> Answer {
        let params = &body["params"];
        let name = params["name"].as_str().or(params["uri"].as_str());
        let name = name.unwrap_or_default().to_owned();
        let method = body["method"].as_str().unwrap().to_owned();
        let mut headers = vec![
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", &*method),
        ];
        if !name.is_empty() {
            headers.push(("mcp-name", &*name));
        }
        self.post(&headers, &body.to_string()).await
    }

    /// A tool call of the stateless era.
    pub async fn call(&self, tool: &str, arguments: Value) -> Answer {
        self.modern(&call(1, tool, arguments)).await
    }

    /// The names on all pages of the tool list.
    pub async fn tools(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut cursor = Value::Null;
        loop {
            let mut body = request(1, "tools/list");
            if !cursor.is_null() {
                body["params"]["cursor"] = cursor;
            }
            let result = self.modern(&body).await.json()["result"].take();
            let tools = result["tools"].as_array().expect("a list of tools");
            names.extend(
                tools
                    .iter()
                    .map(|tool| tool["name"].as_str().unwrap().to_owned()),
            );
            cursor = result["nextCursor"].clone();
            if cursor.is_null() {
                return names;
            }
        }
    }

    /// Opens a session of the `initialize` era and gives its identifier.
    pub async fn session(&self, version: &str) -> String {
        let answer = self.post(&[], &initialize(version).to_string()).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let id = answer.headers["mcp-session-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let accepted = self.legacy(&id, &initialized).await;
        assert_eq!(accepted.status, StatusCode::ACCEPTED);
        id
    }

    /// A message within a session.
    pub async fn legacy(&self, session: &str, body: &Value) -> Answer {
        self.post(&in_session(session), &body.to_string()).await
    }
}

impl Open {
    /// The rest of the answer.
    pub async fn whole(self) -> Answer {
        let body = self.body.collect().await.unwrap().to_bytes();
        Answer {
            status: self.status,
            headers: self.headers,
            body,
        }
    }

    /// The next piece of the answer.
    pub async fn piece(&mut self) -> Option<Bytes> {
        let frame = timeout(PATIENCE, self.body.frame())
            .await
            .expect("a piece in time")?;
        frame.unwrap().into_data().ok()
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// The messages of an event stream.
    pub fn events(&self) -> Vec<Value> {
        assert_eq!(
            self.headers["content-type"], "text/event-stream",
            "{self:?}"
        );
        events(std::str::from_utf8(&self.body).unwrap())
    }

    /// The code of a JSON-RPC error.
    pub fn code(&self) -> i64 {
        self.json()["error"]["code"]
            .as_i64()
            .unwrap_or_else(|| panic!("no error: {self:?}"))
    }
}

/// The messages in the text of an event stream; events without data carry none.
pub fn events(text: &str) -> Vec<Value> {
    text.split("\n\n")
        .filter(|event| event.lines().any(|line| line.starts_with("data: {")))
        .map(|event| {
            let data: Vec<&str> = event
                .lines()
                .filter_map(|line| line.strip_prefix("data: "))
                .collect();
            serde_json::from_str(&data.join("\n")).unwrap()
        })
        .collect()
}

fn with_usual<'a>(headers: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut all = vec![
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    all.retain(|(name, _)| {
        !headers
            .iter()
            .any(|(other, _)| other.eq_ignore_ascii_case(name))
    });
    all.extend_from_slice(headers);
    all
}

/// The headers of a request within a session.
pub fn in_session(session: &str) -> Vec<(&str, &str)> {
    vec![
        ("mcp-session-id", session),
        ("mcp-protocol-version", "2025-11-25"),
    ]
}

/// `_meta` of the stateless era.
pub fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

/// A request of the stateless era.
pub fn request(id: i64, method: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": { "_meta": meta() } })
}

/// A tool call of the stateless era.
pub fn call(id: i64, tool: &str, arguments: Value) -> Value {
    let mut body = request(id, "tools/call");
    body["params"]["name"] = tool.into();
    body["params"]["arguments"] = arguments;
    body
}

/// A tool call of the `initialize` era.
#[expect(clippy::needless_pass_by_value, reason = "as with `call`")]
pub fn legacy_call(id: i64, tool: &str, arguments: Value) -> Value {
    let params = json!({ "name": tool, "arguments": arguments });
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })
}

pub fn initialize(version: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": version,
        "capabilities": { "roots": {} },
        "clientInfo": { "name": "test", "version": "1.0" },
    }})
}
