use std::sync::atomic::Ordering;

use bus::Queue;
use protocol::headers;
use serde_json::json;

use crate::gate::{Gate, until};
use crate::lab;
use crate::site::{Site, category, worker};
use crate::unruly::Unruly;

#[tokio::test]
async fn the_caller_knows_who_runs_the_call_before_it_runs() {
    let gate = Gate::new();
    let mut site = Site::new().await;
    let unruly = Unruly::new(&site.memory);
    unruly.holds_replies.store(true, Ordering::SeqCst);
    site.start_on(
        worker(1, [gate.tool("hold").at_most_once()]),
        unruly.clone(),
    )
    .await;
    site.call("a", "hold").await;
    until("the call to start", async || {
        unruly.replies.load(Ordering::SeqCst) == 1
    })
    .await;
    assert_eq!(gate.runs(), 0);
    unruly.release.add_permits(9);
    let started = site.reply().await;
    assert_eq!(started.kind, headers::kind::STARTED);
    assert_eq!((started.sequence, started.is_final), (0, false));
    let instance = started.instance.unwrap();
    assert_eq!(started.body["params"]["instance"], instance.as_str());
    gate.entered().await;
    gate.open(1);
    let reply = site.reply().await;
    assert_eq!((reply.text(), reply.sequence), ("run 1", 1));
    site.all_is_settled().await;
}

#[tokio::test]
async fn a_started_call_outlives_its_connection_and_does_not_run_again() {
    let gate = Gate::new();
    let mut site = Site::with(worker(1, [gate.tool("hold").at_most_once()])).await;
    site.call("a", "hold").await;
    gate.entered().await;
    site.outage().await;
    let news = site.news().await;
    assert_eq!(news["method"], "opendiscovery/announce");
    gate.open(1);
    assert_eq!(site.reply().await.text(), "run 1");
    site.all_is_settled().await;
    assert_eq!((gate.runs(), gate.left()), (1, 1));
}

#[tokio::test]
async fn a_call_that_somebody_may_have_run_is_not_run() {
    let gate = Gate::new();
    let mut site = Site::new().await;
    let mut taking = site.take(&Queue::work(&site.names, &category())).await;
    site.call("a", "hold").await;
    let delivery = taking.next().await;
    taking.stop().await;
    delivery.requeue().await.unwrap();
    site.start(worker(1, [gate.tool("hold").at_most_once()]))
        .await;
    let reply = site.reply().await;
    assert_eq!(reply.error().0, -31004);
    site.metric("discovery_calls_total{category=\"lab\",outcome=\"unknown\"} 1")
        .await;
    site.all_is_settled().await;
    assert_eq!(gate.runs(), 0);
}

#[tokio::test]
async fn without_a_caller_to_tell_it_does_not_run() {
    let gate = Gate::new();
    let tool = gate.tool("hold").at_most_once();
    let mut site = Site::with(lab::worker().tool(tool)).await;
    let mut request = site.request("a", "hold", &json!({}));
    request.message.reply_to = Some("nowhere".to_owned());
    site.publish(request).await;
    site.nothing_came().await;
    site.all_is_settled().await;
    assert_eq!(gate.runs(), 0);
}

#[tokio::test]
async fn wrong_arguments_are_told_without_starting() {
    let mut site = Site::with(lab::worker()).await;
    site.publish(site.request("a", "share", &json!({"x": 1})))
        .await;
    assert_eq!(site.reply().await.failure(), "invalid_arguments");
}

#[tokio::test]
async fn no_more_run_at_once_than_the_prefetch_says() {
    let gate = Gate::new();
    let mut site = Site::with(worker(1, [gate.tool("hold").at_most_once()])).await;
    for id in ["a", "b", "c"] {
        site.call(id, "hold").await;
    }
    gate.entered().await;
    assert_eq!(site.reply().await.kind, headers::kind::STARTED);
    // The first is acked, so one more was handed out; it waits for its right to run.
    until("one more to be handed out", async || {
        site.queued().await == 1
    })
    .await;
    assert_eq!(gate.runs(), 1);
    gate.open(3);
    for _ in 0..2 {
        assert!(site.reply().await.is_final);
        assert_eq!(site.reply().await.kind, headers::kind::STARTED);
    }
    assert!(site.reply().await.is_final);
    site.all_is_settled().await;
}

#[tokio::test]
async fn it_can_be_cancelled_while_it_runs() {
    let gate = Gate::new();
    let tool = gate.tool("hold").at_most_once();
    let mut site = Site::with(lab::worker().tool(tool)).await;
    site.call("a", "hold").await;
    gate.entered().await;
    assert_eq!(site.reply().await.kind, headers::kind::STARTED);
    site.cancel("a").await;
    until("the tool to stop", async || gate.left() == 1).await;
    site.nothing_came().await;
    site.all_is_settled().await;
}
