//! Settings seen by their effect on calls, and the binary.

use serde_json::json;
use service::settings::Settings;
use testkit::namespaces::run;

use crate::call::{error, structured};

#[tokio::test]
async fn scan_scope_deny_keeps_tools_from_a_target() {
    let settings = Settings {
        scan_scope_deny: "127.0.0.2".parse().unwrap(),
        ..Settings::default()
    };
    let worker = worker_network::worker(&settings).unwrap();
    for (tool, arguments) in [
        ("ping", json!({ "host": "127.0.0.2" })),
        ("ping", json!({ "host": "::ffff:127.0.0.2" })),
        ("telnet", json!({ "host": "127.0.0.2", "port": 1 })),
    ] {
        let refused = error(&worker.call_for_test(tool, arguments).await);
        assert_eq!(refused["code"], "out_of_scope");
        let message = refused["message"].as_str().unwrap();
        assert!(message.contains("SCAN_SCOPE_DENY"), "{message}");
    }
    let good = json!({ "host": "127.0.0.1", "port": 1 });
    structured(&worker.call_for_test("telnet", good).await);
}

#[tokio::test]
async fn scan_scope_allow_replaces_the_default() {
    let settings = Settings {
        scan_scope_allow: "127.0.0.2/32".parse().unwrap(),
        ..Settings::default()
    };
    let worker = worker_network::worker(&settings).unwrap();
    let inside = json!({ "host": "127.0.0.2", "port": 1 });
    structured(&worker.call_for_test("telnet", inside).await);
    let outside = json!({ "host": "127.0.0.1", "port": 1 });
    let refused = error(&worker.call_for_test("telnet", outside).await);
    assert_eq!(refused["code"], "out_of_scope");
}

#[tokio::test]
async fn host_local_results_name_the_site() {
    let settings = Settings {
        discovery_site: "dc1".parse().unwrap(),
        ..Settings::default()
    };
    let worker = worker_network::worker(&settings).unwrap();
    for tool in ["arp", "ifconfig", "netstat", "route"] {
        let result = structured(&worker.call_for_test(tool, json!({})).await);
        assert_eq!(result["site"], "dc1", "{tool}");
    }
}

#[test]
fn the_binary_says_its_name_and_version() {
    let said = run(&[env!("CARGO_BIN_EXE_discovery-worker-network"), "--version"]);
    let expected = format!("discovery-worker-network {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(said, expected);
}
