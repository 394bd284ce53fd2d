//! Calls that their callers gave a key.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bus::memory::MemoryBus;
use protocol::mcp::method;
use protocol::response::InputRequired;
use protocol::{ErrorCode, ToolError, headers};
use serde_json::{Value, json};
use worker::{Context, Elicited, Stop, Tool};

use crate::gate::{Gate, until};
use crate::lab::{self, Nothing, Text};
use crate::site::{Reply, Site, category, unix_ms_in, worker};

const REPLAYED: &str = "discovery_replayed_answers_total{category=\"lab\"}";

/// A tool whose first call fails so that another try may help.
fn fails_once(error: ToolError) -> (Tool, Arc<AtomicUsize>) {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let tool = Tool::new("moody", move |_: Context, _: Nothing| {
        let (counted, error) = (Arc::clone(&counted), error.clone());
        async move {
            match counted.fetch_add(1, Ordering::SeqCst) {
                0 => Err(error),
                run => Ok(Text {
                    text: format!("run {}", run + 1),
                }),
            }
        }
    });
    (tool, runs)
}

async fn answer_of(site: &mut Site, id: &str) -> Reply {
    let reply = site.reply().await;
    assert_eq!(reply.correlation_id, id, "{reply:?}");
    reply
}

#[tokio::test]
async fn a_repeated_call_gets_the_answer_that_there_was() {
    let gate = Gate::new();
    let mut site = Site::with(worker(2, [gate.tool("hold")])).await;
    gate.open(9);
    site.call_with_key("a", "k", "hold").await;
    let first = answer_of(&mut site, "a").await;
    assert_eq!(first.text(), "run 1");
    site.call_with_key("b", "k", "hold").await;
    let again = answer_of(&mut site, "b").await;
    assert_eq!(again.result(), first.result());
    assert_eq!(again.body["id"], "b");
    assert_eq!(gate.runs(), 1);
    site.metric(&format!("{REPLAYED} 1")).await;
    site.metric("discovery_calls_total{category=\"lab\",outcome=\"ok\"} 2")
        .await;
    site.call_with_key("c", "another", "hold").await;
    assert_eq!(answer_of(&mut site, "c").await.text(), "run 2");
    site.all_is_settled().await;
}

#[tokio::test]
async fn the_same_key_with_another_call_is_an_error() {
    let gate = Gate::new();
    let mut site = Site::with(lab::worker().tool(gate.tool("hold"))).await;
    let seen = json!({"host": "localhost", "count": 2});
    let request = site.keyed("a", "k", "probe", &seen);
    site.publish(request).await;
    assert_eq!(
        answer_of(&mut site, "a").await.text(),
        "**localhost** seen 2 times"
    );
    for (tool, arguments) in [
        ("probe", json!({"host": "localhost", "count": 3})),
        ("probe", json!({"host": "localhost"})),
        ("hold", json!({})),
    ] {
        site.publish(site.keyed("b", "k", tool, &arguments)).await;
        let reply = answer_of(&mut site, "b").await;
        let (code, message) = reply.error();
        assert_eq!(code, -32602);
        assert!(message.contains("used for another call"), "{message}");
        assert_eq!(reply.body["error"]["data"]["idempotencyKey"], "reused");
    }
    let same = json!({"count": 2, "host": "localhost"});
    site.publish(site.keyed("c", "k", "probe", &same)).await;
    assert_eq!(
        answer_of(&mut site, "c").await.text(),
        "**localhost** seen 2 times"
    );
    assert_eq!(gate.runs(), 0);
    site.all_is_settled().await;
}

#[tokio::test]
async fn arguments_that_are_refused_leave_the_key_free() {
    let mut site = Site::with(lab::worker()).await;
    site.publish(site.keyed("a", "k", "probe", &json!({"host": 1})))
        .await;
    assert_eq!(
        answer_of(&mut site, "a").await.failure(),
        "invalid_arguments"
    );
    site.publish(site.keyed("b", "k", "probe", &json!({"host": "localhost"})))
        .await;
    answer_of(&mut site, "b").await.text();
    site.all_is_settled().await;
}

#[tokio::test]
async fn a_repetition_waits_for_the_call_that_runs() {
    let gate = Gate::new();
    let mut site = Site::with(worker(3, [gate.tool("hold")])).await;
    site.call_with_key("a", "k", "hold").await;
    gate.entered().await;
    site.call_with_key("b", "k", "hold").await;
    let mut hasty = site.keyed("c", "k", "hold", &json!({}));
    let soon = unix_ms_in(Duration::from_millis(200));
    hasty.message.headers.insert(headers::DEADLINE, soon);
    site.publish(hasty).await;
    let late = answer_of(&mut site, "c").await;
    assert_eq!(late.failure(), "deadline_exceeded");
    gate.open(1);
    let replies = [site.reply().await, site.reply().await];
    let ids: HashSet<&str> = replies
        .iter()
        .map(|reply| reply.correlation_id.as_str())
        .collect();
    assert_eq!(ids, HashSet::from(["a", "b"]));
    assert!(replies.iter().all(|reply| reply.text() == "run 1"));
    assert_eq!(gate.runs(), 1);
    site.all_is_settled().await;
}

