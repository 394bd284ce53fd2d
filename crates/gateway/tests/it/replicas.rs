//! Several gateways on one bus, and clients of the `initialize` era that come to any of them.

use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use bus::memory::MemoryBus;
use bus::{Binding, Bus, Consumer, Link, Message, Publish, Queue};
use futures::StreamExt;
use protocol::Names;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::*;

const KEY: &str = "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e";
const OTHER_KEY: &str = "6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f";

async fn gate(bus: &MemoryBus) -> Gate {
    with_keys(bus, KEY).await
}

async fn with_keys(bus: &MemoryBus, keys: &str) -> Gate {
    Gate::with(bus, |settings| {
        settings.session_key = Some(keys.parse().unwrap());
    })
    .await
}

async fn short_lived(bus: &MemoryBus) -> Gate {
    Gate::with(bus, |settings| {
        settings.session_key = Some(KEY.parse().unwrap());
        settings.mcp_session_ttl_ms = "3s".parse().unwrap();
    })
    .await
}

fn ping() -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" })
}

async fn status(gate: &Gate, session: &str) -> StatusCode {
    gate.client().legacy(session, &ping()).await.status
}

async fn becomes(gate: &Gate, session: &str, expected: StatusCode) {
    eventually(&format!("the session gives {expected}"), || async {
        status(gate, session).await == expected
    })
    .await;
}

#[tokio::test]
async fn a_session_is_served_by_every_gateway_with_its_key() {
    let bus = MemoryBus::new();
    let worker = Worker::start(&bus).await;
    let (one, two) = (gate(&bus).await, gate(&bus).await);
    let session = one.client().session("2025-06-18").await;
    two.lists("ping").await;
    let client = two.client();
    let list = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" });
    let listed = client.legacy(&session, &list).await.json();
    assert!(listed["result"]["tools"].as_array().unwrap().len() > 5);
    let call = legacy_call(3, "ping", json!({}));
    let answer = client.legacy(&session, &call).await.json();
    assert!(answer["result"].get("resultType").is_none());
    let body: Value = serde_json::from_slice(&worker.calls()[0].body).unwrap();
    let meta = &body["params"]["_meta"];
    assert_eq!(
        meta["io.modelcontextprotocol/clientCapabilities"],
        json!({ "roots": {} })
    );
    assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "test");
}

#[tokio::test]
async fn what_a_client_changes_at_one_gateway_holds_at_all() {
    let bus = MemoryBus::new();
    let worker = Worker::start(&bus).await;
    let (one, two) = (gate(&bus).await, gate(&bus).await);
    two.lists("ping").await;
    let session = one.client().session("2025-11-25").await;
    let set = json!({ "jsonrpc": "2.0", "id": 1, "method": "logging/setLevel",
        "params": { "level": "critical" } });
    let answer = one.client().legacy(&session, &set).await;
    assert_eq!(answer.json()["result"], json!({}));
    let asked_for = async |gate: &Gate| {
        let call = legacy_call(2, "ping", json!({}));
        gate.client().legacy(&session, &call).await;
        let body = worker.calls().pop().unwrap().body;
        let body: Value = serde_json::from_slice(&body).unwrap();
        body["params"]["_meta"]["io.modelcontextprotocol/logLevel"].clone()
    };
    eventually("the other gateway asks for that level", || async {
        asked_for(&two).await == "critical"
    })
    .await;
    // One that starts afterwards knows it before it serves.
    one.shut_down().await.unwrap();
    let late = gate(&bus).await;
    late.lists("ping").await;
    assert_eq!(asked_for(&late).await, "critical");
}

#[tokio::test]
async fn what_was_answered_at_one_gateway_holds_at_the_next_request_to_another() {
    let bus = MemoryBus::new();
    let worker = Worker::start(&bus).await;
    let gates = [gate(&bus).await, gate(&bus).await];
    for gate in &gates {
        gate.lists("ping").await;
    }
    for round in 0..20 {
        let (here, there) = (&gates[round % 2], &gates[(round + 1) % 2]);
        let session = here.client().session("2025-11-25").await;
        assert_eq!(status(there, &session).await, StatusCode::OK);
        let level = ["debug", "critical"][round % 2];
        let set = json!({ "jsonrpc": "2.0", "id": 1, "method": "logging/setLevel",
            "params": { "level": level } });
        here.client().legacy(&session, &set).await;
        let call = legacy_call(2, "ping", json!({}));
        there.client().legacy(&session, &call).await;
        let body: Value = serde_json::from_slice(&worker.calls().pop().unwrap().body).unwrap();
        let told = &body["params"]["_meta"]["io.modelcontextprotocol/logLevel"];
        assert_eq!(told, level, "round {round}");
        let headers = in_session(&session);
        let ended = here.client().send(Method::DELETE, &headers, "").await;
        assert_eq!(ended.status, StatusCode::NO_CONTENT);
        let over = status(there, &session).await;
        assert_eq!(over, StatusCode::NOT_FOUND, "round {round}");
    }
}

