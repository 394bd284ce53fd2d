//! What becomes of calls that nobody finishes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bus::{Delivery, Message, Publish, Queue};
use protocol::{Names, headers};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::gate::Gate;
use crate::lab;
use crate::site::{Site, category, unix_ms_in, worker};
use crate::unruly::Unruly;

/// Publishes a request and gives it back so often that the next worker gives it up.
async fn poisoned(site: &Site, request: Publish) {
    let mut taking = site.take(&Queue::work(&site.names, &category())).await;
    site.publish(request).await;
    for _ in 0..5 {
        taking.next().await.requeue().await.unwrap();
    }
    // The sixth hand-out is stopped before it is settled, so that the worker gets it.
    let last = taking.next().await;
    taking.stop().await;
    last.requeue().await.unwrap();
}

async fn letter(site: &Site) -> Delivery {
    site.take(&Queue::dead(&site.names)).await.next().await
}

fn text<'a>(letter: &'a Delivery, header: &str) -> &'a str {
    letter.message.headers.text(header).unwrap_or_default()
}

#[tokio::test]
async fn a_call_that_nobody_finishes_becomes_a_dead_letter() {
    let gate = Gate::new();
    let mut site = Site::new().await;
    let mut request = site.request("a", "hold", &json!({}));
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let deadline = unix_ms_in(Duration::from_secs(20));
    for (name, value) in [
        (headers::TRACEPARENT, trace.into()),
        (headers::DEADLINE, bus::Value::from(deadline)),
        ("mcp-param-colour", "blue".into()),
        ("mcp-dead-replay-of", "an older letter".into()),
        ("something-else", "dropped".into()),
    ] {
        request.message.headers.insert(name, value);
    }
    request.message.app_id = Some("the gateway".to_owned());
    poisoned(&site, request).await;
    site.start(lab::worker().tool(gate.tool("hold"))).await;

    let reply = site.reply().await;
    let (code, message) = reply.error();
    assert_eq!((code, reply.body["id"].as_str()), (-31005, Some("a")));
    assert!(message.contains("6 times"), "{message}");
    let letter = letter(&site).await;
    check_message(&letter.message);
    check_headers(&letter, trace, deadline);

    site.metric("discovery_dead_letters_total{category=\"lab\"} 1")
        .await;
    site.nothing_came().await;
    site.all_is_settled().await;
    assert_eq!(gate.runs(), 0);
}

fn check_message(message: &Message) {
    assert_eq!(message.kind.as_deref(), Some("dead-letter"));
    assert_eq!(message.message_id.as_deref(), Some("message of a"));
    assert_eq!(message.correlation_id.as_deref(), Some("a"));
    assert_eq!(message.app_id.as_deref(), Some("the gateway"));
    assert_eq!((&message.reply_to, message.persistent), (&None, true));
    let body: Value = serde_json::from_slice(&message.body).unwrap();
    assert_eq!(body["params"]["name"], "hold");
}

fn check_headers(letter: &Delivery, trace: &str, deadline: i64) {
    for (header, expected) in [
        (headers::TRACEPARENT, trace),
        (headers::METHOD, "tools/call"),
        (headers::NAME, "hold"),
        ("mcp-param-colour", "blue"),
        ("mcp-dead-replay-of", "an older letter"),
        ("mcp-dead-reason", "handed out too often"),
        ("mcp-dead-exchange", Names::REQUESTS),
        ("mcp-dead-routing-key", "mcp.discovery.tools.lab.hold"),
        ("mcp-dead-category", "lab"),
        ("mcp-dead-site", "default"),
        ("mcp-dead-version", env!("CARGO_PKG_VERSION")),
        ("something-else", ""),
    ] {
        assert_eq!(text(letter, header), expected, "{header}");
    }
    assert!(text(letter, "mcp-dead-first-error").starts_with("hand-out 1: unknown here"));
    assert!(text(letter, "mcp-dead-last-error").starts_with("hand-out 6: unknown here"));
    assert_eq!(text(letter, headers::INSTANCE).len(), 32);
    let number = |header: &str| letter.message.headers.int(header);
    assert_eq!(number("mcp-dead-deliveries"), Some(6));
    assert_eq!(number(headers::DEADLINE), Some(deadline));
    assert_eq!(number("mcp-dead-timeout-ms"), Some(30_000));
    let age = unix_ms_in(Duration::ZERO) - number("mcp-dead-time").unwrap();
    assert!((0..20_000).contains(&age), "{age}");
    let once = letter
        .message
        .headers
        .iter()
        .find(|it| it.0 == "mcp-dead-at-most-once");
    assert_eq!(once.unwrap().1, &bus::Value::Bool(false));
}

#[tokio::test]
async fn what_is_no_request_becomes_a_letter_too_and_has_a_name() {
    let mut site = Site::new().await;
    let mut request = site.request("a", "hold", &json!({}));
    request.message.body = "no JSON".into();
    request.message.message_id = None;
    poisoned(&site, request).await;
    site.start(lab::worker()).await;
    assert_eq!(site.reply().await.error().0, -31005);
    let letter = letter(&site).await;
    assert_eq!(&letter.message.body[..], b"no JSON");
    assert!(letter.message.message_id.is_some());
    assert_eq!(letter.message.headers.int("mcp-dead-timeout-ms"), None);
}

#[tokio::test]
async fn a_count_that_the_sender_made_up_is_no_poison() {
    let gate = Gate::new();
    gate.open(1);
    let mut site = Site::with(worker(1, [gate.tool("hold")])).await;
    let mut request = site.request("a", "hold", &json!({}));
    request
        .message
        .headers
        .insert(headers::DELIVERY_COUNT, 99_i64);
    site.publish(request).await;
    assert_eq!(site.reply().await.text(), "run 1");
}

