//! Event streams up to revision 2025-11-25: ids, coming back, GET.

use std::collections::HashSet;

use axum::http::{Method, StatusCode};
use bus::memory::MemoryBus;
use serde_json::json;

use crate::harness::*;

const EVENTS: (&str, &str) = ("accept", "text/event-stream");

async fn served() -> (Gate, Worker) {
    let bus = MemoryBus::new();
    let worker = Worker::start(&bus).await;
    let gate = Gate::http(&bus).await;
    gate.lists("lab_steps").await;
    (gate, worker)
}

#[tokio::test]
async fn a_stream_begins_with_an_event_to_come_back_to() {
    let (gate, worker) = served().await;
    let client = gate.client();
    let session = client.session("2025-11-25").await;
    worker.step(3);
    let body = legacy_call(7, "lab_steps", json!({ "steps": "nn" }));
    let answer = client.legacy(&session, &body).await;
    assert_eq!(answer.headers["x-accel-buffering"], "no");
    let text = std::str::from_utf8(&answer.body).unwrap();
    let blocks: Vec<&str> = text.split_terminator("\n\n").collect();
    let [priming, events @ ..] = &*blocks else {
        panic!("{text}")
    };
    let id = priming
        .lines()
        .next()
        .unwrap()
        .strip_prefix("id: ")
        .unwrap();
    assert_eq!(*priming, format!("id: {id}\nretry: 1000\ndata: "));
    let base = id.strip_suffix(".0.Nw").expect("the number and the call");
    assert_eq!(events.len(), 3);
    for (number, event) in events.iter().enumerate() {
        let head = format!("event: message\nid: {base}.{}.Nw\ndata: {{", number + 1);
        assert!(event.starts_with(&head), "{event}");
    }
}

#[tokio::test]
async fn older_clients_get_ids_but_no_event_without_data() {
    let (gate, worker) = served().await;
    let client = gate.client();
    for (version, has_ids) in [
        ("2025-06-18", true),
        ("2025-03-26", true),
        ("2024-11-05", false),
    ] {
        let session = client.session(version).await;
        worker.step(3);
        let body = legacy_call(7, "lab_steps", json!({ "steps": "nd" }));
        let answer = client.legacy(&session, &body).await;
        let text = std::str::from_utf8(&answer.body).unwrap();
        assert!(
            !text.contains("retry") && !text.contains("data: \n"),
            "{text}"
        );
        let ids = text.lines().filter(|line| line.starts_with("id: ")).count();
        assert_eq!(ids, if has_ids { 2 } else { 0 }, "{version}");
        assert_eq!(answer.events().len(), 2, "a detach ends nothing: {text}");
    }
}

#[tokio::test]
async fn an_answer_that_comes_at_once_is_json() {
    let (gate, _worker) = served().await;
    let client = gate.client();
    let session = client.session("2025-11-25").await;
    let body = legacy_call(7, "ping", json!({}));
    let answer = client.legacy(&session, &body).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.json()["id"], 7);
}

#[tokio::test]
async fn after_a_broken_connection_the_rest_is_read_by_get() {
    let (gate, worker) = served().await;
    let session = gate.client().session("2025-11-25").await;
    worker.step(1);
    let mut reading = Reading::call(&gate, &session, "nnnn").await;
    reading.id().await;
    let (first, message) = reading.message().await;
    assert_eq!(progress(&message), 0);
    drop(reading);
    worker.step(2);
    let mut again = Reading::get(&gate, &session, Some(&first)).await;
    assert_eq!(again.id().await, first, "it can break again at once");
    for expected in [1, 2] {
        assert_eq!(progress(&again.message().await.1), expected);
    }
    drop(again);
    worker.step(2);
    eventually("the call has ended", || async { worker.running() == 0 }).await;
    let mut last = Reading::get(&gate, &session, Some(&first)).await;
    last.id().await;
    let mut seen = Vec::new();
    for _ in 1..4 {
        seen.push(progress(&last.message().await.1));
    }
    assert_eq!(seen, [1, 2, 3], "all that came after what was seen");
    let (id, answer) = last.message().await;
    assert_eq!(answer["result"]["structuredContent"]["done"], true);
    assert_eq!(last.next().await, None);
    // There is nothing to come back for.
    let headers = [
        EVENTS,
        ("mcp-session-id", &*session),
        ("last-event-id", &*id),
    ];
    let over = gate.client().send(Method::GET, &headers, "").await;
    assert_eq!(over.status, StatusCode::NO_CONTENT);
    assert!(worker.cancelled().is_empty());
}

