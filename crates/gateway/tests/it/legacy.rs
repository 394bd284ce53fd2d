//! The `initialize` era over HTTP.

use axum::http::{Method, StatusCode};
use bus::memory::MemoryBus;
use serde_json::{Value, json};

use crate::harness::*;

async fn served() -> (Gate, Worker) {
    let bus = MemoryBus::new();
    let worker = Worker::start(&bus).await;
    let gate = Gate::http(&bus).await;
    gate.lists("ping").await;
    (gate, worker)
}

#[tokio::test]
async fn every_revision_is_agreed_on_and_an_unknown_one_becomes_the_newest() {
    let gate = Gate::http(&MemoryBus::new()).await;
    for (requested, agreed) in [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("1.0", "2025-11-25"),
    ] {
        let answer = gate
            .client()
            .post(&[], &initialize(requested).to_string())
            .await;
        assert_eq!(answer.status, StatusCode::OK);
        let result = &answer.json()["result"];
        assert_eq!(result["protocolVersion"], agreed, "{requested}");
        assert_eq!(result["serverInfo"]["name"], "open-discovery");
        let mut capabilities = json!({
            "logging": {},
            "prompts": { "listChanged": true },
            "resources": { "subscribe": true, "listChanged": true },
            "tools": { "listChanged": true },
        });
        if agreed != "2024-11-05" {
            capabilities["completions"] = json!({});
        }
        assert_eq!(result["capabilities"], capabilities);
        assert!(result.get("resultType").is_none());
        let id = answer.headers["mcp-session-id"].as_bytes();
        assert!(!id.is_empty() && id.iter().all(u8::is_ascii_graphic));
    }
}

#[tokio::test]
async fn a_session_lists_and_calls_without_what_it_does_not_know() {
    let (gate, worker) = served().await;
    let client = gate.client();
    let session = client.session("2025-06-18").await;
    let ping = client
        .legacy(
            &session,
            &json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }),
        )
        .await;
    assert_eq!(ping.body, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    let list = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" });
    let result = client.legacy(&session, &list).await.json()["result"].take();
    assert!(result["tools"].as_array().unwrap().len() > 5);
    let members: Vec<&String> = result.as_object().unwrap().keys().collect();
    assert_eq!(members, ["tools"]);
    let answer = client
        .legacy(&session, &legacy_call(3, "ping", json!({ "host": "h" })))
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    let result = answer.json()["result"].take();
    assert_eq!(result["structuredContent"]["arguments"]["host"], "h");
    assert!(result.get("resultType").is_none());
    let body: Value = serde_json::from_slice(&worker.calls()[0].body).unwrap();
    let meta = &body["params"]["_meta"];
    assert_eq!(
        meta["io.modelcontextprotocol/protocolVersion"],
        "2026-07-28"
    );
    assert_eq!(
        meta["io.modelcontextprotocol/clientCapabilities"],
        json!({ "roots": {} })
    );
    assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "test");
}

#[tokio::test]
async fn only_metadata_is_added_to_a_request() {
    let (gate, worker) = served().await;
    let session = gate.client().session("2025-11-25").await;
    let body = "{\"jsonrpc\":\"2.0\", \"id\":\"\\u0061\",\"method\":\"tools/call\",\"params\":{\"arguments\":\
        {\"a\":1.0},\"name\":\"lab_odd\",\"_meta\":{ \"progressToken\" : 1.0 }}}\n";
    let answer = gate.client().post(&in_session(&session), body).await;
    let expected = odd(&json!("a")).replace("\"resultType\":\"complete\",\n", "");
    assert_eq!(
        answer.body, expected,
        "numbers and escapes are kept, resultType is not"
    );
    let sent = String::from_utf8(worker.calls()[0].body.to_vec()).unwrap();
    let (head, tail) = body.split_once("{ \"progressToken\"").unwrap();
    assert!(
        sent.starts_with(&format!(
            "{head}{{\"io.modelcontextprotocol/protocolVersion\""
        )),
        "{sent}"
    );
    assert!(
        sent.ends_with(&format!(", \"progressToken\"{tail}")),
        "{sent}"
    );
}

#[tokio::test]
async fn progress_comes_as_events_before_the_answer() {
    let (gate, _worker) = served().await;
    let session = gate.client().session("2025-03-26").await;
    let mut body = legacy_call(4, "lab_progress", json!({}));
    body["params"]["_meta"] = json!({ "progressToken": 11 });
    let events = gate.client().legacy(&session, &body).await.events();
    assert_eq!(events.len(), 3);
    assert_eq!(events[0]["params"]["progressToken"], 11);
    assert_eq!(events[2]["id"], 4);
    assert!(events[2]["result"].get("resultType").is_none());
}

#[tokio::test]
async fn a_broken_stream_is_not_a_cancel() {
    let (gate, worker) = served().await;
    let session = gate.client().session("2025-11-25").await;
    let client = gate.client();
    let mut going = tokio::task::JoinSet::new();
    going.spawn(async move {
        client
            .legacy(&session, &legacy_call(1, "lab_hang", json!({})))
            .await
    });
    eventually("the call runs", || async { worker.running() == 1 }).await;
    going.abort_all();
    while going.join_next().await.is_some() {}
    // A call of another client passes through every part that a cancel would have passed.
    assert_eq!(
        gate.client().call("ping", json!({})).await.status,
        StatusCode::OK
    );
    assert!(worker.cancelled().is_empty());
    assert_eq!(worker.running(), 1);
    // At the end of the gateway nobody can want the answer any more.
    gate.shut_down().await.unwrap();
    eventually("the call is cancelled at last", || async {
        worker.running() == 0
    })
    .await;
}

