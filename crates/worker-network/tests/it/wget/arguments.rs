//! Arguments that are refused, and what the schema says of them.

use serde_json::{Value, json};
use testkit::targets::Script;
use worker_network::wget;

use super::{serving, worker};
use crate::call::{error, structured};

/// Calls that must be refused for their arguments, with a part of the reason; a good call of the
/// same worker works afterwards.
async fn refuses(rows: &[(Value, &str)]) {
    let server = serving(Script::response(200, &[], "fine")).await;
    let worker = worker(wget::Config::default());
    for (arguments, part) in rows {
        let mut arguments = arguments.clone();
        let members = arguments.as_object_mut().unwrap();
        if members.get("url").is_some_and(|url| url == GOOD) {
            members.insert("url".to_owned(), server.url("/").into());
        }
        let result = worker.call_for_test("wget", arguments.clone()).await;
        let error = error(&result);
        assert_eq!(error["code"], "invalid_arguments", "{arguments}: {error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(part), "{arguments}: {message}");
    }
    assert!(
        server.requests().is_empty(),
        "no refused call asked anything"
    );
    let result = worker
        .call_for_test("wget", json!({ "url": server.url("/") }))
        .await;
    assert_eq!(structured(&result)["body"], "fine");
}

/// Stands for the URL of a server that answers.
const GOOD: &str = "good";

#[tokio::test]
async fn a_bad_url_is_refused_and_the_next_call_works() {
    let long_path = format!("http://127.0.0.1/{}", "a".repeat(3000));
    let long_host = format!("http://{}/", "a".repeat(300));
    let url = |url: &str| json!({ "url": url });
    refuses(&[
        (json!({}), "url"),
        (json!({ "url": 5 }), "url"),
        (json!({ "url": null }), "url"),
        (url(""), "url"),
        (url("127.0.0.1"), "scheme"),
        (url("ftp://127.0.0.1/"), "neither http nor https"),
        (url("file:///etc/passwd"), "neither http nor https"),
        (url("http://"), "url"),
        (url("http://user:pw@127.0.0.1/"), "user name or password"),
        (url("http://-oN/"), "hyphen"),
        (url("http://127.0.0.1:0/"), "port 0"),
        (url("http://127.0.0.1:99999/"), "port"),
        (url("http://127.1/"), "127.0.0.1"),
        (url("http://2130706433/"), "127.0.0.1"),
        (url("http://127.0.0.1/a b"), "blank"),
        (url("http://127.0.0.1/\r\nHost: x"), "blank or a control"),
        (url("http://127.0.0.1/\u{0}"), "control"),
        (url("http://127.0.0.1\\@8.8.8.8/"), "backslash"),
        (url(&long_path), "url"),
        (url(&long_host), "253"),
    ])
    .await;
}

#[tokio::test]
async fn arguments_out_of_range_are_refused_and_the_next_call_works() {
    let with = |name: &str, value: Value| json!({ "url": GOOD, name: value });
    refuses(&[
        (with("timeout", json!(0)), "timeout"),
        (with("timeout", json!(301)), "timeout"),
        (with("timeout", json!("30")), "timeout"),
        (with("timeout", json!(1.5)), "timeout"),
        (with("max_redirect", json!(11)), "max_redirect"),
        (with("max_redirect", json!(-1)), "max_redirect"),
        (with("max_bytes", json!(0)), "max_bytes"),
        (with("max_bytes", json!(2_097_153)), "max_bytes"),
        (with("user_agent", json!("")), "user_agent"),
        (
            with("user_agent", json!("a\r\nX-Injected: 1")),
            "user_agent",
        ),
        (with("user_agent", json!("a\u{0}")), "user_agent"),
        (with("user_agent", json!(" padded")), "user_agent"),
        (with("user_agent", json!("ü")), "user_agent"),
        (with("user_agent", json!("a".repeat(300))), "user_agent"),
        (with("output", json!("/etc/cron.d/x")), "unknown argument"),
        (with("method", json!("POST")), "known arguments"),
    ])
    .await;
}

#[test]
fn the_schema_states_ranges_and_defaults() {
    let descriptors = worker(wget::Config::default()).descriptors();
    let schema = serde_json::to_value(&descriptors[0].input_schema).unwrap();
    assert_eq!(schema["required"], json!(["url"]));
    let property = |name: &str, key: &str| schema["properties"][name][key].clone();
    let numbers = |name: &str| {
        json!([
            property(name, "minimum"),
            property(name, "maximum"),
            property(name, "default")
        ])
    };
    assert_eq!(numbers("timeout"), json!([1, 300, 30]));
    assert_eq!(numbers("max_redirect"), json!([0, 10, 5]));
    assert_eq!(numbers("max_bytes"), json!([1, 2_097_152, 1_048_576]));
    assert!(
        property("user_agent", "default")
            .as_str()
            .unwrap()
            .starts_with("OpenDiscovery/")
    );
}
