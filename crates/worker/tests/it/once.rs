//! Calls that must not run twice: the caller says who runs them. What a worker does in each phase
//! of that; both sides together are in `rolling`, and in the tests of `bus`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bus::Queue;
use protocol::headers;
use serde_json::json;
use tokio::time::Instant;

use crate::gate::{Gate, until};
use crate::lab;
use crate::site::{Reply, Site, category, worker};

/// A site whose worker has one tool, `hold`, of which no two calls may run for one.
async fn site_with(gate: &Gate) -> Site {
    Site::with(worker(1, [gate.tool("hold").at_most_once()])).await
}

/// Calls `hold` and waits for the worker's question.
async fn asked(site: &mut Site, id: &str) -> Reply {
    site.call(id, "hold").await;
    question(site).await
}

async fn question(site: &mut Site) -> Reply {
    let question = site.reply().await;
    assert_eq!(question.kind, headers::kind::STARTED, "{question:?}");
    question
}

/// Fails if the caller gets anything before the question for a call sent now.
async fn nothing_came(site: &mut Site) {
    let question = asked(site, "the last").await;
    assert_eq!(question.correlation_id, "the last");
    site.grant(&question, false).await;
}

/// A call that runs.
async fn running(site: &mut Site, gate: &Gate, id: &str) -> Reply {
    let question = asked(site, id).await;
    site.grant(&question, true).await;
    gate.entered().await;
    question
}

#[tokio::test]
async fn a_call_runs_when_its_caller_has_granted_it_and_not_before() {
    let gate = Gate::new();
    let mut site = site_with(&gate).await;
    let question = asked(&mut site, "a").await;
    assert_eq!((question.sequence, question.is_final), (0, false));
    let instance = question.instance.clone().unwrap();
    assert_eq!(question.body["params"]["instance"], instance.as_str());
    assert!(question.control_queue.as_ref().unwrap().contains(&instance));
    assert_eq!(gate.runs(), 0);
    // It is held: whoever comes after this worker gets it.
    assert_eq!(site.unsettled(), 1);
    site.grant(&question, true).await;
    gate.entered().await;
    until("its acknowledgement", async || site.unsettled() == 0).await;
    gate.open(1);
    let reply = site.reply().await;
    assert_eq!((reply.text(), reply.sequence), ("run 1", 1));
    site.metric("discovery_calls_total{category=\"lab\",outcome=\"ok\"} 1")
        .await;
    site.all_is_settled().await;
}

#[tokio::test]
async fn a_call_that_is_refused_is_forgotten() {
    let gate = Gate::new();
    let mut site = site_with(&gate).await;
    let question = asked(&mut site, "a").await;
    site.grant(&question, false).await;
    site.metric("discovery_not_granted_calls_total{category=\"lab\"} 1")
        .await;
    // Too late, and not another word counts.
    site.grant(&question, true).await;
    nothing_came(&mut site).await;
    assert_eq!(gate.runs(), 0);
    site.all_is_settled().await;
}

#[tokio::test]
async fn a_call_that_was_handed_out_before_runs_when_it_is_granted() {
    let gate = Gate::new();
    gate.open(1);
    let mut site = Site::new().await;
    let mut taking = site.take(&Queue::work(&site.names, &category())).await;
    site.call("a", "hold").await;
    let delivery = taking.next().await;
    taking.stop().await;
    delivery.requeue().await.unwrap();
    site.start(worker(1, [gate.tool("hold").at_most_once()]))
        .await;
    let question = question(&mut site).await;
    site.grant(&question, true).await;
    assert_eq!(site.reply().await.text(), "run 1");
    site.all_is_settled().await;
}

