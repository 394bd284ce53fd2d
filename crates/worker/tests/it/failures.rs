use std::sync::atomic::Ordering;
use std::time::Duration;

use bus::Queue;
use protocol::headers;
use serde_json::json;

use crate::gate::{Gate, until};
use crate::lab;
use crate::site::{Site, category, worker};
use crate::unruly::Unruly;

#[tokio::test]
async fn a_lost_connection_aborts_its_calls_and_they_run_again() {
    let gate = Gate::new();
    let mut site = Site::with(worker(2, [gate.tool("hold")])).await;
    site.call("a", "hold").await;
    gate.entered().await;
    site.outage().await;
    until("the first run to end", async || gate.left() == 1).await;
    gate.entered().await;
    gate.open(1);
    assert_eq!(site.reply().await.text(), "run 2");
    site.metric("discovery_redeliveries_total{category=\"lab\"} 1")
        .await;
    site.metric("discovery_amqp_reconnects_total 0").await;
    site.all_is_settled().await;
}

#[tokio::test]
async fn a_call_that_nobody_finishes_becomes_a_dead_letter() {
    let gate = Gate::new();
    let mut site = Site::new().await;
    let mut taking = site.take(&Queue::work(&site.names, &category())).await;
    let mut request = site.request("a", "hold", &json!({}));
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.message.headers.insert(headers::TRACEPARENT, trace);
    site.publish(request).await;
    for _ in 0..5 {
        taking.next().await.requeue().await.unwrap();
    }
    // The sixth hand-out is stopped before it is settled, so that the worker gets it.
    let last = taking.next().await;
    taking.stop().await;
    last.requeue().await.unwrap();
    site.start(lab::worker().tool(gate.tool("hold"))).await;

    let reply = site.reply().await;
    let (code, message) = reply.error();
    assert_eq!((code, reply.body["id"].as_str()), (-31005, Some("a")));
    assert!(message.contains("6 times"), "{message}");
    let mut dead = site.take(&Queue::dead(&site.names)).await;
    let letter = dead.next().await;
    let message = &letter.message;
    assert_eq!(message.kind.as_deref(), Some("dead-letter"));
    assert_eq!(message.message_id.as_deref(), Some("message of a"));
    assert_eq!((&message.reply_to, message.persistent), (&None, true));
    let body: serde_json::Value = serde_json::from_slice(&message.body).unwrap();
    assert_eq!(body["params"]["name"], "hold");
    let header = |name: &str| message.headers.text(name).unwrap_or_default();
    assert_eq!(header(headers::TRACEPARENT), trace);
    assert_eq!(
        header("mcp-dead-routing-key"),
        "mcp.discovery.tools.lab.hold"
    );
    assert_eq!(header("mcp-dead-reason"), "handed out too often");
    assert!(header("mcp-dead-first-error").contains("ended before"));
    assert!(header("mcp-dead-last-error").contains("ended before"));
    assert_eq!(header(headers::INSTANCE).len(), 32);
    site.metric("discovery_dead_letters_total{category=\"lab\"} 1")
        .await;
    site.nothing_came().await;
    site.all_is_settled().await;
    assert_eq!(gate.runs(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_tells_the_faults_that_gave_the_call_back() {
    let gate = Gate::new();
    gate.open(9);
    let mut site = Site::new().await;
    let unruly = Unruly::new(&site.memory);
    site.start_on(worker(1, [gate.tool("hold")]), unruly.clone())
        .await;
    unruly.loses_replies.store(true, Ordering::SeqCst);
    site.call("a", "hold").await;
    for _ in 0..5 {
        gate.entered().await;
        tokio::time::sleep(Duration::from_secs(11)).await;
    }
    unruly.loses_replies.store(false, Ordering::SeqCst);
    let mut dead = site.take(&Queue::dead(&site.names)).await;
    let letter = dead.next().await;
    let header = |name: &str| letter.message.headers.text(name).unwrap_or_default();
    assert!(
        header("mcp-dead-first-error").contains("confirmed"),
        "{letter:?}"
    );
    assert!(
        header("mcp-dead-last-error").contains("confirmed"),
        "{letter:?}"
    );
    assert_eq!(gate.runs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_the_broker_does_not_know_is_made_anew() {
    let mut site = Site::new().await;
    let unruly = Unruly::new(&site.memory);
    site.start_on(lab::worker(), unruly.clone()).await;
    assert_eq!(unruly.links.load(Ordering::SeqCst), 1);
    unruly.forgets_consumers.store(true, Ordering::SeqCst);
    let started = tokio::time::Instant::now();
    while unruly.links.load(Ordering::SeqCst) < 2 {
        assert!(
            started.elapsed() < Duration::from_mins(1),
            "the link was kept"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
