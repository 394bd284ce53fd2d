//! What a tool is asked by mistake or in bad faith.

use serde_json::{Value, json};
use worker::Worker;

use crate::call::{error, structured, worker};

/// A call that must fail: arguments, code, and words that the message must have.
type Row = (Value, &'static str, Vec<&'static str>);

/// Each call fails with its code and its words, and the next good call works.
async fn check(tool: &str, rows: Vec<Row>, good: Value) {
    let worker = check_refused(tool, rows).await;
    structured(&worker.call_for_test(tool, good).await);
}

async fn check_refused(tool: &str, rows: Vec<Row>) -> Worker {
    let worker = worker();
    for (arguments, code, words) in rows {
        let refused = error(&worker.call_for_test(tool, arguments.clone()).await);
        assert_eq!(refused["code"], code, "{tool} {arguments}: {refused:#}");
        assert_eq!(refused["retryable"], false, "{tool} {arguments}");
        let message = refused["message"].as_str().unwrap();
        for word in words {
            assert!(message.contains(word), "{tool} {arguments}: {message}");
        }
        assert!(message.len() < 1000, "{tool}: {message}");
    }
    worker
}

const INVALID: &str = "invalid_arguments";
const OUTSIDE: &str = "out_of_scope";

/// What no tool takes for a host.
fn bad_hosts(argument: &'static str) -> Vec<Row> {
    let long = "a".repeat(300);
    let row = |host: Value, words: &[&'static str]| -> Row {
        (json!({ argument: host }), INVALID, words.to_vec())
    };
    vec![
        row(json!(""), &[argument, "1 to 253"]),
        row(json!(long), &[argument, "1 to 253"]),
        row(json!(7), &[argument, "text"]),
        row(json!(true), &[argument, "text"]),
        row(json!(["127.0.0.1"]), &[argument, "text"]),
        row(json!({ "address": "127.0.0.1" }), &[argument, "text"]),
        row(json!("-iL/etc/passwd"), &["hyphen"]),
        row(json!("--help"), &["hyphen"]),
        row(json!("127.0.0.1\0"), &["character"]),
        row(json!("127.0.0.1;id"), &["character"]),
        row(json!("127.0.0.1,2"), &["character"]),
        row(json!("10.0.0.0/8"), &["character"]),
        row(json!("127.1"), &["number"]),
        row(json!("0x7f000001"), &["number"]),
        row(json!("2130706433"), &["number"]),
        row(json!("[::1]"), &["IPv6"]),
        row(json!("fe80::1%lo"), &["IPv6"]),
        row(json!("localhost:80"), &["IPv6"]),
        row(json!("bücher.example"), &["ASCII"]),
        row(json!("*.example.com"), &["ildcard"]),
    ]
}

/// Hosts that tools which reach for them refuse by the default scope.
fn outside(other: &Value) -> Vec<Row> {
    let row = |host: &str, words: &[&'static str]| -> Row {
        let mut arguments = other.clone();
        arguments["host"] = json!(host);
        (arguments, OUTSIDE, words.to_vec())
    };
    vec![
        row("8.8.8.8", &["SCAN_SCOPE_ALLOW"]),
        row("2001:db8::1", &["SCAN_SCOPE_ALLOW"]),
        row("169.254.169.254", &["metadata"]),
        row("::ffff:169.254.169.254", &["metadata"]),
        row("fd00:ec2::254", &["metadata"]),
        row("::ffff:8.8.8.8", &["SCAN_SCOPE_ALLOW"]),
        row("64:ff9b::808:808", &["SCAN_SCOPE_ALLOW"]),
        row("224.0.0.1", &["multicast"]),
        row("ff02::1", &["multicast"]),
        row("255.255.255.255", &["broadcast"]),
        row("0.0.0.0", &["unspecified"]),
        row("::", &["unspecified"]),
    ]
}

