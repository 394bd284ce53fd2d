use serde_json::{Value, json};

use crate::lab;

async fn refusal(tool: &str, arguments: Value) -> String {
    let result = lab::call(tool, arguments).await;
    assert_eq!(result["isError"], true, "{result}");
    let error = &result["structuredContent"]["error"];
    assert_eq!(error["code"], "invalid_arguments", "{result}");
    assert_eq!(error["retryable"], false, "{result}");
    error["message"].as_str().unwrap().to_owned()
}

async fn refused(arguments: Value, parts: &[&str]) {
    let message = refusal("probe", arguments).await;
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

async fn seen(arguments: Value) -> Value {
    let result = lab::call("probe", arguments).await;
    assert_eq!(result["isError"], false, "{result}");
    result["structuredContent"].clone()
}

#[tokio::test]
async fn defaults_stand_for_absent_arguments() {
    let seen = seen(json!({"host": "127.0.0.1"})).await;
    assert_eq!(seen["count"], 4);
    assert_eq!(seen["method"], "A");
    assert_eq!(seen["numbers"].as_array().unwrap().len(), 100);
    assert_eq!(seen["truncated"], true);
}

#[tokio::test]
async fn an_unknown_argument_is_refused_with_the_known_ones() {
    refused(
        json!({"host": "127.0.0.1", "hots": 1}),
        &[
            "unknown argument \"hots\"",
            "count",
            "cursor",
            "host",
            "limit",
            "response_format",
        ],
    )
    .await;
    refused(
        json!({"host": "127.0.0.1", "part": {"number": 1, "x": 1}}),
        &["\"x\"", "part", "number"],
    )
    .await;
}

#[tokio::test]
async fn a_missing_argument_is_named_with_what_it_must_be() {
    refused(
        json!({}),
        &["host is missing", "text of 1 to 253 characters"],
    )
    .await;
    refused(
        json!({"host": "::1", "part": {}}),
        &["part.number is missing", "integer"],
    )
    .await;
}

#[tokio::test]
async fn a_value_out_of_range_is_told_with_the_range() {
    refused(
        json!({"host": "::1", "count": 0}),
        &["count", "0", "1 to 10"],
    )
    .await;
    refused(
        json!({"host": "::1", "count": 11}),
        &["count", "11", "1 to 10"],
    )
    .await;
    refused(
        json!({"host": "::1", "port": 65536}),
        &["port", "65536", "0 to 65535"],
    )
    .await;
    refused(
        json!({"host": "::1", "port": -1}),
        &["port", "-1", "0 to 65535"],
    )
    .await;
    refused(
        json!({"host": "::1", "method": "C"}),
        &["method", "\"C\"", "\"A\" or \"B\""],
    )
    .await;
    refused(
        json!({"host": "::1", "limit": 1001}),
        &["limit", "1 to 1000"],
    )
    .await;
    refused(
        json!({"host": "::1", "more": ["a", "b", "c", "d"]}),
        &["more", "at most 3 items"],
    )
    .await;
    refused(
        json!({"host": "::1", "part": {"number": 5_000_000_000_i64}}),
        &["part.number", "2147483647"],
    )
    .await;
}

#[tokio::test]
async fn a_value_of_the_wrong_type_is_refused() {
    refused(
        json!({"host": "::1", "count": "4"}),
        &["count", "\"4\"", "integer of 1 to 10"],
    )
    .await;
    refused(
        json!({"host": "::1", "count": 4.5}),
        &["count", "4.5", "integer"],
    )
    .await;
    refused(
        json!({"host": "::1", "count": true}),
        &["count", "true", "integer"],
    )
    .await;
    refused(json!({"host": ["::1"]}), &["host", "text"]).await;
    refused(json!({"host": "::1", "more": "::1"}), &["more", "array"]).await;
    refused(json!([]), &["[]", "object"]).await;
    refused(json!("host"), &["host", "object"]).await;
    refused(json!(null), &["null", "object"]).await;
}

#[tokio::test]
async fn an_integer_may_be_written_with_a_zero_fraction() {
    let seen = seen(json!({
        "host": "::1", "count": 3.0, "port": 80.0, "seconds": 2.0, "limit": 7.0,
        "part": {"number": -1.0},
    }))
    .await;
    assert_eq!(seen["count"], 3);
    assert_eq!(seen["port"], 80);
    assert_eq!(seen["seconds"], 2.0);
    assert_eq!(seen["part"], -1);
    assert_eq!(seen["numbers"].as_array().unwrap().len(), 7);
}

#[tokio::test]
async fn a_host_that_is_none_is_refused_with_its_argument() {
    for host in [
        "-iL",
        "127.1",
        "0x7f.0.0.1",
        "2130706433",
        "a b",
        "a\0",
        "[::1]",
        "*.a",
        "fe80::1%1",
    ] {
        let shown = format!("{host:?}");
        refused(
            json!({"host": host}),
            &["argument host", &shown, "allowed: an IPv4"],
        )
        .await;
    }
    refused(
        json!({"host": "a".repeat(300)}),
        &["host", "1 to 253 characters"],
    )
    .await;
    refused(json!({"host": ""}), &["host", "1 to 253 characters"]).await;
    refused(
        json!({"host": "::1", "more": ["::1", "-x"]}),
        &["more[1]", "\"-x\""],
    )
    .await;
}

#[tokio::test]
async fn several_faults_are_told_at_once() {
    refused(
        json!({"count": 0, "port": "x", "y": 1}),
        &["host is missing", "count", "port", "\"y\""],
    )
    .await;
}

#[tokio::test]
async fn a_secret_is_not_repeated() {
    let message = refusal(
        "probe",
        json!({"host": "::1", "password": "hunter2hunter2"}),
    )
    .await;
    assert!(
        message.contains("password") && message.contains("at most 8"),
        "{message}"
    );
    assert!(!message.contains("hunter2"), "{message}");
    let message = refusal("probe", json!({"host": "::1", "password": ["hunter2"]})).await;
    assert!(
        message.contains("password") && !message.contains("hunter2"),
        "{message}"
    );
}

#[tokio::test]
async fn a_long_value_is_cut_short() {
    let message = refusal(
        "probe",
        json!({"host": "::1", "method": "x".repeat(100_000)}),
    )
    .await;
    assert!(message.len() < 1000, "{message}");
    let message = refusal("probe", json!({"host": "::1", "x".repeat(100_000): 1})).await;
    assert!(message.len() < 1000, "{message}");
}

#[tokio::test]
async fn a_cursor_leads_to_the_next_page() {
    let first = seen(json!({"host": "::1", "limit": 200})).await;
    let second = seen(json!({"host": "::1", "limit": 200, "cursor": first["next_cursor"]})).await;
    assert_eq!(second["numbers"].as_array().unwrap().len(), 50);
    assert_eq!(second["next_cursor"], Value::Null);
    refused(
        json!({"host": "::1", "cursor": "100"}),
        &["cursor", "\"100\""],
    )
    .await;
}

#[tokio::test]
async fn no_arguments_are_an_empty_object() {
    let message = refusal("fail", json!({"x": 1})).await;
    assert!(
        message.contains("known arguments: response_format"),
        "{message}"
    );
}
