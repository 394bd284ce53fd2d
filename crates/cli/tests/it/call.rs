//! `discovery call`.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use testkit::{
    process::Program,
    targets::{ANY_PORT, HttpServer, Script},
    wait,
};

use crate::discovery::{PATIENCE, discovery, ends, has, says, says_json};

#[tokio::test]
async fn a_call_prints_what_the_tool_says() {
    let text = says(&["call", "ping", "host=127.0.0.1", "count=2"]).await;
    has(&text, &["127.0.0.1 answers", "2 of 2 replies", "0 % loss"]);
}

#[tokio::test]
async fn a_terminal_shows_how_far_a_call_has_come() {
    // `script` of util-linux runs a command on a terminal of its own.
    let command = format!(
        "{} call ping host=127.0.0.1 count=5",
        env!("CARGO_BIN_EXE_discovery")
    );
    let on_a_terminal = Program::new("script")
        .args(["-q", "-e", "-f", "-c", &command, "/dev/null"])
        .env("TERM", "xterm")
        .folder(env!("CARGO_TARGET_TMPDIR"));
    let output = ends(on_a_terminal, 0).await;
    has(&output.stdout, &[" 60 %", "5 of 5 replies"]);
}

#[tokio::test]
async fn a_call_prints_the_whole_result_as_json() {
    let result = says_json(&["call", "ping", "host=127.0.0.1", "count=2", "--json"]).await;
    assert_eq!(result["isError"], false);
    let content = &result["structuredContent"];
    assert_eq!(
        (&content["sent"], &content["received"]),
        (&2.into(), &2.into())
    );
    assert!(content["rtt_ms"]["avg"].as_f64().unwrap() > 0.0);
    assert_eq!(content["replies"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn names_of_older_platforms_are_understood() {
    let arguments = ["call", "mcp_od_net_ping", "host=127.0.0.1", "count=1"];
    has(&says(&arguments).await, &["1 of 1 replies"]);
}

#[tokio::test]
async fn a_tool_that_fails_gives_1_and_says_why() {
    let check = async |arguments: &[&str], code: &str, parts: &[&str]| {
        let output = ends(discovery(arguments), 1).await;
        has(&output.stdout, &[code]);
        has(&output.stdout, parts);
        let tool = arguments[1];
        let expected = format!("error: {tool} failed\n  fix: discovery explain {code}\n");
        assert_eq!(output.stderr, expected);
    };
    check(
        &["call", "ping", "host=8.8.8.8"],
        "out_of_scope",
        &["8.8.8.8", "SCAN_SCOPE_ALLOW"],
    )
    .await;
    check(
        &["call", "ping", "host=127.0.0.1", "count=many"],
        "invalid_arguments",
        &["count", "integer"],
    )
    .await;
    check(&["call", "ping"], "invalid_arguments", &["host", "missing"]).await;
    check(
        &["call", "ping", "host=-iL/etc/passwd"],
        "invalid_arguments",
        &["hyphen"],
    )
    .await;
    check(
        &["call", "ifconfig", "interface=nosuch0"],
        "not_found",
        &["nosuch0", "lo"],
    )
    .await;
}

#[tokio::test]
async fn a_failure_is_json_too_where_json_was_asked_for() {
    let output = ends(discovery(&["call", "ping", "host=8.8.8.8", "--json"]), 1).await;
    let result: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(result["isError"], true);
    let error = &result["structuredContent"]["error"];
    assert_eq!(error["code"], "out_of_scope");
    assert_eq!(error["retryable"], false);
}

#[tokio::test]
async fn an_unknown_tool_gives_64_and_what_is_like_it() {
    let output = ends(discovery(&["call", "pinng", "host=127.0.0.1"]), 64).await;
    assert_eq!(output.stdout, "");
    has(
        &output.stderr,
        &["Unknown tool: pinng", "did you mean ping?"],
    );
}

#[tokio::test]
async fn an_interrupted_call_is_cancelled_at_once_and_gives_130() {
    let server = HttpServer::start(ANY_PORT, |_| Script::silence())
        .await
        .unwrap();
    let url = format!("url={}", server.url("/"));
    let call = discovery(&["call", "wget", &url]).start().unwrap();
    let asked = async || (!server.requests().is_empty()).then_some(());
    wait::until("the tool is running", PATIENCE, asked)
        .await
        .unwrap();
    let interrupted = Instant::now();
    call.signal(Signal::SIGINT).unwrap();
    assert_eq!(call.exit_code(PATIENCE).await.unwrap(), 130);
    assert!(interrupted.elapsed() < Duration::from_secs(3));
    assert_eq!(call.stdout().to_end(PATIENCE).await.unwrap(), [""; 0]);
    let stderr = call.stderr().to_end(PATIENCE).await.unwrap().join("\n");
    has(&stderr, &["interrupted"]);
}

#[tokio::test]
async fn a_reader_that_has_gone_away_is_no_error() {
    // The reader closes its end at once; a call of two pings takes a second.
    let check = async |arguments: &str| {
        let line = format!("{{ \"$0\" {arguments}; echo \"ended with $?\" >&2; }} | exec 0<&-");
        let shell = Program::new("/bin/sh")
            .args(["-c", &line, env!("CARGO_BIN_EXE_discovery")])
            .folder(env!("CARGO_TARGET_TMPDIR"));
        let output = ends(shell, 0).await;
        assert_eq!(output.stderr, "ended with 0\n", "{arguments}");
    };
    check("call ping host=127.0.0.1 count=2").await;
    check("tools --json").await;
    check("config").await;
    check("--help").await;
}
