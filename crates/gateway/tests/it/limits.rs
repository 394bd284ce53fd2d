//! Where there is no room, clients are told so at once, and others are served meanwhile.

use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use bus::memory::MemoryBus;
use bus::{Bus, Message, Overflow, Publish, Queue};
use protocol::Names;
use serde_json::{Value, json};
use service::Settings;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::harness::*;

/// How long a refusal, or the answer to a call that others must not delay, may take on a machine
/// that has other things to do.
const AT_ONCE: std::time::Duration = std::time::Duration::from_secs(5);

/// A gateway with a worker of `network` and one of `other`, and these limits.
async fn lab(per_category: u32, per_client: u32) -> (MemoryBus, [Worker; 2], Gate) {
    let bus = MemoryBus::new();
    let workers = [
        Worker::start(&bus).await,
        Worker::of(&bus, "other", &[descriptor("other_tool")]).await,
    ];
    let gate = Gate::with(&bus, |settings: &mut Settings| {
        settings.max_calls_per_category = per_category.try_into().unwrap();
        settings.max_calls_per_client = per_client.try_into().unwrap();
    })
    .await;
    gate.lists("lab_hang").await;
    gate.lists("other_tool").await;
    (bus, workers, gate)
}

/// Calls in the stateless era, as a client with these credentials.
async fn call_as(client: &Client, credentials: &str, tool: &str) -> Answer {
    let headers = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", tool),
        (AUTHORIZATION.as_str(), credentials),
    ];
    let body = call(7, tool, json!({})).to_string();
    timeout(AT_ONCE, client.post(&headers, &body))
        .await
        .expect("an answer at once")
}

/// Keeps so many calls under way until what is given is dropped.
async fn flood(gate: &Gate, worker: &Worker, credentials: &'static str, n: usize) -> JoinSet<()> {
    let before = worker.running();
    let mut calls = JoinSet::new();
    for _ in 0..n {
        let client = gate.client();
        calls.spawn(async move {
            let headers = [
                ("mcp-protocol-version", "2026-07-28"),
                ("mcp-method", "tools/call"),
                ("mcp-name", "lab_hang"),
                (AUTHORIZATION.as_str(), credentials),
            ];
            let body = call(1, "lab_hang", json!({})).to_string();
            client.post(&headers, &body).await;
        });
    }
    eventually("all calls run", async || worker.running() == before + n).await;
    calls
}

fn check_busy(answer: &Answer, reason: &str, retry_after: &str, expected: &Value) {
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert_eq!(answer.headers[RETRY_AFTER], retry_after);
    let body = answer.json();
    assert_eq!((answer.code(), &body["id"]), (-31002, expected), "{body}");
    let data = &body["error"]["data"];
    assert_eq!(data["retryable"], true, "{body}");
    assert_eq!(data["reason"], reason, "{body}");
    let seconds: u64 = retry_after.parse().unwrap();
    assert_eq!(data["retryAfterMs"], seconds * 1000, "{body}");
}

#[tokio::test]
async fn a_flooded_category_is_refused_at_once_while_another_is_answered_at_once() {
    let (_bus, [worker, _other], gate) = lab(4, 100).await;
    let client = gate.client();
    let calls = flood(&gate, &worker, "flood", 4).await;
    for _ in 0..10 {
        let refused = call_as(&client, "flood", "ping").await;
        check_busy(&refused, "category_limit", "1", &json!(7));
        let data = &refused.json()["error"]["data"];
        assert_eq!(data["category"], "network");
        let other = call_as(&client, "flood", "other_tool").await;
        assert_eq!(other.status, StatusCode::OK, "{other:?}");
    }
    assert_eq!(
        worker.calls().len(),
        4,
        "nothing was kept of what was refused"
    );
    let metrics = gate.process.metrics.encode();
    let refusals = r#"discovery_refusals_total{category="network",reason="category_limit"} 10"#;
    assert!(metrics.contains(refusals), "{metrics}");
    drop(calls);
    eventually(
        "a call that its client has left gives its place back",
        async || call_as(&client, "flood", "ping").await.status == StatusCode::OK,
    )
    .await;
}

#[tokio::test]
async fn one_client_cannot_take_everything() {
    let (_bus, [worker, _other], gate) = lab(100, 3).await;
    let client = gate.client();
    let calls = flood(&gate, &worker, "greedy", 3).await;
    for tool in ["ping", "other_tool"] {
        let refused = call_as(&client, "greedy", tool).await;
        check_busy(&refused, "client_limit", "1", &json!(7));
        let modest = call_as(&client, "modest", tool).await;
        assert_eq!(modest.status, StatusCode::OK, "{modest:?}");
    }
    drop(calls);
    eventually("the client has its places again", async || {
        call_as(&client, "greedy", "ping").await.status == StatusCode::OK
    })
    .await;
}

