//! The stateless era over HTTP.

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
async fn the_server_tells_what_it_speaks_and_what_it_can() {
    let gate = Gate::http(&MemoryBus::new()).await;
    let answer = gate.client().modern(&request(7, "server/discover")).await;
    assert_eq!(answer.status, StatusCode::OK);
    let body = answer.json();
    assert_eq!(body["id"], 7);
    let result = &body["result"];
    assert_eq!(result["resultType"], "complete");
    assert_eq!(result["supportedVersions"][0], "2026-07-28");
    assert_eq!(
        result["capabilities"],
        json!({
            "completions": {},
            "logging": {},
            "prompts": { "listChanged": true },
            "resources": { "subscribe": true, "listChanged": true },
            "tools": { "listChanged": true },
        })
    );
    assert_eq!(
        result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"],
        "open-discovery"
    );
    assert!(result["ttlMs"].is_u64() && result["cacheScope"] == "public");
    assert!(!answer.headers.contains_key("mcp-session-id"));
}

#[tokio::test]
async fn the_tool_list_carries_its_freshness_and_the_server() {
    let (gate, _worker) = served().await;
    let result = gate.client().modern(&request(1, "tools/list")).await.json()["result"].take();
    assert_eq!(result["resultType"], "complete");
    assert_eq!(result["cacheScope"], "public");
    assert!(result["ttlMs"].is_u64());
    assert!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["version"].is_string());
    let names = gate.client().tools().await;
    assert!(
        names.is_sorted() && names.contains(&"ping".to_owned()),
        "{names:?}"
    );
}

#[tokio::test]
async fn a_call_reaches_the_worker_and_its_result_the_caller() {
    let (gate, worker) = served().await;
    let answer = gate
        .client()
        .call("ping", json!({ "host": "127.0.0.1" }))
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["content-type"], "application/json");
    let content = &answer.json()["result"]["structuredContent"];
    assert_eq!(content["arguments"]["host"], "127.0.0.1");
    assert_eq!(worker.calls().len(), 1);
}

#[tokio::test]
async fn requests_and_answers_pass_byte_for_byte() {
    let (gate, worker) = served().await;
    let body = "{\"params\": {\"name\":\"lab_echo\",\"arguments\":{\"a\":1.0,\"b\":123456789012345678901234567890,\
        \"c\":1E+2,\"\\u00e4\":\"\\u00e4\", \"n\":null},\"new\":[ ],\"_meta\":\
        {\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\",\"x\" : 1.50,\
        \"io.modelcontextprotocol/clientCapabilities\":{}}},\n \"method\":\"tools/call\",\"id\":\"\\u0061\",\"jsonrpc\":\"2.0\"} ";
    let headers = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "lab_echo"),
    ];
    let answer = gate.client().post(&headers, body).await;
    assert_eq!(answer.json()["result"]["structuredContent"]["body"], body);
    assert_eq!(worker.calls()[0].body, body);
    let odd_answer = gate.client().call("lab_odd", json!({})).await;
    assert_eq!(odd_answer.body, odd(&json!(1)));
}

#[tokio::test]
async fn the_bus_carries_mirrors_of_the_body_and_the_deadline() {
    let (gate, worker) = served().await;
    let mut body = call(1, "mcp_od_net_ping", json!({}));
    body["params"]["_meta"]["opendiscovery/timeoutMs"] = 5000.into();
    assert_eq!(gate.client().modern(&body).await.status, StatusCode::OK);
    let message = worker.calls().remove(0);
    assert_eq!(message.headers.text("mcp-method"), Some("tools/call"));
    assert_eq!(message.headers.text("mcp-name"), Some("mcp_od_net_ping"));
    assert_eq!(
        message.headers.text("mcp-protocol-version"),
        Some("2026-07-28")
    );
    let expiration = message.expiration.unwrap().as_millis();
    assert!((3000..=5000).contains(&expiration), "{expiration}");
    assert!(message.message_id.is_some() && message.persistent);
}