/// A gateway that says so and listens, and does nothing more by itself.
async fn silent_gateway(bus: &MemoryBus) -> (Box<dyn Link>, Consumer) {
    let link = bus.open("silent").await.unwrap();
    let binding = Binding {
        exchange: Names::CONTROL.to_owned(),
        pattern: Names::default().gateways_key(),
    };
    let queue = Queue::exclusive("silent", vec![binding]);
    link.declare(&queue).await.unwrap();
    let heard = link.consume("silent", None).await.unwrap();
    (link, heard)
}

/// What the silent gateway says.
async fn say(bus: &MemoryBus, method: &str, params: Value) {
    let body = json!({ "jsonrpc": "2.0", "method": method, "params": params });
    let message = Message {
        app_id: Some("silent".to_owned()),
        body: body.to_string().into(),
        ..Message::default()
    };
    let publish = Publish::broadcast(Names::CONTROL, Names::default().gateways_key(), message);
    bus.publish(publish).await.unwrap();
}

/// The number that the gateways want to hear back.
async fn mark(heard: &mut Consumer) -> u64 {
    loop {
        let delivery = heard.next().await.unwrap();
        let body: Value = serde_json::from_slice(&delivery.message.body).unwrap();
        if let Some(mark) = body["params"]["mark"].as_u64() {
            return mark;
        }
    }
}

#[tokio::test]
async fn a_change_is_answered_when_the_others_know_it_or_are_too_slow() {
    let bus = MemoryBus::new();
    let gate = gate(&bus).await;
    let session = gate.client().session("2025-11-25").await;
    let set = json!({ "jsonrpc": "2.0", "id": 1, "method": "logging/setLevel",
        "params": { "level": "debug" } });
    let slow = Duration::from_millis(250);
    let change = async || {
        let before = Instant::now();
        let answer = gate.client().legacy(&session, &set).await;
        assert_eq!(answer.status, StatusCode::OK);
        before.elapsed()
    };
    let (_link, mut heard) = silent_gateway(&bus).await;
    say(&bus, "opendiscovery/session/told", json!({ "keys": [] })).await;
    assert_eq!(status(&gate, &session).await, StatusCode::OK);
    assert!(change().await >= slow, "it is waited for");
    mark(&mut heard).await;
    say(&bus, "opendiscovery/session/told", json!({ "keys": [] })).await;
    assert_eq!(status(&gate, &session).await, StatusCode::OK);
    let known = async {
        let mark = mark(&mut heard).await;
        let before = Instant::now();
        say(&bus, "opendiscovery/session/known", json!({ "mark": mark })).await;
        before
    };
    let changed = async {
        change().await;
        Instant::now()
    };
    let (answered, known) = tokio::join!(changed, known);
    assert!(known < answered);
    assert!(change().await >= slow, "one that was in time is waited for");
}

#[tokio::test]
async fn a_gateway_that_is_gone_is_waited_for_once() {
    let bus = MemoryBus::new();
    let (one, two) = (gate(&bus).await, gate(&bus).await);
    let session = one.client().session("2025-11-25").await;
    assert_eq!(status(&two, &session).await, StatusCode::OK);
    two.shut_down().await.unwrap();
    let set = json!({ "jsonrpc": "2.0", "id": 1, "method": "logging/setLevel",
        "params": { "level": "debug" } });
    one.client().legacy(&session, &set).await;
    let before = Instant::now();
    for _ in 0..20 {
        one.client().legacy(&session, &set).await;
    }
    let time = before.elapsed();
    assert!(time < 20 * Duration::from_millis(250), "{time:?}");
}