/// Pages that no list has.
fn bad_pages() -> Vec<Row> {
    vec![
        (json!({ "limit": 0 }), INVALID, vec!["limit", "1 to 1000"]),
        (
            json!({ "limit": 1001 }),
            INVALID,
            vec!["limit", "1 to 1000"],
        ),
        (json!({ "limit": "10" }), INVALID, vec!["limit", "integer"]),
        (json!({ "limit": 1.5 }), INVALID, vec!["limit", "integer"]),
        (json!({ "cursor": "5" }), INVALID, vec!["cursor"]),
        (json!({ "cursor": 5 }), INVALID, vec!["cursor", "text"]),
        (
            json!({ "cursor": "x".repeat(300) }),
            INVALID,
            vec!["cursor"],
        ),
        (
            json!({ "response_format": "xml" }),
            INVALID,
            vec!["response_format", "markdown"],
        ),
    ]
}

/// That pings work is shown elsewhere; here nothing needs a privilege.
#[tokio::test]
async fn ping_refuses_what_it_cannot_do() {
    let mut rows = bad_hosts("host");
    rows.extend(outside(&json!({})));
    let with = |name: &str, value: Value| json!({ "host": "127.0.0.1", name: value });
    rows.extend::<Vec<Row>>(vec![
        (json!({}), INVALID, vec!["host", "missing"]),
        (with("count", json!(0)), INVALID, vec!["count", "1 to 10"]),
        (with("count", json!(11)), INVALID, vec!["count", "1 to 10"]),
        (with("count", json!(-1)), INVALID, vec!["count", "1 to 10"]),
        (
            with("count", json!(1e99)),
            INVALID,
            vec!["count", "1 to 10"],
        ),
        (with("count", json!("4")), INVALID, vec!["count", "integer"]),
        (
            with("count", json!(null)),
            INVALID,
            vec!["count", "integer"],
        ),
        (
            with("timeout", json!(0)),
            INVALID,
            vec!["timeout", "1 to 30"],
        ),
        (
            with("timeout", json!(31)),
            INVALID,
            vec!["timeout", "1 to 30"],
        ),
        (with("size", json!(55)), INVALID, vec!["size", "56 to 1024"]),
        (
            with("size", json!(1025)),
            INVALID,
            vec!["size", "56 to 1024"],
        ),
        (
            with("flood", json!(true)),
            INVALID,
            vec!["flood", "count", "host", "size", "timeout"],
        ),
        (
            json!({ "target": "127.0.0.1" }),
            INVALID,
            vec!["target", "host"],
        ),
        (json!([]), INVALID, vec!["object"]),
        (json!("127.0.0.1"), INVALID, vec!["object"]),
    ]);
    check_refused("ping", rows).await;
}

#[tokio::test]
async fn telnet_refuses_what_it_cannot_do() {
    let mut rows: Vec<Row> = bad_hosts("host")
        .into_iter()
        .map(|(mut arguments, code, words)| {
            arguments["port"] = json!(80);
            (arguments, code, words)
        })
        .collect();
    rows.extend(outside(&json!({ "port": 80 })));
    let with = |name: &str, value: Value| {
        let mut arguments = json!({ "host": "127.0.0.1", "port": 80 });
        arguments[name] = value;
        arguments
    };
    rows.extend::<Vec<Row>>(vec![
        (
            json!({ "host": "127.0.0.1" }),
            INVALID,
            vec!["port", "missing"],
        ),
        (json!({ "port": 80 }), INVALID, vec!["host", "missing"]),
        (with("port", json!(0)), INVALID, vec!["port", "1 to 65535"]),
        (
            with("port", json!(65_536)),
            INVALID,
            vec!["port", "1 to 65535"],
        ),
        (
            with("port", json!(-22)),
            INVALID,
            vec!["port", "1 to 65535"],
        ),
        (with("port", json!("22")), INVALID, vec!["port", "integer"]),
        (with("port", json!("ssh")), INVALID, vec!["port", "integer"]),
        (
            with("port", json!([80, 443])),
            INVALID,
            vec!["port", "integer"],
        ),
        (
            with("timeout", json!(0)),
            INVALID,
            vec!["timeout", "1 to 60"],
        ),
        (
            with("timeout", json!(61)),
            INVALID,
            vec!["timeout", "1 to 60"],
        ),
        (
            with("timeout", json!(0.5)),
            INVALID,
            vec!["timeout", "integer"],
        ),
        (
            with("send", json!("QUIT")),
            INVALID,
            vec!["send", "host", "port", "timeout"],
        ),
    ]);
    check(
        "telnet",
        rows,
        json!({ "host": "127.0.0.1", "port": 1, "timeout": 1 }),
    )
    .await;
}

