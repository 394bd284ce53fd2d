//! The stdio front, over pipes in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use bus::memory::MemoryBus;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines};

use crate::harness::*;

/// A client on the other end of the pipes.
pub struct Pipes {
    pub gate: Gate,
    pub input: DuplexStream,
    pub output: Lines<BufReader<DuplexStream>>,
}

impl Pipes {
    pub async fn open(bus: &MemoryBus) -> Self {
        let (gate, input, output) = Gate::stdio(bus).await;
        Self {
            gate,
            input,
            output: BufReader::new(output).lines(),
        }
    }

    pub async fn send(&mut self, body: &Value) {
        self.write(&format!("{body}\n")).await;
    }

    pub async fn write(&mut self, text: &str) {
        self.input.write_all(text.as_bytes()).await.unwrap();
    }

    pub async fn line(&mut self) -> Option<String> {
        let line = self.output.next_line();
        tokio::time::timeout(PATIENCE, line)
            .await
            .expect("a line in time")
            .unwrap()
    }

    pub async fn read(&mut self) -> Value {
        serde_json::from_str(&self.line().await.expect("a message")).unwrap()
    }

    pub async fn ask(&mut self, body: &Value) -> Value {
        self.send(body).await;
        self.read().await
    }
}

async fn served() -> (Pipes, Worker) {
    let bus = MemoryBus::new();
    let worker = Worker::start(&bus).await;
    (Pipes::open(&bus).await, worker)
}

#[tokio::test]
async fn both_eras_are_served_on_one_stream() {
    let (mut pipes, _worker) = served().await;
    let modern = pipes.ask(&request(1, "server/discover")).await;
    assert_eq!(modern["result"]["supportedVersions"][0], "2026-07-28");
    let early = pipes
        .ask(&json!({ "jsonrpc": "2.0", "id": 2, "method": "ping" }))
        .await;
    assert_eq!(early, json!({ "jsonrpc": "2.0", "id": 2, "result": {} }));
    let agreed = pipes.ask(&initialize("2025-06-18")).await;
    assert_eq!(agreed["result"]["protocolVersion"], "2025-06-18");
    pipes
        .send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
        .await;
    let list = pipes
        .ask(&json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/list" }))
        .await;
    assert!(list["result"].get("ttlMs").is_none());
    let legacy = pipes
        .ask(&legacy_call(4, "ping", json!({ "host": "h" })))
        .await;
    assert!(legacy["result"].get("resultType").is_none());
    let modern = pipes.ask(&call(5, "ping", json!({}))).await;
    assert_eq!(modern["result"]["resultType"], "complete");
}

#[tokio::test]
async fn the_first_list_after_the_start_has_the_tools_of_running_workers() {
    let (mut pipes, _worker) = served().await;
    let list = pipes.ask(&request(1, "tools/list")).await;
    assert!(!list["result"]["tools"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn calls_run_side_by_side_and_progress_keeps_to_its_own() {
    let (mut pipes, _worker) = served().await;
    for id in 0..50 {
        let mut body = call(id, "lab_progress", json!({ "id": id }));
        body["params"]["_meta"]["progressToken"] = id.into();
        pipes.send(&body).await;
    }
    let mut steps: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    let mut answered = 0;
    while answered < 50 {
        let message = pipes.read().await;
        if let Some(id) = message["id"].as_i64() {
            assert_eq!(message["result"]["structuredContent"]["done"]["id"], id);
            assert_eq!(steps[&id], [1, 2], "progress comes before the answer");
            answered += 1;
        } else {
            let token = message["params"]["progressToken"].as_i64().unwrap();
            steps
                .entry(token)
                .or_default()
                .push(message["params"]["progress"].as_i64().unwrap());
        }
    }
}

#[tokio::test]
async fn a_cancelled_request_is_stopped_and_says_nothing_more() {
    let (mut pipes, worker) = served().await;
    for id in [json!(1), json!("1")] {
        let mut body = call(0, "lab_hang", json!({}));
        body["id"] = id;
        pipes.send(&body).await;
    }
    eventually("both run", || async { worker.running() == 2 }).await;
    pipes
        .send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } }))
        .await;
    eventually("one is stopped", || async { worker.running() == 1 }).await;
    assert_eq!(worker.cancelled().len(), 1);
    let next = pipes.ask(&call(2, "ping", json!({}))).await;
    assert_eq!(next["id"], 2, "nothing was said of the cancelled request");
}

#[tokio::test]
async fn a_bad_line_gets_an_error_and_the_next_one_its_answer() {
    let (mut pipes, _worker) = served().await;
    let long = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{}\"}}\n",
        "x".repeat(4 * 1024 * 1024)
    );
    for (line, code) in [
        ("nonsense\n", -32700),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"x\"}\n",
            -32700,
        ),
        ("[]\n", -32600),
        ("{}\n", -32600),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"x\"}\n",
            -32600,
        ),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":{\"_meta\":5}}\n",
            -32602,
        ),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}\n",
            -32602,
        ),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server/discover\"}\n",
            -32602,
        ),
        (long.as_str(), -32600),
    ] {
        pipes.write(line).await;
        let error = pipes.read().await;
        let start: String = line.chars().take(80).collect();
        assert_eq!(error["error"]["code"], code, "{start}");
        let good = pipes.ask(&call(7, "ping", json!({}))).await;
        assert_eq!(good["id"], 7, "{start}");
    }
}