#[tokio::test]
async fn a_trace_goes_on_to_the_worker_and_the_body_wins() {
    const HEADER: &str = "00-11111111111111111111111111111111-1111111111111111-01";
    const BODY: &str = "00-22222222222222222222222222222222-2222222222222222-01";
    let (gate, worker) = served().await;
    let headers = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "ping"),
        ("traceparent", HEADER),
        ("tracestate", "a=1"),
    ];
    let mut body = call(1, "ping", json!({}));
    gate.client().post(&headers, &body.to_string()).await;
    body["params"]["_meta"]["traceparent"] = BODY.into();
    gate.client().post(&headers, &body.to_string()).await;
    let calls = worker.calls();
    assert_eq!(calls[0].headers.text("traceparent"), Some(HEADER));
    assert_eq!(calls[0].headers.text("tracestate"), Some("a=1"));
    assert_eq!(calls[1].headers.text("traceparent"), Some(BODY));
    assert_eq!(calls[1].headers.text("tracestate"), None);
}

#[tokio::test]
async fn a_deadline_above_the_tools_maximum_is_refused_with_the_maximum() {
    let (gate, worker) = served().await;
    let check = async |timeout: Value, expected: &str| {
        let mut body = call(1, "lab_hang", json!({}));
        body["params"]["_meta"]["opendiscovery/timeoutMs"] = timeout;
        let answer = gate.client().modern(&body).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::BAD_REQUEST, -32602)
        );
        let message = answer.json()["error"]["message"].to_string();
        assert!(message.contains(expected), "{message}");
    };
    check(json!(60_001), "60000 ms").await;
    check(json!(0), "positive").await;
    check(json!("5s"), "positive").await;
    check(json!(1.5), "positive").await;
    assert!(worker.calls().is_empty());
}

#[tokio::test]
async fn a_call_without_an_answer_ends_at_its_deadline() {
    let (gate, worker) = served().await;
    let mut body = call(1, "lab_hang", json!({}));
    body["params"]["_meta"]["opendiscovery/timeoutMs"] = 200.into();
    let answer = gate.client().modern(&body).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::OK, -31003));
    eventually("the worker is told to stop", || async {
        worker.running() == 0
    })
    .await;
}

#[tokio::test]
async fn progress_comes_as_events_before_the_answer() {
    let (gate, _worker) = served().await;
    let mut body = call(5, "lab_progress", json!({ "n": 1 }));
    body["params"]["_meta"]["progressToken"] = "t-1".into();
    let answer = gate.client().modern(&body).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["x-accel-buffering"], "no");
    assert!(
        answer.headers["cache-control"]
            .to_str()
            .unwrap()
            .contains("no-cache")
    );
    let events = answer.events();
    assert_eq!(events.len(), 3, "{events:?}");
    for (event, step) in events.iter().zip(1..=2) {
        assert_eq!(event["method"], "notifications/progress");
        assert_eq!(event["params"]["progressToken"], "t-1");
        assert_eq!(event["params"]["progress"], step);
    }
    assert_eq!(events[2]["id"], 5);
    assert_eq!(events[2]["result"]["structuredContent"]["done"]["n"], 1);
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_call_and_no_other() {
    let (gate, worker) = served().await;
    let client = gate.client();
    let other = client.clone();
    let mut waiting = tokio::task::JoinSet::new();
    waiting.spawn(async move { other.call("lab_hang", json!({ "stays": true })).await });
    eventually("one call runs", || async { worker.running() == 1 }).await;
    let mut going = tokio::task::JoinSet::new();
    let goer = client.clone();
    going.spawn(async move { goer.call("lab_hang", json!({ "goes": true })).await });
    eventually("two calls run", || async { worker.running() == 2 }).await;
    going.abort_all();
    eventually("one call was cancelled", || async {
        worker.cancelled().len() == 1
    })
    .await;
    eventually("one call runs on", || async { worker.running() == 1 }).await;
    let gone = worker.calls().remove(1).correlation_id.unwrap();
    assert_eq!(worker.cancelled(), [gone]);
}

