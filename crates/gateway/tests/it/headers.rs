//! Headers that mirror a request: `Mcp-Name` and `Mcp-Param-*`.

use axum::http::StatusCode;
use bus::memory::MemoryBus;
use serde_json::{Value, json};

use crate::harness::*;

/// A tool with mirrored arguments.
fn mirrored() -> String {
    json!({ "name": "lab_route", "inputSchema": { "type": "object", "properties": {
        "region": { "type": "string", "x-mcp-header": "Region" },
        "count": { "type": "integer", "x-mcp-header": "Count" },
        "target": { "type": "object", "properties": {
            "dry": { "type": "boolean", "x-mcp-header": "Dry-Run" },
        }},
    }}})
    .to_string()
}

async fn served() -> (Gate, Worker) {
    let bus = MemoryBus::new();
    let worker = Worker::of(&bus, "lab", &[mirrored(), descriptor("probe")]).await;
    let gate = Gate::http(&bus).await;
    gate.lists("probe").await;
    (gate, worker)
}

async fn post(gate: &Gate, arguments: Value, headers: &[(&str, &str)]) -> Answer {
    let mut all = vec![
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "lab_route"),
    ];
    all.extend_from_slice(headers);
    let body = call(1, "lab_route", arguments).to_string();
    gate.client().post(&all, &body).await
}

#[tokio::test]
async fn mirrored_arguments_reach_the_worker_as_headers() {
    let (gate, worker) = served().await;
    let arguments = json!({ "region": "Zürich", "count": 42.0, "target": { "dry": false } });
    let headers = [
        ("MCP-PARAM-REGION", "=?base64?WsO8cmljaA==?="),
        ("Mcp-Param-Count", " 42 "),
        ("mcp-param-dry-run", "false"),
        ("mcp-param-other", "is none of ours"),
    ];
    let answer = post(&gate, arguments.clone(), &headers).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let session = gate.client().session("2025-11-25").await;
    let before = gate
        .client()
        .legacy(&session, &legacy_call(1, "lab_route", arguments))
        .await;
    assert_eq!(
        before.status,
        StatusCode::OK,
        "sessions know no such headers"
    );
    let calls = worker.calls();
    assert_eq!(calls.len(), 2);
    for call in calls {
        assert_eq!(call.headers.text("mcp-param-region"), Some("Zürich"));
        assert_eq!(call.headers.text("mcp-param-count"), Some("42"));
        assert_eq!(call.headers.text("mcp-param-dry-run"), Some("false"));
        assert_eq!(call.headers.text("mcp-param-other"), None);
    }
}

#[tokio::test]
async fn a_header_that_does_not_say_what_its_argument_says_is_refused() {
    let (gate, worker) = served().await;
    let check = async |arguments: Value, headers: &[(&str, &str)], expected: &str| {
        let answer = post(&gate, arguments, headers).await;
        let refused = (StatusCode::BAD_REQUEST, -32020);
        assert_eq!((answer.status, answer.code()), refused);
        assert_eq!(answer.json()["id"], 1);
        let message = answer.json()["error"]["message"].to_string();
        assert!(message.contains(expected), "{message} lacks {expected}");
    };
    let region = json!({ "region": "Hello" });
    check(region.clone(), &[], "is missing").await;
    for (header, expected) in [
        ("hello", "does not say"),
        ("=?base64?SGVsbG8?=", "Base64"),
        ("=?base64?SGVs!!!bG8=?=", "Base64"),
        ("H\u{e9}llo", "ASCII"),
    ] {
        check(region.clone(), &[("mcp-param-region", header)], expected).await;
    }
    let twice = [("mcp-param-region", "Hello"), ("mcp-param-region", "x")];
    check(region, &twice, "more than once").await;
    let null = json!({ "region": null });
    check(null, &twice[..1], "its argument is not").await;
    let count = json!({ "count": 42 });
    check(count, &[("mcp-param-count", "43")], "does not say").await;
    for (arguments, header) in [
        ("SGVsbG8=", "SGVsbG8="),
        ("=?base64?SGVsbG8=", "=?base64?SGVsbG8="),
    ] {
        let answer = post(
            &gate,
            json!({ "region": arguments }),
            &[("mcp-param-region", header)],
        )
        .await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }
    assert_eq!(worker.calls().len(), 2, "what is refused reaches nobody");
}

#[tokio::test]
async fn arguments_too_long_for_headers_are_refused() {
    let (gate, _worker) = served().await;
    let session = gate.client().session("2025-11-25").await;
    let long = json!({ "region": "x".repeat(20_000) });
    let answer = gate
        .client()
        .legacy(&session, &legacy_call(1, "lab_route", long))
        .await;
    assert_eq!(answer.code(), -32602);
    let unsafe_integer = json!({ "count": 9_007_199_254_740_992_i64 });
    let answer = post(
        &gate,
        unsafe_integer,
        &[("mcp-param-count", "9007199254740992")],
    )
    .await;
    assert_eq!(
        (answer.status, answer.code()),
        (StatusCode::BAD_REQUEST, -32602)
    );
}

#[tokio::test]
async fn a_tool_that_misuses_the_annotation_is_not_listed_and_the_others_are() {
    let bus = MemoryBus::new();
    let bad = json!({ "name": "bad", "inputSchema": { "type": "object", "properties": {
        "score": { "type": "number", "x-mcp-header": "Score" },
    }}});
    let _worker = Worker::of(&bus, "lab", &[bad.to_string(), mirrored()]).await;
    let gate = Gate::http(&bus).await;
    gate.lists("lab_route").await;
    assert_eq!(gate.client().tools().await, ["lab_route"]);
}

#[tokio::test]
async fn a_revision_that_is_not_served_is_told_before_its_headers_are_judged() {
    let (gate, _worker) = served().await;
    let mut body = request(1, "tools/list");
    body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = "v999.0.0".into();
    let headers = [("mcp-protocol-version", "v999.0.0")];
    let answer = gate.client().post(&headers, &body.to_string()).await;
    assert_eq!(
        (answer.status, answer.code()),
        (StatusCode::BAD_REQUEST, -32022)
    );
    assert_eq!(answer.json()["error"]["data"]["requested"], "v999.0.0");
}
