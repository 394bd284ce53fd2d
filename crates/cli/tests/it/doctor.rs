//! `discovery doctor`.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use testkit::{
    namespaces::lab_with,
    process::Program,
    rabbitmq,
    targets::{ANY_PORT, TcpServer, refusing_address},
};

use crate::discovery::{discovery, ends, has};

fn doctor() -> Program {
    discovery(&["doctor"])
}

/// The line of one check, with what follows it until the next check.
fn section<'a>(text: &'a str, check: &str) -> &'a str {
    let begin = text
        .find(&format!(" {check} "))
        .unwrap_or_else(|| panic!("no {check} in {text}"));
    let begin = text[..begin].rfind('\n').map_or(0, |newline| newline + 1);
    let rest = &text[begin..];
    let end = rest.match_indices('\n').map(|(at, _)| at + 1);
    let mut end = end.filter(|at| !rest[*at..].starts_with(' '));
    &rest[..end.next().unwrap_or(rest.len())]
}

#[tokio::test]
async fn everything_is_checked_and_what_is_lacking_has_a_fix() {
    let output = ends(doctor(), 0).await;
    assert_eq!(output.stderr, "");
    for check in ["broker", "ICMP", "nmap", "scope"] {
        let section = section(&output.stdout, check);
        let is_good = section.starts_with("ok ");
        assert!(is_good || section.starts_with("lacking "), "{section}");
        assert_eq!(section.contains("fix: "), !is_good, "{section}");
    }
    has(
        section(&output.stdout, "broker"),
        &["in memory", "AMQP_URL"],
    );
    has(
        section(&output.stdout, "scope"),
        &["loopback", "SCAN_SCOPE_ALLOW"],
    );
}

#[tokio::test]
async fn nmap_is_found_where_path_leads_if_it_can_be_run() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("nmap");
    std::fs::write(&program, "").unwrap();
    let doctor_here = || doctor().env("PATH", folder.path());
    let output = ends(doctor_here(), 0).await;
    has(&output.stdout, &["lacking  nmap", "apt-get install nmap"]);
    std::fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let output = ends(doctor_here(), 0).await;
    let found = section(&output.stdout, "nmap");
    has(found, &[&program.display().to_string(), "raw sockets"]);
    // Who runs the tests may lack the right.
    assert!(
        found.starts_with("ok ") || found.contains("NET_RAW"),
        "{found}"
    );
    let empty = tempfile::tempdir().unwrap();
    let output = ends(doctor().env("PATH", empty.path()), 0).await;
    has(&output.stdout, &["lacking  nmap", "apt-get install nmap"]);
}

#[test]
fn nmap_without_raw_sockets_is_pointed_out() {
    lab_with(&["setpriv", "--bounding-set=-net_raw"], async || {
        let output = ends(doctor(), 0).await;
        let found = section(&output.stdout, "nmap");
        has(
            found,
            &["lacking", "SYN and UDP scans", "NET_RAW", "setcap"],
        );
    });
}

#[tokio::test]
async fn a_broker_that_is_down_is_broken_and_gives_1() {
    let nobody = refusing_address().unwrap();
    let url = format!("amqp://discovery:hunter2@{nobody}");
    let output = ends(doctor().env("AMQP_URL", url), 1).await;
    let broker = section(&output.stdout, "broker");
    assert!(broker.starts_with("broken "), "{broker}");
    has(
        broker,
        &["fix: start RabbitMQ", "AMQP_URL", &nobody.to_string()],
    );
    assert!(!output.stdout.contains("hunter2") && !output.stderr.contains("hunter2"));
    // The other checks are made nevertheless.
    has(&output.stdout, &["ICMP", "nmap", "scope"]);
    has(&output.stderr, &["something is broken"]);
}

#[tokio::test]
async fn a_broker_that_never_answers_is_broken_within_the_connection_timeout() {
    let silent = TcpServer::silent(ANY_PORT).await.unwrap();
    let program = doctor()
        .env("AMQP_URL", format!("amqp://{}", silent.address()))
        .env("AMQP_CONNECTION_TIMEOUT", "300ms");
    let output = ends(program, 1).await;
    has(section(&output.stdout, "broker"), &["broken", "300ms"]);
}

#[tokio::test]
async fn a_broker_that_takes_connections_is_good_and_a_wrong_password_is_broken() {
    let broker = rabbitmq::shared().await.unwrap();
    let vhost = broker.vhost().await.unwrap();
    let output = ends(doctor().env("AMQP_URL", vhost.url()), 0).await;
    let good = section(&output.stdout, "broker");
    has(good, &["ok ", &format!("127.0.0.1:{}", broker.amqp_port())]);
    let refused = doctor()
        .env("AMQP_URL", vhost.url())
        .env("AMQP_PASSWORD", "hunter2");
    let output = ends(refused, 1).await;
    has(
        section(&output.stdout, "broker"),
        &["broken", "AMQP_PASSWORD"],
    );
    assert!(!output.stdout.contains("hunter2") && !output.stderr.contains("hunter2"));
}

#[tokio::test]
async fn a_node_of_the_broker_that_is_down_is_pointed_out() {
    let broker = rabbitmq::shared().await.unwrap();
    let vhost = broker.vhost().await.unwrap();
    let name = vhost.name();
    let nobody = refusing_address().unwrap();
    let urls = format!("{},amqp://guest:hunter2@{nobody}/{name}", vhost.url());
    let output = ends(doctor().env("AMQP_URL", urls), 0).await;
    let port = format!("127.0.0.1:{}", broker.amqp_port());
    let found = section(&output.stdout, "broker");
    has(
        found,
        &[
            "lacking",
            &port,
            "takes connections, but",
            &nobody.to_string(),
        ],
    );
    assert!(!output.stdout.contains("hunter2") && !output.stderr.contains("hunter2"));
}

#[tokio::test]
async fn a_scope_without_bounds_is_pointed_out() {
    let wide = doctor().env("SCAN_SCOPE_ALLOW", "0.0.0.0/0");
    let output = ends(wide, 0).await;
    has(
        section(&output.stdout, "scope"),
        &["lacking", "whole internet", "fix: "],
    );
    let narrow = doctor()
        .env("SCAN_SCOPE_ALLOW", "10.0.0.0/8,127.0.0.0/8")
        .env("SCAN_SCOPE_DENY", "10.9.0.0/16");
    let output = ends(narrow, 0).await;
    has(
        section(&output.stdout, "scope"),
        &["ok ", "10.0.0.0/8", "except 10.9.0.0/16"],
    );
}
