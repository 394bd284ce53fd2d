use std::sync::Arc;

use protocol::ToolError;
use serde_json::{Value, json};
use worker::Tool;

use crate::lab::{self, Nothing, Text};
use crate::site::{Site, worker};

#[tokio::test]
async fn a_result_is_an_object_with_a_summary() {
    let result = lab::call("probe", json!({"host": "::1", "limit": 1})).await;
    assert_eq!(result["resultType"], "complete");
    assert_eq!(
        result["content"],
        json!([{"type": "text", "text": "**::1** seen 4 times"}])
    );
    assert_eq!(result["structuredContent"]["host"], "::1");
}

#[tokio::test]
async fn the_text_is_the_whole_result_where_json_is_asked_for() {
    let arguments = json!({"host": "::1", "limit": 1, "response_format": "json"});
    let result = lab::call("probe", arguments).await;
    let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text, result["structuredContent"]);
}

#[tokio::test]
async fn a_failure_says_what_happened_and_what_to_do() {
    let result = lab::call("fail", json!({})).await;
    assert_eq!(result["isError"], true);
    assert_eq!(
        result["structuredContent"]["error"],
        json!({
            "code": "unreachable", "message": "nobody there", "hint": "go there", "retryable": true,
        })
    );
    assert_eq!(
        result["content"][0]["text"],
        "unreachable: nobody there (go there)"
    );
}

#[tokio::test]
async fn a_result_that_breaks_its_schema_is_never_sent() {
    assert_eq!(
        lab::call("share", json!({"share": 1})).await["isError"],
        false
    );
    for share in [json!({"share": 7}), json!({})] {
        let result = lab::call("share", share).await;
        assert_eq!(
            result["structuredContent"]["error"]["code"], "internal",
            "{result}"
        );
        assert_eq!(result["structuredContent"]["share"], Value::Null);
    }
}

#[tokio::test]
async fn a_panic_is_a_failure_of_one_call() {
    let result = lab::call("panic", json!({})).await;
    assert_eq!(result["structuredContent"]["error"]["code"], "internal");
    assert!(
        !result.to_string().contains("the secret of the tool"),
        "{result}"
    );
}

#[tokio::test]
async fn the_deadline_ends_a_call_and_says_what_was_done() {
    let result = lab::call("sleep", json!({})).await;
    let error = &result["structuredContent"]["error"];
    assert_eq!(error["code"], "deadline_exceeded");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("deadline passed"), "{message}");
    assert!(
        message.contains("2 of 3 (two of three beds made)"),
        "{message}"
    );
}

#[tokio::test]
async fn a_tool_answers_to_its_call_time_names() {
    let result = lab::call("mcp_od_net_probe", json!({"host": "::1"})).await;
    assert_eq!(result["isError"], false, "{result}");
}

#[tokio::test]
async fn an_unknown_tool_is_a_protocol_error_that_lists_the_known_ones() {
    let answer = lab::call("reboot", json!({})).await;
    assert_eq!(answer["error"]["code"], -32602);
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("reboot") && message.contains("probe, share, sleep"),
        "{message}"
    );
}

#[tokio::test]
async fn a_result_that_is_too_large_to_be_sent_becomes_an_error_that_says_so() {
    let letters = |name, bytes| {
        Tool::new(name, move |_, _: Nothing| async move {
            let text = "x".repeat(bytes);
            Ok::<_, ToolError>(Text { text })
        })
    };
    let tools = [letters("large", 100_000), letters("small", 100)];
    let mut site = Site::new().await;
    let bus = site.memory.clone().with_max_message_size(65_536);
    site.start_on(worker(1, tools), Arc::new(bus)).await;
    // With a key of its caller it is an answer that others cannot be told, and no hang either.
    for request in [
        site.request("a", "large", &json!({})),
        site.keyed("a", "k", "large", &json!({})),
    ] {
        site.publish(request).await;
        let reply = site.reply().await;
        let (code, message) = reply.error();
        assert_eq!((code, &reply.body["id"]), (-32603, &json!("a")));
        for part in ["65536", "AMQP_MAX_MESSAGE_SIZE", "ask for less"] {
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(reply.body["error"]["data"]["retryable"], false);
    }
    site.publish(site.keyed("c", "k", "large", &json!({})))
        .await;
    let reply = site.reply().await;
    let (code, message) = reply.error();
    assert_eq!(code, -32603);
    assert!(message.contains("has run"), "{message}");
    site.publish(site.request("b", "small", &json!({}))).await;
    assert_eq!(site.reply().await.text().len(), 100);
    site.all_is_settled().await;
}