#[tokio::test]
async fn a_cancel_stops_the_one_request_of_its_own_session() {
    let (gate, worker) = served().await;
    let client = gate.client();
    let mine = client.session("2025-11-25").await;
    let other = client.session("2025-11-25").await;
    let mut calls = tokio::task::JoinSet::new();
    for (session, id) in [(&mine, 1), (&mine, 2), (&other, 1)] {
        let (client, session) = (client.clone(), session.clone());
        calls.spawn(async move {
            let arguments = json!({ "session": session, "id": id });
            let answer = client
                .legacy(&session, &legacy_call(id, "lab_hang", arguments))
                .await;
            (session, id, answer)
        });
    }
    eventually("all run", || async { worker.running() == 3 }).await;
    let cancel = |id: Value| {
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled",
            "params": { "requestId": id, "reason": "enough" } })
    };
    for ignored in [json!("1"), json!(3), json!(null)] {
        let accepted = client.legacy(&mine, &cancel(ignored)).await;
        assert_eq!(accepted.status, StatusCode::ACCEPTED);
    }
    client.legacy(&mine, &cancel(json!(1))).await;
    let (session, id, answer) = calls.join_next().await.unwrap().unwrap();
    assert_eq!((session, id), (mine, 1));
    assert!(
        answer.events().is_empty(),
        "a cancelled request has no answer"
    );
    eventually("one call was stopped", || async { worker.running() == 2 }).await;
    assert_eq!(worker.cancelled().len(), 1);
}

#[tokio::test]
async fn a_session_ends_with_delete_and_its_calls_with_it() {
    let (gate, worker) = served().await;
    let client = gate.client();
    let session = client.session("2025-11-25").await;
    let mut calls = tokio::task::JoinSet::new();
    let (caller, id) = (client.clone(), session.clone());
    calls.spawn(async move {
        caller
            .legacy(&id, &legacy_call(1, "lab_hang", json!({})))
            .await
    });
    eventually("the call runs", || async { worker.running() == 1 }).await;
    let ended = client.send(Method::DELETE, &in_session(&session), "").await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    eventually("the call was stopped", || async { worker.running() == 0 }).await;
    let again = client.send(Method::DELETE, &in_session(&session), "").await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
    let after = client
        .legacy(&session, &legacy_call(2, "ping", json!({})))
        .await;
    assert_eq!(after.status, StatusCode::NOT_FOUND);
    assert!(
        after.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("initialize")
    );
    let nameless = client.send(Method::DELETE, &[], "").await;
    assert_eq!(nameless.status, StatusCode::BAD_REQUEST);
    let stateless = [("mcp-protocol-version", "2026-07-28")];
    let answer = client.send(Method::DELETE, &stateless, "").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.headers["allow"], "POST");
}

#[tokio::test]
async fn errors_come_with_200_because_404_would_mean_that_the_session_is_gone() {
    let (gate, _worker) = served().await;
    let client = gate.client();
    let session = client.session("2025-06-18").await;
    for method in ["server/discover", "subscriptions/listen", "initialized"] {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method });
        let answer = client.legacy(&session, &body).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::OK, -32601),
            "{method}"
        );
    }
    let unknown = client
        .legacy(&session, &legacy_call(1, "pinng", json!({})))
        .await;
    assert_eq!((unknown.status, unknown.code()), (StatusCode::OK, -32602));
}

#[tokio::test]
async fn an_identifier_in_use_is_refused_until_it_is_free_again() {
    let (gate, worker) = served().await;
    let client = gate.client();
    let session = client.session("2025-11-25").await;
    let mut calls = tokio::task::JoinSet::new();
    let (caller, id) = (client.clone(), session.clone());
    calls.spawn(async move {
        caller
            .legacy(&id, &legacy_call(1, "lab_hang", json!({})))
            .await
    });
    eventually("the call runs", || async { worker.running() == 1 }).await;
    let second = client
        .legacy(&session, &legacy_call(1, "ping", json!({})))
        .await;
    assert_eq!(second.code(), -32600);
    for id in 2..5 {
        let answer = client
            .legacy(&session, &legacy_call(id, "ping", json!({})))
            .await;
        assert!(answer.json()["result"].is_object());
        let again = client
            .legacy(&session, &legacy_call(id, "ping", json!({})))
            .await;
        assert!(again.json()["result"].is_object());
    }
}

#[tokio::test]
async fn both_eras_are_served_on_one_url() {
    let (gate, _worker) = served().await;
    let client = gate.client();
    let session = client.session("2025-11-25").await;
    let legacy = client
        .legacy(&session, &legacy_call(1, "ping", json!({})))
        .await;
    let modern = client.call("ping", json!({})).await;
    assert!(legacy.json()["result"].get("resultType").is_none());
    assert_eq!(modern.json()["result"]["resultType"], "complete");
    // A request that says everything itself needs no session, and an old one does not hurt it.
    let body = call(1, "ping", json!({})).to_string();
    let headers = [
        ("mcp-session-id", "nonsense"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "ping"),
    ];
    assert_eq!(client.post(&headers, &body).await.status, StatusCode::OK);
}
