//! Workers that come, go, and are not there.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use bus::Bus;
use bus::memory::MemoryBus;
use serde_json::json;

use crate::harness::*;

#[tokio::test]
async fn workers_that_run_already_are_asked_for_their_tools() {
    let bus = MemoryBus::new();
    let worker = Worker::start(&bus).await;
    let gate = Gate::http(&bus).await;
    assert!(
        gate.client().tools().await.contains(&"ping".to_owned()),
        "the first list has them"
    );
    assert!(worker.discovers() >= 1);
}

#[tokio::test]
async fn a_worker_that_starts_later_is_listed_and_one_that_leaves_is_not() {
    let bus = MemoryBus::new();
    let gate = Gate::http(&bus).await;
    assert!(gate.client().tools().await.is_empty());
    let worker = Worker::of(&bus, "lab", &[descriptor("probe")]).await;
    gate.lists("probe").await;
    worker.leave().await;
    eventually("it is no longer listed", || async {
        gate.client().tools().await.is_empty()
    })
    .await;
}

#[tokio::test]
async fn an_unknown_digest_is_a_reason_to_ask() {
    let bus = MemoryBus::new();
    let gate = Gate::http(&bus).await;
    assert!(gate.client().tools().await.is_empty());
    let mut worker = Worker::quiet(&bus, "lab", &[descriptor("probe")]);
    worker.listen().await;
    worker.digest("unknown").await;
    gate.lists("probe").await;
    assert!(worker.discovers() >= 1);
}

#[tokio::test]
async fn descriptors_reach_clients_byte_for_byte() {
    let bus = MemoryBus::new();
    let text = r#"{ "name":"probe", "inputSchema":{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","$defs":{"a":{"$anchor":"b"}},"multipleOf":1.0}, "icons":[{"x":1e2}],"new":{ } }"#;
    let _worker = Worker::of(&bus, "lab", &[text.to_owned()]).await;
    let gate = Gate::http(&bus).await;
    gate.lists("probe").await;
    let list = gate.client().modern(&request(1, "tools/list")).await;
    let body = String::from_utf8(list.body.to_vec()).unwrap();
    assert!(body.contains(text), "{body}");
}

#[tokio::test]
async fn a_category_that_never_ran_is_refused_at_once_by_name() {
    let bus = MemoryBus::new();
    let _worker = Worker::start(&bus).await;
    let gate = Gate::http(&bus).await;
    gate.lists("ping").await;
    for (tool, category) in [
        ("snmp_walk", "snmp"),
        ("creds_list", "credentials"),
        ("cmdb_get", "memory"),
    ] {
        let started = Instant::now();
        let answer = gate.client().call(tool, json!({})).await;
        assert!(
            started.elapsed() < Duration::from_millis(100),
            "{:?}",
            started.elapsed()
        );
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::OK, -31001),
            "{tool}"
        );
        let error = &answer.json()["error"];
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains(&format!("discovery-worker-{category}")),
            "{message}"
        );
        assert_eq!(
            error["data"],
            json!({ "category": category, "retryable": true, "reason": "no_worker" })
        );
    }
    // A category with a worker has all its tools on the list.
    let misspelt = Worker::of(&bus, "snmp", &[descriptor("snmp_get")]).await;
    gate.lists("snmp_get").await;
    assert_eq!(
        gate.client().call("snmp_gett", json!({})).await.code(),
        -32602
    );
    misspelt.leave().await;
}

#[tokio::test]
async fn a_worker_that_announces_without_a_queue_is_no_worker() {
    let bus = MemoryBus::new();
    let gate = Gate::http(&bus).await;
    let mut worker = Worker::quiet(&bus, "lab", &[descriptor("probe")]);
    worker.listen().await;
    worker.announce().await;
    gate.lists("probe").await;
    let answer = gate.client().call("probe", json!({})).await;
    assert_eq!(answer.code(), -31001);
}

/// Waits until calls of `ping` are refused, and says how long the queue was without a worker.
async fn refused(gate: &Gate, since: Instant) -> Duration {
    eventually("calls are refused", || async {
        let mut body = call(1, "ping", json!({}));
        body["params"]["_meta"]["opendiscovery/timeoutMs"] = 300.into();
        gate.client().modern(&body).await.code() == -31001
    })
    .await;
    since.elapsed()
}