#[tokio::test]
async fn a_place_is_free_when_its_call_is_answered() {
    let (_bus, _workers, gate) = lab(1, 1).await;
    let client = gate.client();
    for tool in ["ping", "lab_fail", "lab_error", "lab_odd", "lab_progress"] {
        for _ in 0..3 {
            let answer = client.call(tool, json!({ "code": -31005 })).await;
            assert_eq!(answer.status, StatusCode::OK, "{tool}: {answer:?}");
        }
    }
    let mut body = call(1, "ping", json!({}));
    body["params"]["_meta"]["opendiscovery/timeoutMs"] = json!(1_u64 << 40);
    for _ in 0..3 {
        assert_eq!(client.modern(&body).await.code(), -32602);
    }
}

#[tokio::test]
async fn a_call_within_a_session_that_finds_no_room_is_refused_with_the_same_status() {
    let (_bus, [worker, _other], gate) = lab(1, 100).await;
    let client = gate.client();
    let session = client.session("2025-11-25").await;
    let _calls = flood(&gate, &worker, "flood", 1).await;
    let refused = client
        .legacy(&session, &legacy_call(9, "ping", json!({})))
        .await;
    check_busy(&refused, "category_limit", "1", &json!(9));
    let listed = client
        .legacy(
            &session,
            &json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }),
        )
        .await;
    assert_eq!(listed.status, StatusCode::OK);
}

#[tokio::test]
async fn a_call_that_waits_for_its_client_leaves_the_place_of_its_category_to_others() {
    let (_bus, [worker, _other], gate) = lab(1, 100).await;
    let client = gate.client();
    let session = client.session("2025-11-25").await;
    let asks = legacy_call(
        1,
        "lab_asks",
        asks(&[json!({ "k": { "method": "roots/list" } })]),
    );
    let mut stream = client
        .open_post(&in_session(&session), &asks.to_string())
        .await;
    let mut text = String::new();
    while !text.contains("roots/list") {
        text.push_str(std::str::from_utf8(&stream.piece().await.unwrap()).unwrap());
    }
    let question = events(&text).pop().unwrap();
    let calls = flood(&gate, &worker, "flood", 1).await;
    // Its client has answered, which must not be lost although the category is full by now.
    let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "roots": [] } });
    let taken = client.legacy(&session, &answer).await;
    assert_eq!(taken.status, StatusCode::ACCEPTED, "{taken:?}");
    let last = stream.whole().await.events().pop().unwrap();
    let told = &last["result"]["structuredContent"]["responses"]["k"];
    assert_eq!(*told, json!({ "roots": [] }), "{last}");
    drop(calls);
}

/// A work queue of `network` with room for nothing.
async fn full_queue(bus: &MemoryBus) {
    let names = Names::default();
    let link = bus.open("test").await.unwrap();
    let mut queue = Queue::work(&names, &protocol::Category::network());
    queue.max_length = Some((1, Overflow::RejectPublish));
    link.declare(&queue).await.unwrap();
    let key = names.tool_key(&protocol::Category::network(), "ping");
    let publish = || {
        let message = Message::default();
        let (exchange, routing_key) = (Names::REQUESTS.to_owned(), key.clone());
        Publish {
            exchange,
            routing_key,
            mandatory: true,
            may_share: false,
            message,
        }
    };
    while bus.publish(publish()).await.is_ok() {}
}

#[tokio::test]
async fn a_full_queue_is_told_at_once_in_both_eras() {
    let bus = MemoryBus::new();
    full_queue(&bus).await;
    let mut worker = Worker::quiet(&bus, "network", &[descriptor("ping")]);
    worker.listen().await;
    let gate = Gate::http(&bus).await;
    worker.announce().await;
    gate.lists("ping").await;
    let client = gate.client();
    let modern = timeout(AT_ONCE, client.call("ping", json!({}))).await;
    check_busy(&modern.unwrap(), "queue_full", "5", &json!(1));
    let session = client.session("2025-11-25").await;
    let body = legacy_call(2, "ping", json!({}));
    let legacy = timeout(AT_ONCE, client.legacy(&session, &body))
        .await
        .unwrap();
    check_busy(&legacy, "queue_full", "5", &json!(2));
}

#[tokio::test]
async fn an_alarm_of_the_broker_is_told_at_once_in_both_eras_and_leaves_the_gateway_ready() {
    let (bus, _workers, gate) = lab(100, 100).await;
    let client = gate.client();
    let session = client.session("2025-11-25").await;
    bus.block("low on memory");
    let modern = timeout(AT_ONCE, client.call("ping", json!({}))).await;
    check_busy(&modern.unwrap(), "broker_alarm", "5", &json!(1));
    let body = legacy_call(2, "ping", json!({}));
    let legacy = timeout(AT_ONCE, client.legacy(&session, &body)).await;
    check_busy(&legacy.unwrap(), "broker_alarm", "5", &json!(2));
    let health = &gate.process.health;
    eventually("the alarm is told", async || {
        let publishing = health.report().components["publishing"].clone();
        publishing
            .reason
            .is_some_and(|reason| reason.contains("low on memory"))
    })
    .await;
    assert!(
        health.is_ready(),
        "lists and sessions are served all the same"
    );
    bus.unblock();
    eventually("calls are taken again", async || {
        let answer = client.call("ping", json!({})).await;
        answer.status == StatusCode::OK && health.report().components["publishing"].reason.is_none()
    })
    .await;
}
