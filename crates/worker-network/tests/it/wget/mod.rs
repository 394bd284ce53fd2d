//! `wget` against HTTP servers that answer as a test wants.

mod arguments;
mod failures;
mod redirects;
mod tls;

use std::num::NonZeroU16;

use protocol::Category;
use serde_json::{Value, json};
use testkit::targets::{ANY_PORT, HttpServer, Script};
use worker::{Scope, Worker};
use worker_network::wget;

use crate::call::{error, structured};

fn worker(config: wget::Config) -> Worker {
    Worker::new(Category::network(), NonZeroU16::MIN)
        .tool(wget::tool_with(config))
        .scope(Scope::default())
}

async fn call(arguments: Value) -> Value {
    let worker = worker(wget::Config::default());
    worker.call_for_test("wget", arguments).await
}

async fn done(arguments: Value) -> Value {
    structured(&call(arguments).await)
}

async fn failed(arguments: Value) -> Value {
    error(&call(arguments).await)
}

/// A server with one answer for everything.
async fn serving(script: Script) -> HttpServer {
    HttpServer::start(ANY_PORT, move |_| script.clone())
        .await
        .unwrap()
}

fn header<'a>(result: &'a Value, name: &str) -> Vec<&'a str> {
    let headers = result["headers"].as_array().unwrap();
    headers
        .iter()
        .filter(|header| header["name"] == name)
        .map(|header| header["value"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_page_comes_with_status_headers_body_and_times() {
    let headers = [
        ("Content-Type", "text/plain"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
    ];
    let server = serving(Script::response(200, &headers, "grüß dich\n")).await;
    let result = done(json!({ "url": server.url("/a?b=c#d") })).await;
    assert_eq!(result["status"], 200);
    assert_eq!(result["url"], server.url("/a?b=c"));
    assert_eq!(result["body"], "grüß dich\n");
    assert_eq!(result["encoding"], "utf-8");
    assert_eq!(result["body_bytes"], 12);
    assert_eq!(result["content_length"], 12);
    assert_eq!(result["content_type"], "text/plain");
    assert_eq!(result["truncated"], false);
    assert_eq!(result["redirects"], json!([]));
    assert_eq!(result["address"], server.address().to_string());
    assert_eq!(header(&result, "set-cookie"), ["a=1", "b=2"]);
    assert!(result.get("tls").is_none());
    let timing = &result["timing"];
    let total = timing["total_ms"].as_f64().unwrap();
    for phase in ["dns_ms", "connect_ms", "first_byte_ms"] {
        let phase = timing[phase].as_f64().unwrap();
        assert!((0.0..=total).contains(&phase), "{timing}");
    }
    assert!(timing.get("tls_ms").is_none());
}

#[tokio::test]
async fn the_request_says_who_asks_and_asks_for_plain_bytes() {
    let server = serving(Script::response(200, &[], "")).await;
    done(json!({ "url": server.url("/x%20y?q=[1]") })).await;
    done(json!({ "url": server.url("/"), "user_agent": "Probe/1.0 (test)" })).await;
    let requests = server.requests();
    assert_eq!(requests[0].method, "GET");
    assert_eq!(requests[0].path, "/x%20y?q=[1]");
    let host = server.address().to_string();
    assert_eq!(requests[0].header("host"), Some(host.as_str()));
    assert_eq!(requests[0].header("accept-encoding"), Some("identity"));
    let agent = requests[0].header("user-agent").unwrap();
    assert!(agent.starts_with("OpenDiscovery/"), "{agent}");
    assert_eq!(requests[1].header("user-agent"), Some("Probe/1.0 (test)"));
    for secret in ["authorization", "cookie", "referer"] {
        assert_eq!(requests[0].header(secret), None);
    }
}

#[tokio::test]
async fn an_error_status_is_a_result() {
    for status in [400, 401, 404, 500, 503] {
        let server = serving(Script::response(status, &[], "sorry")).await;
        let result = done(json!({ "url": server.url("/") })).await;
        assert_eq!(result["status"], status);
        assert_eq!(result["body"], "sorry");
    }
}

#[tokio::test]
async fn binary_data_comes_in_base64() {
    let server = serving(Script::response(
        200,
        &[("Content-Type", "image/png")],
        b"\x89PNG\0",
    ))
    .await;
    let result = done(json!({ "url": server.url("/") })).await;
    assert_eq!(result["encoding"], "base64");
    assert_eq!(result["body"], "iVBORwA=");
    assert_eq!(result["body_bytes"], 5);
}

#[tokio::test]
async fn a_declared_character_set_is_converted() {
    let headers = [("Content-Type", "text/html; charset=iso-8859-1")];
    let server = serving(Script::response(200, &headers, b"gr\xfc\xdfe")).await;
    let result = done(json!({ "url": server.url("/") })).await;
    assert_eq!(result["body"], "grüße");
    assert_eq!(result["charset"], "windows-1252");
}

#[tokio::test]
async fn a_long_body_is_cut_at_the_limit() {
    let server = serving(Script::response(200, &[], "x".repeat(3_000_000))).await;
    for (max_bytes, expected) in [
        (None, 1_048_576),
        (Some(10), 10),
        (Some(2_097_152), 2_097_152),
    ] {
        let mut arguments = json!({ "url": server.url("/") });
        if let Some(max_bytes) = max_bytes {
            arguments["max_bytes"] = max_bytes.into();
        }
        let result = done(arguments).await;
        assert_eq!(result["truncated"], true);
        assert_eq!(result["body_bytes"], expected);
        assert_eq!(result["body"].as_str().unwrap().len(), expected);
        assert_eq!(result["content_length"], 3_000_000);
    }
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_whole() {
    let server = serving(Script::response(200, &[], "0123456789")).await;
    let result = done(json!({ "url": server.url("/"), "max_bytes": 10 })).await;
    assert_eq!(result["truncated"], false);
    assert_eq!(result["body"], "0123456789");
}

#[tokio::test]
async fn an_endless_body_is_cut_and_the_connection_closed() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("2000\r\n{}\r\n", "y".repeat(0x2000)).repeat(8);
    let script = Script::raw(format!("{head}{chunk}")).and_hang();
    let server = serving(script).await;
    let result = done(json!({ "url": server.url("/"), "max_bytes": 1000 })).await;
    assert_eq!(result["truncated"], true);
    assert_eq!(result["body_bytes"], 1000);
}

#[tokio::test]
async fn a_body_without_a_length_ends_with_the_connection() {
    let server = serving(Script::raw("HTTP/1.0 200 OK\r\n\r\nold style")).await;
    let result = done(json!({ "url": server.url("/") })).await;
    assert_eq!(result["body"], "old style");
    assert_eq!(result["http_version"], "HTTP/1.0");
    assert!(result.get("content_length").is_none());
}

#[tokio::test]
async fn a_body_cannot_break_out_of_the_summary() {
    let body = "```\n# not a heading of ours\n````";
    let server = serving(Script::response(
        200,
        &[("Content-Type", "text/plain")],
        body,
    ))
    .await;
    let result = call(json!({ "url": server.url("/") })).await;
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(
        text.contains("`````\n```\n# not a heading of ours\n````\n`````"),
        "{text}"
    );
    assert!(text.contains("200"), "{text}");
}

#[test]
fn the_declaration_is_as_agreed() {
    let worker = worker(wget::Config::default());
    insta::assert_json_snapshot!("wget", worker.descriptors()[0]);
}
