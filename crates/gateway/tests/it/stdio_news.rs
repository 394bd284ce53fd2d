//! News on standard output, where everything shares one stream.

use bus::memory::MemoryBus;
use protocol::Change;
use serde_json::{Value, json};

use crate::harness::*;
use crate::stdio::Pipes;
use crate::subscriptions::{listen, publish, updated};

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

async fn opened() -> (MemoryBus, Pipes) {
    let bus = MemoryBus::new();
    let pipes = Pipes::open(&bus).await;
    (bus, pipes)
}

fn acknowledged(id: i64, asked: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": {
        "_meta": { SUBSCRIPTION: id }, "notifications": asked,
    }})
}

fn cancelled(id: i64) -> Value {
    let params = json!({ "requestId": id });
    json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params })
}

fn initialized() -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })
}

/// Reads both signs that the server ends a subscription.
async fn check_end(pipes: &mut Pipes, id: i64) {
    let end = pipes.read().await;
    assert_eq!(
        (&end["id"], &end["result"]["resultType"]),
        (&json!(id), &json!("complete"))
    );
    assert_eq!(end["result"]["_meta"][SUBSCRIPTION], id);
    assert_eq!(pipes.read().await, cancelled(id));
}

#[tokio::test]
async fn subscriptions_share_the_stream_and_are_told_apart_by_their_identifier() {
    let (bus, mut pipes) = opened().await;
    let resource = json!({ "resourceSubscriptions": ["test://a"] });
    let tools = json!({ "toolsListChanged": true });
    for (id, asked) in [(1, &resource), (2, &tools)] {
        let first = pipes.ask(&listen(id, asked)).await;
        assert_eq!(first, acknowledged(id, asked));
    }
    for (change, id) in [
        (Change::ToolsListChanged, 2),
        (updated("test://a"), 1),
        (Change::ToolsListChanged, 2),
    ] {
        publish(&bus, &change).await;
        let told = pipes.read().await;
        assert_eq!(told["method"], change.method());
        assert_eq!(told["params"]["_meta"][SUBSCRIPTION], id);
    }
}

#[tokio::test]
async fn a_cancelled_subscription_says_nothing_more() {
    let (bus, mut pipes) = opened().await;
    let asked = json!({ "toolsListChanged": true });
    for id in [1, 2] {
        pipes.ask(&listen(id, &asked)).await;
    }
    pipes.send(&cancelled(1)).await;
    // A cancel that has nothing to stop changes nothing.
    pipes.send(&cancelled(99)).await;
    // The identifier is free when the subscription is gone.
    eventually("it is gone", async || {
        let again = pipes.ask(&listen(1, &json!({}))).await;
        again["method"] == "notifications/subscriptions/acknowledged"
    })
    .await;
    publish(&bus, &Change::ToolsListChanged).await;
    let told = pipes.read().await;
    assert_eq!(told["params"]["_meta"][SUBSCRIPTION], 2);
    let next = pipes.ask(&request(3, "server/discover")).await;
    assert_eq!(next["id"], 3);
}

#[tokio::test]
async fn at_the_end_of_the_input_subscriptions_end_at_once() {
    let (_bus, mut pipes) = opened().await;
    pipes.ask(&listen(1, &json!({}))).await;
    let closed = tokio::io::duplex(1).0;
    drop(std::mem::replace(&mut pipes.input, closed));
    check_end(&mut pipes, 1).await;
    assert_eq!(pipes.line().await, None);
    pipes.gate.ended().await.unwrap();
}

#[tokio::test]
async fn at_shutdown_subscriptions_end_at_once() {
    let (_bus, mut pipes) = opened().await;
    pipes.ask(&listen(1, &json!({}))).await;
    pipes.gate.process.shutdown.cancel();
    check_end(&mut pipes, 1).await;
    pipes.gate.ended().await.unwrap();
}

#[tokio::test]
async fn a_client_has_64_subscriptions_at_most() {
    let (_bus, mut pipes) = opened().await;
    for id in 0..64 {
        let first = pipes.ask(&listen(id, &json!({}))).await;
        assert_eq!(first, acknowledged(id, &json!({})));
    }
    let refused = pipes.ask(&listen(64, &json!({}))).await;
    assert_eq!(refused["error"]["code"], -31002, "{refused}");
    pipes.send(&cancelled(5)).await;
    eventually("there is room again", async || {
        let again = pipes.ask(&listen(65, &json!({}))).await;
        again.get("error").is_none()
    })
    .await;
}

