//! The command with `AMQP_URL`: its tools are those of the workers on the broker.

use serde_json::Value;
use testkit::{
    process::{Process, Program, binary},
    rabbitmq::{self, Vhost},
};

use crate::discovery::{PATIENCE, discovery, ends, has};

async fn vhost() -> Vhost {
    let broker = rabbitmq::shared().await.unwrap();
    broker.vhost().await.unwrap()
}

/// A worker process of a site called `dc7`, consuming.
async fn worker(vhost: &Vhost) -> Process {
    let path = binary("worker-network", "discovery-worker-network")
        .await
        .unwrap();
    let worker = Program::new(path)
        .env("AMQP_URL", vhost.url())
        .env("DISCOVERY_SITE", "dc7")
        .folder(env!("CARGO_TARGET_TMPDIR"))
        .start()
        .unwrap();
    let is_consuming = |line: &str| line.contains("consuming");
    worker
        .stderr()
        .line("the worker", PATIENCE, is_consuming)
        .await
        .unwrap();
    worker
}

fn through(vhost: &Vhost, arguments: &[&str]) -> Program {
    discovery(arguments).env("AMQP_URL", vhost.url())
}

#[tokio::test]
async fn tools_and_calls_are_those_of_the_workers_on_the_broker() {
    let vhost = vhost().await;
    let _worker = worker(&vhost).await;
    let listing = ends(through(&vhost, &["tools"]), 0).await;
    has(&listing.stdout, &["network\n", "  ping ", "  whois "]);
    let call = through(&vhost, &["call", "ping", "host=127.0.0.1", "count=1"]);
    has(&ends(call, 0).await.stdout, &["1 of 1 replies"]);
    // The site is a setting of the worker, not of this command.
    let call = through(&vhost, &["call", "ifconfig", "interface=lo", "--json"]);
    let result: Value = serde_json::from_str(&ends(call, 0).await.stdout).unwrap();
    assert_eq!(result["structuredContent"]["site"], "dc7");
    let refused = ends(through(&vhost, &["call", "ping", "host=8.8.8.8"]), 1).await;
    has(&refused.stdout, &["out_of_scope"]);
}

#[tokio::test]
async fn a_call_that_is_repeated_with_its_key_runs_once() {
    let vhost = vhost().await;
    let _worker = worker(&vhost).await;
    let call = async |key: &str, count: &str, code: i32| {
        let arguments = [
            "call",
            "ping",
            "host=127.0.0.1",
            count,
            "--json",
            "--idempotency-key",
            key,
        ];
        ends(through(&vhost, &arguments), code).await
    };
    // How long the replies took differs from run to run.
    let first = call("k", "count=1", 0).await.stdout;
    assert_eq!(call("k", "count=1", 0).await.stdout, first);
    assert_ne!(call("other", "count=1", 0).await.stdout, first);
    let reused = call("k", "count=2", 64).await;
    has(&reused.stderr, &["used for another call", "a new key"]);
    has(&call("", "count=1", 64).await.stderr, &["1 to 255 bytes"]);
}

#[tokio::test]
async fn without_a_worker_the_command_says_which_one_to_start() {
    let vhost = vhost().await;
    let listing = ends(through(&vhost, &["tools"]), 69).await;
    has(
        &listing.stderr,
        &["no worker", "fix: start a worker", "AMQP_QUEUE_PREFIX"],
    );
    let call = ends(through(&vhost, &["call", "ping", "host=127.0.0.1"]), 69).await;
    has(
        &call.stderr,
        &["no worker of category network", "discovery-worker-network"],
    );
    assert_eq!(call.stdout, "");
}

#[tokio::test]
async fn the_platform_uses_the_broker_and_serves_others_on_it() {
    let vhost = vhost().await;
    let platform = through(&vhost, &["up"])
        .env("HTTP_PORT", "0")
        .start()
        .unwrap();
    let last = |line: &str| line == "Ctrl-C stops it.";
    platform
        .stdout()
        .line("the greeting", PATIENCE, last)
        .await
        .unwrap();
    let greeting = platform.stdout().all().join("\n");
    let port = vhost.broker().amqp_port();
    has(&greeting, &[&format!("RabbitMQ at 127.0.0.1:{port}")]);
    assert!(!greeting.contains("guest"), "{greeting}");
    let is_consuming = |line: &str| line.contains("consuming");
    platform
        .stderr()
        .line("its worker", PATIENCE, is_consuming)
        .await
        .unwrap();
    let call = through(&vhost, &["call", "ping", "host=127.0.0.1", "count=1"]);
    has(&ends(call, 0).await.stdout, &["1 of 1 replies"]);
}