#[tokio::test]
async fn closing_an_event_stream_cancels_too() {
    let (gate, worker) = served().await;
    let mut body = call(1, "lab_progress", json!({}));
    body["params"]["_meta"]["progressToken"] = 1.into();
    // The worker's pace is not ours to set: a stream that has begun is closed at once.
    let headers = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "lab_progress"),
    ];
    let mut open = gate.client().open_post(&headers, &body.to_string()).await;
    assert_eq!(open.headers["content-type"], "text/event-stream");
    assert!(open.piece().await.is_some());
    drop(open);
    let metrics = gate.process.metrics.clone();
    eventually("the call is counted", || async {
        metrics
            .encode()
            .contains(r#"discovery_calls_in_flight{category="network"} 0"#)
    })
    .await;
    assert_eq!(worker.calls().len(), 1);
}

#[tokio::test]
async fn errors_of_workers_keep_their_code_and_get_the_status_of_their_kind() {
    let (gate, _worker) = served().await;
    for (code, status) in [
        (-32021, 400),
        (-32602, 400),
        (-32601, 404),
        (-32603, 200),
        (-31007, 200),
    ] {
        let answer = gate
            .client()
            .call("lab_error", json!({ "code": code }))
            .await;
        assert_eq!(answer.status.as_u16(), status, "{code}");
        assert_eq!(answer.code(), code);
    }
    let failed = gate.client().call("lab_fail", json!({})).await;
    assert_eq!(failed.status, StatusCode::OK);
    assert_eq!(failed.json()["result"]["isError"], true);
}

#[tokio::test]
async fn methods_of_other_eras_are_not_found() {
    let (gate, _worker) = served().await;
    for method in [
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
        "x",
    ] {
        let answer = gate.client().modern(&request(9, method)).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::NOT_FOUND, -32601),
            "{method}"
        );
        assert_eq!(answer.json()["id"], 9);
    }
}

#[tokio::test]
async fn notifications_are_accepted_without_an_answer() {
    let (gate, _worker) = served().await;
    let body = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } });
    let headers = [("mcp-protocol-version", "2026-07-28")];
    let answer = gate.client().post(&headers, &body.to_string()).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn an_unknown_tool_is_named_with_what_is_like_it() {
    let (gate, _worker) = served().await;
    let answer = gate.client().call("pinng", json!({})).await;
    assert_eq!(
        (answer.status, answer.code()),
        (StatusCode::BAD_REQUEST, -32602)
    );
    let message = answer.json()["error"]["message"].to_string();
    assert!(
        message.contains("Unknown tool: pinng") && message.contains("ping"),
        "{message}"
    );
}

#[tokio::test]
async fn the_tool_list_has_pages() {
    let bus = MemoryBus::new();
    let tools: Vec<String> = (0..250).map(|n| descriptor(&format!("t{n:03}"))).collect();
    let _worker = Worker::of(&bus, "lab", &tools).await;
    let gate = Gate::http(&bus).await;
    gate.lists("t249").await;
    let names = gate.client().tools().await;
    assert_eq!(names.len(), 250);
    assert!(names.is_sorted());
    for cursor in [json!("nonsense"), json!(5), json!(null)] {
        let mut body = request(1, "tools/list");
        body["params"]["cursor"] = cursor;
        let answer = gate.client().modern(&body).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::BAD_REQUEST, -32602)
        );
    }
}

#[tokio::test]
async fn other_methods_of_http_are_not_allowed() {
    let gate = Gate::http(&MemoryBus::new()).await;
    for method in [Method::PUT, Method::OPTIONS, Method::PATCH] {
        let answer = gate.client().send(method.clone(), &[], "").await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(answer.headers["allow"], "GET, POST, DELETE");
    }
    let get = gate
        .client()
        .send(
            Method::GET,
            &[
                ("accept", "text/event-stream"),
                ("mcp-protocol-version", "2026-07-28"),
            ],
            "",
        )
        .await;
    assert_eq!(get.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(get.headers["allow"], "POST");
}
