use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bus::{Binding, Queue};
use protocol::headers;
use serde_json::json;

use crate::gate::{Gate, until};
use crate::lab;
use crate::site::{Site, unix_ms_in, worker};
use crate::unruly::Unruly;

#[tokio::test]
async fn a_call_has_one_final_answer() {
    let mut site = Site::with(lab::worker()).await;
    site.publish(site.request("a", "probe", &json!({"host": "::1"})))
        .await;
    let reply = site.reply().await;
    assert_eq!(reply.text(), "**::1** seen 4 times");
    assert_eq!((reply.correlation_id.as_str(), reply.sequence), ("a", 0));
    assert_eq!(reply.body["jsonrpc"], "2.0");
    assert_eq!(reply.body["id"], "a");
    site.metric("discovery_calls_total{category=\"lab\",outcome=\"ok\"} 1")
        .await;
    site.all_is_settled().await;
}

#[tokio::test]
async fn a_call_is_acked_only_after_its_answer_is_confirmed() {
    let gate = Gate::new();
    gate.open(9);
    let mut site = Site::new().await;
    let unruly = Unruly::new(&site.memory);
    unruly.holds_replies.store(true, Ordering::SeqCst);
    site.start_on(worker(1, [gate.tool("hold")]), unruly.clone())
        .await;
    site.call("a", "hold").await;
    site.call("b", "hold").await;
    until("the answer to be sent", async || {
        unruly.replies.load(Ordering::SeqCst) == 1
    })
    .await;
    // With the answer on its way the broker still holds the call for this consumer, so that
    // the next one waits, and the loss of the connection brings both back.
    assert_eq!((gate.runs(), site.queued().await), (1, 1));
    site.outage().await;
    gate.entered().await;
    unruly.holds_replies.store(false, Ordering::SeqCst);
    unruly.release.add_permits(9);
    let answers = [site.reply().await, site.reply().await];
    assert_eq!(answers.map(|reply| reply.correlation_id), ["a", "b"]);
    assert_eq!(gate.runs(), 3);
    site.all_is_settled().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_confirmed_is_tried_again_while_its_caller_waits() {
    let gate = Gate::new();
    gate.open(9);
    let mut site = Site::with(worker(1, [gate.tool("hold")])).await;
    site.unruly.loses_replies.store(true, Ordering::SeqCst);
    site.call("a", "hold").await;
    gate.entered().await;
    // The call has a minute.
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(site.unsettled(), 1);
    site.unruly.loses_replies.store(false, Ordering::SeqCst);
    assert_eq!(site.reply().await.text(), "run 1");
    site.all_is_settled().await;
    assert_eq!(gate.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_its_caller_no_longer_waits_for_is_forgotten() {
    let gate = Gate::new();
    gate.open(9);
    let mut site = Site::with(worker(2, [gate.tool("hold")])).await;
    site.unruly.loses_replies.store(true, Ordering::SeqCst);
    site.call("a", "hold").await;
    let mut endless = site.request("b", "hold", &json!({}));
    endless.message.headers = bus::Headers::default();
    site.publish(endless).await;
    gate.entered().await;
    gate.entered().await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    until("the first to be acked", async || site.unsettled() == 1).await;
    // Nothing says how long the second caller waits.
    tokio::time::sleep(protocol::MAX_HOLD).await;
    until("the second to be acked", async || site.unsettled() == 0).await;
    site.unruly.loses_replies.store(false, Ordering::SeqCst);
    site.call("c", "hold").await;
    assert_eq!(site.reply().await.correlation_id, "c");
    site.all_is_settled().await;
    assert_eq!(gate.runs(), 3);
}

#[tokio::test(start_paused = true)]
async fn no_call_is_held_for_longer_than_the_bound_whatever_its_deadline_says() {
    let gate = Gate::new();
    let bound = protocol::MAX_HOLD;
    let tool = gate.tool("hold").deadline(bound, bound);
    let mut site = Site::with(worker(1, [tool])).await;
    let mut request = site.request("a", "hold", &json!({}));
    let deadline = unix_ms_in(Duration::from_hours(9));
    request.message.headers.insert(headers::DEADLINE, deadline);
    let sent = tokio::time::Instant::now();
    site.publish(request).await;
    let reply = site.next_reply().await;
    assert_eq!(reply.failure(), "deadline_exceeded");
    assert!(sent.elapsed() <= bound, "{:?}", sent.elapsed());
    site.all_is_settled().await;
}

#[tokio::test]
async fn an_answer_to_nobody_is_acked_and_forgotten() {
    let gate = Gate::new();
    gate.open(1);
    let mut site = Site::with(lab::worker().tool(gate.tool("hold"))).await;
    let mut request = site.request("a", "hold", &json!({}));
    request.message.reply_to = Some("nowhere".to_owned());
    site.publish(request).await;
    gate.entered().await;
    site.nothing_came().await;
    site.all_is_settled().await;
    assert_eq!(gate.runs(), 1);
}

#[tokio::test]
async fn an_answer_goes_to_the_reply_exchange_where_one_is_named() {
    let site = Site::with(lab::worker()).await;
    let binding = Binding {
        exchange: "replies of sites".to_owned(),
        pattern: "to.me".to_owned(),
    };
    let mut taking = site
        .take(&Queue::exclusive("elsewhere", vec![binding]))
        .await;
    let mut request = site.request("a", "fail", &json!({}));
    request.message.reply_to = Some("to.me".to_owned());
    request
        .message
        .headers
        .insert(headers::REPLY_EXCHANGE, "replies of sites");
    site.publish(request).await;
    assert_eq!(
        taking.next().await.message.correlation_id.as_deref(),
        Some("a")
    );
}

#[tokio::test]
async fn a_late_call_is_not_run() {
    let gate = Gate::new();
    let mut site = Site::with(lab::worker().tool(gate.tool("hold"))).await;
    for (id, deadline) in [("a", unix_ms_in(Duration::ZERO) - 1), ("b", 0), ("c", -5)] {
        let mut request = site.request(id, "hold", &json!({}));
        request.message.headers.insert(headers::DEADLINE, deadline);
        site.publish(request).await;
    }
    site.metric("discovery_expired_calls_total{category=\"lab\"} 3")
        .await;
    site.nothing_came().await;
    site.all_is_settled().await;
    assert_eq!(gate.runs(), 0);
}

#[tokio::test]
async fn the_callers_deadline_ends_a_call_in_time_for_its_answer() {
    let gate = Gate::new();
    let mut site = Site::with(worker(1, [gate.tool("hold")])).await;
    let started = Instant::now();
    let mut request = site.request("a", "hold", &json!({}));
    let deadline = unix_ms_in(Duration::from_secs(1));
    request.message.headers.insert(headers::DEADLINE, deadline);
    site.publish(request).await;
    assert_eq!(site.reply().await.failure(), "deadline_exceeded");
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "{:?}",
        started.elapsed()
    );
    until("the tool to stop", async || gate.left() == 1).await;
    site.metric("discovery_calls_total{category=\"lab\",outcome=\"timeout\"} 1")
        .await;
}

#[tokio::test]
async fn the_tools_longest_deadline_holds_whatever_the_caller_asks() {
    let gate = Gate::new();
    let short = Duration::from_millis(100);
    let tool = gate.tool("hold").deadline(short, short);
    let mut site = Site::with(worker(1, [tool])).await;
    site.call("a", "hold").await;
    assert_eq!(site.reply().await.failure(), "deadline_exceeded");
}

#[tokio::test]
async fn without_a_deadline_in_the_headers_the_body_or_the_tool_has_one() {
    let mut site = Site::with(lab::worker()).await;
    let mut request = site.request("a", "sleep", &json!({}));
    request.message.headers = bus::Headers::default();
    site.publish(request).await;
    assert_eq!(site.reply().await.failure(), "deadline_exceeded");

    let gate = Gate::new();
    let mut site = Site::with(worker(1, [gate.tool("hold")])).await;
    let params = json!({"name": "hold", "_meta": {"opendiscovery/timeoutMs": 50}});
    let mut request = site.request_with("a", "hold", &params);
    request.message.headers = bus::Headers::default();
    site.publish(request).await;
    assert_eq!(site.reply().await.failure(), "deadline_exceeded");
}

#[tokio::test]
async fn as_many_calls_run_at_once_as_the_prefetch_says() {
    let gate = Gate::new();
    let mut site = Site::with(worker(2, [gate.tool("hold")])).await;
    for id in ["a", "b", "c"] {
        site.call(id, "hold").await;
    }
    gate.entered().await;
    gate.entered().await;
    assert_eq!((gate.runs(), site.queued().await), (2, 1));
    gate.open(3);
    for _ in 0..3 {
        assert!(site.reply().await.is_final);
    }
    site.all_is_settled().await;
}
