//! Calls through the whole runtime, without a bus.

use serde_json::Value;
use service::settings::Settings;
use worker::Worker;

/// The worker as its process builds it from default settings.
pub(crate) fn worker() -> Worker {
    worker_network::worker(&Settings::default()).expect("the default settings are valid")
}

/// Calls a tool of a new worker.
pub(crate) async fn call(tool: &str, arguments: Value) -> Value {
    worker().call_for_test(tool, arguments).await
}

/// Calls a tool that must succeed, and gives its structured result.
pub(crate) async fn done(tool: &str, arguments: Value) -> Value {
    structured(&call(tool, arguments).await)
}

/// The structured result of a call that must have succeeded.
pub(crate) fn structured(result: &Value) -> Value {
    assert_eq!(result["isError"], false, "{result:#}");
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(!text.trim().is_empty(), "a result has a summary");
    result["structuredContent"].clone()
}

/// The error of a call that must have failed.
pub(crate) fn error(result: &Value) -> Value {
    assert_eq!(result["isError"], true, "{result:#}");
    let error = result["structuredContent"]["error"].clone();
    assert!(error["code"].is_string(), "{result:#}");
    error
}