#[tokio::test]
async fn without_a_caller_to_ask_it_does_not_run() {
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
async fn a_worker_that_is_killed_before_the_grant_leaves_the_call_to_another() {
    let gate = Gate::new();
    gate.open(1);
    let mut site = site_with(&gate).await;
    let first = asked(&mut site, "a").await;
    site.kill().await;
    site.start(worker(1, [gate.tool("hold").at_most_once()]))
        .await;
    let second = question(&mut site).await;
    assert_eq!(second.correlation_id, "a");
    assert_ne!(first.instance, second.instance);
    site.grant(&second, true).await;
    assert_eq!(site.reply().await.text(), "run 1");
    site.all_is_settled().await;
}

#[tokio::test]
async fn a_worker_whose_connection_ends_before_the_grant_withdraws_for_good() {
    let gate = Gate::new();
    gate.open(2);
    let mut site = site_with(&gate).await;
    let question = asked(&mut site, "a").await;
    site.unruly.end_links().await;
    let withdrawn = site.reply().await;
    assert_eq!(withdrawn.kind, headers::kind::WITHDRAWN);
    assert_eq!((withdrawn.sequence, withdrawn.is_final), (1, false));
    assert_eq!(withdrawn.instance, question.instance);
    assert_eq!(withdrawn.correlation_id, "a");
    // The broker hands the same request out again; only under another id it is asked for.
    site.metric("discovery_redeliveries_total{category=\"lab\"} 1")
        .await;
    let again = asked(&mut site, "b").await;
    assert_eq!((&*again.correlation_id, gate.runs()), ("b", 0));
    site.grant(&again, true).await;
    assert_eq!(site.reply().await.text(), "run 1");
    site.all_is_settled().await;
}

#[tokio::test]
async fn a_granted_call_outlives_its_connection_and_does_not_run_again() {
    let gate = Gate::new();
    let mut site = site_with(&gate).await;
    running(&mut site, &gate, "a").await;
    site.unruly.end_links().await;
    assert_eq!(site.news().await["method"], "opendiscovery/announce");
    gate.open(1);
    assert_eq!(site.reply().await.text(), "run 1");
    site.all_is_settled().await;
    assert_eq!((gate.runs(), gate.left()), (1, 1));
}

#[tokio::test]
async fn a_granted_call_that_is_handed_out_again_is_dropped() {
    let gate = Gate::new();
    let mut site = Site::with(worker(2, [gate.tool("hold").at_most_once()])).await;
    running(&mut site, &gate, "a").await;
    // As after an acknowledgement that the broker has lost, while it runs and when it is over.
    site.call("a", "hold").await;
    until("the second copy to be dropped", async || {
        site.queued().await == 0 && site.unsettled() == 0
    })
    .await;
    gate.open(2);
    assert_eq!(site.reply().await.text(), "run 1");
    site.call("a", "hold").await;
    nothing_came(&mut site).await;
    assert_eq!(gate.runs(), 1);
    site.all_is_settled().await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_says_nothing_is_given_up() {
    let gate = Gate::new();
    let mut site = site_with(&gate).await;
    let asked_at = Instant::now();
    let question = asked(&mut site, "a").await;
    let withdrawn = site.next_reply().await;
    assert_eq!(withdrawn.kind, headers::kind::WITHDRAWN);
    assert!(asked_at.elapsed() >= Duration::from_secs(10));
    site.grant(&question, true).await;
    nothing_came(&mut site).await;
    assert_eq!(gate.runs(), 0);
    site.all_is_settled().await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_whose_deadline_has_passed_is_told_nothing() {
    let gate = Gate::new();
    let mut site = site_with(&gate).await;
    let params = json!({"name": "hold", "_meta": {"opendiscovery/timeoutMs": 2000}});
    let mut request = site.request_with("a", "hold", &params);
    request.message.headers = bus::Headers::default();
    site.publish(request).await;
    question(&mut site).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    until("it to be forgotten", async || site.unsettled() == 0).await;
    nothing_came(&mut site).await;
    site.all_is_settled().await;
}

#[tokio::test(start_paused = true)]
async fn a_question_waits_for_the_broker_to_take_it() {
    let gate = Gate::new();
    gate.open(1);
    let mut site = Site::new().await;
    let unruly = Arc::clone(&site.unruly);
    site.start(worker(1, [gate.tool("hold").at_most_once()]))
        .await;
    unruly.loses_replies.store(true, Ordering::SeqCst);
    site.call("a", "hold").await;
    tokio::time::sleep(Duration::from_secs(45)).await;
    assert_eq!((gate.runs(), site.unsettled()), (0, 1));
    unruly.loses_replies.store(false, Ordering::SeqCst);
    let question = question(&mut site).await;
    site.grant(&question, true).await;
    assert_eq!(site.reply().await.text(), "run 1");
    site.all_is_settled().await;
}

#[tokio::test]
async fn wrong_arguments_are_told_without_a_question() {
    let mut site = Site::with(lab::worker()).await;
    site.publish(site.request("a", "share", &json!({"x": 1})))
        .await;
    assert_eq!(site.reply().await.failure(), "invalid_arguments");
}

#[tokio::test]
async fn no_more_run_at_once_than_the_prefetch_says() {
    let gate = Gate::new();
    let mut site = site_with(&gate).await;
    running(&mut site, &gate, "a").await;
    for id in ["b", "c"] {
        site.call(id, "hold").await;
    }
    // The first is acked, so one more was handed out; it waits for its right to run.
    until("one more to be handed out", async || {
        (site.queued().await, site.unsettled()) == (1, 1)
    })
    .await;
    assert_eq!(gate.runs(), 1);
    gate.open(3);
    for _ in 0..2 {
        assert!(site.reply().await.is_final);
        let question = question(&mut site).await;
        site.grant(&question, true).await;
    }
    assert!(site.reply().await.is_final);
    site.all_is_settled().await;
}

#[tokio::test]
async fn it_can_be_cancelled_before_the_grant() {
    let gate = Gate::new();
    let mut site = site_with(&gate).await;
    let question = asked(&mut site, "a").await;
    site.cancel("a").await;
    until("it to be forgotten", async || site.unsettled() == 0).await;
    site.grant(&question, true).await;
    nothing_came(&mut site).await;
    assert_eq!(gate.runs(), 0);
    site.all_is_settled().await;
}

#[tokio::test]
async fn it_can_be_cancelled_while_it_runs() {
    let gate = Gate::new();
    let mut site = site_with(&gate).await;
    running(&mut site, &gate, "a").await;
    site.cancel("a").await;
    until("the tool to stop", async || gate.left() == 1).await;
    nothing_came(&mut site).await;
    site.all_is_settled().await;
}

#[tokio::test]
async fn it_can_be_cancelled_after_it_was_handed_out_again() {
    let gate = Gate::new();
    let mut site = Site::with(worker(2, [gate.tool("hold").at_most_once()])).await;
    running(&mut site, &gate, "a").await;
    site.call("a", "hold").await;
    until("the second copy to be dropped", async || {
        site.queued().await == 0 && site.unsettled() == 0
    })
    .await;
    site.cancel("a").await;
    until("the tool to stop", async || gate.left() == 1).await;
    nothing_came(&mut site).await;
    site.all_is_settled().await;
}

#[tokio::test]
async fn it_can_be_granted_and_cancelled_while_the_worker_stops() {
    let gate = Gate::new();
    let mut site = site_with(&gate).await;
    let question = asked(&mut site, "a").await;
    site.process.shutdown.cancel();
    until("the worker to stop consuming", async || {
        site.consumers().await == 0
    })
    .await;
    site.grant(&question, true).await;
    gate.entered().await;
    until("its acknowledgement", async || site.unsettled() == 0).await;
    site.cancel("a").await;
    site.ended().await.unwrap();
    assert_eq!((gate.left(), site.queued().await), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_confirmed_is_tried_until_the_deadline() {
    let gate = Gate::new();
    let mut site = site_with(&gate).await;
    let unruly = Arc::clone(&site.unruly);
    running(&mut site, &gate, "a").await;
    unruly.loses_replies.store(true, Ordering::SeqCst);
    gate.open(1);
    tokio::time::sleep(Duration::from_secs(45)).await;
    unruly.loses_replies.store(false, Ordering::SeqCst);
    assert_eq!(site.reply().await.text(), "run 1");
    site.all_is_settled().await;
}
