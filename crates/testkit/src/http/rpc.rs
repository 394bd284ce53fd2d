//! JSON-RPC over HTTP for many calls at once.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::HeaderMap;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::sse;

/// A JSON-RPC message and the HTTP header fields that go with it.
#[derive(Debug, Clone)]
pub struct Request {
    /// The message.
    pub body: Value,
    /// Header fields beside `Content-Type` and `Accept`.
    pub headers: Vec<(String, String)>,
}

impl Request {
    /// A message as it is.
    #[must_use]
    pub fn new(body: Value) -> Self {
        Self {
            body,
            headers: Vec::new(),
        }
    }

    /// A request of MCP revision 2026-07-28: with its `_meta` and with the header fields that
    /// mirror method and name. `params` is an object; its own `_meta` keys win.
    #[must_use]
    pub fn modern(id: impl Into<Value>, method: &str, mut params: Value) -> Self {
        const VERSION: &str = "2026-07-28";
        let mut meta = json!({
            "io.modelcontextprotocol/protocolVersion": VERSION,
            "io.modelcontextprotocol/clientInfo": { "name": "testkit", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        if let (Value::Object(meta), Some(Value::Object(own))) =
            (&mut meta, params.get("_meta").cloned())
        {
            meta.extend(own);
        }
        let mut headers = vec![
            ("MCP-Protocol-Version".to_owned(), VERSION.to_owned()),
            ("Mcp-Method".to_owned(), method.to_owned()),
        ];
        if let Some(Value::String(name)) = params.get("name") {
            headers.push(("Mcp-Name".to_owned(), name.clone()));
        }
        if let Value::Object(params) = &mut params {
            params.insert("_meta".to_owned(), meta);
        }
        let id: Value = id.into();
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        Self { body, headers }
    }

    /// A `tools/call` of revision 2026-07-28.
    #[must_use]
    pub fn modern_call(id: impl Into<Value>, tool: &str, arguments: &Value) -> Self {
        Self::modern(
            id,
            "tools/call",
            json!({ "name": tool, "arguments": arguments }),
        )
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// An HTTP answer with every JSON-RPC message in it.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The messages: one for a JSON body, all of them for an event stream, none for an empty one.
    pub messages: Vec<Value>,
}

impl Reply {
    /// The answer itself: the message with `result` or `error`, which is the last one.
    ///
    /// # Errors
    /// There is none.
    pub fn answer(&self) -> Result<&Value> {
        let is_answer = |it: &&Value| it.get("result").is_some() || it.get("error").is_some();
        self.messages
            .last()
            .filter(is_answer)
            .with_context(|| format!("status {}, no answer: {:?}", self.status, self.messages))
    }
}

/// A client of one endpoint; clones share its connections, which are kept alive.
#[derive(Debug, Clone)]
pub struct RpcClient {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
}

impl RpcClient {
    /// A client of an endpoint, for instance `http://127.0.0.1:3000/mcp`.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self {
            client,
            url: url.into(),
        }
    }

    /// Posts a message and reads the whole answer.
    ///
    /// # Errors
    /// The answer has not ended within `deadline`, or its body is neither JSON nor events of JSON.
    pub async fn send(&self, request: &Request, deadline: Duration) -> Result<Reply> {
        timeout(deadline, self.exchange(request))
            .await
            .with_context(|| format!("no whole answer from {} in {deadline:?}", self.url))?
    }

    async fn exchange(&self, request: &Request) -> Result<Reply> {
        let mut builder = hyper::Request::post(&self.url)
            .header("Content-Type", "application/json")
            .header("Accept", "application/json, text/event-stream");
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        let body = Full::from(Bytes::from(request.body.to_string()));
        let response = self.client.request(builder.body(body)?).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        let kind = head
            .headers
            .get("content-type")
            .map_or(&b""[..], |value| value.as_bytes());
        let messages = if kind.starts_with(b"text/event-stream") {
            let mut rest = body.to_vec();
            std::iter::from_fn(|| sse::take_event(&mut rest))
                .filter(sse::Event::is_message)
                .map(|event| event.json())
                .collect::<Result<_>>()?
        } else if body.is_empty() {
            Vec::new()
        } else {
            let message = serde_json::from_slice(&body).with_context(|| {
                format!(
                    "status {}, not JSON: {}",
                    head.status,
                    String::from_utf8_lossy(&body)
                )
            })?;
            vec![message]
        };
        Ok(Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            messages,
        })
    }
}