#[tokio::test]
async fn a_worker_that_will_be_quiet_sends_the_client_away_until_it_comes_back() {
    let (gate, worker) = served().await;
    let session = gate.client().session("2025-11-25").await;
    worker.step(2);
    let mut reading = Reading::call(&gate, &session, "nd").await;
    reading.id().await;
    let (last, _) = reading.message().await;
    assert_eq!(reading.next().await, None);
    assert_eq!(worker.running(), 1);
    let mut again = Reading::get(&gate, &session, Some(&last)).await;
    again.id().await;
    worker.step(1);
    assert_eq!(again.message().await.1["id"], 7);
    assert_eq!(again.next().await, None);
}

#[tokio::test]
async fn a_quiet_worker_may_send_the_client_away_before_its_first_message() {
    let (gate, worker) = served().await;
    let session = gate.client().session("2025-11-25").await;
    worker.step(1);
    let mut reading = Reading::call(&gate, &session, "d").await;
    let last = reading.id().await;
    assert_eq!(reading.next().await, None);
    worker.step(1);
    let mut again = Reading::get(&gate, &session, Some(&last)).await;
    again.id().await;
    assert_eq!(again.message().await.1["id"], 7);
}

#[tokio::test]
async fn a_newer_request_for_a_stream_ends_the_older() {
    let (gate, worker) = served().await;
    let session = gate.client().session("2025-11-25").await;
    worker.step(1);
    let mut reading = Reading::call(&gate, &session, "nn").await;
    let first = reading.id().await;
    reading.message().await;
    let mut newer = Reading::get(&gate, &session, Some(&first)).await;
    assert_eq!(reading.next().await, None);
    newer.id().await;
    assert_eq!(progress(&newer.message().await.1), 0);
    worker.step(2);
    assert_eq!(progress(&newer.message().await.1), 1);
    assert_eq!(newer.message().await.1["id"], 7);
}

#[tokio::test]
async fn what_cannot_be_resumed_is_said() {
    let (gate, worker) = served().await;
    let client = gate.client();
    let session = client.session("2025-11-25").await;
    let other = client.session("2025-11-25").await;
    worker.step(1);
    let mut reading = Reading::call(&gate, &session, "nn").await;
    let id = reading.id().await;
    let get = async |session: &str, last: &str| {
        let headers = [EVENTS, ("mcp-session-id", session), ("last-event-id", last)];
        client.send(Method::GET, &headers, "").await
    };
    for nonsense in ["", "nonsense", "a.b.c", &format!("{id}.x")] {
        assert_eq!(
            get(&session, nonsense).await.status,
            StatusCode::BAD_REQUEST
        );
    }
    let never = id.replace(".0.", ".99.");
    let elsewhere = format!("gateway-0.{}", id.split_once('.').unwrap().1);
    for (session, last) in [(&session, &never), (&session, &elsewhere), (&other, &id)] {
        let answer = get(session, last).await;
        let [error] = &*answer.events() else {
            panic!("{answer:?}")
        };
        assert_eq!(
            (&error["id"], &error["error"]["code"]),
            (&json!(7), &json!(-31004))
        );
    }
    // Without the identifier of a call in it there is only the status.
    let nameless = "gateway-0.c1.1";
    assert_eq!(
        get(&session, nameless).await.status,
        StatusCode::BAD_REQUEST
    );
    // None of them has disturbed the one who reads.
    assert_eq!(progress(&reading.message().await.1), 0);
}

