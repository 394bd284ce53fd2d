use std::time::{Duration, Instant};

use serde_json::json;

use crate::gate::{Gate, until};
use crate::lab;
use crate::site::{Site, worker};

#[tokio::test]
async fn a_running_call_is_stopped_within_a_second() {
    let gate = Gate::new();
    let mut site = Site::with(lab::worker().tool(gate.tool("hold"))).await;
    site.call("a", "hold").await;
    gate.entered().await;
    let cancelled = Instant::now();
    site.cancel("a").await;
    until("the tool to stop", async || gate.left() == 1).await;
    assert!(cancelled.elapsed() < Duration::from_secs(1));
    site.metric("discovery_calls_total{category=\"lab\",outcome=\"cancelled\"} 1")
        .await;
    // No answer follows, and the call does not come back.
    site.nothing_came().await;
    site.all_is_settled().await;
}

#[tokio::test]
async fn a_call_that_was_cancelled_before_it_came_is_not_run() {
    let gate = Gate::new();
    let mut site = Site::with(lab::worker().tool(gate.tool("hold"))).await;
    site.cancel("a").await;
    // The answer to a call sent later proves that the worker has seen the cancel.
    site.nothing_came().await;
    site.call("a", "hold").await;
    site.nothing_came().await;
    site.all_is_settled().await;
    assert_eq!(gate.runs(), 0);
}

#[tokio::test]
async fn a_call_that_waits_in_the_queue_is_not_run_once_it_is_cancelled() {
    let gate = Gate::new();
    let tools = [gate.tool("hold"), Gate::new().tool("probe")];
    let mut site = Site::with(worker(1, tools)).await;
    site.call("a", "hold").await;
    gate.entered().await;
    site.call("b", "hold").await;
    site.cancel("b").await;
    gate.open(9);
    assert_eq!(site.reply().await.correlation_id, "a");
    site.call("c", "hold").await;
    assert_eq!(site.reply().await.correlation_id, "c");
    assert_eq!(gate.runs(), 2);
}

#[tokio::test]
async fn only_the_named_call_is_stopped() {
    let gate = Gate::new();
    let mut site = Site::with(worker(4, [gate.tool("hold")])).await;
    for id in ["a", "b"] {
        site.call(id, "hold").await;
        gate.entered().await;
    }
    site.cancel("a").await;
    site.cancel("somebody else's").await;
    until("one call to stop", async || gate.left() == 1).await;
    gate.open(1);
    let reply = site.reply().await;
    assert_eq!(
        (reply.correlation_id.as_str(), reply.text()),
        ("b", "run 2")
    );
    site.all_is_settled().await;
}

#[tokio::test]
async fn a_control_message_of_no_use_is_ignored() {
    let gate = Gate::new();
    gate.open(1);
    let mut site = Site::with(worker(1, [gate.tool("hold")])).await;
    let key = site.names.cancel_key(&crate::site::category());
    for body in [
        json!(null),
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled"}),
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}),
        json!({"jsonrpc": "2.0", "method": "something/else", "params": {"requestId": "a"}}),
    ] {
        site.control(key.clone(), &body).await;
    }
    site.call("a", "hold").await;
    assert_eq!(site.reply().await.text(), "run 1");
}
