//! `TRANSPORT_MODE=stdio`: standard output belongs to the protocol.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{http::Request, process::Program};

use crate::discovery::{PATIENCE, discovery, has};

fn stdio() -> Program {
    discovery(&["up"]).env("TRANSPORT_MODE", "stdio")
}

#[tokio::test]
async fn standard_output_has_answers_alone_and_the_log_is_elsewhere() {
    let messages = [
        Request::modern(1, "server/discover", json!({}))
            .body
            .to_string(),
        "hello".to_owned(),
        Request::modern_call("a", "ping", &json!({ "host": "127.0.0.1", "count": 1 }))
            .body
            .to_string(),
        Request::modern(2, "nonsense", json!({})).body.to_string(),
    ];
    let process = stdio().env("RUST_LOG", "debug").start().unwrap();
    for message in &messages {
        process.write_line(message).unwrap();
    }
    process.close_stdin();
    assert_eq!(process.exit_code(PATIENCE).await.unwrap(), 0);
    let lines = process.stdout().to_end(PATIENCE).await.unwrap();
    assert_eq!(lines.len(), messages.len(), "{lines:#?}");
    for line in &lines {
        let answer: Value = serde_json::from_str(line).unwrap();
        assert_eq!(answer["jsonrpc"], "2.0", "{line}");
    }
    let stderr = process.stderr().to_end(PATIENCE).await.unwrap().join("\n");
    has(&stderr, &["started", "DEBUG", "stopped"]);
}

#[tokio::test]
async fn the_end_of_standard_input_ends_the_process() {
    let process = stdio().start().unwrap();
    let list = Request::modern(1, "tools/list", json!({})).body.to_string();
    process.write_line(&list).unwrap();
    let answered = |line: &str| line.contains("\"tools\"");
    process
        .stdout()
        .line("the tools", PATIENCE, answered)
        .await
        .unwrap();
    process.close_stdin();
    let code = process.exit_code(Duration::from_secs(5)).await.unwrap();
    assert_eq!(code, 0);
}
