//! More calls than there is room for, and what the gateway says of them meanwhile.

use serde_json::{Value, json};
use testkit::http::{Connection, Reply, Request, get};
use testkit::wait;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::site::{Answer, READY, Running, SOON, Site, Target};

/// Calls of the flooded category that the gateway lets be under way.
const LIMIT: usize = 8;

/// What a gateway says of a category.
async fn category(gateway: &Running, name: &str) -> Value {
    let health = get(gateway.address(), "/health", SOON).await.unwrap();
    health.json().unwrap()["categories"][name].clone()
}

/// Waits until a gateway says of a category what is expected.
async fn says(gateway: &Running, name: &str, expected: impl Fn(&Value) -> bool) -> Value {
    let said = async || Some(category(gateway, name).await).filter(&expected);
    wait::until("the category is told so", SOON, said)
        .await
        .unwrap()
}

/// Calls that wait for their target, as many as the category may have.
async fn fill(gateway: &Running, target: &Target) -> Vec<Connection> {
    let mut calls = Vec::new();
    for number in 0..LIMIT {
        let path = format!("/{number}");
        let request = Request::modern_call(1, "wget", &target.arguments(&path));
        calls.push(gateway.open(&request).await);
    }
    let in_flight = async || {
        let labels = r#"category="network""#;
        let now = gateway.metric("discovery_calls_in_flight", labels).await;
        (now >= 8.0).then_some(())
    };
    wait::until("all calls are under way", SOON, in_flight)
        .await
        .unwrap();
    calls
}

async fn call(gateway: &Running, tool: &str, arguments: Value) -> Reply {
    let request = Request::modern_call(1, tool, &arguments);
    gateway.client().send(&request, READY).await.unwrap()
}

#[tokio::test]
async fn a_flooded_category_is_refused_and_told_while_another_is_served() {
    let site = Site::new().await;
    let program = site.gateway_program().await;
    let program = program.env("MAX_CALLS_PER_CATEGORY", LIMIT.to_string());
    let gateway = Running::gateway(program);
    let prefetch = [("AMQP_PREFETCH_COUNT", "2")];
    let (_worker, _other) = tokio::join!(site.worker_with(&prefetch), site.conformance_worker());
    gateway.ready().await;
    gateway.lists("wget").await;
    gateway.lists("test_simple_text").await;
    let idle = says(&gateway, "network", |network| network["depth"] == 0).await;
    let expected = json!({
        "workers": 1, "consumers": 1, "depth": 0,
        "oldest_message_age_ms": null, "last_success_seconds_ago": null,
    });
    assert_eq!(idle, expected);

    let target = Target::start(|_, _| Answer::Released).await;
    let began = Instant::now();
    let calls = fill(&gateway, &target).await;
    let mut flood = JoinSet::new();
    for _ in 0..LIMIT * 10 {
        let request = Request::modern_call(1, "wget", &target.arguments("/flood"));
        let client = gateway.client();
        flood.spawn(async move { client.send(&request, SOON).await.unwrap() });
    }
    for refused in flood.join_all().await {
        assert_eq!(refused.status, 503, "{refused:?}");
        assert_eq!(refused.headers["retry-after"], "1");
        let data = &refused.answer().unwrap()["error"]["data"];
        assert_eq!(data["reason"], "category_limit", "{refused:?}");
    }
    let other = call(&gateway, "test_simple_text", json!({})).await;
    assert_eq!(other.status, 200, "{other:?}");

    let full = says(&gateway, "network", |network| network["depth"] == LIMIT - 2).await;
    let age = full["oldest_message_age_ms"].as_u64().unwrap();
    // The queue was empty at the last look before the first call.
    let most = began.elapsed().as_millis() + 3000;
    assert!(u128::from(age) <= most, "{age} ms, not {most} ms");

    target.release();
    for mut answered in calls {
        let answer = answered.response(SOON).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let done = says(&gateway, "network", |network| network["depth"] == 0).await;
    assert!(done["last_success_seconds_ago"].is_u64(), "{done}");
    let served = call(&gateway, "wget", target.arguments("/after")).await;
    assert_eq!(served.status, 200, "{served:?}");
}
