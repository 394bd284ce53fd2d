use serde_json::value::RawValue;
use serde_json::{Value, json};
use worker::{Context, Stop, Tool, ToolContent, Worker};

use crate::lab;
use crate::site::Site;

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

/// A schema whose formatting, order and keywords no program would write again.
const SCHEMA: &str = r##"{ "type" : "object",  "$defs":{"n":{"$anchor":"n", "type":"number", "maximum":1e300}},
  "properties":{"z":{"$ref":"#n"},"a":{"type":"integer","minimum":1.0},
  "region":{"type":"string","x-mcp-header":"Region"}, "zone":{"type":"integer","x-mcp-header":"zone"}},
  "x-own":[1.0, 12345678901234567890123456789] }"##;

fn echo() -> Tool {
    Tool::raw("echo", raw(SCHEMA), async |_: Context, arguments| {
        let text = arguments.get();
        let result = format!(
            r#"{{ "content":[{{"type":"new kind","x":1.0}}],"structuredContent":{text},"_meta":{{"a":1e2}} }}"#
        );
        Ok(ToolContent::from_json(raw(&result)))
    })
}

fn tool(name: &'static str, content: ToolContent) -> Tool {
    Tool::raw(name, raw(r#"{"type":"object"}"#), move |_, _| {
        let content = content.clone();
        async move { Ok::<_, Stop>(content) }
    })
}

