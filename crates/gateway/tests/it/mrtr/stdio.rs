//! The same on standard input and output.

use bus::memory::MemoryBus;
use serde_json::{Value, json};

use super::*;
use crate::stdio::Pipes;

async fn pipes(capabilities: Value) -> (Pipes, Worker) {
    let bus = MemoryBus::new();
    let worker = Worker::start(&bus).await;
    let mut pipes = Pipes::open(&bus).await;
    let mut body = initialize("2025-11-25");
    body["params"]["capabilities"] = capabilities;
    ask(&mut pipes, &body).await;
    pipes
        .send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
        .await;
    (pipes, worker)
}

/// The next message that is no news of a list.
async fn read(pipes: &mut Pipes) -> Value {
    loop {
        let message = pipes.read().await;
        let method = message["method"].as_str().unwrap_or_default();
        if !method.ends_with("list_changed") {
            return message;
        }
    }
}

async fn ask(pipes: &mut Pipes, body: &Value) -> Value {
    pipes.send(body).await;
    read(pipes).await
}

#[tokio::test]
async fn a_client_is_asked_on_the_one_stream_there_is() {
    let (mut pipes, _worker) = pipes(all_capabilities()).await;
    let questions = json!({ "who": form(), "where": roots() });
    let body = legacy_call(
        5,
        "lab_asks",
        asks(&[questions, json!({ "what": sampling() })]),
    );
    pipes.send(&body).await;
    let (first, second) = (read(&mut pipes).await, read(&mut pipes).await);
    // In between it goes on with others.
    let ping = ask(
        &mut pipes,
        &json!({ "jsonrpc": "2.0", "id": 6, "method": "ping" }),
    )
    .await;
    assert_eq!(ping["id"], 6);
    for request in [second, first] {
        let result = json!({ "of": request["method"] });
        pipes
            .send(&json!({ "jsonrpc": "2.0", "id": request["id"], "result": result }))
            .await;
    }
    let third = read(&mut pipes).await;
    assert_eq!(third["method"], "sampling/createMessage");
    let last = ask(
        &mut pipes,
        &json!({ "jsonrpc": "2.0", "id": third["id"], "result": { "role": "x" } }),
    )
    .await;
    assert_eq!(last["id"], 5);
    let told = &last["result"]["structuredContent"];
    assert_eq!(told["responses"], json!({ "what": { "role": "x" } }));
}

#[tokio::test]
async fn a_cancelled_call_takes_its_requests_back() {
    let (mut pipes, _worker) = pipes(all_capabilities()).await;
    pipes
        .send(&legacy_call(
            5,
            "lab_asks",
            asks(&[json!({ "who": form() })]),
        ))
        .await;
    let request = read(&mut pipes).await;
    let void = ask(
        &mut pipes,
        &json!({ "jsonrpc": "2.0", "method": "notifications/cancelled",
            "params": { "requestId": 5 } }),
    )
    .await;
    assert_eq!(void["params"]["requestId"], request["id"]);
    let next = ask(&mut pipes, &legacy_call(5, "ping", json!({}))).await;
    assert!(
        next["result"].is_object(),
        "the identifier is free again: {next}"
    );
}

#[tokio::test]
async fn a_modern_client_comes_back_itself() {
    let (mut pipes, _worker) = pipes(json!({})).await;
    let mut body = call(1, "lab_asks", asks(&[json!({ "who": form() })]));
    body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = all_capabilities();
    let first = ask(&mut pipes, &body).await;
    assert_eq!(first["result"]["resultType"], "input_required");
    body["params"]["requestState"] = first["result"]["requestState"].clone();
    body["params"]["inputResponses"] = json!({ "who": accepted() });
    let last = ask(&mut pipes, &body).await;
    assert_eq!(last["result"]["structuredContent"]["state"], "round-1");
}
