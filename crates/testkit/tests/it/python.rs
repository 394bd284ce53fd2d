//! The Python client, tried on a server made with the same SDK.

use std::{path::Path, time::Duration};

use serde_json::json;
use testkit::python;

const SOON: Duration = Duration::from_mins(1);

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

async fn check(mode: &str, version: &str) {
    let interpreter = root()
        .join("target/testkit/venv/bin/python")
        .display()
        .to_string();
    let server = root()
        .join("crates/testkit/clients/reference_server.py")
        .display()
        .to_string();
    let call = [
        "--mode",
        mode,
        "--call",
        "double",
        "--arguments",
        "{\"number\": 21}",
    ];
    let command = ["--", &interpreter, &server, "stdio"];
    let report = python::visit(&[&call[..], &command[..]].concat(), SOON)
        .await
        .unwrap();
    assert_eq!(report["version"], version);
    assert_eq!(report["tools"], json!(["double", "fail"]));
    assert_eq!(report["result"]["isError"], false);
    assert_eq!(
        report["result"]["structuredContent"],
        json!({ "doubled": 42 })
    );
    assert_eq!(report["progress"], json!([1.0]));
}

#[tokio::test]
async fn both_eras_are_spoken() {
    check("legacy", "2025-11-25").await;
    check("2026-07-28", "2026-07-28").await;
}

#[tokio::test]
async fn failed_visit_is_an_error_with_its_cause() {
    let url = "http://127.0.0.1:1/mcp";
    let error = python::visit(&["--mode", "legacy", "--url", url], SOON)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("ConnectError"), "{error}");
}
