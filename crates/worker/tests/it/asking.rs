use std::collections::BTreeMap;

use protocol::ToolError;
use protocol::mcp::method::{
    COMPLETE, ELICITATION, PROMPTS_GET, RESOURCES_READ, ROOTS_LIST, SAMPLING, TOOLS_CALL,
};
use protocol::response::InputRequired;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use worker::{
    Contents, Context, Elicited, Prompt, PromptContent, Resource, Stop, Tool, ToolContent, Worker,
};

use crate::lab::{self, Nothing, Text};
use crate::site::{Reply, Site};

fn form() -> Value {
    json!({"message": "Who are you?", "requestedSchema": {"type": "object"}})
}

/// The user's name, or the question for it.
fn name(context: &Context) -> Result<String, Stop> {
    match context.inputs().elicited("name") {
        Some(Elicited::Accepted(answer)) if answer["name"].is_string() => {
            Ok(answer["name"].as_str().unwrap_or_default().to_owned())
        }
        Some(Elicited::Declined | Elicited::Cancelled) => Err(ToolError::invalid("no name").into()),
        _ => Err(InputRequired::new()
            .ask("name", ELICITATION, form())
            .state("round 2")
            .into()),
    }
}

fn asks(name: &'static str, asks: InputRequired) -> Tool {
    let schema = to_raw_value(&json!({"type": "object"})).unwrap();
    Tool::raw(name, schema, move |_, _| {
        let asks = asks.clone();
        async move { Err::<ToolContent, _>(asks.into()) }
    })
}

fn worker() -> Worker {
    let greet = async |context: Context, _: Nothing| {
        let name = name(&context)?;
        let state = context.inputs().state().unwrap_or_default();
        let text = format!("{name} in {state}");
        Ok::<_, Stop>(Text { text })
    };
    let polite = async |context: Context, _: Nothing| {
        let text = if context.client().sampling() {
            return Err(InputRequired::new()
                .ask("model", SAMPLING, json!({}))
                .into());
        } else {
            "alone".to_owned()
        };
        Ok::<_, Stop>(Text { text })
    };
    let prompt = async |context: Context, _: BTreeMap<String, String>| {
        Ok::<_, Stop>(PromptContent::new().user_text(name(&context)?))
    };
    let resource = async |context: Context, _: String| {
        Ok::<_, Stop>(Contents::text("text/plain", name(&context)?))
    };
    let all = InputRequired::new()
        .ask("name", ELICITATION, form())
        .ask("model", SAMPLING, json!({}))
        .ask("roots", ROOTS_LIST, json!({}));
    lab::worker()
        .tool(Tool::new("greet", greet))
        .tool(Tool::new("polite", polite))
        .tool(asks("all", all))
        .tool(asks("wait", InputRequired::new().state("later")))
        .tool(asks("nothing", InputRequired::new()))
        .tool(asks(
            "strange",
            InputRequired::new().ask("a", "ping", json!({})),
        ))
        .prompt(
            Prompt::new("greet", prompt)
                .argument("a", "An argument.", false)
                .complete("a", async |_, _| {
                    Err::<Vec<String>, _>(InputRequired::new().state("x"))
                }),
        )
        .resource(Resource::new("x:greet", "greet", resource))
}

/// The parameters of a request by a client with these capabilities.
fn params(key: &str, name: &str, capabilities: &Value) -> Value {
    let meta = json!({ "io.modelcontextprotocol/clientCapabilities": capabilities });
    json!({ key: name, "_meta": meta })
}

/// Calls a tool as a client with these capabilities.
async fn call(site: &mut Site, tool: &str, capabilities: &Value) -> Reply {
    let params = params("name", tool, capabilities);
    site.ask(TOOLS_CALL, tool, &params).await
}

