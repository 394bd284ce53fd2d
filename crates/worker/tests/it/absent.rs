//! A caller that goes without a word, and with it the reason for its calls.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::gate::{Gate, until};
use crate::site::{Site, worker};

#[tokio::test(start_paused = true)]
async fn calls_of_a_caller_that_is_gone_are_stopped_within_seconds() {
    let gate = Gate::new();
    let mut site = Site::with(worker(4, [gate.tool("hold")])).await;
    for id in ["a", "b"] {
        site.call(id, "hold").await;
        gate.entered().await;
    }
    site.hang_up().await;
    let gone = Instant::now();
    until("the tools to stop", async || gate.left() == 2).await;
    assert!(
        gone.elapsed() < Duration::from_secs(3),
        "{:?}",
        gone.elapsed()
    );
    site.metric("discovery_calls_total{category=\"lab\",outcome=\"cancelled\"} 2")
        .await;
    site.all_is_settled().await;
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_for_a_caller_that_is_gone_do_not_begin() {
    let gate = Gate::new();
    let mut site = Site::with(worker(1, [gate.tool("hold")])).await;
    site.call("a", "hold").await;
    gate.entered().await;
    for id in ["b", "c"] {
        site.call(id, "hold").await;
    }
    site.hang_up().await;
    site.all_is_dropped().await;
    assert_eq!(gate.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn long_call_of_a_caller_that_is_there_is_left_alone() {
    let gate = Gate::new();
    let mut site = Site::with(worker(1, [gate.tool("hold")])).await;
    site.call("a", "hold").await;
    gate.entered().await;
    sleep(Duration::from_secs(20)).await;
    gate.open(1);
    assert_eq!(site.reply().await.text(), "run 1");
    site.all_is_settled().await;
}

#[tokio::test(start_paused = true)]
async fn call_with_a_key_goes_on_for_whoever_asks_again() {
    let gate = Gate::new();
    let mut site = Site::with(worker(2, [gate.tool("hold")])).await;
    site.call_with_key("a", "k", "hold").await;
    gate.entered().await;
    site.hang_up().await;
    sleep(Duration::from_secs(20)).await;
    assert_eq!(gate.left(), 0);
    site.call_back().await;
    site.call_with_key("b", "k", "hold").await;
    gate.open(1);
    // The queue has the same name, so the late answer to the first call comes too.
    for id in ["a", "b"] {
        let reply = site.reply().await;
        assert_eq!(reply.correlation_id, id);
        assert_eq!(reply.text(), "run 1");
    }
    assert_eq!(gate.runs(), 1);
    site.all_is_settled().await;
}