#[tokio::test]
async fn blank_lines_responses_and_other_notifications_are_passed_over() {
    let (mut pipes, _worker) = served().await;
    pipes
        .write("\n  \r\n{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n")
        .await;
    pipes
        .write("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/unheard_of\"}\r\n")
        .await;
    let answer = pipes.ask(&call(1, "ping", json!({}))).await;
    assert_eq!(answer["id"], 1);
}

#[tokio::test]
async fn an_answer_is_one_line_whatever_the_worker_wrote() {
    let (mut pipes, _worker) = served().await;
    pipes.send(&call(1, "lab_odd", json!({}))).await;
    let line = pipes.line().await.unwrap();
    assert_eq!(line, odd(&json!(1)).replace('\n', " "));
}

#[tokio::test]
async fn at_the_end_of_the_input_running_calls_finish_and_the_gateway_ends() {
    let (mut pipes, _worker) = served().await;
    for id in 0..20 {
        pipes.send(&call(id, "ping", json!({}))).await;
    }
    let Pipes {
        gate,
        input,
        mut output,
    } = pipes;
    drop(input);
    let mut answers = 0;
    while output.next_line().await.unwrap().is_some() {
        answers += 1;
    }
    assert_eq!(answers, 20);
    gate.ended().await.unwrap();
}

#[tokio::test]
async fn an_identifier_in_use_is_refused() {
    let (mut pipes, worker) = served().await;
    pipes.send(&call(1, "lab_hang", json!({}))).await;
    eventually("it runs", || async { worker.running() == 1 }).await;
    let second = pipes.ask(&call(1, "ping", json!({}))).await;
    assert_eq!(second["error"]["code"], -32600);
}

/// A client whose call of a tool that must not run twice was granted, and does not end.
async fn granted() -> (Pipes, Worker) {
    let bus = MemoryBus::new();
    let tool = json!({
        "name": "lab_once", "inputSchema": { "type": "object" },
        "_meta": { "opendiscovery/atMostOnce": true, "opendiscovery/defaultTimeoutMs": 600_000 },
    });
    let worker = Worker::of(&bus, "lab", &[tool.to_string()]).await;
    let mut pipes = Pipes::open(&bus).await;
    pipes.send(&call(1, "lab_once", json!({}))).await;
    eventually("it is granted", || async { worker.grants() == 1 }).await;
    (pipes, worker)
}

#[tokio::test(start_paused = true)]
async fn a_call_that_may_not_run_twice_ends_when_its_worker_is_gone() {
    let (mut pipes, worker) = granted().await;
    worker.die().await;
    let answer = pipes.read().await;
    assert_eq!(answer["error"]["code"], -31004, "{answer}");
    assert_eq!(answer["error"]["data"]["retryable"], false);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_may_not_run_twice_and_outlasts_the_shutdown_is_not_to_be_tried_again() {
    let (mut pipes, worker) = granted().await;
    pipes.gate.process.shutdown.cancel();
    // A worker that said nothing would be taken for gone before the gateway ends.
    let mut beat = tokio::time::interval(Duration::from_secs(5));
    let answer = loop {
        tokio::select! {
            answer = pipes.read() => break answer,
            _ = beat.tick() => worker.announce().await,
        }
    };
    assert_eq!(answer["error"]["code"], -31004, "{answer}");
    assert_eq!(answer["error"]["data"]["retryable"], false);
    pipes.gate.ended().await.unwrap();
    assert_eq!((worker.running(), worker.cancelled().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_outlasts_the_shutdown_is_ended_and_told_so() {
    let (mut pipes, worker) = served().await;
    let mut body = call(1, "lab_hang", json!({}));
    body["params"]["_meta"]["opendiscovery/timeoutMs"] = 60_000.into();
    pipes.send(&body).await;
    eventually("it runs", || async { worker.running() == 1 }).await;
    pipes.gate.process.shutdown.cancel();
    let answer = pipes.read().await;
    assert_eq!(answer["error"]["code"], -31002, "{answer}");
    eventually("the worker has stopped", || async { worker.running() == 0 }).await;
    pipes.gate.ended().await.unwrap();
}

#[tokio::test]
async fn a_client_that_stops_reading_is_gone_without_an_error() {
    let (mut pipes, _worker) = served().await;
    pipes.send(&call(1, "ping", json!({}))).await;
    let Pipes {
        gate,
        input,
        output,
    } = pipes;
    drop(output);
    gate.ended().await.unwrap();
    drop(input);
}
