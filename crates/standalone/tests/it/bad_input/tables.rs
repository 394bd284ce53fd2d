//! What each tool must refuse.

use serde_json::{Value, json};

/// Arguments, the code of the error, and what its message says.
pub(super) type Row = (Value, &'static str, &'static [&'static str]);

const INVALID: &str = "invalid_arguments";
const OUTSIDE: &str = "out_of_scope";

/// What no tool takes for a host, by the rule that it breaks.
const HOSTS: &[(&str, &[&str])] = &[
    ("", &["1 to 253"]),
    ("-iL/etc/passwd", &["hyphen"]),
    ("--script=x", &["hyphen"]),
    ("192.168.1.1,2", &["character"]),
    ("127.0.0.1\0", &["character"]),
    ("127.0.0.1;id", &["character"]),
    ("127.0.0.1\r\nX", &["character"]),
    ("10.0.0.0/8", &["character"]),
    ("127.1", &["number"]),
    ("0x7f000001", &["number"]),
    ("2130706433", &["number"]),
    ("[::1]", &["IPv6"]),
    ("fe80::1%lo", &["IPv6"]),
    ("bücher.example", &["ASCII"]),
    ("*.example.com", &["ildcard"]),
];

/// Targets that the default scope does not have, as addresses and in disguise.
const OUT_OF_SCOPE: &[(&str, &[&str])] = &[
    ("8.8.8.8", &["8.8.8.8", "SCAN_SCOPE_ALLOW"]),
    ("2001:db8::1", &["SCAN_SCOPE_ALLOW"]),
    ("169.254.169.254", &["metadata"]),
    ("::ffff:169.254.169.254", &["metadata"]),
    ("::ffff:a9fe:a9fe", &["metadata"]),
    ("fd00:ec2::254", &["metadata"]),
    ("64:ff9b::808:808", &["SCAN_SCOPE_ALLOW"]),
    ("224.0.0.1", &["multicast"]),
    ("ff02::1", &["multicast"]),
    ("255.255.255.255", &["broadcast"]),
    ("0.0.0.0", &["unspecified"]),
];

/// Values that are no host whatever the tool, under the name that it has there.
fn bad_hosts(argument: &str, others: &Value) -> Vec<Row> {
    let row = |host: Value, says: &'static [&'static str]| -> Row {
        let mut arguments = others.clone();
        arguments[argument] = host;
        (arguments, INVALID, says)
    };
    let mut rows: Vec<Row> = HOSTS
        .iter()
        .map(|(host, says)| row(json!(host), says))
        .collect();
    rows.push(row(json!("a".repeat(300)), &["1 to 253"]));
    for value in [
        json!(7),
        json!(true),
        json!(["127.0.0.1"]),
        json!({ "address": "::1" }),
    ] {
        rows.push(row(value, &["text"]));
    }
    rows
}

/// Targets that tools which reach for one must refuse.
fn out_of_scope(others: &Value) -> Vec<Row> {
    let row = |(host, says): &(&str, &'static [&'static str])| {
        let mut arguments = others.clone();
        arguments["host"] = json!(host);
        (arguments, OUTSIDE, *says)
    };
    OUT_OF_SCOPE.iter().map(row).collect()
}

/// Pages that no list has.
fn bad_pages() -> Vec<Row> {
    vec![
        (json!({ "limit": 0 }), INVALID, &["limit", "1 to 1000"]),
        (json!({ "limit": 1001 }), INVALID, &["limit", "1 to 1000"]),
        (json!({ "limit": "10" }), INVALID, &["limit", "integer"]),
        (json!({ "cursor": "?" }), INVALID, &["cursor"]),
        (json!({ "cursor": "x".repeat(300) }), INVALID, &["cursor"]),
        (
            json!({ "response_format": "xml" }),
            INVALID,
            &["response_format", "markdown"],
        ),
    ]
}

