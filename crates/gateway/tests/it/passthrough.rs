//! What clients and workers write reaches the other side byte for byte.

use axum::http::StatusCode;
use bus::memory::MemoryBus;
use serde_json::json;

use crate::harness::*;
use crate::stdio::Pipes;

/// What a reader that repairs or rounds would change.
const ODD: &str = r##"{ "n":1.0 ,"e":1e3,"E":-0.0E+00,"big":12345678901234567890123,"u":"\u00e4\/ä","z":[ [],{} ,null,true ],"$schema":"https://json-schema.org/draft/2020-12/schema","$defs":{"a":{"$anchor":"a","type":"object","properties":{"$ref":{"$dynamicRef":"#a"}}}},"allOf":[{"if":{"const":1.00},"then":false,"else":{"not":{}}}],"x-unheard-of":{"type":"hologram","data":"\ud83d\ude00"} }"##;

const MODERN_META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{ "experimental":{"n":1.0} },"x.y/z":1.50}"#;

/// A call of `lab_echo` with odd arguments, an odd member beside them, and this metadata.
fn request(meta: &str) -> String {
    format!(
        r#"{{"params": {{"unheard":{ODD},"arguments" :{ODD}, "name":"lab_echo"{meta} }},"extra":1.0,"method":"tools/call","id":7,"jsonrpc":"2.0" }}"#
    )
}

/// A call of `lab_text`, which answers with this result.
fn wants(result: &str, meta: &str) -> String {
    let arguments = json!({ "result": result });
    format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"lab_text","arguments":{arguments}{meta}}}}}"#
    )
}

/// A result with content of every sort; `more` are members of its own era.
fn result(more: &str) -> String {
    format!(
        r#"{{ {more}"content":[{{"type":"hologram","data":{ODD}}},{{ "type":"text","text":"\u0061" }}],"structuredContent":{ODD},"isError":false,"unheard":{ODD} }}"#
    )
}

fn answer(result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0", "id":7,"result": {result} }}"#)
}

/// What the worker got.
fn taken(worker: &Worker) -> String {
    String::from_utf8(worker.calls().pop().unwrap().body.to_vec()).unwrap()
}

/// The request of a session as a worker gets it: with what the session agreed on in front of its
/// own metadata.
fn completed(capabilities: &str) -> String {
    let added = format!(
        r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{capabilities},"io.modelcontextprotocol/clientInfo":{{"name":"test","version":"1.0"}},"io.modelcontextprotocol/logLevel":"info","#
    );
    request(&format!(r#","_meta":{{{added} "progressToken":1.0}}"#))
}

const LEGACY_META: &str = r#","_meta":{ "progressToken":1.0}"#;

async fn served() -> (Gate, Worker) {
    let bus = MemoryBus::new();
    let worker = Worker::start(&bus).await;
    let gate = Gate::http(&bus).await;
    gate.lists("lab_text").await;
    (gate, worker)
}

#[tokio::test]
async fn requests_and_results_of_the_stateless_era_are_not_touched() {
    let (gate, worker) = served().await;
    let meta = format!(",{MODERN_META}");
    let post = async |tool: &str, body: &str| {
        let headers = [
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", tool),
        ];
        let answer = gate.client().post(&headers, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        String::from_utf8(answer.body.to_vec()).unwrap()
    };
    post("lab_echo", &request(&meta)).await;
    assert_eq!(taken(&worker), request(&meta));
    let result = result(r#""resultType":"complete","ttlMs":1.0,"#);
    assert_eq!(
        post("lab_text", &wants(&result, &meta)).await,
        answer(&result)
    );
}

#[tokio::test]
async fn of_a_session_only_metadata_is_added_and_what_its_revision_lacks_removed() {
    let (gate, worker) = served().await;
    let session = gate.client().session("2025-11-25").await;
    let post = async |body: &str| {
        let answer = gate.client().post(&in_session(&session), body).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        String::from_utf8(answer.body.to_vec()).unwrap()
    };
    post(&request(LEGACY_META)).await;
    assert_eq!(taken(&worker), completed(r#"{"roots":{}}"#));
    // Without members to remove nothing is written anew.
    let plain = result("");
    assert_eq!(post(&wants(&plain, "")).await, answer(&plain));
    // Otherwise the other members keep their values.
    let stripped = post(&wants(
        &result(r#""ttlMs":1.0,"resultType":"complete","#),
        "",
    ))
    .await;
    let squeezed = result("").replacen("{ \"content\"", "{\"content\"", 1);
    let squeezed = format!("{}}}", squeezed.strip_suffix(" }").unwrap());
    assert_eq!(stripped, answer(&squeezed));
}

#[tokio::test]
async fn stdio_touches_no_more_than_http() {
    let bus = MemoryBus::new();
    let worker = Worker::start(&bus).await;
    let mut pipes = Pipes::open(&bus).await;
    let meta = format!(",{MODERN_META}");
    let mut exchange = async |body: &str| {
        pipes.write(&format!("{body}\n")).await;
        pipes.line().await.unwrap()
    };
    exchange(&request(&meta)).await;
    assert_eq!(taken(&worker), request(&meta));
    let modern = result(r#""resultType":"complete","#);
    assert_eq!(exchange(&wants(&modern, &meta)).await, answer(&modern));
    exchange(&initialize("2025-06-18").to_string()).await;
    exchange(&request(LEGACY_META)).await;
    assert_eq!(taken(&worker), completed(r#"{"roots":{}}"#));
    let plain = result("");
    assert_eq!(exchange(&wants(&plain, "")).await, answer(&plain));
}
