//! What clients send by mistake or in bad faith: each gets the documented error, and the next
//! good call works.
//!
//! [`arguments`]: calls that no tool makes, from the [`tables`]. [`http`] and [`stdio`]: messages that are no requests,
//! and requests that no way in takes.

mod arguments;
mod http;
mod redirects;
mod stdio;
mod tables;

use serde_json::{Value, json};
use testkit::http::Request;

use crate::site::{Running, SOON};

/// Metadata of a good request, with its key.
const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

/// A request with these members in its parameters; `META` in them stands for [`META`].
fn with_params(id: &str, method: &str, params: &str) -> String {
    let params = params.replace("META", META);
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}}}}}"#)
}

/// A call that every platform can make.
fn good_call(id: impl Into<Value>) -> Request {
    Request::modern_call(id, "ifconfig", &json!({ "interface": "lo" }))
}

/// Checks the answer to [`good_call`].
fn check_good(answer: &Value, after: &str) {
    let result = &answer["result"];
    assert_eq!(result["isError"], false, "after {after}: {answer}");
    let name = &result["structuredContent"]["interfaces"][0]["name"];
    assert_eq!(name, "lo", "after {after}: {answer}");
}

/// Makes a good call over HTTP.
async fn next_good_call_works(platform: &Running, after: &str) {
    let reply = platform.client().send(&good_call(1), SOON).await.unwrap();
    assert_eq!(reply.status, 200, "after {after}: {reply:?}");
    check_good(reply.answer().unwrap(), after);
}
