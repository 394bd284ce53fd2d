use std::collections::BTreeMap;
use std::future::pending;

use protocol::mcp::method::{COMPLETE, PROMPTS_GET};
use protocol::response::RpcError;
use protocol::{Announcement, ErrorCode, ToolError, headers};
use serde::Deserialize;
use serde_json::{Value, json};
use worker::{CompletionRequest, Context, Prompt, PromptContent, Stop, Worker};

use crate::lab;
use crate::site::Site;

type Arguments = BTreeMap<String, String>;

async fn letter(_: Context, arguments: Arguments) -> Result<PromptContent, ToolError> {
    let (to, tone) = (&arguments["to"], arguments.get("tone"));
    let image = json!({"type": "image", "data": "AA==", "mimeType": "image/png"});
    Ok(PromptContent::new()
        .description("A letter.")
        .user_text(format!("to {to}, {tone:?}"))
        .message("assistant", image))
}

/// As many cities as the caller has typed letters, times a hundred.
async fn cities(_: Context, request: CompletionRequest) -> Result<Vec<String>, ToolError> {
    let tone = request.others.get("tone").cloned().unwrap_or_default();
    let n_cities = request.value.len() * 100;
    Ok((0..n_cities).map(|city| format!("{tone}{city}")).collect())
}

fn worker() -> Worker {
    let failing = |name: &str, stop: Stop| {
        Prompt::new(name, move |_, _| {
            let stop = stop.clone();
            async move { Err::<PromptContent, _>(stop) }
        })
    };
    let internal = ToolError::new(ErrorCode::NotFound, "no paper").hint("buy some");
    lab::worker()
        .prompt(
            Prompt::new("letter", letter)
                .title("Letter")
                .description("Writes a letter.")
                .argument("to", "Whom it is for.", true)
                .argument("tone", "How it sounds.", false)
                .complete("to", cities),
        )
        .prompt(failing("failing", internal.into()))
        .prompt(failing("refusing", RpcError::new(-32000, "not now").into()))
        .prompt(Prompt::new("hanging", async |_, _| {
            pending::<Result<PromptContent, ToolError>>().await
        }))
        .prompt(Prompt::new("panicking", async |_, arguments| {
            Ok::<_, ToolError>(PromptContent::new().user_text(&arguments["absent"]))
        }))
        .prompt(Prompt::new("strange", async |_, _| {
            Ok::<_, ToolError>(PromptContent::new().message("system", json!({})))
        }))
}

async fn get(params: &Value) -> crate::site::Reply {
    let mut site = Site::with(worker()).await;
    let name = params["name"].as_str().unwrap();
    let reply = site.ask(PROMPTS_GET, name, params).await;
    site.all_is_settled().await;
    reply
}