#[tokio::test]
async fn a_session_has_one_stream_for_what_it_did_not_ask_for() {
    let (gate, _worker) = served().await;
    let session = gate.client().session("2025-11-25").await;
    let mut first = Reading::get(&gate, &session, None).await;
    let id = first.id().await;
    assert!(id.ends_with(".0"));
    let mut second = Reading::get(&gate, &session, None).await;
    assert_eq!(first.next().await, None);
    assert_ne!(second.id().await, id);
    let headers = [
        EVENTS,
        ("mcp-session-id", &*session),
        ("last-event-id", &*id),
    ];
    let replaced = gate.client().send(Method::GET, &headers, "").await;
    assert_eq!(replaced.status, StatusCode::CONFLICT);
    // A stream of a gateway that is gone cannot be resumed, a new one can be opened.
    let mut third = Reading::get(&gate, &session, Some("gateway-0.s1.5")).await;
    assert!(!third.id().await.starts_with("gateway-0."));
    assert_eq!(second.next().await, None);
    let mut missed = HashSet::new();
    for _ in 0..3 {
        let message = third.message().await.1;
        missed.insert(message["method"].as_str().unwrap().to_owned());
    }
    let expected =
        ["tools", "prompts", "resources"].map(|it| format!("notifications/{it}/list_changed"));
    assert_eq!(
        missed,
        HashSet::from(expected),
        "all of it may have changed meanwhile"
    );
    let ended = [("mcp-session-id", &*session)];
    gate.client().send(Method::DELETE, &ended, "").await;
    assert_eq!(third.next().await, None);
}

#[tokio::test]
async fn news_wait_for_a_client_that_comes_back() {
    let bus = MemoryBus::new();
    let _worker = Worker::start(&bus).await;
    let gate = Gate::http(&bus).await;
    gate.lists("ping").await;
    let session = gate.client().session("2025-11-25").await;
    let mut reading = Reading::get(&gate, &session, None).await;
    let begin = reading.id().await;
    let changed = "notifications/tools/list_changed";
    let _more = Worker::of(&bus, "lab", &[descriptor("lab_more")]).await;
    let (first, message) = reading.message().await;
    assert_eq!(message, json!({ "jsonrpc": "2.0", "method": changed }));
    drop(reading);
    let _even_more = Worker::of(&bus, "rack", &[descriptor("rack_more")]).await;
    gate.lists("rack_more").await;
    let mut again = Reading::get(&gate, &session, Some(&first)).await;
    assert_eq!(again.id().await, first);
    let (second, message) = again.message().await;
    assert_eq!(message["method"], changed);
    // Whoever saw nothing gets both.
    let mut all = Reading::get(&gate, &session, Some(&begin)).await;
    all.id().await;
    assert_eq!(all.message().await.0, first);
    assert_eq!(all.message().await.0, second);
}

#[tokio::test]
async fn a_stream_needs_a_session_and_a_client_that_takes_events() {
    let gate = Gate::http(&MemoryBus::new()).await;
    let client = gate.client();
    let session = client.session("2025-06-18").await;
    let check = async |headers: &[(&str, &str)], status: StatusCode| {
        let answer = client.send(Method::GET, headers, "").await;
        assert_eq!(answer.status, status, "{headers:?}");
    };
    let mine = ("mcp-session-id", &*session);
    check(&[EVENTS], StatusCode::BAD_REQUEST).await;
    check(&[EVENTS, ("mcp-session-id", "x")], StatusCode::NOT_FOUND).await;
    check(&[mine], StatusCode::NOT_ACCEPTABLE).await;
    check(
        &[mine, ("accept", "application/json")],
        StatusCode::NOT_ACCEPTABLE,
    )
    .await;
    let version = |version| [EVENTS, mine, ("mcp-protocol-version", version)];
    check(&version("1999-01-01"), StatusCode::BAD_REQUEST).await;
    check(&version("2026-07-28"), StatusCode::METHOD_NOT_ALLOWED).await;
    let mut open = client.open(Method::GET, &[EVENTS, mine], "").await;
    assert_eq!(open.status, StatusCode::OK);
    assert_eq!(open.headers["content-type"], "text/event-stream");
    assert_eq!(open.headers["cache-control"], "no-cache, no-transform");
    assert_eq!(open.piece().await.unwrap(), ": keep-alive\n\n");
}

#[tokio::test]
async fn at_shutdown_streams_end_at_once_and_calls_get_their_answers() {
    let (gate, worker) = served().await;
    let session = gate.client().session("2025-11-25").await;
    let mut news = Reading::get(&gate, &session, None).await;
    news.id().await;
    worker.step(1);
    let mut call = Reading::call(&gate, &session, "n").await;
    call.id().await;
    call.message().await;
    gate.process.shutdown.cancel();
    assert_eq!(news.next().await, None);
    worker.step(1);
    assert_eq!(call.message().await.1["id"], 7);
    assert_eq!(call.next().await, None);
    gate.ended().await.unwrap();
}
