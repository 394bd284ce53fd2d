//! A tool that must not run twice, for tests that count whether it does.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use worker::{Context, Stop, Tool, ToolContent};

use super::declare::with_text;

/// How long the target of a call may take.
const TARGET_TIME: Duration = Duration::from_secs(25);

/// Asks its target and gives what that says; the target counts how often this runs.
pub(super) fn tool() -> Tool {
    let url = (
        "url",
        json!({ "type": "string", "description": "What to ask for; http, with a port." }),
    );
    with_text(
        "test_at_most_once",
        "Asks an HTTP server and gives what it says. A call never runs twice.",
        url,
        at_most_once,
    )
    .at_most_once()
}

async fn at_most_once(_context: Context, url: String) -> Result<ToolContent, Stop> {
    let asked = timeout(TARGET_TIME, ask(&url)).await;
    let text = match asked {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => return Ok(failed(&error.to_string())),
        Err(_) => return Ok(failed("the target takes too long")),
    };
    Ok(ToolContent::new().text(text))
}

fn failed(why: &str) -> ToolContent {
    ToolContent::new().text(why).error()
}

/// The body of an answer.
async fn ask(url: &str) -> std::io::Result<String> {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(authority).await?;
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    Ok(body.to_owned())
}