#[tokio::test]
async fn an_answer_completes_what_was_asked() {
    let mut site = Site::with(worker()).await;
    let elicitation = json!({"elicitation": {}});
    for (method, key, name, pointer) in [
        (TOOLS_CALL, "name", "greet", "/content/0/text"),
        (PROMPTS_GET, "name", "greet", "/messages/0/content/text"),
        (RESOURCES_READ, "uri", "x:greet", "/contents/0/text"),
    ] {
        let mut params = params(key, name, &elicitation);
        let asked = site.ask(method, name, &params).await;
        let expected = json!({
            "resultType": "input_required",
            "inputRequests": {"name": {"method": ELICITATION, "params": form()}},
            "requestState": "round 2",
        });
        assert_eq!(*asked.result(), expected, "{method}");
        // An answer of no use is as good as none.
        params["inputResponses"] = json!({"name": {"action": "accept", "content": {"name": 7}}});
        let asked = site.ask(method, name, &params).await;
        assert_eq!(*asked.result(), expected, "{method}");
        params["inputResponses"] = json!({
            "name": {"action": "accept", "content": {"name": "Ada"}}, "other": 1,
        });
        params["requestState"] = json!("my state");
        let done = site.ask(method, name, &params).await;
        assert_eq!(done.result()["resultType"], "complete", "{method}");
        let text = done.result().pointer(pointer).unwrap().as_str().unwrap();
        assert!(text.starts_with("Ada"), "{text}");
        assert_eq!(text == "Ada in my state", method == TOOLS_CALL, "{text}");
    }
    site.metric("discovery_calls_total{category=\"lab\",outcome=\"ok\"} 9")
        .await;
    site.all_is_settled().await;
}

#[tokio::test]
async fn a_state_alone_is_enough() {
    let mut site = Site::with(worker()).await;
    let reply = call(&mut site, "wait", &json!({})).await;
    assert_eq!(
        *reply.result(),
        json!({"resultType": "input_required", "requestState": "later"})
    );
}

#[tokio::test]
async fn a_client_is_not_asked_what_it_cannot_answer() {
    let mut site = Site::with(worker()).await;
    for (declared, required) in [
        (
            json!({}),
            json!({"elicitation": {}, "sampling": {}, "roots": {}}),
        ),
        (
            json!({"elicitation": {}, "roots": {}}),
            json!({"sampling": {}}),
        ),
    ] {
        let reply = call(&mut site, "all", &declared).await;
        assert_eq!(reply.error().0, -32021, "{reply:?}");
        assert_eq!(
            reply.body["error"]["data"],
            json!({ "requiredCapabilities": required })
        );
    }
    let declared = json!({"elicitation": {}, "sampling": {}, "roots": {}});
    let reply = call(&mut site, "all", &declared).await;
    let asked = reply.result()["inputRequests"].as_object().unwrap();
    assert_eq!(asked.len(), 3);
    site.metric("discovery_calls_total{category=\"lab\",outcome=\"protocol_error\"} 2")
        .await;
}

#[tokio::test]
async fn a_tool_can_do_without_what_the_client_lacks() {
    let mut site = Site::with(worker()).await;
    let reply = call(&mut site, "polite", &json!({})).await;
    assert_eq!(reply.text(), "alone");
    let reply = call(&mut site, "polite", &json!({"sampling": {}})).await;
    assert_eq!(reply.result()["resultType"], "input_required");
}

#[tokio::test]
async fn a_question_that_may_not_be_asked_is_a_fault() {
    let mut site = Site::with(worker()).await;
    for name in ["nothing", "strange"] {
        let reply = call(&mut site, name, &json!({})).await;
        assert_eq!(reply.error().0, -32603, "{reply:?}");
    }
    let completion = json!({
        "ref": {"type": "ref/prompt", "name": "greet"}, "argument": {"name": "a", "value": ""},
    });
    let reply = site.ask(COMPLETE, "greet", &completion).await;
    assert_eq!(reply.error().0, -32603, "{reply:?}");
}
