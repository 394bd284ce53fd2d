//! Subscriptions and the news of sessions, as their clients see them.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use protocol::mcp::code;
use protocol::{Change, Envelope};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::hub::ROOM;
use super::{SessionNews, Subscription};
use crate::call::Step;
use crate::gateway::Gateway;
use crate::request::Request;
use crate::session::{Session, session_for_test};

/// A gateway whose events have begun to arrive.
fn gateway() -> Arc<Gateway> {
    let gateway = Gateway::for_test();
    gateway.hub.begin();
    gateway
}

fn open(gateway: &Arc<Gateway>, id: &str, notifications: &Value) -> Result<Subscription, i64> {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"subscriptions/listen","params":{{"notifications":{notifications}}}}}"#
    );
    let body = Bytes::from(body);
    let envelope = Envelope::parse(&body).unwrap();
    let request = Request::read(&body, &envelope).unwrap().unwrap();
    Subscription::open(gateway, &request).map_err(|error| error.code)
}

async fn text(subscription: &mut Subscription) -> String {
    let body = match subscription.next().await.expect("a message") {
        Step::Notification(body) => body,
        Step::Final(reply) => reply.body,
        Step::Detach => panic!("a subscription does not detach"),
    };
    String::from_utf8(body.into()).unwrap()
}

async fn message(subscription: &mut Subscription) -> Value {
    serde_json::from_str(&text(subscription).await).unwrap()
}

fn updated(uri: &str) -> Change {
    Change::ResourceUpdated {
        uri: uri.to_owned(),
    }
}

#[tokio::test]
async fn every_message_has_the_identifier_as_the_client_wrote_it() {
    let gateway = gateway();
    let asked = json!({ "toolsListChanged": true, "resourceSubscriptions": ["test://\"a"] });
    let mut news = open(&gateway, r#""\u0061 1.0""#, &asked).unwrap();
    let stamp = r#""_meta":{"io.modelcontextprotocol/subscriptionId":"\u0061 1.0"}"#;
    assert_eq!(
        text(&mut news).await,
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{{stamp},"notifications":{{"resourceSubscriptions":["test://\"a"],"toolsListChanged":true}}}}}}"#
        )
    );
    gateway.hub.tell(updated("test://\"a"));
    gateway.hub.tell(Change::ToolsListChanged);
    assert_eq!(
        text(&mut news).await,
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{{{stamp},"uri":"test://\"a"}}}}"#
        )
    );
    assert_eq!(
        text(&mut news).await,
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{{{stamp}}}}}"#
        )
    );
    gateway.leaving.cancel();
    let end = message(&mut news).await;
    assert_eq!(end["id"], "a 1.0");
    assert_eq!(end["result"]["resultType"], "complete");
    let own = &end["result"]["_meta"];
    assert_eq!(own["io.modelcontextprotocol/subscriptionId"], "a 1.0");
    assert_eq!(
        own["io.modelcontextprotocol/serverInfo"]["name"],
        "open-discovery"
    );
    assert!(news.next().await.is_none());
}

#[tokio::test]
async fn only_what_was_asked_for_is_told() {
    let gateway = gateway();
    let mut news = open(&gateway, "1", &json!({ "promptsListChanged": true })).unwrap();
    let mut silent = open(&gateway, "2", &json!({})).unwrap();
    for news in [&mut news, &mut silent] {
        message(news).await;
    }
    gateway.hub.tell(Change::ToolsListChanged);
    gateway.hub.tell(Change::ResourcesListChanged);
    gateway.hub.tell(updated("test://a"));
    assert!(news.next().now_or_never().is_none());
    gateway.hub.tell(Change::PromptsListChanged);
    let told = message(&mut news).await;
    assert_eq!(told["method"], "notifications/prompts/list_changed");
    assert!(silent.next().now_or_never().is_none());
}

