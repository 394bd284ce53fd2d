//! Calls through the whole runtime, without a bus.

use std::path::Path;

use serde_json::Value;
use service::settings::Settings;
use worker::Worker;

/// The worker as its process builds it from default settings.
pub(crate) fn worker() -> Worker {
    worker_nmap::worker(&Settings::default()).expect("the default settings are valid")
}

/// A worker whose nmap is another program.
pub(crate) fn worker_with(program: &Path) -> Worker {
    let settings = Settings {
        nmap_program: program.to_owned(),
        ..Settings::default()
    };
    worker_nmap::worker(&settings).unwrap()
}

/// Calls a tool that must succeed, and gives its structured result.
pub(crate) async fn done(tool: &str, arguments: Value) -> Value {
    structured(&worker().call_for_test(tool, arguments).await)
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

/// The addresses of the hosts of a result.
pub(crate) fn addresses(result: &Value) -> Vec<&str> {
    let hosts = result["hosts"].as_array().unwrap();
    hosts
        .iter()
        .map(|host| host["address"].as_str().unwrap())
        .collect()
}
