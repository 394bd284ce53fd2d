//! Calls with a key of their caller, as they reach workers.

use bus::Message;
use bus::memory::MemoryBus;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::*;
use crate::stdio::Pipes;

const KEY: &str = "8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b";

/// A caller's key, long enough for one that says nothing of itself.
const CALLERS: &str = "k-0123456789abcdef";

/// Two gateways with one key for their sessions, and a worker.
struct Site {
    bus: MemoryBus,
    one: Gate,
    two: Gate,
    worker: Worker,
}

impl Site {
    async fn new() -> Self {
        let bus = MemoryBus::new();
        let worker = Worker::offering(&bus, "network", &Offer::full()).await;
        let gate = || {
            Gate::with(&bus, |settings| {
                settings.session_key = Some(KEY.parse().unwrap());
            })
        };
        let (one, two) = (gate().await, gate().await);
        one.lists("lab_echo").await;
        two.lists("lab_echo").await;
        Self {
            bus,
            one,
            two,
            worker,
        }
    }

    /// The message that the last call became.
    fn last(&self) -> Message {
        self.worker.calls().pop().unwrap()
    }

    /// The message id of a call with a key that a client of this name sends.
    async fn named(&self, gate: &Gate, name: &str) -> String {
        let mut body = with_key(call(1, "lab_echo", json!({})), CALLERS);
        body["params"]["_meta"]["io.modelcontextprotocol/clientInfo"] =
            json!({ "name": name, "version": "1" });
        gate.client().modern(&body).await;
        self.last().message_id.unwrap()
    }

    async fn in_session(&self, gate: &Gate, session: &str) -> String {
        let body = with_key(legacy_call(1, "lab_echo", json!({})), CALLERS);
        gate.client().legacy(session, &body).await;
        self.last().message_id.unwrap()
    }
}

fn with_key(mut body: Value, key: impl Into<Value>) -> Value {
    body["params"]["_meta"]["opendiscovery/idempotencyKey"] = key.into();
    body
}

#[tokio::test]
async fn a_key_is_the_same_message_at_every_replica() {
    let site = Site::new().await;
    let body = with_key(call(1, "lab_echo", json!({})), CALLERS);
    let mut ids = Vec::new();
    for gate in [&site.one, &site.two, &site.one] {
        let answer = gate.client().modern(&body).await.json();
        assert_eq!(
            answer["result"]["structuredContent"]["body"],
            body.to_string()
        );
        let message = site.last();
        assert!(message.headers.is_true("mcp-idempotent"));
        ids.push(message.message_id.unwrap());
    }
    assert!(ids[0].starts_with("key-") && !ids[0].contains('='));
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let other = with_key(call(1, "lab_echo", json!({})), "other-0123456789");
    site.one.client().modern(&other).await;
    assert_ne!(site.last().message_id.unwrap(), ids[0]);
}

#[tokio::test]
async fn without_a_key_every_call_is_a_message_of_its_own() {
    let site = Site::new().await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        site.one.client().call("lab_echo", json!({})).await;
        let message = site.last();
        assert!(!message.headers.is_true("mcp-idempotent"));
        ids.push(message.message_id.unwrap());
    }
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn callers_do_not_meet_under_a_key() {
    let site = Site::new().await;
    let session = site.one.client().session("2025-11-25").await;
    let other_session = site.one.client().session("2025-11-25").await;
    let mut seen = vec![
        site.named(&site.one, "a").await,
        site.named(&site.one, "b").await,
        site.in_session(&site.one, &session).await,
        site.in_session(&site.one, &other_session).await,
    ];
    assert_eq!(site.named(&site.two, "a").await, seen[0]);
    assert_eq!(site.in_session(&site.two, &session).await, seen[2]);
    let body = with_key(call(1, "lab_echo", json!({})), CALLERS).to_string();
    for token in ["Bearer x", "Bearer y"] {
        let headers = [
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", "lab_echo"),
            ("authorization", token),
        ];
        site.one.client().post(&headers, &body).await;
        let id = site.last().message_id.unwrap();
        site.two.client().post(&headers, &body).await;
        assert_eq!(site.last().message_id.unwrap(), id);
        seen.push(id);
    }
    for _ in 0..2 {
        let mut pipes = Pipes::open(&site.bus).await;
        let body = with_key(call(1, "lab_echo", json!({})), CALLERS);
        pipes.ask(&body).await;
        let id = site.last().message_id.unwrap();
        pipes.ask(&body).await;
        assert_eq!(site.last().message_id.unwrap(), id);
        seen.push(id);
    }
    for (index, id) in seen.iter().enumerate() {
        assert!(!seen[..index].contains(id), "{index}: {seen:?}");
    }
}

/// Calls `lab_hang` and goes away when it runs, until the gateway has noticed.
async fn abandon(site: &Site, body: Value) {
    let before = site.worker.calls().len();
    let client = site.one.client();
    let mut calls = JoinSet::new();
    calls.spawn(async move { client.modern(&body).await });
    eventually("the call runs", async || {
        site.worker.calls().len() == before + 1
    })
    .await;
    calls.shutdown().await;
    let cancelled = r#"discovery_calls_total{category="network",outcome="cancelled"}"#;
    let line = format!("{cancelled} {}\n", before + 1);
    let metrics = &site.one.process.metrics;
    eventually(&line, async || metrics.encode().contains(&line)).await;
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_only_calls_that_it_cannot_ask_for_again() {
    let site = Site::new().await;
    abandon(&site, with_key(call(1, "lab_hang", json!({})), CALLERS)).await;
    abandon(&site, call(2, "lab_hang", json!({}))).await;
    let without_key = site.last().correlation_id.unwrap();
    eventually("a call is cancelled", async || {
        !site.worker.cancelled().is_empty()
    })
    .await;
    assert_eq!(site.worker.cancelled(), [without_key]);
    assert_eq!(site.worker.running(), 1);
}

#[tokio::test]
async fn what_is_no_key_and_what_takes_none_is_refused() {
    let site = Site::new().await;
    let refused = async |body: Value, expected: &str| {
        let answer = site.one.client().modern(&body).await;
        assert_eq!(answer.code(), -32602, "{body}");
        let message = answer.json()["error"]["message"].to_string();
        assert!(message.contains(expected), "{message}");
    };
    let short = with_key(call(1, "lab_echo", json!({})), "k".repeat(15));
    refused(short.clone(), "make it a UUID, or say who calls").await;
    for key in [json!(""), json!(7), json!(null), json!("k".repeat(256))] {
        let body = with_key(call(1, "lab_echo", json!({})), key);
        refused(body, "a string of 1 to 255 bytes").await;
    }
    let mut read = with_key(request(1, "resources/read"), CALLERS);
    read["params"]["uri"] = "test://one".into();
    refused(read, "for tools/call only").await;
    assert!(site.worker.calls().is_empty());
    let headers = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "lab_echo"),
        ("authorization", "Bearer x"),
    ];
    let known = site.one.client().post(&headers, &short.to_string()).await;
    assert!(known.json()["result"].is_object(), "{known:?}");
    let list = with_key(request(1, "tools/list"), CALLERS);
    let listed = site.one.client().modern(&list).await.json();
    assert!(listed["result"]["tools"].is_array());
}