fn worker() -> Worker {
    let blocks = ToolContent::new()
        .text("one")
        .block(json!({"type": "audio", "data": "AA==", "mimeType": "audio/wav"}))
        .structured(json!([1]));
    let written = |text: &str| ToolContent::from_json(raw(text));
    let number = || raw(r#"{"type":"number"}"#);
    lab::worker()
        .tool(echo())
        .tool(tool("blocks", blocks))
        .tool(tool("failed", ToolContent::new().text("no").error()))
        .tool(tool(
            "typed",
            written(r#"{"resultType":"complete","content":[]}"#),
        ))
        .tool(tool(
            "task",
            written(r#"{"resultType":"task","taskId":"1"}"#),
        ))
        .tool(tool("sad", written(r#"{"content":[],"isError":true}"#)))
        .tool(tool("list", written("[]")))
        .tool(tool("empty", written("{}")))
        .tool(tool("twice", written(r#"{"content":[],"content":[]}"#)))
        .tool(tool("sly", written(r#"{"resultType":"input_required"}"#)))
        .tool(tool("seven", ToolContent::new().structured(json!(7))).output_schema(number()))
        .tool(
            tool("six", written(r#"{"content":[],"structuredContent":6.0}"#))
                .output_schema(number()),
        )
        .tool(tool("words", ToolContent::new().structured(json!("7"))).output_schema(number()))
        .tool(tool("absent", ToolContent::new()).output_schema(number()))
        .tool(tool("sorry", ToolContent::new().error()).output_schema(number()))
}

#[tokio::test]
async fn arguments_and_results_keep_every_byte() {
    let mut site = Site::with(worker()).await;
    let arguments =
        r#"{"z":1.0, "big":123456789012345678901234567890, "e":1E+2,"a":2.0,"ü":"\u00fc"}"#;
    let mut request = site.request("a", "echo", &json!({}));
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"echo","arguments":{arguments}}}}}"#
    );
    request.message.body = body.into();
    site.publish(request).await;
    let reply = site.reply().await;
    let expected = format!(
        r#"{{"jsonrpc":"2.0","id":7,"result":{{"resultType":"complete", "content":[{{"type":"new kind","x":1.0}}],"structuredContent":{arguments},"_meta":{{"a":1e2}} }}}}"#
    );
    assert_eq!(reply.text, expected);
}

#[tokio::test]
async fn a_schema_is_announced_as_it_is_written() {
    let mut site = Site::new().await;
    site.spawn(worker(), std::sync::Arc::new(site.memory.clone()));
    let news = site.news_as_written().await;
    let news = std::str::from_utf8(&news).unwrap();
    assert!(
        news.contains(&format!("\"inputSchema\":{SCHEMA},")),
        "{news}"
    );
    assert!(
        news.contains(r#""outputSchema":{"type":"number"},"#),
        "{news}"
    );
}

#[tokio::test]
async fn arguments_that_do_not_fit_the_schema_are_told() {
    let call = async |arguments: Value| worker().call_for_test("echo", arguments).await;
    let refused = call(json!({"a": 0})).await;
    assert_eq!(refused["isError"], true);
    let error = &refused["structuredContent"]["error"];
    assert_eq!(error["code"], "invalid_arguments");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("argument a") && message.contains("at least 1"),
        "{message}"
    );
    assert_eq!(call(json!([])).await["isError"], true);
    let sent = json!({"a": 1, "unknown": null, "response_format": "json"});
    assert_eq!(call(sent.clone()).await["structuredContent"], sent);
}

#[tokio::test]
async fn content_of_any_kind_is_a_result() {
    let call = async |tool: &str| worker().call_for_test(tool, json!({})).await;
    assert_eq!(
        call("blocks").await,
        json!({
            "resultType": "complete",
            "content": [
                {"type": "text", "text": "one"},
                {"type": "audio", "data": "AA==", "mimeType": "audio/wav"},
            ],
            "structuredContent": [1],
            "isError": false,
        })
    );
    assert_eq!(
        call("failed").await,
        json!({
            "resultType": "complete",
            "content": [{"type": "text", "text": "no"}],
            "isError": true,
        })
    );
    assert_eq!(
        call("typed").await,
        json!({"resultType": "complete", "content": []})
    );
    assert_eq!(
        call("task").await,
        json!({"resultType": "task", "taskId": "1"})
    );
}

#[tokio::test]
async fn a_result_that_tells_an_error_counts_as_one() {
    let mut site = Site::with(worker()).await;
    for tool in ["failed", "sad"] {
        site.call("a", tool).await;
        assert_eq!(site.reply().await.result()["isError"], true);
    }
    site.metric("discovery_calls_total{category=\"lab\",outcome=\"tool_error\"} 2")
        .await;
}

#[tokio::test]
async fn a_result_that_is_none_is_a_failure_of_the_tool() {
    for tool in ["list", "empty", "twice", "sly", "words", "absent"] {
        let result = worker().call_for_test(tool, json!({})).await;
        assert_eq!(result["isError"], true, "{tool}");
        let code = &result["structuredContent"]["error"]["code"];
        assert_eq!(code, "internal", "{tool}");
    }
    for (tool, structured) in [
        ("seven", json!(7)),
        ("six", json!(6.0)),
        ("sorry", Value::Null),
    ] {
        let result = worker().call_for_test(tool, json!({})).await;
        assert_eq!(result["structuredContent"], structured, "{tool}");
    }
}

#[test]
fn a_raw_tool_that_no_client_could_use_is_refused() {
    let refused = |schema: &str, why: &str| {
        let tool = Tool::raw("a", raw(schema), async |_, _| Ok(ToolContent::new()));
        let error = lab::worker().tool(tool).check().unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    };
    refused("true", "not one of an object");
    refused(r#"{"type":"string"}"#, "not one of an object");
    refused(r#"{"type":"object","type":"object"}"#, "no JSON");
    refused(r#"{"type":"object","required":7}"#, "does not compile");
    let param = |schema: &str| format!(r#"{{"type":"object","properties":{{"a":{schema}}}}}"#);
    refused(
        &param(r#"{"type":"string","x-mcp-header":"a b"}"#),
        "x-mcp-header",
    );
    refused(
        &param(r#"{"type":"array","x-mcp-header":"a"}"#),
        "x-mcp-header",
    );
    refused(
        &param(r#"{"type":"string","writeOnly":true,"x-mcp-header":"a"}"#),
        "writeOnly",
    );
    let twice = echo().output_schema(raw("true")).output_schema(raw("true"));
    assert!(lab::worker().tool(twice).check().is_err());
}

#[tokio::test]
async fn headers_repeat_the_arguments_they_are_declared_for() {
    let mut site = Site::with(worker()).await;
    let arguments = json!({"region": "=?ü", "zone": 7});
    for (name, value, is_good) in [
        ("mcp-param-region", "=?ü", true),
        ("mcp-param-region", "=?base64?PT/DvA==?=", true),
        ("mcp-param-region", "other", false),
        ("mcp-param-zone", "7", true),
        ("mcp-param-zone", "7.0", true),
        ("mcp-param-zone", "8", false),
        ("mcp-param-unknown", "x", true),
    ] {
        let mut request = site.request("a", "echo", &arguments);
        request.message.headers.insert(name, value);
        site.publish(request).await;
        let reply = site.reply().await;
        if is_good {
            assert_eq!(
                reply.result()["structuredContent"],
                arguments,
                "{name}: {value}"
            );
        } else {
            let (code, message) = reply.error();
            assert_eq!(code, -32020, "{name}: {value}");
            assert!(message.contains(name), "{message}");
        }
    }
    let mut request = site.request("a", "echo", &json!({}));
    request.message.headers.insert("mcp-param-region", "x");
    site.publish(request).await;
    assert_eq!(site.reply().await.error().0, -32020);
}