#[tokio::test]
async fn netstat_refuses_what_it_cannot_do() {
    let mut rows = bad_pages();
    rows.extend::<Vec<Row>>(vec![
        (
            json!({ "listening": "yes" }),
            INVALID,
            vec!["listening", "true or false"],
        ),
        (
            json!({ "listening": 1 }),
            INVALID,
            vec!["listening", "true or false"],
        ),
        (
            json!({ "programs": null }),
            INVALID,
            vec!["programs", "true or false"],
        ),
        (
            json!({ "protocol": "icmp" }),
            INVALID,
            vec!["protocol", "tcp", "udp", "all"],
        ),
        (
            json!({ "protocol": "TCP" }),
            INVALID,
            vec!["protocol", "tcp", "udp", "all"],
        ),
        (json!({ "protocol": 6 }), INVALID, vec!["protocol"]),
        (
            json!({ "port": 80 }),
            INVALID,
            vec!["port", "listening", "protocol", "programs"],
        ),
    ]);
    check(
        "netstat",
        rows,
        json!({ "limit": 1, "response_format": "json" }),
    )
    .await;
}

#[tokio::test]
async fn arp_refuses_what_it_cannot_do() {
    let mut rows = bad_hosts("host");
    rows.extend(bad_pages());
    rows.push((
        json!({ "ip": "10.0.0.1" }),
        INVALID,
        vec!["ip", "host", "limit", "cursor"],
    ));
    check("arp", rows, json!({ "host": "192.0.2.250" })).await;
}

#[tokio::test]
async fn route_refuses_what_it_cannot_do() {
    let mut rows = bad_hosts("destination");
    rows.extend(bad_pages());
    rows.push((
        json!({ "host": "10.0.0.1" }),
        INVALID,
        vec!["host", "destination"],
    ));
    check("route", rows, json!({ "destination": "127.0.0.1" })).await;
}

#[tokio::test]
async fn ifconfig_refuses_what_it_cannot_do() {
    let mut rows = bad_pages();
    let names = [
        "",
        "a b",
        "../../etc",
        "eth0:1",
        "lo\0",
        "lo\n",
        "ünder0",
        "sixteencharacter",
    ];
    rows.extend(names.map(|name| -> Row {
        (
            json!({ "interface": name }),
            INVALID,
            vec!["interface", "1 to 15 characters"],
        )
    }));
    rows.extend::<Vec<Row>>(vec![
        (
            json!({ "interface": "a".repeat(300) }),
            INVALID,
            vec!["interface"],
        ),
        (
            json!({ "interface": 1 }),
            INVALID,
            vec!["interface", "text"],
        ),
        (
            json!({ "interface": "-a" }),
            "not_found",
            vec!["-a", "there are"],
        ),
        (
            json!({ "interface": "nosuch0" }),
            "not_found",
            vec!["nosuch0", "lo"],
        ),
        (
            json!({ "all": "true" }),
            INVALID,
            vec!["all", "true or false"],
        ),
        (
            json!({ "name": "lo" }),
            INVALID,
            vec!["name", "interface", "all"],
        ),
    ]);
    check("ifconfig", rows, json!({ "interface": "lo" })).await;
}