#[tokio::test]
async fn a_session_that_was_ended_at_one_gateway_is_over_at_all() {
    let bus = MemoryBus::new();
    let worker = Worker::start(&bus).await;
    let (one, two) = (gate(&bus).await, gate(&bus).await);
    two.lists("ping").await;
    let session = one.client().session("2025-11-25").await;
    let mut calls = JoinSet::new();
    let (caller, id) = (two.client(), session.clone());
    calls.spawn(async move {
        caller
            .legacy(&id, &legacy_call(1, "lab_hang", json!({})))
            .await
    });
    eventually("the call runs", || async { worker.running() == 1 }).await;
    let headers = in_session(&session);
    let ended = one.client().send(Method::DELETE, &headers, "").await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    becomes(&two, &session, StatusCode::NOT_FOUND).await;
    eventually("the call was stopped", || async { worker.running() == 0 }).await;
    let answer = two.client().legacy(&session, &ping()).await;
    let message = answer.json()["error"]["message"].to_string();
    assert!(message.contains("begin again with initialize"), "{message}");
    // One that starts afterwards is told, even if only the other one is left to tell it.
    one.shut_down().await.unwrap();
    let late = gate(&bus).await;
    assert_eq!(status(&late, &session).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_session_goes_on_when_its_gateway_starts_again() {
    let bus = MemoryBus::new();
    let one = gate(&bus).await;
    let session = one.client().session("2025-11-25").await;
    one.shut_down().await.unwrap();
    let again = gate(&bus).await;
    assert_eq!(status(&again, &session).await, StatusCode::OK);
}

#[tokio::test]
async fn what_was_ended_during_an_outage_is_known_everywhere_after_it() {
    let bus = MemoryBus::new();
    let (one, two) = (gate(&bus).await, gate(&bus).await);
    let session = one.client().session("2025-11-25").await;
    assert_eq!(status(&two, &session).await, StatusCode::OK);
    bus.go_away();
    let headers = in_session(&session);
    let ended = one.client().send(Method::DELETE, &headers, "").await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    assert_eq!(status(&two, &session).await, StatusCode::OK);
    bus.come_back();
    becomes(&two, &session, StatusCode::NOT_FOUND).await;
}

#[tokio::test]
async fn a_cancel_reaches_the_gateway_that_runs_the_request() {
    let bus = MemoryBus::new();
    let worker = Worker::start(&bus).await;
    let (one, two) = (gate(&bus).await, gate(&bus).await);
    one.lists("ping").await;
    let session = one.client().session("2025-11-25").await;
    let mut calls = JoinSet::new();
    for id in ["a", "b"] {
        let (caller, session) = (one.client(), session.clone());
        calls.spawn(async move {
            let mut call = legacy_call(1, "lab_hang", json!({ "id": id }));
            call["id"] = id.into();
            (id, caller.legacy(&session, &call).await)
        });
    }
    eventually("both run", || async { worker.running() == 2 }).await;
    let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": { "requestId": "b", "reason": "enough" } });
    let accepted = two.client().legacy(&session, &cancel).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED);
    let (id, answer) = calls.join_next().await.unwrap().unwrap();
    assert_eq!(id, "b");
    assert!(
        answer.events().is_empty(),
        "a cancelled request has no answer"
    );
    eventually("one was stopped", || async { worker.running() == 1 }).await;
}

#[tokio::test]
async fn use_at_one_gateway_keeps_a_session_open_at_all() {
    let bus = MemoryBus::new();
    let (one, two) = (short_lived(&bus).await, short_lived(&bus).await);
    let used = one.client().session("2025-11-25").await;
    let idle = one.client().session("2025-11-25").await;
    let read = one.client().session("2025-11-25").await;
    let mut headers = in_session(&read);
    headers.push(("accept", "text/event-stream"));
    let stream = one.client().open(Method::GET, &headers, "").await;
    assert_eq!(stream.status, StatusCode::OK);
    // Asking for a session uses it, so only the clock can tell when the idle one is over.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        assert_eq!(status(&one, &used).await, StatusCode::OK);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(status(&two, &used).await, StatusCode::OK);
    assert_eq!(status(&two, &read).await, StatusCode::OK, "it has a reader");
    for gate in [&one, &two] {
        let answer = gate.client().legacy(&idle, &ping()).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        let message = answer.json()["error"]["message"].to_string();
        assert!(message.contains("not used"), "{message}");
    }
}

#[tokio::test]
async fn gateways_with_other_keys_say_so_and_do_not_serve_each_others_sessions() {
    let bus = MemoryBus::new();
    let one = gate(&bus).await;
    let two = with_keys(&bus, OTHER_KEY).await;
    let session = one.client().session("2025-11-25").await;
    assert_eq!(status(&two, &session).await, StatusCode::NOT_FOUND);
    for gate in [&one, &two] {
        let health = gate.process.health.clone();
        eventually("the other key is reported", || async {
            let report = health.report();
            let reason = &report.components["session-keys"].reason;
            health.is_ready() && reason.as_ref().is_some_and(|it| it.contains("SESSION_KEY"))
        })
        .await;
    }
    assert_eq!(status(&one, &session).await, StatusCode::OK);
    // While keys are changed one after another, nothing is amiss.
    let both = with_keys(&MemoryBus::new(), &format!("{KEY},{OTHER_KEY}")).await;
    assert_eq!(status(&both, &session).await, StatusCode::OK);
    let health = both.process.health.report();
    assert!(health.components["session-keys"].reason.is_none());
}

#[tokio::test]
async fn capabilities_that_no_header_holds_are_refused_by_name() {
    let gate = Gate::http(&MemoryBus::new()).await;
    let mut body = initialize("2025-11-25");
    body["params"]["capabilities"]["experimental"] = json!({ "x": "x".repeat(6000) });
    let answer = gate.client().post(&[], &body.to_string()).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::OK, -32602));
    let message = answer.json()["error"]["message"].to_string();
    assert!(message.contains("params.capabilities"), "{message}");
    assert!(!answer.headers.contains_key("mcp-session-id"));
    body["params"]["capabilities"]["experimental"] = json!({ "x": "x".repeat(3500) });
    let answer = gate.client().post(&[], &body.to_string()).await;
    let session = answer.headers["mcp-session-id"].to_str().unwrap();
    assert!(session.len() <= 6 * 1024);
    assert_eq!(status(&gate, session).await, StatusCode::OK);
}