#[tokio::test(start_paused = true)]
async fn a_letter_tells_the_faults_that_gave_the_call_back() {
    let mut site = Site::new().await;
    poisoned(&site, site.request("a", "hold", &json!({}))).await;
    // More than one delivery is held for.
    site.unruly.refuses_letters.store(70, Ordering::SeqCst);
    site.start(lab::worker()).await;
    tokio::time::sleep(Duration::from_mins(15)).await;
    let letter = letter(&site).await;
    let error = text(&letter, "mcp-dead-last-error");
    assert!(error.starts_with("hand-out 7, worker "), "{error}");
    assert!(error.contains("cannot take"), "{error}");
}

#[tokio::test]
async fn a_letter_tells_the_faults_of_other_workers() {
    let mut site = Site::new().await;
    poisoned(&site, site.request("a", "hold", &json!({}))).await;
    // The worker hears of the faults before it gets the call: it listens first.
    let mut work = site.take(&Queue::work(&site.names, &category())).await;
    let held = work.next().await;
    site.start(lab::worker()).await;
    for (attempt, error) in [(1, "it burns"), (7, "it burnt"), (3, "it smokes")] {
        let params = json!({
            "messageId": "message of a", "attempt": attempt, "instance": "w", "error": error,
        });
        let fault = json!({"jsonrpc": "2.0", "method": "opendiscovery/fault", "params": params});
        site.control(site.names.faults_key(&category()), &fault)
            .await;
    }
    // An unreadable one changes nothing.
    let fault = json!({"jsonrpc": "2.0", "method": "opendiscovery/fault", "params": {}});
    site.control(site.names.faults_key(&category()), &fault)
        .await;
    // What was sent before over the same queue has been heard when a later message has effect.
    site.control(
        site.names.discover_key(),
        &json!({
            "jsonrpc": "2.0", "method": "opendiscovery/discover",
        }),
    )
    .await;
    site.news().await;
    work.stop().await;
    held.requeue().await.unwrap();
    let letter = letter(&site).await;
    assert_eq!(
        text(&letter, "mcp-dead-first-error"),
        "hand-out 1, worker w: it burns"
    );
    assert_eq!(
        text(&letter, "mcp-dead-last-error"),
        "hand-out 7, worker w: it burnt"
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_tells_the_others_why_it_gives_a_call_back() {
    let mut site = Site::new().await;
    let listener = bus::Binding {
        exchange: Names::CONTROL.to_owned(),
        pattern: site.names.faults_key(&category()),
    };
    let mut faults = site
        .take(&Queue::exclusive("listener", vec![listener]))
        .await;
    poisoned(&site, site.request("a", "hold", &json!({}))).await;
    site.unruly.refuses_letters.store(1_000, Ordering::SeqCst);
    site.start(lab::worker()).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    site.process.shutdown.cancel();
    site.ended().await.unwrap();
    let told: Value = serde_json::from_slice(&faults.next().await.message.body).unwrap();
    assert_eq!(told["method"], "opendiscovery/fault");
    let params = &told["params"];
    assert_eq!(
        (&params["messageId"], &params["attempt"]),
        (&json!("message of a"), &json!(7))
    );
    assert_eq!(params["instance"].as_str().unwrap().len(), 32);
    assert!(
        params["error"].as_str().unwrap().contains("stops"),
        "{params}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_the_broker_refuses_is_tried_again_with_growing_pauses() {
    let mut site = Site::new().await;
    poisoned(&site, site.request("a", "hold", &json!({}))).await;
    let unruly = Unruly::new(&site.memory);
    unruly.refuses_letters.store(5, Ordering::SeqCst);
    let began = Instant::now();
    site.start_on(lab::worker(), unruly).await;
    let letter = letter(&site).await;
    // 0.25 + 0.5 + 1 + 2 + 4 seconds, on one delivery.
    assert!(
        began.elapsed() >= Duration::from_millis(7_750),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(letter.message.headers.int("mcp-dead-deliveries"), Some(6));
    assert_eq!(site.reply().await.error().0, -31005);
    site.nothing_came().await;
    site.all_is_settled().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_gives_back_a_call_whose_letter_is_refused() {
    let mut site = Site::new().await;
    poisoned(&site, site.request("a", "hold", &json!({}))).await;
    let unruly = Unruly::new(&site.memory);
    unruly.refuses_letters.store(1_000, Ordering::SeqCst);
    site.start_on(lab::worker(), unruly).await;
    site.reply().await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    site.process.shutdown.cancel();
    site.ended().await.unwrap();
    assert_eq!(site.queued().await, 1);
}

async fn check_stopped_before_the_confirmation(late: Duration, goes_back: u32) {
    let mut site = Site::new().await;
    poisoned(&site, site.request("a", "hold", &json!({}))).await;
    let unruly = Unruly::new(&site.memory);
    *unruly.confirms_letters_after.lock().unwrap() = late;
    site.start_on(lab::worker(), unruly).await;
    site.reply().await;
    letter(&site).await;
    site.process.shutdown.cancel();
    site.ended().await.unwrap();
    assert_eq!(site.queued().await, goes_back, "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_waits_for_the_confirmation_of_a_letter_that_is_on_its_way() {
    check_stopped_before_the_confirmation(Duration::from_secs(1), 0).await;
    // Its broker may be in trouble for long.
    check_stopped_before_the_confirmation(Duration::from_mins(5), 1).await;
}
