//! What is no setting, or no value of one, stops the start.

use std::fs;

use testkit::process::Program;

use super::{ends, seen::documented};
use crate::site::{Site, embedded_program};

/// A value that is not allowed for each setting that does not take any text.
#[rustfmt::skip]
const WRONG: &[(&str, &str)] = &[
    ("TRANSPORT_MODE", "http,ws"),
    ("HTTP_HOST", "[::1]"),
    ("HTTP_PORT", "65536"),
    ("HTTP_ALLOWED_HOSTS", "gateway.example:3000"),
    ("HTTP_ALLOWED_ORIGINS", "console.example"),
    ("SESSION_KEY", "hunter2"),
    ("MCP_SESSION_TTL_MS", "999"),
    ("HEALTH_PORT", "tcp://10.0.0.1:80"),
    ("HEALTH_HOST", "a b"),
    ("AMQP_URL", "http://guest:hunter2@broker"),
    ("AMQP_QUEUE_PREFIX", "mcp..discovery"),
    ("AMQP_EXCHANGE", "amq.topic"),
    ("AMQP_CALL_ROUTING", "direct"),
    ("AMQP_LOAD_BALANCE", "random"),
    ("AMQP_WORKERS", "0"),
    ("AMQP_PREFETCH_COUNT", "-1"),
    ("WHEN_NO_WORKER", "nmap=wait"),
    ("AMQP_MESSAGE_TTL", "soon"),
    ("AMQP_QUEUE_TTL", "0"),
    ("AMQP_CONNECTION_TIMEOUT", "5 parsecs"),
    ("AMQP_HEARTBEAT_INTERVAL", "100000"),
    ("AMQP_RECONNECT_DELAY", "-100"),
    ("AMQP_MAX_RECONNECT_ATTEMPTS", "0"),
    ("AMQP_CONNECTION_POOL_SIZE", "256"),
    ("AMQP_TLS", "yes"),
    ("AMQP_COMPRESSION_THRESHOLD", "large"),
    ("AMQP_MAX_MESSAGE_SIZE", "0"),
    ("MAX_CALLS_PER_CATEGORY", "0"),
    ("MAX_CALLS_PER_CLIENT", "many"),
    ("SCAN_SCOPE_ALLOW", "10.0.0.1/8"),
    ("SCAN_SCOPE_DENY", "10.0.0.0/33"),
    ("WHOIS_SERVERS", "com"),
    ("NMAP_MAX_SCANS", "0"),
    ("SNMP_SESSION_KEY", "hunter2"),
    ("DISCOVERY_SITE", "Data Centre 1"),
    ("LOG_FORMAT", "xml"),
    ("RUST_LOG", "info,bus=loud"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:hunter2@collector"),
];

/// Settings that take any text or path.
const ANY: [&str; 8] = [
    "AMQP_USERNAME",
    "AMQP_PASSWORD",
    "AMQP_CA_CERT",
    "AMQP_CLIENT_CERT",
    "AMQP_CLIENT_KEY",
    "NMAP_PROGRAM",
    "DISCOVERY_DATA_DIR",
    "OTEL_SERVICE_NAME",
];

/// The line of the error that speaks of a key.
fn line<'a>(error: &'a str, key: &str) -> &'a str {
    error
        .lines()
        .find(|line| {
            line.trim_start()
                .trim_start_matches("error: ")
                .starts_with(key)
        })
        .unwrap_or_else(|| panic!("nothing is said of {key}: {error}"))
}

fn check(error: &str, key: &str, value: &str, origin: &str) {
    let line = line(error, key);
    assert!(!error.contains("hunter2"), "a secret is printed: {error}");
    let is_shown = line.contains(&format!("`{value}`")) || line.contains("`***`");
    assert!(is_shown, "the value is not named: {line}");
    assert!(line.contains(origin), "{line}");
    let allowed = line
        .split_once("allowed: ")
        .map_or("", |(_, allowed)| allowed);
    assert!(!allowed.is_empty(), "{line}");
}

#[tokio::test]
async fn every_malformed_variable_is_named_with_its_value_and_what_is_allowed() {
    let listed: Vec<&str> = WRONG
        .iter()
        .map(|(variable, _)| *variable)
        .chain(ANY)
        .collect();
    for setting in documented() {
        assert!(
            listed.contains(&setting.as_str()),
            "{setting} is not in these tables"
        );
    }
    let mut program = embedded_program().await;
    for (variable, value) in WRONG {
        program = program.env(variable, value);
    }
    let output = ends(program, 64, &["docs/configuration.md"]).await;
    for (variable, value) in WRONG {
        check(&output.stderr, variable, value, "environment variable");
    }
}

#[tokio::test]
async fn every_malformed_key_of_the_file_is_named_too() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<String> = WRONG
        .iter()
        .map(|(variable, value)| format!("{} = '{value}'\n", variable.to_lowercase()))
        .collect();
    fs::write(folder.path().join("discovery.toml"), rows.concat()).unwrap();
    // The variables that the fixture sets would win over the file.
    let program = embedded_program()
        .await
        .env("TRANSPORT_MODE", "")
        .env("RUST_LOG", "")
        .folder(folder.path());
    let output = ends(program, 64, &["docs/configuration.md"]).await;
    for (variable, value) in WRONG {
        check(
            &output.stderr,
            &variable.to_lowercase(),
            value,
            "discovery.toml",
        );
    }
}

#[tokio::test]
async fn no_process_starts_with_an_unknown_key_or_a_wrong_value() {
    let site = Site::new().await;
    let folder = tempfile::tempdir().unwrap();
    let programs: [Program; 3] = [
        embedded_program().await,
        site.gateway_program().await,
        site.worker_program().await,
    ];
    for program in programs {
        let write = |text: &str| fs::write(folder.path().join("discovery.toml"), text).unwrap();
        write("amqp_ulr = 'amqp://broker'\n");
        let program = program.folder(folder.path());
        let parts = ["amqp_ulr", "unknown key", "discovery.toml", "`amqp_url`"];
        ends(program.clone(), 64, &parts).await;
        write("[amqp]\nurl = 'amqp://broker'\n");
        ends(program.clone(), 64, &["amqp", "unknown key"]).await;
        write("amqp_workers = \n");
        ends(program.clone(), 64, &["discovery.toml", "TOML"]).await;
        write("");
        let parts = ["HEALTH_PORT", "`x`", "whole number from 0 to 65535"];
        ends(program.env("HEALTH_PORT", "x"), 64, &parts).await;
    }
}

#[tokio::test]
async fn what_only_a_worker_can_judge_stops_it_alone_and_within_the_platform() {
    let site = Site::new().await;
    for program in [embedded_program().await, site.worker_program().await] {
        let parts = ["SCAN_SCOPE_DENY", "\"10.0.0.0-9\"", "allowed: a network"];
        let range = program.clone().env("SCAN_SCOPE_DENY", "10.0.0.0-9");
        ends(range, 64, &parts).await;
        let parts = [
            "WHOIS_SERVERS",
            "\"-com=whois.example\"",
            "allowed: `domain`",
        ];
        let zone = program.env("WHOIS_SERVERS", "-com=whois.example");
        ends(zone, 64, &parts).await;
    }
}

#[tokio::test]
async fn half_a_client_certificate_is_named() {
    let program = || async { embedded_program().await.env("AMQP_CLIENT_CERT", "/c.pem") };
    let parts = ["AMQP_CLIENT_CERT", "`/c.pem`", "AMQP_CLIENT_KEY is missing"];
    ends(program().await, 64, &parts).await;
}
