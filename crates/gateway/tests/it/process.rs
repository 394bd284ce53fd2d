//! The binary: its command line, its exit codes, its health check.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::process::{Output, Program};
use testkit::{ports, rabbitmq};

use crate::harness::*;

const TIME: Duration = Duration::from_secs(30);

fn gateway() -> Program {
    Program::new(env!("CARGO_BIN_EXE_discovery-gateway")).folder(env!("CARGO_TARGET_TMPDIR"))
}

async fn run(program: Program) -> Output {
    program.run(b"", TIME).await.unwrap()
}

#[tokio::test]
async fn help_and_version_go_to_standard_output() {
    for (argument, expected) in [
        ("--help", "Usage: discovery-gateway"),
        ("--version", env!("CARGO_PKG_VERSION")),
    ] {
        let output = run(gateway().arg(argument)).await;
        assert_eq!(output.code, Some(0));
        assert!(output.stdout.contains(expected), "{}", output.stdout);
    }
    let wrong = run(gateway().arg("--nonsense")).await;
    assert_eq!(wrong.code, Some(64));
    assert!(
        wrong.stdout.is_empty() && wrong.stderr.contains("--nonsense"),
        "{}",
        wrong.stderr
    );
}

#[tokio::test]
async fn a_port_in_use_is_told_with_its_setting_and_exit_code_69() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = run(gateway().env("HTTP_PORT", &port)).await;
    assert_eq!(output.code, Some(69));
    for expected in [&*port, "HTTP_PORT", "in use"] {
        assert!(
            output.stderr.contains(expected),
            "{expected}: {}",
            output.stderr
        );
    }
}

#[tokio::test]
async fn amqp_alone_is_not_served_yet_and_said_so() {
    let output = run(gateway().env("TRANSPORT_MODE", "amqp")).await;
    assert_eq!(output.code, Some(64));
    assert!(
        output.stderr.contains("TRANSPORT_MODE"),
        "{}",
        output.stderr
    );
    assert!(output.stdout.is_empty());
}

#[tokio::test]
async fn a_gateway_that_does_not_answer_is_not_healthy() {
    let port = ports::free_port().unwrap().to_string();
    let output = run(gateway().arg("health").env("HTTP_PORT", port)).await;
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    let no_port = run(gateway().arg("health").env("TRANSPORT_MODE", "stdio")).await;
    assert_eq!(no_port.code, Some(64), "{}", no_port.stderr);
}

#[tokio::test]
async fn the_health_check_follows_the_broker() {
    let port = ports::free_port().unwrap().to_string();
    let broker = ports::free_port().unwrap();
    let dead = format!("amqp://127.0.0.1:{broker}");
    let health = || gateway().arg("health").env("HTTP_PORT", &port);
    let without = gateway()
        .env("HTTP_PORT", &port)
        .env("AMQP_URL", dead)
        .start()
        .unwrap();
    eventually("it answers that it is not ready", || async {
        run(health()).await.stderr.contains("not ready")
    })
    .await;
    drop(without);
    let vhost = rabbitmq::shared().await.unwrap().vhost().await.unwrap();
    let with = gateway()
        .env("HTTP_PORT", &port)
        .env("AMQP_URL", vhost.url())
        .start()
        .unwrap();
    eventually("it is ready", || async {
        run(health()).await.code == Some(0)
    })
    .await;
    with.terminate().unwrap();
    assert_eq!(with.exit_code(TIME).await.unwrap(), 0);
}

#[tokio::test]
async fn a_signal_ends_a_gateway_that_waits_for_input() {
    let vhost = rabbitmq::shared().await.unwrap().vhost().await.unwrap();
    let program = gateway()
        .env("TRANSPORT_MODE", "stdio")
        .env("AMQP_URL", vhost.url());
    let process = program.start().unwrap();
    process
        .write_line(&request(1, "server/discover").to_string())
        .unwrap();
    let answered = |line: &str| line.contains("supportedVersions");
    process
        .stdout()
        .line("an answer", TIME, answered)
        .await
        .unwrap();
    process.terminate().unwrap();
    assert_eq!(process.exit_code(TIME).await.unwrap(), 0);
}

#[tokio::test]
async fn over_stdio_only_protocol_is_written_and_the_end_of_input_ends_it() {
    let vhost = rabbitmq::shared().await.unwrap().vhost().await.unwrap();
    let program = gateway()
        .env("TRANSPORT_MODE", "stdio,amqp")
        .env("AMQP_URL", vhost.url());
    let input = format!(
        "{}\nnonsense\n{}\n",
        initialize("2025-11-25"),
        request(2, "tools/list")
    );
    let output = program.run(input.as_bytes(), TIME).await.unwrap();
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let messages: Vec<Value> = output
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(messages.len(), 3, "{messages:?}");
    assert_eq!(messages[0]["result"]["protocolVersion"], "2025-11-25");
    assert_eq!(messages[1]["error"]["code"], -32700);
    assert_eq!(messages[2]["result"]["tools"], json!([]));
    assert!(
        output.stderr.contains("AMQP are not served yet"),
        "{}",
        output.stderr
    );
}
