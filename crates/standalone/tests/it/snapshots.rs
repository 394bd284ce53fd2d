//! What others build on: the tools as clients see them, the broker as operators see it.

use serde_json::{Value, to_value};
use testkit::{
    queues::{Topology, topology},
    rabbitmq::shared,
};

use crate::site::{Site, embedded};

#[tokio::test]
async fn the_tools_are_listed_in_one_order_with_all_their_schemas() {
    let platform = embedded().await;
    let tools = platform.tools().await;
    let names: Vec<&str> = tools
        .iter()
        .filter_map(|tool| tool["name"].as_str())
        .collect();
    assert!(names.is_sorted(), "{names:?}");
    assert_eq!(names.len(), tools.len());
    let other = embedded().await;
    for again in [platform.tools().await, other.tools().await] {
        assert_eq!(again, tools, "another time, another process");
    }
    let tools: Vec<Value> = tools.into_iter().map(without_this_machine).collect();
    insta::assert_json_snapshot!("tools", tools);
}

#[tokio::test]
async fn the_broker_holds_these_queues_exchanges_and_bindings() {
    let site = Site::new().await;
    let (_worker, gateway) = tokio::join!(site.worker(), site.gateway());
    gateway.lists("ping").await;
    let url = site.url();
    let (_, vhost) = url.rsplit_once('/').unwrap();
    let broker = shared().await.unwrap();
    let topology: Topology = topology(broker, vhost).await.unwrap();
    let mut topology = to_value(topology).unwrap();
    name_instances(&mut topology);
    insta::assert_json_snapshot!("topology", topology);
}

/// Leaves out what a tool says this machine lacks for it.
fn without_this_machine(mut tool: Value) -> Value {
    let description = tool["description"].as_str().unwrap();
    let paragraphs = description.split("\n\n");
    let paragraphs = paragraphs.filter(|paragraph| !paragraph.starts_with("UNAVAILABLE"));
    tool["description"] = Value::from(paragraphs.collect::<Vec<_>>().join("\n\n"));
    tool
}

/// Replaces what is new with every start: an instance, and the generation of its connection.
fn name_instances(value: &mut Value) {
    match value {
        Value::String(text) => *text = stable(text),
        Value::Array(items) => items.iter_mut().for_each(name_instances),
        Value::Object(members) => members.values_mut().for_each(name_instances),
        _ => {}
    }
}

fn stable(name: &str) -> String {
    let is_identifier =
        |word: &str| word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let word = |word: &str| match word.strip_prefix("gateway-") {
        Some(rest) if is_identifier(rest) => "GATEWAY".to_owned(),
        _ if is_identifier(word) => "WORKER".to_owned(),
        _ if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) => "N".to_owned(),
        _ => word.to_owned(),
    };
    let words: Vec<String> = name.split('.').map(word).collect();
    words.join(".")
}