#[tokio::test]
async fn a_session_is_told_of_changes_once_its_client_is_ready() {
    let (bus, mut pipes) = opened().await;
    // Acknowledged, events are heard.
    let tools = json!({ "toolsListChanged": true });
    pipes.ask(&listen(1, &tools)).await;
    pipes.ask(&initialize("2025-11-25")).await;
    publish(&bus, &Change::PromptsListChanged).await;
    publish(&bus, &Change::ToolsListChanged).await;
    assert_eq!(pipes.read().await["params"]["_meta"][SUBSCRIPTION], 1);
    let ping = json!({ "jsonrpc": "2.0", "id": 2, "method": "ping" });
    pipes.send(&ping).await;
    assert_eq!(pipes.read().await["id"], 2, "nothing else is told before");
    for _ in 0..2 {
        pipes.send(&initialized()).await;
    }
    let list = |what: &str| {
        let method = format!("notifications/{what}/list_changed");
        json!({ "jsonrpc": "2.0", "method": method })
    };
    assert_eq!(pipes.read().await, list("prompts"));
    assert_eq!(pipes.read().await, list("tools"));
    publish(&bus, &updated("test://a")).await;
    publish(&bus, &Change::ResourcesListChanged).await;
    assert_eq!(pipes.read().await, list("resources"));
}

#[tokio::test]
async fn a_second_initialize_replaces_the_session_and_its_news() {
    let (bus, mut pipes) = opened().await;
    pipes.ask(&listen(1, &json!({}))).await;
    for version in ["2025-06-18", "2025-11-25"] {
        let agreed = pipes.ask(&initialize(version)).await;
        assert_eq!(agreed["result"]["protocolVersion"], version);
        pipes.send(&initialized()).await;
    }
    let malformed = json!({ "jsonrpc": "2.0", "id": 2, "method": "initialize" });
    assert_eq!(pipes.ask(&malformed).await["error"]["code"], -32602);
    publish(&bus, &Change::ToolsListChanged).await;
    assert_eq!(
        pipes.read().await["method"],
        "notifications/tools/list_changed"
    );
    let ping = json!({ "jsonrpc": "2.0", "id": 3, "method": "ping" });
    pipes.send(&ping).await;
    assert_eq!(pipes.read().await["id"], 3, "told once");
}

fn in_session(id: i64, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

#[tokio::test]
async fn a_session_is_told_of_the_resources_that_it_subscribes_to() {
    let (bus, mut pipes) = opened().await;
    pipes.ask(&listen(1, &json!({}))).await;
    pipes.ask(&initialize("2025-06-18")).await;
    pipes.send(&initialized()).await;
    let watched = json!({ "uri": "test://a" });
    let subscribed = pipes
        .ask(&in_session(2, "resources/subscribe", &watched))
        .await;
    assert_eq!(subscribed["result"], json!({}));
    publish(&bus, &updated("test://b")).await;
    publish(&bus, &updated("test://a")).await;
    let update = json!({ "jsonrpc": "2.0", "method": "notifications/resources/updated",
        "params": watched });
    assert_eq!(pipes.read().await, update);
    let unsubscribe = in_session(3, "resources/unsubscribe", &watched);
    assert_eq!(pipes.ask(&unsubscribe).await["id"], 3);
    publish(&bus, &updated("test://a")).await;
    publish(&bus, &Change::ToolsListChanged).await;
    assert_eq!(
        pipes.read().await["method"],
        "notifications/tools/list_changed"
    );
}

#[tokio::test(start_paused = true)]
async fn at_the_end_of_the_input_a_call_does_not_wait_for_answers_of_the_client() {
    let bus = MemoryBus::new();
    let _worker = Worker::start(&bus).await;
    let mut pipes = Pipes::open(&bus).await;
    let mut body = initialize("2025-11-25");
    body["params"]["capabilities"] = json!({ "elicitation": {} });
    pipes.ask(&body).await;
    let form = json!({ "message": "?", "requestedSchema": { "type": "object", "properties": {} } });
    let question = json!({ "q": { "method": "elicitation/create", "params": form } });
    let asked = pipes
        .ask(&legacy_call(5, "lab_asks", asks(&[question])))
        .await;
    assert_eq!(asked["method"], "elicitation/create");
    let began = tokio::time::Instant::now();
    let closed = tokio::io::duplex(1).0;
    drop(std::mem::replace(&mut pipes.input, closed));
    let mut messages = Vec::new();
    while let Some(line) = pipes.line().await {
        messages.push(serde_json::from_str::<Value>(&line).unwrap());
    }
    let answer = messages.iter().find(|message| message["id"] == 5);
    assert!(answer.unwrap()["error"].is_object(), "{messages:?}");
    pipes.gate.ended().await.unwrap();
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
}