fn ping() -> Vec<Row> {
    let mut rows = bad_hosts("host", &json!({}));
    rows.extend(out_of_scope(&json!({})));
    let with = |name: &str, value: Value| json!({ "host": "127.0.0.1", name: value });
    rows.extend([
        (json!({}), INVALID, &["host", "missing"][..]),
        (json!([]), INVALID, &["object"]),
        (json!("127.0.0.1"), INVALID, &["object"]),
        (json!(null), INVALID, &["object"]),
        (with("count", json!(0)), INVALID, &["count", "1 to 10"]),
        (with("count", json!(11)), INVALID, &["count", "1 to 10"]),
        (with("count", json!(-1)), INVALID, &["count", "1 to 10"]),
        (with("count", json!(1e99)), INVALID, &["count", "1 to 10"]),
        (with("count", json!("4")), INVALID, &["count", "integer"]),
        (with("timeout", json!(31)), INVALID, &["timeout", "1 to 30"]),
        (
            with("size", json!(65_536)),
            INVALID,
            &["size", "56 to 1024"],
        ),
        (
            with("flood", json!(true)),
            INVALID,
            &["flood", "count", "host", "size", "timeout"],
        ),
        (
            json!({ "target": "127.0.0.1" }),
            INVALID,
            &["target", "host"],
        ),
    ]);
    rows
}

fn telnet() -> Vec<Row> {
    let mut rows = bad_hosts("host", &json!({ "port": 80 }));
    rows.extend(out_of_scope(&json!({ "port": 80 })));
    let with = |port: Value| json!({ "host": "127.0.0.1", "port": port });
    rows.extend([
        (
            json!({ "host": "127.0.0.1" }),
            INVALID,
            &["port", "missing"][..],
        ),
        (with(json!(0)), INVALID, &["port", "1 to 65535"]),
        (with(json!(65_536)), INVALID, &["port", "1 to 65535"]),
        (with(json!("22")), INVALID, &["port", "integer"]),
        (with(json!([80, 443])), INVALID, &["port", "integer"]),
        (with(json!(22.5)), INVALID, &["port", "integer"]),
        (
            json!({ "host": "127.0.0.1", "port": 1, "send": "QUIT" }),
            INVALID,
            &["send", "host", "port", "timeout"],
        ),
    ]);
    rows
}

fn bad_urls() -> Vec<Row> {
    let url = |url: &str| json!({ "url": url });
    let long = format!("http://{}/", "a".repeat(300));
    vec![
        (json!({}), INVALID, &["url", "missing"]),
        (
            json!({ "url": ["http://127.0.0.1/"] }),
            INVALID,
            &["url", "text"],
        ),
        (url("127.0.0.1"), INVALID, &["scheme"]),
        (
            url("file:///etc/passwd"),
            INVALID,
            &["neither http nor https"],
        ),
        (
            url("ftp://127.0.0.1/"),
            INVALID,
            &["neither http nor https"],
        ),
        (
            url("http://user:hunter2@127.0.0.1/"),
            INVALID,
            &["user name or password"],
        ),
        (url("http://-oN/"), INVALID, &["hyphen"]),
        (url(&long), INVALID, &["253"]),
        (url("http://127.0.0.1/\0"), INVALID, &["control"]),
        (
            url("http://127.0.0.1/\r\nX-Injected: 1"),
            INVALID,
            &["control"],
        ),
        (url("http://127.0.0.1\\@8.8.8.8/"), INVALID, &["backslash"]),
        (url("http://127.0.0.1:99999/"), INVALID, &["port"]),
        (url("http://2130706433/"), INVALID, &["127.0.0.1"]),
        (url("http://8.8.8.8/"), OUTSIDE, &["SCAN_SCOPE_ALLOW"]),
        (
            url("http://169.254.169.254/latest/meta-data/"),
            OUTSIDE,
            &["metadata"],
        ),
        (
            url("http://[::ffff:169.254.169.254]/"),
            OUTSIDE,
            &["metadata"],
        ),
        (url("http://0.0.0.0/"), OUTSIDE, &["unspecified"]),
    ]
}

fn wget() -> Vec<Row> {
    let with = |name: &str, value: Value| json!({ "url": "http://127.0.0.1/", name: value });
    let mut rows = bad_urls();
    rows.extend([
        (
            with("max_bytes", json!(2_097_153)),
            INVALID,
            &["max_bytes"][..],
        ),
        (with("max_redirect", json!(-1)), INVALID, &["max_redirect"]),
        (
            with("timeout", json!("30")),
            INVALID,
            &["timeout", "integer"],
        ),
        (
            with("user_agent", json!("a\r\nX: 1")),
            INVALID,
            &["user_agent"],
        ),
        (
            with("output", json!("/etc/cron.d/x")),
            INVALID,
            &["output", "known"],
        ),
    ]);
    rows
}

