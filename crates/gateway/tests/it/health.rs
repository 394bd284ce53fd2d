//! What the gateway says of itself and of the categories.

use std::time::SystemTime;

use bus::memory::MemoryBus;
use bus::{Bus, Queue};
use protocol::{Category, Names};
use serde_json::json;
use service::health::{CategoryReport, Status};

use crate::harness::*;

/// Waits until what is said of a category is as expected.
async fn says(gate: &Gate, category: &str, expected: impl Fn(&CategoryReport) -> bool) {
    let health = &gate.process.health;
    eventually(&format!("{category} is reported"), async || {
        let categories = health.report().categories.unwrap_or_default();
        categories.get(category).is_some_and(&expected)
    })
    .await;
}

#[tokio::test]
async fn each_category_is_told_with_its_workers_queue_and_last_success() {
    let bus = MemoryBus::new();
    let worker = Worker::start(&bus).await;
    let gate = Gate::http(&bus).await;
    gate.lists("ping").await;
    let idle = CategoryReport {
        workers: 1,
        consumers: Some(1),
        depth: Some(0),
        ..CategoryReport::default()
    };
    says(&gate, "network", |network| *network == idle).await;
    let failed = gate
        .client()
        .call("lab_error", json!({ "code": -32603 }))
        .await;
    assert_eq!(failed.code(), -32603);
    says(&gate, "network", |network| *network == idle).await;
    gate.client().call("ping", json!({})).await;
    says(&gate, "network", |network| {
        network
            .last_success_seconds_ago
            .is_some_and(|seconds| seconds < 60)
    })
    .await;
    worker.leave().await;
    says(&gate, "network", |network| {
        (network.workers, network.consumers) == (0, Some(0))
    })
    .await;
}

#[tokio::test]
async fn the_age_of_the_oldest_message_is_bounded_by_what_workers_have_taken() {
    let bus = MemoryBus::new();
    let names = Names::default();
    let link = bus.open("test").await.unwrap();
    let queue = Queue::work(&names, &Category::network());
    link.declare(&queue).await.unwrap();
    // It announces itself and takes nothing.
    let mut worker = Worker::quiet(&bus, "network", &[descriptor("ping")]);
    worker.listen().await;
    worker.announce().await;
    let gate = Gate::http(&bus).await;
    gate.lists("ping").await;
    says(&gate, "network", |network| network.depth == Some(0)).await;
    let client = gate.client();
    let mut calls = tokio::task::JoinSet::new();
    calls.spawn(async move { client.call("ping", json!({})).await });
    says(&gate, "network", |network| {
        // The queue was empty a moment ago.
        let age = network.oldest_message_age_ms;
        network.depth == Some(1) && age.is_some_and(|age| age < 60_000)
    })
    .await;
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    says(&gate, "network", |network| {
        network.oldest_message_age_ms > Some(1500)
    })
    .await;
    worker
        .taken_up_to(u64::try_from(now).unwrap() + 3_600_000)
        .await;
    says(&gate, "network", |network| {
        network.oldest_message_age_ms == Some(0)
    })
    .await;
}

#[tokio::test]
async fn a_gateway_is_live_while_its_loops_turn() {
    let bus = MemoryBus::new();
    let gate = Gate::http(&bus).await;
    let liveness = gate.process.health.liveness();
    assert_eq!(liveness.status, Status::Up, "{liveness:?}");
    gate.shut_down().await.unwrap();
}
