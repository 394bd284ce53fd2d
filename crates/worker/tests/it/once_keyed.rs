//! Calls that must not run twice and have a key of their caller: once begun, their key is never
//! free for another run.

use std::collections::HashSet;
use std::time::Duration;

use protocol::mcp::method;
use protocol::response::InputRequired;
use protocol::{ErrorCode, ToolError, headers};
use serde_json::json;
use worker::{Context, Elicited, Stop, Tool};

use crate::gate::{Gate, until};
use crate::lab::{Nothing, Text};
use crate::site::{Reply, Site, unix_ms_in, worker};

/// Grants the call that a worker asks for.
async fn grant(site: &mut Site) {
    let question = site.reply().await;
    assert_eq!(question.kind, headers::kind::STARTED, "{question:?}");
    site.grant(&question, true).await;
}

/// Whether the same call may be tried again, as a tool's failure says it.
fn is_retryable(reply: &Reply) -> bool {
    let error = &reply.body["result"]["structuredContent"]["error"];
    error["retryable"].as_bool().unwrap()
}

/// Fails unless a repetition is told that nobody knows the outcome.
async fn is_unknown(site: &mut Site, tool: &str) {
    site.call_with_key("again", "k", tool).await;
    let reply = site.reply().await;
    assert_eq!(reply.error().0, -31004, "{reply:?}");
    assert_eq!(reply.body["error"]["data"]["retryable"], false);
}

#[tokio::test]
async fn one_that_reaches_its_deadline_is_not_to_be_tried_again() {
    let gate = Gate::new();
    let mut site = Site::with(worker(1, [gate.tool("hold").at_most_once()])).await;
    let mut request = site.keyed("a", "k", "hold", &json!({}));
    let soon = unix_ms_in(Duration::from_millis(500));
    request.message.headers.insert(headers::DEADLINE, soon);
    site.publish(request).await;
    grant(&mut site).await;
    let late = site.reply().await;
    assert_eq!(late.failure(), "deadline_exceeded");
    assert!(!is_retryable(&late), "{late:?}");
    assert!(late.text.contains("outcome is unknown"), "{late:?}");
    site.call_with_key("b", "k", "hold").await;
    assert_eq!(site.reply().await.result(), late.result());
    assert_eq!(gate.runs(), 1);
    site.all_is_settled().await;
}

#[tokio::test]
async fn one_that_panics_is_not_to_be_tried_again() {
    let panics = async |context: Context, _: Nothing| {
        assert!(context.remaining().is_zero(), "it fails");
        Ok::<_, ToolError>(Text {
            text: String::new(),
        })
    };
    let tool = Tool::new("panic", panics).at_most_once();
    let mut site = Site::with(worker(1, [tool])).await;
    site.call_with_key("a", "k", "panic").await;
    grant(&mut site).await;
    let failed = site.reply().await;
    assert_eq!(failed.failure(), "internal");
    assert!(!is_retryable(&failed), "{failed:?}");
    site.call_with_key("b", "k", "panic").await;
    assert_eq!(site.reply().await.result(), failed.result());
    site.all_is_settled().await;
}

#[tokio::test]
async fn one_whose_failure_may_pass_does_not_run_again_under_its_key() {
    let moody = async |_: Context, _: Nothing| {
        Err::<Text, _>(ToolError::new(ErrorCode::Unreachable, "nobody there"))
    };
    let tool = Tool::new("moody", moody).at_most_once();
    let mut site = Site::with(worker(1, [tool])).await;
    site.call_with_key("a", "k", "moody").await;
    grant(&mut site).await;
    assert_eq!(site.reply().await.failure(), "unreachable");
    is_unknown(&mut site, "moody").await;
    site.all_is_settled().await;
}

#[tokio::test]
async fn one_that_is_cancelled_while_it_runs_keeps_its_key_at_every_worker() {
    let gate = Gate::new();
    let tool = || gate.tool("hold").at_most_once();
    let mut site = Site::with(worker(1, [tool()])).await;
    site.start(worker(1, [tool()])).await;
    site.call_with_key("a", "k", "hold").await;
    grant(&mut site).await;
    gate.entered().await;
    site.cancel("a").await;
    until("the tool to stop", async || gate.left() == 1).await;
    let mut senders = HashSet::new();
    for _ in 0..10 {
        site.call_with_key("b", "k", "hold").await;
        let reply = site.reply().await;
        assert_eq!(reply.error().0, -31004, "{reply:?}");
        senders.insert(reply.sender);
    }
    assert_eq!((gate.runs(), senders.len()), (1, 2));
}

#[tokio::test]
async fn one_that_is_cancelled_before_it_begins_leaves_its_key_free() {
    let gate = Gate::new();
    gate.open(1);
    let mut site = Site::with(worker(1, [gate.tool("hold").at_most_once()])).await;
    site.call_with_key("a", "k", "hold").await;
    assert_eq!(site.reply().await.kind, headers::kind::STARTED);
    site.cancel("a").await;
    until("it to be forgotten", async || site.unsettled() == 0).await;
    site.call_with_key("b", "k", "hold").await;
    grant(&mut site).await;
    assert_eq!(site.reply().await.text(), "run 1");
    site.all_is_settled().await;
}

#[tokio::test]
async fn one_that_asks_its_client_comes_again_under_its_key() {
    let asks = async |context: Context, _: Nothing| {
        let Some(Elicited::Accepted(answer)) = context.inputs().elicited("who") else {
            let form = json!({"message": "Who?", "requestedSchema": {"type": "object"}});
            let asks = InputRequired::new().ask("who", method::ELICITATION, form);
            return Err(Stop::from(asks));
        };
        Ok(Text {
            text: answer["name"].to_string(),
        })
    };
    let mut site = Site::with(worker(1, [Tool::new("greet", asks).at_most_once()])).await;
    let answers = json!({"who": {"action": "accept", "content": {"name": "x"}}});
    for (round, elicitation) in [None, Some(json!({"form": {}})), Some(json!({"form": {}}))]
        .into_iter()
        .enumerate()
    {
        let mut params = json!({ "name": "greet", "arguments": {}, "_meta": {} });
        if let Some(elicitation) = elicitation {
            let key = "io.modelcontextprotocol/clientCapabilities";
            params["_meta"][key] = json!({ "elicitation": elicitation });
        }
        if round == 2 {
            params["inputResponses"] = answers.clone();
        }
        let mut request = site.request_with(&round.to_string(), "greet", &params);
        request.message.message_id = Some("k".to_owned());
        request.message.headers.insert(headers::IDEMPOTENT, true);
        site.publish(request).await;
        grant(&mut site).await;
        let reply = site.reply().await;
        match round {
            0 => assert_eq!(reply.error().0, -32021, "{reply:?}"),
            1 => assert_eq!(reply.result()["resultType"], "input_required"),
            _ => assert_eq!(reply.text(), "\"x\""),
        }
    }
    site.all_is_settled().await;
}