#[tokio::test]
async fn a_repetition_can_be_cancelled_while_it_waits() {
    let gate = Gate::new();
    let mut site = Site::with(lab::worker().tool(gate.tool("hold"))).await;
    site.call_with_key("a", "k", "hold").await;
    gate.entered().await;
    site.call_with_key("b", "k", "hold").await;
    site.cancel("b").await;
    gate.open(1);
    assert_eq!(answer_of(&mut site, "a").await.text(), "run 1");
    site.nothing_came().await;
    site.all_is_settled().await;
}

#[tokio::test]
async fn any_worker_of_the_category_repeats_the_answer() {
    let gate = Gate::new();
    gate.open(9);
    let mut site = Site::with(worker(1, [gate.tool("hold")])).await;
    site.start(worker(1, [gate.tool("hold")])).await;
    let mut senders = HashSet::new();
    for call in 0..10 {
        site.call_with_key(&call.to_string(), "k", "hold").await;
        let reply = site.reply().await;
        assert_eq!(reply.text(), "run 1");
        senders.insert(reply.sender);
    }
    assert_eq!((gate.runs(), senders.len()), (1, 2));
}

#[tokio::test]
async fn a_worker_that_joins_knows_what_the_others_answered() {
    let gate = Gate::new();
    gate.open(9);
    let mut site = Site::with(worker(1, [gate.tool("hold")])).await;
    for key in ["k", "l", "m"] {
        site.call_with_key(key, key, "hold").await;
        site.reply().await.text();
    }
    for _ in 0..2 {
        site.start(worker(1, [gate.tool("hold")])).await;
    }
    let mut senders = HashSet::new();
    for call in 0..12 {
        site.call_with_key(&call.to_string(), "l", "hold").await;
        let reply = site.reply().await;
        assert_eq!(reply.text(), "run 2");
        senders.insert(reply.sender);
    }
    assert_eq!((gate.runs(), senders.len()), (3, 3));
}

#[tokio::test]
async fn a_worker_that_joins_knows_what_the_others_run() {
    let gate = Gate::new();
    let mut site = Site::with(worker(1, [gate.tool("hold")])).await;
    site.call_with_key("a", "k", "hold").await;
    gate.entered().await;
    site.start(worker(1, [gate.tool("hold")])).await;
    // The first worker holds what it may hold.
    site.call_with_key("b", "k", "hold").await;
    until("the repetition to be handed out", async || {
        site.queued().await == 0
    })
    .await;
    gate.open(1);
    let replies = [site.reply().await, site.reply().await];
    assert!(replies.iter().all(|reply| reply.text() == "run 1"));
    assert_ne!(replies[0].sender, replies[1].sender);
    assert_eq!(gate.runs(), 1);
}

#[tokio::test]
async fn calls_of_one_moment_run_once_at_one_worker() {
    let gate = Gate::new();
    let mut site = Site::with(worker(2, [gate.tool("hold")])).await;
    site.start(worker(2, [gate.tool("hold")])).await;
    for round in 1..=20 {
        let key = format!("key {round}");
        for call in ["a", "b", "c", "d"] {
            site.call_with_key(call, &key, "hold").await;
        }
        gate.entered().await;
        gate.open(1);
        for _ in 0..4 {
            assert_eq!(site.reply().await.text(), format!("run {round}"));
        }
        assert_eq!(gate.runs(), round);
    }
}

#[tokio::test]
async fn a_call_that_was_cancelled_leaves_its_key_to_the_next() {
    let gate = Gate::new();
    let mut site = Site::with(worker(2, [gate.tool("hold")])).await;
    site.call_with_key("a", "k", "hold").await;
    gate.entered().await;
    site.call_with_key("b", "k", "hold").await;
    site.cancel("a").await;
    gate.entered().await;
    gate.open(1);
    assert_eq!(answer_of(&mut site, "b").await.text(), "run 2");
    site.all_is_settled().await;
}

