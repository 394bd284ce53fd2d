//! `discovery up`: what it prints, what it serves, how it ends.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use testkit::{
    http::{Request, RpcClient, get},
    ports::free_port,
    process::{Process, Program},
    wait,
};

use crate::discovery::{PATIENCE, discovery, ends, has};

/// What a process that has started prints last.
const LAST_LINE: &str = "Ctrl-C stops it.";

/// Starts the platform and waits for its greeting.
async fn start(arguments: &[&str], port: u16) -> (Process, String) {
    let process = discovery(arguments)
        .env("HTTP_PORT", port.to_string())
        .start()
        .unwrap();
    let is_last = |line: &str| line == LAST_LINE;
    process
        .stdout()
        .line("the greeting", PATIENCE, is_last)
        .await
        .unwrap();
    let greeting = process.stdout().all().join("\n");
    (process, greeting)
}

/// The address in the greeting.
fn address(greeting: &str) -> SocketAddr {
    let url = greeting
        .lines()
        .find_map(|line| line.strip_prefix("MCP over HTTP:"));
    let address = url.unwrap().trim().strip_prefix("http://").unwrap();
    address.strip_suffix("/mcp").unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_platform_starts_without_a_word_serves_and_ends_with_0() {
    for (arguments, signal) in [(&[][..], Signal::SIGINT), (&["up"], Signal::SIGTERM)] {
        let (process, greeting) = start(arguments, 0).await;
        let address = address(&greeting);
        let healthy = async || {
            let health = get(address, "/health", PATIENCE).await.unwrap();
            (health.status == 200).then_some(())
        };
        wait::until("it is healthy", PATIENCE, healthy)
            .await
            .unwrap();
        let client = RpcClient::new(format!("http://{address}/mcp"));
        let call = Request::modern_call(1, "ping", &json!({ "host": "127.0.0.1", "count": 1 }));
        let reply = client.send(&call, PATIENCE).await.unwrap();
        let result = &reply.answer().unwrap()["result"];
        assert_eq!(result["structuredContent"]["received"], 1, "{reply:?}");
        process.signal(signal).unwrap();
        assert_eq!(process.exit_code(Duration::from_secs(10)).await.unwrap(), 0);
        let stderr = process.stderr().to_end(PATIENCE).await.unwrap().join("\n");
        has(&stderr, &["started", "stopped"]);
        assert!(
            !stderr.contains("ERROR") && !stderr.contains("panicked"),
            "{stderr}"
        );
    }
}

#[tokio::test]
async fn the_greeting_says_how_to_connect_and_what_there_is() {
    let (_process, greeting) = start(&[], 0).await;
    let address = address(&greeting);
    assert_eq!(address.ip(), Ipv4Addr::LOCALHOST);
    has(
        &greeting,
        &[
            env!("CARGO_PKG_VERSION"),
            &format!("http://{address}/health"),
            "in memory (set AMQP_URL",
            &format!("--server-url http://{address}/mcp"),
            "call ping host=127.0.0.1",
            "network",
            "arp ifconfig netstat nslookup ping route telnet wget whois",
        ],
    );
}

#[tokio::test]
async fn the_commands_of_the_greeting_work() {
    let (_process, greeting) = start(&[], 0).await;
    let after = |label: &str| {
        let line = greeting
            .lines()
            .find_map(|line| line.trim().strip_prefix(label));
        line.unwrap_or_else(|| panic!("no {label} in {greeting}"))
            .trim()
            .to_owned()
    };
    let stdio: Value = serde_json::from_str(&after("over stdio")).unwrap();
    let arguments = stdio["args"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str);
    let mut client = Program::new(stdio["command"].as_str().unwrap())
        .args(arguments)
        .folder(env!("CARGO_TARGET_TMPDIR"));
    for (name, value) in stdio["env"].as_object().unwrap() {
        client = client.env(name, value.as_str().unwrap());
    }
    let list = Request::modern(1, "tools/list", json!({})).body.to_string();
    let output = client
        .run(format!("{list}\n").as_bytes(), PATIENCE)
        .await
        .unwrap();
    let answer: Value = serde_json::from_str(&output.stdout).unwrap();
    let tools = answer["result"]["tools"].as_array().unwrap();
    for name in ["ping", "snmp_get"] {
        assert!(tools.iter().any(|tool| tool["name"] == name), "{name}");
    }
    let command = after("without one");
    let mut words = command.split(' ');
    let call = Program::new(words.next().unwrap())
        .args(words)
        .folder(env!("CARGO_TARGET_TMPDIR"));
    has(&ends(call, 0).await.stdout, &["127.0.0.1 answers"]);
}

#[tokio::test]
async fn a_second_platform_on_the_same_port_says_what_to_do() {
    let port = free_port().unwrap();
    let (_first, _) = start(&[], port).await;
    let second = discovery(&[]).env("HTTP_PORT", port.to_string());
    let output = ends(second, 69).await;
    assert_eq!(output.stdout, "");
    let said = format!("cannot listen on 127.0.0.1:{port}");
    has(
        &output.stderr,
        &[&said, "in use", "fix: set HTTP_PORT to a free port"],
    );
}