#[tokio::test]
async fn a_prompt_comes_to_its_messages() {
    let reply = get(&json!({"name": "letter", "arguments": {"to": "Ada"}})).await;
    assert_eq!(
        *reply.result(),
        json!({
            "resultType": "complete",
            "description": "A letter.",
            "messages": [
                {"role": "user", "content": {"type": "text", "text": "to Ada, None"}},
                {
                    "role": "assistant",
                    "content": {"type": "image", "data": "AA==", "mimeType": "image/png"},
                },
            ],
        })
    );
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_named() {
    for (params, parts) in [
        (json!({"name": "letter"}), ["\"to\"", "Whom it is for."]),
        (
            json!({"name": "letter", "arguments": {"to": "a", "from": "b"}}),
            ["\"from\"", "to, tone"],
        ),
        (
            json!({"name": "letter", "arguments": {"to": 7}}),
            ["\"to\"", "string"],
        ),
        (
            json!({"name": "letter", "arguments": []}),
            ["params.arguments", "object"],
        ),
        (json!({"name": "song"}), ["\"song\"", "failing, hanging"]),
    ] {
        let reply = get(&params).await;
        let (code, message) = reply.error();
        assert_eq!(code, -32602, "{message}");
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
    }
}

#[tokio::test]
async fn a_prompt_that_fails_is_an_error() {
    let reply = get(&json!({"name": "failing"})).await;
    assert_eq!(reply.error().0, -32603);
    let failure = &reply.body["error"]["data"]["error"];
    assert_eq!(failure["code"], "not_found");
    assert_eq!(failure["hint"], "buy some");
    let reply = get(&json!({"name": "refusing"})).await;
    assert_eq!(reply.error(), (-32000, "not now"));
    for name in ["panicking", "strange"] {
        let reply = get(&json!({ "name": name })).await;
        assert_eq!(reply.error().0, -32603);
        assert_eq!(reply.body["error"]["data"]["error"]["code"], "internal");
    }
}

#[tokio::test]
async fn a_prompt_ends_with_its_deadline_or_its_cancel() {
    let mut site = Site::with(worker()).await;
    let params = json!({"name": "hanging", "_meta": {"opendiscovery/timeoutMs": 50}});
    let mut request = site.request_of("a", PROMPTS_GET, "hanging", &params);
    request.message.headers = headers_without_deadline();
    site.publish(request).await;
    let reply = site.reply().await;
    assert_eq!(reply.error().0, -31003, "{reply:?}");
    site.metric("discovery_calls_total{category=\"lab\",outcome=\"timeout\"} 1")
        .await;
    let params = json!({"name": "hanging"});
    site.publish(site.request_of("b", PROMPTS_GET, "hanging", &params))
        .await;
    site.metric("discovery_calls_in_flight{category=\"lab\"} 1")
        .await;
    site.cancel("b").await;
    site.metric("discovery_calls_total{category=\"lab\",outcome=\"cancelled\"} 1")
        .await;
    site.nothing_came().await;
    site.all_is_settled().await;
}

fn headers_without_deadline() -> bus::Headers {
    bus::Headers::default().with(headers::METHOD, PROMPTS_GET)
}

#[tokio::test]
async fn values_of_an_argument_are_suggested() {
    let mut site = Site::with(worker()).await;
    let params = |value: &str, name: &str| {
        json!({
            "ref": {"type": "ref/prompt", "name": "letter"},
            "argument": {"name": name, "value": value},
            "context": {"arguments": {"tone": "x"}},
        })
    };
    let completion = site.ask(COMPLETE, "letter", &params("a", "to")).await;
    let completion = completion.result().clone();
    assert_eq!(completion["resultType"], "complete");
    let completion = &completion["completion"];
    assert_eq!(
        (&completion["total"], &completion["hasMore"]),
        (&json!(100), &json!(false))
    );
    assert_eq!(completion["values"][99], "x99");

    let many = site.ask(COMPLETE, "letter", &params("ab", "to")).await;
    let many = &many.result()["completion"];
    assert_eq!(
        (&many["total"], &many["hasMore"]),
        (&json!(200), &json!(true))
    );
    assert_eq!(many["values"].as_array().unwrap().len(), 100);

    for (value, argument) in [("", "to"), ("a", "tone"), ("a", "nonsense")] {
        let none = site.ask(COMPLETE, "letter", &params(value, argument)).await;
        assert_eq!(none.result()["completion"]["values"], json!([]));
    }
}

#[tokio::test]
async fn a_completion_of_nothing_is_refused() {
    let mut site = Site::with(worker()).await;
    let prompt = json!({"type": "ref/prompt", "name": "song"});
    let argument = json!({"name": "to", "value": ""});
    for (name, params, part) in [
        (
            "song",
            json!({"ref": prompt, "argument": argument}),
            "unknown prompt",
        ),
        (
            "x:1",
            json!({"ref": {"type": "ref/resource", "uri": "x:1"}, "argument": argument}),
            "unknown resource",
        ),
        ("x", json!({"argument": argument}), "params.ref"),
        (
            "x",
            json!({"ref": {"type": "ref/tool", "name": "x"}}),
            "params.ref",
        ),
        ("song", json!({"ref": prompt}), "params.argument"),
        (
            "song",
            json!({"ref": prompt, "argument": {"name": "to"}}),
            "params.argument",
        ),
        (
            "song",
            json!({"ref": prompt, "argument": argument, "context": {"arguments": {"a": 1}}}),
            "params.context.arguments",
        ),
    ] {
        let reply = site.ask(COMPLETE, name, &params).await;
        let (code, message) = reply.error();
        assert_eq!(code, -32602);
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

#[tokio::test]
async fn prompts_are_announced() {
    #[derive(Deserialize)]
    struct News {
        params: Announcement,
    }
    let mut site = Site::new().await;
    site.spawn(worker(), std::sync::Arc::new(site.memory.clone()));
    let news = site.news_as_written().await;
    let written: News = serde_json::from_slice(&news).unwrap();
    assert_eq!(written.params.digest, written.params.digest());
    let news: Value = serde_json::from_slice(&news).unwrap();
    let names: Vec<&Value> = news["params"]["prompts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|prompt| &prompt["name"])
        .collect();
    assert_eq!(
        names,
        [
            "failing",
            "hanging",
            "letter",
            "panicking",
            "refusing",
            "strange"
        ]
    );
    assert_eq!(
        news["params"]["prompts"][2],
        json!({
            "name": "letter",
            "title": "Letter",
            "description": "Writes a letter.",
            "arguments": [
                {"name": "to", "description": "Whom it is for.", "required": true},
                {"name": "tone", "description": "How it sounds.", "required": false},
            ],
            "_meta": {"opendiscovery/category": "lab"},
        })
    );
}

#[test]
fn a_prompt_that_no_client_could_use_is_refused() {
    let refused = |worker: Worker, why: &str| {
        let error = worker.check().unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    };
    let prompt = |name: &str| Prompt::new(name, letter);
    refused(lab::worker().prompt(prompt("a b")), "prompt \"a b\"");
    refused(
        lab::worker().prompt(prompt("a")).prompt(prompt("a")),
        "twice",
    );
    let twice = prompt("a").argument("x", "", true).argument("x", "", false);
    refused(lab::worker().prompt(twice), "argument x");
    let nothing = prompt("a").complete("x", cities);
    refused(lab::worker().prompt(nothing), "no argument");
}