#[tokio::test]
async fn after_a_gap_everything_that_was_asked_for_may_have_changed() {
    let gateway = gateway();
    let asked = json!({ "toolsListChanged": true, "resourceSubscriptions": ["a", "b"] });
    let mut news = open(&gateway, "1", &asked).unwrap();
    message(&mut news).await;
    gateway.hub.begin();
    for (method, uri) in [
        ("notifications/tools/list_changed", Value::Null),
        ("notifications/resources/updated", json!("a")),
        ("notifications/resources/updated", json!("b")),
    ] {
        let told = message(&mut news).await;
        assert_eq!(
            (told["method"].as_str(), &told["params"]["uri"]),
            (Some(method), &uri)
        );
    }
    assert!(news.next().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn at_the_start_of_the_process_the_acknowledgement_waits_for_events() {
    let gateway = Gateway::for_test();
    let asked = json!({ "resourceSubscriptions": ["a"] });
    let mut early = open(&gateway, "1", &asked).unwrap();
    assert!(early.next().now_or_never().is_none());
    gateway.hub.begin();
    message(&mut early).await;
    assert!(
        early.next().now_or_never().is_none(),
        "it has missed nothing"
    );

    let gateway = Gateway::for_test();
    let began = Instant::now();
    let mut alone = open(&gateway, "1", &asked).unwrap();
    message(&mut alone).await;
    assert_eq!(began.elapsed().as_secs(), 2, "without a broker");
    gateway.hub.begin();
    let told = message(&mut alone).await;
    assert_eq!(told["params"]["uri"], "a", "what it may have missed");
}

#[tokio::test]
async fn a_closed_subscription_ends_once() {
    let gateway = gateway();
    let mut news = open(&gateway, "1", &json!({})).unwrap();
    assert!(matches!(news.close(), Some(Step::Final(_))));
    assert!(news.close().is_none() && news.next().await.is_none());
}

#[tokio::test]
async fn what_subscriptions_keep_is_bounded_and_given_back() {
    let gateway = gateway();
    let asked = json!({ "resourceSubscriptions": ["x".repeat(2000), "y".repeat(2000)] });
    let others = gateway.hub.room(ROOM - 8000).expect("it is empty");
    let first = open(&gateway, "1", &asked).unwrap();
    assert_eq!(open(&gateway, "2", &asked).unwrap_err(), code::BUSY);
    drop(first);
    let again = open(&gateway, "2", &asked).unwrap();
    drop((others, again));
    assert!(gateway.hub.room(ROOM).is_some());
}

async fn told(news: &mut SessionNews) -> Option<Value> {
    let body = news.next().await?;
    Some(serde_json::from_slice(&body).unwrap())
}

fn session_news(gateway: &Gateway) -> (Arc<Session>, SessionNews) {
    let session = Arc::new(session_for_test());
    let news = SessionNews::new(Arc::clone(&session), gateway.hub.listen());
    (session, news)
}

#[tokio::test]
async fn a_session_is_told_of_all_lists_and_of_its_resources() {
    let gateway = gateway();
    let (session, mut news) = session_news(&gateway);
    session.subscribe("a").unwrap();
    for change in [updated("a"), updated("b"), Change::PromptsListChanged] {
        gateway.hub.tell(change);
    }
    let update = json!({ "jsonrpc": "2.0", "method": "notifications/resources/updated",
        "params": { "uri": "a" } });
    assert_eq!(told(&mut news).await, Some(update.clone()));
    let list = json!({ "jsonrpc": "2.0", "method": "notifications/prompts/list_changed" });
    assert_eq!(told(&mut news).await, Some(list));
    gateway.hub.begin();
    let mut methods = Vec::new();
    for _ in 0..3 {
        methods.push(told(&mut news).await.unwrap()["method"].take());
    }
    methods.sort_by_key(Value::to_string);
    assert_eq!(
        methods,
        [
            "notifications/prompts/list_changed",
            "notifications/resources/list_changed",
            "notifications/tools/list_changed",
        ]
    );
    assert_eq!(told(&mut news).await, Some(update));
}

#[tokio::test]
async fn a_session_is_told_nothing_after_it_lost_interest_or_ended() {
    let gateway = gateway();
    let (session, mut news) = session_news(&gateway);
    session.subscribe("a").unwrap();
    gateway.hub.tell(Change::ToolsListChanged);
    gateway.hub.tell(updated("a"));
    assert!(told(&mut news).await.is_some());
    session.unsubscribe("a");
    assert!(news.next().now_or_never().is_none());
    session.ended().cancel();
    gateway.hub.tell(Change::ToolsListChanged);
    assert_eq!(told(&mut news).await, None);
}
