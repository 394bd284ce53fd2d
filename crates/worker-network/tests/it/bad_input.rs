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

fn bad(arguments: Value, words: &[&'static str]) -> Row {
    (arguments, INVALID, words.to_vec())
}

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
        bad(json!({ "limit": 0 }), &["limit", "1 to 1000"]),
        bad(json!({ "limit": 1001 }), &["limit", "1 to 1000"]),
        bad(json!({ "limit": "10" }), &["limit", "integer"]),
        bad(json!({ "limit": 1.5 }), &["limit", "integer"]),
        bad(json!({ "cursor": "5" }), &["cursor"]),
        bad(json!({ "cursor": 5 }), &["cursor", "text"]),
        bad(json!({ "cursor": "x".repeat(300) }), &["cursor"]),
        bad(
            json!({ "response_format": "xml" }),
            &["response_format", "markdown"],
        ),
    ]
}

/// That pings work is shown elsewhere; here nothing needs a privilege.
#[tokio::test]
async fn ping_refuses_what_it_cannot_do() {
    let mut rows = bad_hosts("host");
    rows.extend(outside(&json!({})));
    let with = |name: &str, value: Value| json!({ "host": "127.0.0.1", name: value });
    rows.extend([
        bad(json!({}), &["host", "missing"]),
        bad(with("count", json!(0)), &["count", "1 to 10"]),
        bad(with("count", json!(11)), &["count", "1 to 10"]),
        bad(with("count", json!(-1)), &["count", "1 to 10"]),
        bad(with("count", json!(1e99)), &["count", "1 to 10"]),
        bad(with("count", json!("4")), &["count", "integer"]),
        bad(with("count", json!(null)), &["count", "integer"]),
        bad(with("timeout", json!(0)), &["timeout", "1 to 30"]),
        bad(with("timeout", json!(31)), &["timeout", "1 to 30"]),
        bad(with("size", json!(55)), &["size", "56 to 1024"]),
        bad(with("size", json!(1025)), &["size", "56 to 1024"]),
        bad(
            with("flood", json!(true)),
            &["flood", "count", "host", "size", "timeout"],
        ),
        bad(json!({ "target": "127.0.0.1" }), &["target", "host"]),
        bad(json!([]), &["object"]),
        bad(json!("127.0.0.1"), &["object"]),
    ]);
    check_refused("ping", rows).await;
}

#[tokio::test]
async fn telnet_refuses_what_it_cannot_do() {
    let mut rows = bad_hosts("host");
    for (arguments, _, _) in &mut rows {
        arguments["port"] = json!(80);
    }
    rows.extend(outside(&json!({ "port": 80 })));
    let with = |name: &str, value: Value| {
        let mut arguments = json!({ "host": "127.0.0.1", "port": 80 });
        arguments[name] = value;
        arguments
    };
    rows.extend([
        bad(json!({ "host": "127.0.0.1" }), &["port", "missing"]),
        bad(json!({ "port": 80 }), &["host", "missing"]),
        bad(with("port", json!(0)), &["port", "1 to 65535"]),
        bad(with("port", json!(65_536)), &["port", "1 to 65535"]),
        bad(with("port", json!(-22)), &["port", "1 to 65535"]),
        bad(with("port", json!("22")), &["port", "integer"]),
        bad(with("port", json!("ssh")), &["port", "integer"]),
        bad(with("port", json!([80, 443])), &["port", "integer"]),
        bad(with("timeout", json!(0)), &["timeout", "1 to 60"]),
        bad(with("timeout", json!(61)), &["timeout", "1 to 60"]),
        bad(with("timeout", json!(0.5)), &["timeout", "integer"]),
        bad(
            with("send", json!("QUIT")),
            &["send", "host", "port", "timeout"],
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
    rows.extend([
        bad(
            json!({ "listening": "yes" }),
            &["listening", "true or false"],
        ),
        bad(json!({ "listening": 1 }), &["listening", "true or false"]),
        bad(json!({ "programs": null }), &["programs", "true or false"]),
        bad(
            json!({ "protocol": "icmp" }),
            &["protocol", "tcp", "udp", "all"],
        ),
        bad(
            json!({ "protocol": "TCP" }),
            &["protocol", "tcp", "udp", "all"],
        ),
        bad(json!({ "protocol": 6 }), &["protocol"]),
        bad(
            json!({ "port": 80 }),
            &["port", "listening", "protocol", "programs"],
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
    rows.push(bad(
        json!({ "ip": "10.0.0.1" }),
        &["ip", "host", "limit", "cursor"],
    ));
    check("arp", rows, json!({ "host": "192.0.2.250" })).await;
}

#[tokio::test]
async fn route_refuses_what_it_cannot_do() {
    let mut rows = bad_hosts("destination");
    rows.extend(bad_pages());
    rows.push(bad(json!({ "host": "10.0.0.1" }), &["host", "destination"]));
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
        bad(
            json!({ "interface": name }),
            &["interface", "1 to 15 characters"],
        )
    }));
    rows.extend([
        bad(json!({ "interface": "a".repeat(300) }), &["interface"]),
        bad(json!({ "interface": 1 }), &["interface", "text"]),
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
        bad(json!({ "all": "true" }), &["all", "true or false"]),
        bad(json!({ "name": "lo" }), &["name", "interface", "all"]),
    ]);
    check("ifconfig", rows, json!({ "interface": "lo" })).await;
}
