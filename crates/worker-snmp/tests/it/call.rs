//! Calls through the whole runtime, without a bus.

use serde_json::{Value, json};
use service::settings::Settings;
use worker::Worker;

/// The worker as its process builds it from default settings.
pub(crate) fn worker() -> Worker {
    worker_snmp::worker(&Settings::default()).expect("the default settings are valid")
}

/// The worker with a key that others may have too.
pub(crate) fn worker_with_key(key: &str) -> Worker {
    let settings = Settings {
        snmp_session_key: Some(key.parse().unwrap()),
        ..Settings::default()
    };
    worker_snmp::worker(&settings).unwrap()
}

/// The structured result of a call that must succeed.
pub(crate) async fn done(worker: &Worker, tool: &str, arguments: Value) -> Value {
    let result = worker.call_for_test(tool, arguments).await;
    assert_eq!(result["isError"], false, "{tool}: {result:#}");
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(!text.trim().is_empty(), "a result has a summary");
    result["structuredContent"].clone()
}

/// The error of a call that must fail.
pub(crate) async fn failed(worker: &Worker, tool: &str, arguments: Value) -> Value {
    let result = worker.call_for_test(tool, arguments).await;
    assert_eq!(result["isError"], true, "{tool}: {result:#}");
    let error = result["structuredContent"]["error"].clone();
    assert!(error["code"].is_string(), "{result:#}");
    error
}

/// A session with an agent by these options.
pub(crate) async fn session(worker: &Worker, options: Value) -> Value {
    let created = done(worker, "snmp_create_session", options).await;
    json!({ "sessionId": created["sessionId"] })
}
