use bus::{Headers, Publish};
use protocol::headers;
use serde_json::json;

use crate::lab;
use crate::site::Site;

/// Sends a changed request and expects a JSON-RPC error; the next good call must work.
async fn refused(change: impl FnOnce(&mut Publish), expected: i64, part: &str) {
    let mut site = Site::with(lab::worker()).await;
    let mut request = site.request("a", "probe", &json!({"host": "::1"}));
    change(&mut request);
    site.publish(request).await;
    let reply = site.reply().await;
    let (code, message) = reply.error();
    assert_eq!(code, expected, "{message}");
    assert!(message.contains(part), "{part:?} is not in {message:?}");
    site.metric("discovery_calls_total{category=\"lab\",outcome=\"protocol_error\"} 1")
        .await;
    site.publish(site.request("b", "probe", &json!({"host": "::1"})))
        .await;
    assert_eq!(site.reply().await.text(), "**::1** seen 4 times");
    site.all_is_settled().await;
}

async fn refused_body(body: &'static str, expected: i64, part: &str) {
    refused(|request| request.message.body = body.into(), expected, part).await;
}

#[tokio::test]
async fn a_body_that_is_no_request_is_refused() {
    refused_body("", -32700, "JSON").await;
    refused_body("{", -32700, "JSON").await;
    refused_body("[]", -32600, "batches").await;
    refused_body("{\"id\":1,\"id\":1}", -32700, "twice").await;
    refused_body(
        "{\"jsonrpc\":\"2.0\",\"method\":\"tools/call\"}",
        -32600,
        "not a JSON-RPC request",
    )
    .await;
    refused_body(
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}",
        -32600,
        "not a JSON-RPC request",
    )
    .await;
    refused(
        |request| request.message.body = vec![0xff, 0xfe].into(),
        -32700,
        "UTF-8",
    )
    .await;
}

#[tokio::test]
async fn parameters_of_another_form_are_refused() {
    let body = |params: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#)
    };
    for (params, part) in [
        ("{}", "params.name"),
        (r#"{"name":7}"#, "params.name"),
        (r#"{"name":"probe","name":"fail"}"#, "twice"),
        (r#"{"name":"probe","_meta":7}"#, "_meta"),
        (
            r#"{"name":"probe","_meta":{"opendiscovery/timeoutMs":-1}}"#,
            "timeoutMs",
        ),
        (r#"{"name":"reboot"}"#, "unknown tool"),
        (
            r#"{"name":"probe","_meta":{"io.modelcontextprotocol/logLevel":"loud"}}"#,
            "debug, info, notice",
        ),
        (
            r#"{"name":"probe","_meta":{"io.modelcontextprotocol/clientCapabilities":[]}}"#,
            "clientCapabilities",
        ),
        (r#"{"name":"probe","inputResponses":[]}"#, "inputResponses"),
        (r#"{"name":"probe","requestState":{}}"#, "requestState"),
    ] {
        let body = body(params);
        let change = |request: &mut Publish| {
            request.message.body = body.into();
            request.message.headers = Headers::default();
        };
        refused(change, -32602, part).await;
    }
}

#[tokio::test]
async fn headers_that_do_not_mirror_the_body_are_refused() {
    let change = |name: &'static str, value: &'static str| {
        move |request: &mut Publish| request.message.headers.insert(name, value)
    };
    refused(change(headers::NAME, "fail"), -32020, "mcp-name").await;
    refused(change(headers::METHOD, "tools/list"), -32020, "mcp-method").await;
    refused(
        change(headers::PROTOCOL_VERSION, "2025-11-25"),
        -32022,
        "2026-07-28",
    )
    .await;
}

#[tokio::test]
async fn a_method_that_workers_do_not_serve_is_refused() {
    refused(
        |request| {
            request.message.body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#.into();
            request.message.headers = Headers::default();
        },
        -32601,
        "tools/list",
    )
    .await;
}

#[tokio::test]
async fn a_call_without_a_correlation_id_is_refused() {
    refused(
        |request| request.message.correlation_id = None,
        -32600,
        "correlation-id",
    )
    .await;
}

#[tokio::test]
async fn a_call_that_cannot_be_answered_is_not_run() {
    let mut site = Site::with(lab::worker()).await;
    let mut request = site.request("a", "probe", &json!({"host": "::1"}));
    request.message.reply_to = None;
    site.publish(request).await;
    site.nothing_came().await;
    site.all_is_settled().await;
}

#[tokio::test]
async fn a_call_without_mirrors_is_served() {
    let mut site = Site::with(lab::worker()).await;
    let mut request = site.request("a", "probe", &json!({"host": "::1"}));
    request.message.headers = Headers::default();
    site.publish(request).await;
    assert_eq!(site.reply().await.text(), "**::1** seen 4 times");
}

#[tokio::test]
async fn wrong_arguments_are_a_failure_of_the_tool() {
    let mut site = Site::with(lab::worker()).await;
    site.publish(site.request("a", "probe", &json!({"hots": 1})))
        .await;
    let reply = site.reply().await;
    assert_eq!(reply.failure(), "invalid_arguments");
    assert!(
        reply
            .body
            .to_string()
            .contains("known arguments: count, cursor, host")
    );
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call",
        "params":{"name":"probe","arguments":{"host":"::1","host":"::2"}}}"#;
    let mut request = site.request("b", "probe", &json!({}));
    request.message.body = body.into();
    site.publish(request).await;
    let reply = site.reply().await;
    assert_eq!(reply.failure(), "invalid_arguments");
    assert!(reply.body.to_string().contains("twice"), "{reply:?}");
    site.metric("discovery_calls_total{category=\"lab\",outcome=\"tool_error\"} 2")
        .await;
}

#[tokio::test]
async fn a_broken_result_and_a_panic_are_failures_of_one_call() {
    let mut site = Site::with(lab::worker()).await;
    site.publish(site.request("a", "share", &json!({"share": 7})))
        .await;
    let question = site.reply().await;
    assert_eq!(question.kind, headers::kind::STARTED);
    site.grant(&question, true).await;
    assert_eq!(site.reply().await.failure(), "internal");
    site.call("b", "panic").await;
    assert_eq!(site.reply().await.failure(), "internal");
    site.nothing_came().await;
    site.all_is_settled().await;
}