#[tokio::test]
async fn a_failure_is_repeated_unless_another_try_may_help() {
    for (error, expected) in [
        (ToolError::new(ErrorCode::Unreachable, "nobody there"), 2),
        (ToolError::new(ErrorCode::NotFound, "no such thing"), 1),
    ] {
        let (tool, runs) = fails_once(error.clone());
        let mut site = Site::with(worker(1, [tool])).await;
        site.call_with_key("a", "k", "moody").await;
        assert_eq!(
            answer_of(&mut site, "a").await.failure(),
            error.code.as_str()
        );
        site.call_with_key("b", "k", "moody").await;
        let again = answer_of(&mut site, "b").await;
        assert_eq!(runs.load(Ordering::SeqCst), expected);
        if expected == 1 {
            assert_eq!(again.failure(), error.code.as_str());
        } else {
            assert_eq!(again.text(), "run 2");
        }
        site.all_is_settled().await;
    }
}

#[tokio::test]
async fn an_outage_frees_the_keys_of_what_it_aborts() {
    let gate = Gate::new();
    let mut site = Site::with(worker(1, [gate.tool("hold")])).await;
    site.start(worker(1, [gate.tool("hold")])).await;
    site.call_with_key("a", "k", "hold").await;
    gate.entered().await;
    site.call_with_key("b", "k", "hold").await;
    site.outage().await;
    until("the first run to end", async || gate.left() == 1).await;
    gate.entered().await;
    gate.open(1);
    for _ in 0..2 {
        assert_eq!(site.reply().await.text(), "run 2");
    }
    assert_eq!(gate.runs(), 2);
}

/// What another worker says that is about to run the tool `hold`, or runs it.
fn claim(id: &str, deadline: Duration, begun: bool) -> Value {
    json!({ "jsonrpc": "2.0", "method": "opendiscovery/answers/claim", "params": {
        "key": "k", "claim": id, "correlationId": "x", "begun": begun,
        "fingerprint": fingerprint_of_hold(), "deadline": unix_ms_in(deadline),
    }})
}

/// SHA-256 of the name, and of no arguments in their canonical form.
fn fingerprint_of_hold() -> &'static str {
    "35e36f5a8fd70a5cecfe1f387a9b0151f7ea96476453e14809963ba84d8661d0"
}

#[tokio::test]
async fn a_call_waits_for_what_another_worker_runs() {
    let gate = Gate::new();
    let mut site = Site::with(worker(1, [gate.tool("hold")])).await;
    let key = site.names.answers_key(&category());
    site.control(key.clone(), &claim("1", Duration::from_mins(1), false))
        .await;
    site.call_with_key("a", "k", "hold").await;
    let released = json!({ "jsonrpc": "2.0", "method": "opendiscovery/answers/release",
        "params": { "key": "k", "claim": "1" } });
    until("the call to be handed out", async || {
        site.queued().await == 0
    })
    .await;
    assert_eq!(gate.runs(), 0);
    site.control(key, &released).await;
    gate.entered().await;
    gate.open(1);
    assert_eq!(answer_of(&mut site, "a").await.text(), "run 1");
    site.all_is_settled().await;
}

#[tokio::test]
async fn what_must_not_run_twice_is_not_run_again_when_its_worker_is_gone() {
    let gate = Gate::new();
    let tool = gate.tool("hold").at_most_once();
    let mut site = Site::with(worker(1, [tool])).await;
    let key = site.names.answers_key(&category());
    site.control(key, &claim("1", Duration::ZERO, true)).await;
    for id in ["a", "b"] {
        site.call_with_key(id, "k", "hold").await;
        let reply = answer_of(&mut site, id).await;
        assert_eq!(reply.error().0, -31004);
        assert_eq!(reply.body["error"]["data"]["retryable"], false);
    }
    assert_eq!(gate.runs(), 0);
    site.all_is_settled().await;
}

#[tokio::test]
async fn the_answer_of_another_worker_is_repeated() {
    let gate = Gate::new();
    let mut site = Site::with(worker(1, [gate.tool("hold")])).await;
    let key = site.names.answers_key(&category());
    site.control(
        key.clone(),
        &json!({ "jsonrpc": "2.0", "method": "opendiscovery/answers/claim" }),
    )
    .await;
    let keep = json!({ "jsonrpc": "2.0", "method": "opendiscovery/answers/keep", "params": {
        "key": "k", "fingerprint": fingerprint_of_hold(), "result": {"content": [], "x": 1.5},
    }});
    site.control(key, &keep).await;
    site.call_with_key("a", "k", "hold").await;
    let reply = answer_of(&mut site, "a").await;
    assert_eq!(reply.result(), &json!({"content": [], "x": 1.5}));
    assert_eq!(gate.runs(), 0);
    site.all_is_settled().await;
}

