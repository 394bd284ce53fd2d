//! A tool of the platform, called over HTTP.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use testkit::http::{Request, Response, request};

use super::contestant::Run;
use crate::site::Server;

/// How long one call may take.
const DEADLINE: Duration = Duration::from_mins(2);

/// A call, and those for all further pages.
#[derive(Debug)]
pub(super) struct ToolCall {
    server: SocketAddr,
    tool: &'static str,
    arguments: Value,
    /// Member of the result that has what was found.
    listed: &'static str,
}

impl ToolCall {
    /// Waits until the server has the tool.
    pub(super) async fn new(
        server: &Server,
        tool: &'static str,
        arguments: Value,
        listed: &'static str,
    ) -> Result<Self> {
        server.has_tool(tool).await?;
        Ok(Self {
            server: server.address,
            tool,
            arguments,
            listed,
        })
    }

    /// Reads page after page. What this client does with a page is not in the time.
    pub(super) async fn run(&self) -> Result<Run> {
        let mut run = Run::default();
        let mut arguments = self.arguments.clone();
        loop {
            let begun = Instant::now();
            let response = post(self.server, self.tool, &arguments).await?;
            run.time += begun.elapsed();
            let result = structured(&response)?;
            let page = result.get(self.listed).and_then(Value::as_array);
            run.found += page.with_context(|| format!("no {}", self.listed))?.len();
            let (Some(cursor), Value::Object(arguments)) =
                (result.get("nextCursor"), &mut arguments)
            else {
                return Ok(run);
            };
            arguments.insert("cursor".to_owned(), cursor.clone());
        }
    }
}

/// Calls a tool once, and gives its structured result.
pub(super) async fn call(server: &Server, tool: &str, arguments: &Value) -> Result<Value> {
    server.has_tool(tool).await?;
    structured(&post(server.address, tool, arguments).await?)
}

async fn post(server: SocketAddr, tool: &str, arguments: &Value) -> Result<Response> {
    let Request { body, headers } = Request::modern_call(1, tool, arguments);
    let fixed = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
    ];
    let own = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let fields: Vec<(&str, &str)> = fixed.into_iter().chain(own).collect();
    request(
        server,
        "POST /mcp",
        &fields,
        body.to_string().as_bytes(),
        DEADLINE,
    )
    .await
}

/// The result in an answer, which is a message or comes as the last event of a stream.
fn structured(response: &Response) -> Result<Value> {
    let text = response.text();
    let events = text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("data:"));
    let message: Value = serde_json::from_str(events.unwrap_or(&text))
        .with_context(|| format!("status {}, no message", response.status))?;
    let result = message.get("result");
    let content = result.and_then(|result| result.get("structuredContent"));
    let is_error = result.is_none_or(|result| result["isError"] != false);
    match content {
        Some(content) if !is_error => Ok(content.clone()),
        _ => bail!("{message}"),
    }
}
