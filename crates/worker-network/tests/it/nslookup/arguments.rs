//! Arguments that are refused, what the schema says of them, and the summary.

use serde_json::json;
use testkit::targets::DnsServer;

use super::{call, config, lab, worker};
use crate::call::{error, structured};

#[tokio::test]
async fn bad_arguments_are_refused_and_the_next_call_works() {
    let server = DnsServer::start(lab()).await.unwrap();
    let worker = worker(config());
    let long_label = "a".repeat(64);
    let long_name = ["a".repeat(60).as_str(); 5].join(".");
    let rows = [
        (json!({}), "host"),
        (json!({ "host": "" }), "host"),
        (json!({ "host": 7 }), "host"),
        (json!({ "host": null }), "host"),
        (json!({ "host": ["a.test"] }), "host"),
        (json!({ "host": "a".repeat(300) }), "host"),
        (json!({ "host": long_name }), "254"),
        (json!({ "host": long_label }), "63"),
        (json!({ "host": "a..b" }), "host"),
        (json!({ "host": "-iL" }), "hyphen"),
        (json!({ "host": "a b" }), "character"),
        (json!({ "host": "a\u{0}b" }), "character"),
        (json!({ "host": "a\nb" }), "character"),
        (json!({ "host": "a;id" }), "character"),
        (json!({ "host": "10.0.0.0/8" }), "character"),
        (json!({ "host": "bücher.test" }), "bücher"),
        (json!({ "host": "a.test", "type": "ANY" }), "type"),
        (json!({ "host": "a.test", "type": "a" }), "type"),
        (json!({ "host": "a.test", "type": "AXFR" }), "type"),
        (json!({ "host": "192.0.2.1", "type": "MX" }), "MX"),
        (json!({ "host": "a.test", "server": "" }), "server"),
        (json!({ "host": "a.test", "server": "127.0.0.1:0" }), "port"),
        (
            json!({ "host": "a.test", "server": "127.0.0.1:99999" }),
            "port",
        ),
        (json!({ "host": "a.test", "server": "127.1" }), "server"),
        (
            json!({ "host": "a.test", "server": "2130706433" }),
            "server",
        ),
        (json!({ "host": "a.test", "server": "-x" }), "server"),
        (json!({ "host": "a.test", "server": "[::1]" }), "server"),
        (
            json!({ "host": "a.test", "server": "tls://127.0.0.1" }),
            "server",
        ),
        (json!({ "host": "a.test", "timeout": 5 }), "timeout"),
        (json!({ "host": "a.test", "port": 53 }), "known arguments"),
    ];
    for (arguments, part) in rows {
        let result = worker.call_for_test("nslookup", arguments.clone()).await;
        let error = error(&result);
        assert_eq!(error["code"], "invalid_arguments", "{arguments}: {error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(part), "{arguments}: {message}");
    }
    let arguments = json!({ "host": "h1.lab.test", "server": server.address() });
    let result = structured(&worker.call_for_test("nslookup", arguments).await);
    assert_eq!(result["answers"][0]["data"], "192.0.2.1");
    assert_eq!(server.queries().len(), 1, "no refused call asked anything");
}

#[tokio::test]
async fn the_summary_names_the_records() {
    let server = DnsServer::start(lab()).await.unwrap();
    let result = call(json!({ "host": "h1.lab.test", "server": server.address() })).await;
    let text = result["content"][0]["text"].as_str().unwrap();
    for part in ["h1.lab.test", "NOERROR", "192.0.2.1", "192.0.2.2", "60"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn the_schema_states_types_and_default() {
    let descriptors = worker(config()).descriptors();
    let schema = serde_json::to_value(&descriptors[0].input_schema).unwrap();
    assert_eq!(schema["required"], json!(["host"]));
    let kind = &schema["properties"]["type"];
    assert_eq!(kind["default"], "A", "{kind:#}");
    let listed = kind.to_string();
    for name in [
        "A", "AAAA", "MX", "NS", "TXT", "CNAME", "PTR", "SOA", "SRV", "CAA",
    ] {
        assert!(listed.contains(&format!("{name:?}")), "{name} in {kind:#}");
    }
    assert!(schema["properties"]["server"]["description"].is_string());
}