#[tokio::test]
async fn an_answer_that_no_message_can_hold_keeps_its_call_from_running_again() {
    const LIMIT: usize = 50_000;
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let long = move |_: Context, _: Nothing| {
        counted.fetch_add(1, Ordering::SeqCst);
        let text = "x".repeat(LIMIT);
        async { Ok::<_, ToolError>(Text { text }) }
    };
    let tool = Tool::new("long", long);
    let mut site = Site::on(MemoryBus::new().with_max_message_size(LIMIT)).await;
    for _ in 0..2 {
        site.start(worker(1, [tool.clone()])).await;
    }
    site.call_with_key("a", "k", "long").await;
    answer_of(&mut site, "a").await;
    let mut senders = HashSet::new();
    for id in ["b", "c", "d"] {
        site.call_with_key(id, "k", "long").await;
        let reply = answer_of(&mut site, id).await;
        let (_, message) = reply.error();
        assert!(message.contains("too long to be kept"), "{message}");
        senders.insert(reply.sender.clone());
    }
    assert_eq!(senders.len(), 2);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_rounds_of_a_call_have_one_answer() {
    let asks = async |context: Context, _: Nothing| {
        let form = json!({"message": "Who?", "requestedSchema": {"type": "object"}});
        let Some(Elicited::Accepted(answer)) = context.inputs().elicited("who") else {
            return Err(Stop::from(InputRequired::new().ask(
                "who",
                method::ELICITATION,
                form,
            )));
        };
        Ok(Text {
            text: answer["name"].to_string(),
        })
    };
    let mut site = Site::with(worker(1, [Tool::new("greet", asks)])).await;
    let round = |id: &str, answer: Option<&str>| {
        let mut params = json!({ "name": "greet", "arguments": {}, "_meta": {
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
        }});
        if let Some(name) = answer {
            let content = json!({"name": name});
            params["inputResponses"] = json!({"who": {"action": "accept", "content": content}});
        }
        let mut request = site.request_with(id, "greet", &params);
        request.message.message_id = Some("k".to_owned());
        request.message.headers.insert(headers::IDEMPOTENT, true);
        request
    };
    let rounds = [
        round("a", None),
        round("b", Some("x")),
        round("c", Some("y")),
        round("d", None),
    ];
    for (index, request) in rounds.into_iter().enumerate() {
        site.publish(request).await;
        let reply = site.reply().await;
        if index == 0 {
            assert_eq!(reply.result()["resultType"], "input_required");
        } else {
            assert_eq!(reply.text(), "\"x\"");
        }
    }
    site.all_is_settled().await;
}

#[tokio::test]
async fn a_call_that_must_not_run_twice_is_repeated_without_a_question() {
    let gate = Gate::new();
    let mut site = Site::with(worker(1, [gate.tool("hold").at_most_once()])).await;
    gate.open(9);
    site.call_with_key("a", "k", "hold").await;
    let question = answer_of(&mut site, "a").await;
    assert_eq!(question.kind, headers::kind::STARTED);
    site.grant(&question, true).await;
    assert_eq!(answer_of(&mut site, "a").await.text(), "run 1");
    site.call_with_key("b", "k", "hold").await;
    assert_eq!(answer_of(&mut site, "b").await.text(), "run 1");
    assert_eq!(gate.runs(), 1);
    site.all_is_settled().await;
}

#[tokio::test]
async fn without_a_key_of_the_caller_a_call_that_comes_again_runs_again() {
    let gate = Gate::new();
    gate.open(9);
    let mut site = Site::with(worker(1, [gate.tool("hold")])).await;
    for run in 1..=2 {
        site.call("a", "hold").await;
        assert_eq!(answer_of(&mut site, "a").await.text(), format!("run {run}"));
    }
    assert!(!site.process.metrics.encode().contains(REPLAYED));
    site.all_is_settled().await;
}

#[tokio::test]
async fn a_key_needs_a_message_id() {
    let mut site = Site::with(lab::worker()).await;
    for message_id in [None, Some(String::new())] {
        let mut request = site.keyed("a", "k", "probe", &json!({"host": "localhost"}));
        request.message.message_id = message_id;
        site.publish(request).await;
        let reply = answer_of(&mut site, "a").await;
        let (code, message) = reply.error();
        assert_eq!(code, -32600);
        assert!(message.contains("message-id"), "{message}");
    }
    site.all_is_settled().await;
}

#[tokio::test]
async fn a_worker_that_stops_gives_waiting_repetitions_back() {
    let gate = Gate::new();
    let mut site = Site::with(worker(2, [gate.tool("hold")])).await;
    site.call_with_key("a", "k", "hold").await;
    gate.entered().await;
    site.call_with_key("b", "k", "hold").await;
    until("the repetition to be handed out", async || {
        site.queued().await == 0
    })
    .await;
    site.process.shutdown.cancel();
    until("the repetition to come back", async || {
        site.queued().await == 1
    })
    .await;
    gate.open(1);
    assert_eq!(answer_of(&mut site, "a").await.text(), "run 1");
    site.ended().await.unwrap();
    assert_eq!(site.queued().await, 1);
}