#[tokio::test]
async fn calls_wait_ten_seconds_for_a_worker_and_are_then_refused_fast() {
    let bus = MemoryBus::new();
    let worker = Worker::start(&bus).await;
    let gate = Gate::http(&bus).await;
    gate.lists("ping").await;
    worker.die().await;
    let since = Instant::now();
    // A call that waits is answered by the replacement.
    let client = gate.client();
    let mut waiting = tokio::task::JoinSet::new();
    waiting.spawn(async move { client.call("ping", json!({ "waited": true })).await });
    eventually("the call is queued", || async {
        let queue = protocol::Names::default().work_queue(&protocol::Category::network());
        bus.queue_state(&queue)
            .await
            .unwrap()
            .is_some_and(|state| state.messages == 1)
    })
    .await;
    let replacement = Worker::start(&bus).await;
    let answer = waiting.join_next().await.unwrap().unwrap();
    assert_eq!(
        answer.json()["result"]["structuredContent"]["arguments"]["waited"],
        true
    );
    assert!(since.elapsed() < Duration::from_secs(5));
    replacement.leave().await;
    let since = Instant::now();
    let after = refused(&gate, since).await;
    assert!(after >= Duration::from_secs(9), "refused after {after:?}");
    let started = Instant::now();
    let answer = gate.client().call("ping", json!({})).await;
    assert!(
        started.elapsed() < Duration::from_millis(100),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(answer.code(), -31001);
    // And served again as soon as a worker is back.
    let _back = Worker::start(&bus).await;
    eventually("calls are served again", || async {
        gate.client().call("ping", json!({})).await.json()["result"].is_object()
    })
    .await;
}

#[tokio::test]
async fn a_patient_category_stays_listed_and_its_calls_wait_for_a_worker() {
    let bus = MemoryBus::new();
    let worker = Worker::start(&bus).await;
    let hasty = Worker::of(&bus, "lab", &[descriptor("probe")]).await;
    let gate = Gate::with(&bus, |settings| {
        settings.when_no_worker = "network=queue".parse().unwrap();
    })
    .await;
    gate.lists("ping").await;
    worker.leave().await;
    let client = gate.client();
    let mut waiting = tokio::task::JoinSet::new();
    waiting.spawn(async move { client.call("ping", json!({ "waited": true })).await });
    // The other category lost its worker later, so its refusals say that the time is over.
    hasty.leave().await;
    eventually("the other category is refused", || async {
        let mut body = call(1, "probe", json!({}));
        body["params"]["_meta"]["opendiscovery/timeoutMs"] = 300.into();
        gate.client().modern(&body).await.code() == -31001
    })
    .await;
    assert_eq!(
        gate.client()
            .tools()
            .await
            .iter()
            .filter(|name| *name == "ping")
            .count(),
        1
    );
    let mut late = call(2, "ping", json!({}));
    late["params"]["_meta"]["opendiscovery/timeoutMs"] = 200.into();
    assert_eq!(
        gate.client().modern(&late).await.code(),
        -31003,
        "it waited until its deadline"
    );
    let _worker = Worker::start(&bus).await;
    let answer = waiting.join_next().await.unwrap().unwrap();
    assert_eq!(
        answer.json()["result"]["structuredContent"]["arguments"]["waited"],
        true
    );
}

#[tokio::test]
async fn calls_outlive_an_outage_and_readiness_tells_of_it() {
    let bus = MemoryBus::new();
    let worker = Worker::start(&bus).await;
    let gate = Gate::http(&bus).await;
    gate.lists("ping").await;
    let health = gate.process.health.clone();
    eventually("ready", || async { health.is_ready() }).await;
    bus.go_away();
    worker.die().await;
    eventually("not ready", || async { !health.is_ready() }).await;
    assert!(
        gate.client().tools().await.contains(&"ping".to_owned()),
        "the list is kept"
    );
    let client = gate.client();
    let mut waiting = tokio::task::JoinSet::new();
    waiting.spawn(async move { client.call("ping", json!({ "waited": true })).await });
    let mut short = call(2, "ping", json!({}));
    short["params"]["_meta"]["opendiscovery/timeoutMs"] = 200.into();
    let answer = gate.client().modern(&short).await;
    assert_eq!(answer.code(), -31006, "{answer:?}");
    bus.come_back();
    let _worker = Worker::start(&bus).await;
    let answer = waiting.join_next().await.unwrap().unwrap();
    assert_eq!(
        answer.json()["result"]["structuredContent"]["arguments"]["waited"],
        true
    );
    eventually("ready again", || async { health.is_ready() }).await;
}

#[tokio::test]
async fn without_a_bus_the_tools_are_not_known_and_that_is_said() {
    let bus = MemoryBus::new();
    bus.go_away();
    let gate = Gate::http(&bus).await;
    let answer = gate.client().modern(&request(1, "tools/list")).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::OK, -31006));
    let discover = gate.client().modern(&request(1, "server/discover")).await;
    assert_eq!(discover.status, StatusCode::OK);
}

#[tokio::test]
async fn calls_are_counted_by_category_and_outcome() {
    let bus = MemoryBus::new();
    let _worker = Worker::start(&bus).await;
    let gate = Gate::http(&bus).await;
    gate.lists("ping").await;
    gate.client().call("ping", json!({})).await;
    gate.client().call("lab_fail", json!({})).await;
    gate.client()
        .call("lab_error", json!({ "code": -32603 }))
        .await;
    let mut late = call(2, "lab_hang", json!({}));
    late["params"]["_meta"]["opendiscovery/timeoutMs"] = 50.into();
    gate.client().modern(&late).await;
    eventually("the queue was looked at", || async {
        gate.process
            .metrics
            .encode()
            .contains("discovery_queue_consumers{category=\"network\"} 1")
    })
    .await;
    let text = gate.process.metrics.encode();
    for outcome in ["ok", "tool_error", "protocol_error", "timeout"] {
        let line = format!(r#"discovery_calls_total{{category="network",outcome="{outcome}"}} 1"#);
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
}
