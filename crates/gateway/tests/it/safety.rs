//! Bounds of the HTTP front, by bytes that no client library sends.

use std::time::Duration;

use bus::memory::MemoryBus;
use serde_json::json;
use testkit::http::Connection;

use crate::harness::*;

const MAX_BODY: usize = 4 * 1024 * 1024;
const TIME: Duration = Duration::from_secs(40);

async fn connect(gate: &Gate) -> Connection {
    Connection::open(gate.address.unwrap()).await.unwrap()
}

fn head(extra: &str) -> String {
    format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n{extra}\r\n"
    )
}

#[tokio::test]
async fn a_body_that_is_announced_too_large_is_refused_before_it_comes() {
    let gate = Gate::http(&MemoryBus::new()).await;
    let mut connection = connect(&gate).await;
    let length = format!("Content-Length: {}\r\n", MAX_BODY + 1);
    connection.send(head(&length).as_bytes()).await.unwrap();
    let response = connection.response(TIME).await.unwrap();
    assert_eq!(response.status, 413);
    assert_eq!(response.json().unwrap()["error"]["code"], -32600);
}

#[tokio::test]
async fn a_body_that_turns_out_too_large_is_refused() {
    let gate = Gate::http(&MemoryBus::new()).await;
    let mut connection = connect(&gate).await;
    connection
        .send(head("Transfer-Encoding: chunked\r\n").as_bytes())
        .await
        .unwrap();
    let chunk = format!("{:x}\r\n{}\r\n", MAX_BODY + 1, "x".repeat(MAX_BODY + 1));
    connection.send(chunk.as_bytes()).await.unwrap();
    let response = connection.response(TIME).await.unwrap();
    assert_eq!(response.status, 413);
}

#[tokio::test]
async fn the_largest_body_is_taken() {
    let bus = MemoryBus::new();
    let _worker = Worker::start(&bus).await;
    let gate = Gate::http(&bus).await;
    gate.lists("ping").await;
    let empty = call(1, "ping", json!({ "pad": "" })).to_string().len();
    let body = call(1, "ping", json!({ "pad": "x".repeat(MAX_BODY - empty) }));
    assert_eq!(body.to_string().len(), MAX_BODY);
    let answer = gate.client().modern(&body).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body.get(..200));
}

#[tokio::test]
async fn a_request_without_or_with_two_hosts_is_refused() {
    let gate = Gate::http(&MemoryBus::new()).await;
    for (hosts, status) in [("", 403), ("Host: localhost\r\nHost: localhost\r\n", 403)] {
        let mut connection = connect(&gate).await;
        let request = format!("GET /mcp HTTP/1.1\r\n{hosts}\r\n");
        connection.send(request.as_bytes()).await.unwrap();
        let response = connection.response(TIME).await.unwrap();
        assert_eq!(response.status, status, "{hosts:?}");
    }
}

#[tokio::test]
async fn a_host_in_the_request_line_is_checked_too() {
    let gate = Gate::http(&MemoryBus::new()).await;
    let mut connection = connect(&gate).await;
    let request = "GET http://evil.example/mcp HTTP/1.1\r\nHost: localhost\r\n\r\n";
    connection.send(request.as_bytes()).await.unwrap();
    assert_eq!(connection.response(TIME).await.unwrap().status, 403);
}

#[tokio::test]
async fn configured_hosts_and_origins_are_accepted() {
    let gate = Gate::with(&MemoryBus::new(), |settings| {
        settings.http_allowed_hosts = "gateway.example".parse().unwrap();
        settings.http_allowed_origins = "https://console.example".parse().unwrap();
    })
    .await;
    let body = request(1, "server/discover").to_string();
    let headers = [
        ("host", "gateway.example:3000"),
        ("origin", "https://console.example"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "server/discover"),
    ];
    assert_eq!(gate.client().post(&headers, &body).await.status, 200);
}

#[tokio::test]
async fn a_client_that_never_finishes_its_head_is_let_go() {
    let gate = Gate::http(&MemoryBus::new()).await;
    let mut connection = connect(&gate).await;
    connection
        .send(b"POST /mcp HTTP/1.1\r\nHost: local")
        .await
        .unwrap();
    let outcome = connection.response(TIME).await;
    // Either it is told so or just disconnected; it does not wait for ever.
    assert!(outcome.is_err() || outcome.is_ok_and(|response| response.status == 408));
}

#[tokio::test]
async fn health_readiness_and_metrics_are_on_the_same_port() {
    let bus = MemoryBus::new();
    let gate = Gate::http(&bus).await;
    let health = gate.process.health.clone();
    eventually("ready", || async { health.is_ready() }).await;
    for (path, expected) in [
        ("/health", "\"broker\""),
        ("/ready", "\"up\""),
        ("/metrics", "# EOF"),
    ] {
        let mut connection = connect(&gate).await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        connection.send(request.as_bytes()).await.unwrap();
        let response = connection.response(TIME).await.unwrap();
        assert_eq!(response.status, 200, "{path}");
        assert!(
            response.text().contains(expected),
            "{path}: {}",
            response.text()
        );
    }
}

#[tokio::test]
async fn at_shutdown_open_requests_get_their_answers() {
    let bus = MemoryBus::new();
    let worker = Worker::start(&bus).await;
    let gate = Gate::http(&bus).await;
    gate.lists("ping").await;
    let client = gate.client();
    let mut calls = tokio::task::JoinSet::new();
    calls.spawn(async move {
        let mut body = call(1, "lab_hang", json!({}));
        body["params"]["_meta"]["opendiscovery/timeoutMs"] = 1000.into();
        client.modern(&body).await
    });
    eventually("the call runs", || async { worker.running() == 1 }).await;
    gate.shut_down().await.unwrap();
    let answer = calls.join_next().await.unwrap().unwrap();
    assert_eq!(
        answer.code(),
        -31003,
        "its own deadline, not the gateway's end"
    );
}