fn nslookup() -> Vec<Row> {
    let with = |name: &str, value: Value| json!({ "host": "a.test", name: value });
    vec![
        (json!({}), INVALID, &["host", "missing"]),
        (json!({ "host": "" }), INVALID, &["host"]),
        (json!({ "host": "a".repeat(300) }), INVALID, &["host"]),
        (json!({ "host": "a..test" }), INVALID, &["host"]),
        (json!({ "host": "a\0.test" }), INVALID, &["host"]),
        (json!({ "host": 5 }), INVALID, &["host", "text"]),
        (with("type", json!("ANY")), INVALID, &["type", "AAAA"]),
        (with("type", json!("axfr")), INVALID, &["type"]),
        (with("server", json!("127.0.0.1:0")), INVALID, &["server"]),
        (with("server", json!("-x")), INVALID, &["server"]),
        (
            with("server", json!("8.8.8.8")),
            OUTSIDE,
            &["SCAN_SCOPE_ALLOW"],
        ),
        (
            with("server", json!("[::ffff:169.254.169.254]:53")),
            OUTSIDE,
            &["metadata"],
        ),
        (with("class", json!("CH")), INVALID, &["class", "known"]),
    ]
}

fn whois() -> Vec<Row> {
    let query = |query: &str| json!({ "query": query });
    let server = |server: &str| json!({ "query": "a.test", "server": server });
    vec![
        (json!({}), INVALID, &["query", "missing"]),
        (json!({ "query": null }), INVALID, &["query"]),
        (json!({ "query": "a".repeat(300) }), INVALID, &["query"]),
        (query("-T dn,ace a.test"), INVALID, &["hyphen"]),
        (query("a.test\r\nb.test"), INVALID, &["character"]),
        (query("a\0.test"), INVALID, &["character"]),
        (query("192.0.2.1/24"), INVALID, &["prefix length"]),
        (query("AS4294967296"), INVALID, &["4294967295"]),
        (query("64496"), INVALID, &["ambiguous"]),
        (server("whois://127.0.0.1"), INVALID, &["server"]),
        (server("8.8.8.8"), OUTSIDE, &["SCAN_SCOPE_ALLOW"]),
        (server("169.254.169.254"), OUTSIDE, &["169.254.169.254"]),
        (
            json!({ "query": "a.test", "flags": "-B" }),
            INVALID,
            &["flags", "known"],
        ),
    ]
}

fn netstat() -> Vec<Row> {
    let mut rows = bad_pages();
    rows.extend([
        (
            json!({ "listening": "yes" }),
            INVALID,
            &["listening", "true or false"][..],
        ),
        (
            json!({ "programs": 1 }),
            INVALID,
            &["programs", "true or false"],
        ),
        (
            json!({ "protocol": "icmp" }),
            INVALID,
            &["protocol", "tcp", "udp", "all"],
        ),
        (
            json!({ "port": 80 }),
            INVALID,
            &["port", "listening", "protocol"],
        ),
    ]);
    rows
}

fn arp() -> Vec<Row> {
    let mut rows = bad_hosts("host", &json!({}));
    rows.extend(bad_pages());
    rows.push((
        json!({ "ip": "10.0.0.1" }),
        INVALID,
        &["ip", "host", "limit"],
    ));
    rows
}

fn route() -> Vec<Row> {
    let mut rows = bad_hosts("destination", &json!({}));
    rows.extend(bad_pages());
    rows.push((
        json!({ "host": "10.0.0.1" }),
        INVALID,
        &["host", "destination"],
    ));
    rows
}

fn ifconfig() -> Vec<Row> {
    let interface = |name: &str| json!({ "interface": name });
    let mut rows = bad_pages();
    rows.extend([
        (interface(""), INVALID, &["interface", "1 to 15"][..]),
        (interface("../../etc"), INVALID, &["interface"]),
        (interface("lo\0"), INVALID, &["interface"]),
        (interface(&"a".repeat(300)), INVALID, &["interface"]),
        (interface("-a"), "not_found", &["-a", "there are"]),
        (json!({ "interface": 1 }), INVALID, &["interface", "text"]),
        (json!({ "all": "true" }), INVALID, &["all", "true or false"]),
        (json!({ "name": "lo" }), INVALID, &["name", "interface"]),
    ]);
    rows
}

/// Every tool with its rows, by name.
pub(super) fn tables() -> [(&'static str, Vec<Row>); 9] {
    [
        ("arp", arp()),
        ("ifconfig", ifconfig()),
        ("netstat", netstat()),
        ("nslookup", nslookup()),
        ("ping", ping()),
        ("route", route()),
        ("telnet", telnet()),
        ("wget", wget()),
        ("whois", whois()),
    ]
}
