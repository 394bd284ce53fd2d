//! `nslookup` against servers that answer as a test wants.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType, rdata};
use protocol::Category;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use testkit::ports::free_port;
use testkit::targets::{DnsServer, TcpServer, Zone, refusing_address};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use worker::{Scope, Worker};
use worker_network::nslookup;

use crate::call::{error, structured};

/// Long enough for a loopback server on a busy machine, short enough for tests of silence.
const PATIENCE: Duration = Duration::from_millis(1500);

fn worker(config: nslookup::Config) -> Worker {
    Worker::new(Category::network(), NonZeroU16::MIN)
        .tool(nslookup::tool_with(config))
        .scope(Scope::default())
}

fn config() -> nslookup::Config {
    nslookup::Config {
        patience: PATIENCE,
        ..nslookup::Config::default()
    }
}

async fn call(arguments: Value) -> Value {
    worker(config()).call_for_test("nslookup", arguments).await
}

async fn done(arguments: Value) -> Value {
    structured(&call(arguments).await)
}

async fn failed(arguments: Value) -> Value {
    error(&call(arguments).await)
}

/// A server that sends what `answer` makes of each question over UDP.
struct Scripted {
    address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Scripted {
    async fn start(
        at: SocketAddr,
        answer: impl Fn(&Message) -> Vec<Vec<u8>> + Send + 'static,
    ) -> Self {
        let socket = UdpSocket::bind(at).await.unwrap();
        let address = socket.local_addr().unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut buffer = vec![0; 4096];
            while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
                let question = Message::from_vec(&buffer[..length]).unwrap();
                for datagram in answer(&question) {
                    socket.send_to(&datagram, client).await.unwrap();
                }
            }
        });
        Self {
            address,
            _serving: serving,
        }
    }

    async fn on_loopback(answer: impl Fn(&Message) -> Vec<Vec<u8>> + Send + 'static) -> Self {
        Self::start(SocketAddr::from(([127, 0, 0, 1], 0)), answer).await
    }
}

/// The good answer: one A record.
fn answer_to(question: &Message) -> Message {
    let mut answer = question.clone().into_response();
    let name = question.queries[0].name().clone();
    let data = RData::A(rdata::A(Ipv4Addr::new(192, 0, 2, 1)));
    answer.add_answer(Record::from_rdata(name, 300, data));
    answer
}

fn bytes(message: &Message) -> Vec<u8> {
    message.to_vec().unwrap()
}

fn lab() -> Zone {
    let record = |zone: Zone, (name, kind, value)| zone.record(name, kind, value).unwrap();
    [
        ("h1.lab.test", "A", "192.0.2.1"),
        ("h1.lab.test", "A", "192.0.2.2"),
        ("h1.lab.test", "AAAA", "2001:db8::1"),
        ("lab.test", "MX", "10 mail.lab.test."),
        ("lab.test", "NS", "ns1.lab.test."),
        ("lab.test", "TXT", "\"v=spf1 -all\""),
        (
            "lab.test",
            "SOA",
            "ns1.lab.test. admin.lab.test. 7 3600 600 86400 60",
        ),
        ("lab.test", "CAA", "0 issue \"ca.test\""),
        ("_sip._tcp.lab.test", "SRV", "1 2 5060 h1.lab.test."),
        ("www.lab.test", "CNAME", "h1.lab.test."),
        ("1.2.0.192.in-addr.arpa", "PTR", "h1.lab.test."),
        (
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
            "PTR",
            "h1.lab.test.",
        ),
    ]
    .into_iter()
    .fold(Zone::default(), record)
}

#[tokio::test]
async fn every_type_is_answered_with_its_data() {
    let server = DnsServer::start(lab()).await.unwrap();
    let check = async |host: &str, kind: &str, expected: Value| {
        let arguments = json!({ "host": host, "type": kind, "server": server.address() });
        let result = done(arguments).await;
        assert_eq!(result["rcode"], "NOERROR", "{host} {kind}");
        assert_eq!(result["type"], kind);
        let data: Vec<&Value> = result["answers"]
            .as_array()
            .unwrap()
            .iter()
            .inspect(|answer| assert_eq!(answer["type"], kind, "{answer}"))
            .inspect(|answer| assert_eq!(answer["name"], host, "{answer}"))
            .inspect(|answer| assert_eq!(answer["ttl"], 60, "{answer}"))
            .map(|answer| &answer["data"])
            .collect();
        assert_eq!(json!(data), expected, "{host} {kind}");
    };
    check("h1.lab.test", "A", json!(["192.0.2.1", "192.0.2.2"])).await;
    check("h1.lab.test", "AAAA", json!(["2001:db8::1"])).await;
    let mx = json!([{ "preference": 10, "exchange": "mail.lab.test" }]);
    check("lab.test", "MX", mx).await;
    check("lab.test", "NS", json!(["ns1.lab.test"])).await;
    check("lab.test", "TXT", json!(["v=spf1 -all"])).await;
    check("www.lab.test", "CNAME", json!(["h1.lab.test"])).await;
    check("1.2.0.192.in-addr.arpa", "PTR", json!(["h1.lab.test"])).await;
    let soa = json!([{
        "primary": "ns1.lab.test", "mailbox": "admin.lab.test", "serial": 7,
        "refresh_seconds": 3600, "retry_seconds": 600, "expire_seconds": 86400,
        "negative_ttl_seconds": 60,
    }]);
    check("lab.test", "SOA", soa).await;
    let srv = json!([{ "priority": 1, "weight": 2, "port": 5060, "target": "h1.lab.test" }]);
    check("_sip._tcp.lab.test", "SRV", srv).await;
    let caa = json!([{ "critical": false, "property": "issue", "value": "ca.test" }]);
    check("lab.test", "CAA", caa).await;
}

#[tokio::test]
async fn an_address_is_looked_up_by_its_reverse_name() {
    let server = DnsServer::start(lab()).await.unwrap();
    for address in ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"] {
        let result = done(json!({ "host": address, "server": server.address() })).await;
        assert_eq!(result["type"], "PTR", "{address}");
        assert_eq!(result["answers"][0]["data"], "h1.lab.test", "{address}");
    }
    assert_eq!(server.queries()[0].0, "1.2.0.192.in-addr.arpa.");
}

#[tokio::test]
async fn an_alias_is_shown_with_what_it_leads_to() {
    let server = DnsServer::start(lab()).await.unwrap();
    let result = done(json!({ "host": "www.lab.test", "server": server.address() })).await;
    let answers = result["answers"].as_array().unwrap();
    assert_eq!(answers[0]["type"], "CNAME");
    assert_eq!(answers[0]["data"], "h1.lab.test");
    assert_eq!(answers[1]["data"], "192.0.2.1");
    assert_eq!(result["server"], server.address().to_string());
    assert_eq!(result["transport"], "udp");
    assert!(result["elapsed_ms"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn a_missing_name_and_a_missing_type_are_results() {
    let server = DnsServer::start(lab()).await.unwrap();
    let missing = done(json!({ "host": "nobody.lab.test", "server": server.address() })).await;
    assert_eq!(missing["rcode"], "NXDOMAIN");
    assert_eq!(missing["answers"], json!([]));
    let arguments = json!({ "host": "h1.lab.test", "type": "MX", "server": server.address() });
    let no_data = done(arguments).await;
    assert_eq!(no_data["rcode"], "NOERROR");
    assert_eq!(no_data["answers"], json!([]));
}

#[tokio::test]
async fn a_refusal_of_the_server_is_a_result_with_its_code() {
    let zone = Zone::default()
        .fails("broken.test", ResponseCode::ServFail)
        .unwrap()
        .fails("private.test", ResponseCode::Refused)
        .unwrap();
    let server = DnsServer::start(zone).await.unwrap();
    for (host, rcode) in [("broken.test", "SERVFAIL"), ("private.test", "REFUSED")] {
        let result = done(json!({ "host": host, "server": server.address() })).await;
        assert_eq!(result["rcode"], rcode);
        assert_eq!(result["answers"], json!([]));
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_for_udp_comes_over_tcp() {
    let zone = (1..=200).fold(Zone::default(), |zone, n| {
        zone.record("many.test", "A", &format!("192.0.2.{n}"))
            .unwrap()
    });
    let server = DnsServer::start(zone.truncated("many.test").unwrap())
        .await
        .unwrap();
    let result = done(json!({ "host": "many.test", "server": server.address() })).await;
    assert_eq!(result["transport"], "tcp");
    assert_eq!(result["truncated"], false);
    assert_eq!(result["answers"].as_array().unwrap().len(), 200);
    let over_udp: Vec<bool> = server.queries().iter().map(|query| query.2).collect();
    assert_eq!(over_udp, [true, false]);
}

#[tokio::test]
async fn what_fitted_over_udp_is_shown_as_truncated_where_tcp_is_closed() {
    let server = Scripted::on_loopback(|question| {
        let mut answer = answer_to(question);
        answer.metadata.truncation = true;
        vec![bytes(&answer)]
    })
    .await;
    let result = done(json!({ "host": "many.test", "server": server.address })).await;
    assert_eq!(result["transport"], "udp");
    assert_eq!(result["truncated"], true);
    assert_eq!(result["answers"][0]["data"], "192.0.2.1");
}

#[tokio::test]
async fn the_bits_of_the_header_are_shown() {
    let server = Scripted::on_loopback(|question| {
        // The question asks for the AD bit, or a validating server would not set it.
        assert!(question.metadata.authentic_data);
        assert!(question.metadata.recursion_desired);
        let mut answer = answer_to(question);
        let yes = question.queries[0].name().to_string().starts_with("yes");
        answer.metadata.authentic_data = yes;
        answer.metadata.authoritative = yes;
        answer.metadata.recursion_available = yes;
        vec![bytes(&answer)]
    })
    .await;
    for (host, expected) in [("yes.test", true), ("no.test", false)] {
        let result = done(json!({ "host": host, "server": server.address })).await;
        assert_eq!(result["authenticated"], expected);
        assert_eq!(result["authoritative"], expected);
        assert_eq!(result["recursion_available"], expected);
    }
}

#[tokio::test]
async fn the_zone_that_denies_a_name_is_shown() {
    let server = Scripted::on_loopback(|question| {
        let mut answer = question.clone().into_response();
        answer.metadata.response_code = ResponseCode::NXDomain;
        let soa = "ns.test. admin.test. 1 2 3 4 5";
        let soa = RData::try_from_str(RecordType::SOA, soa).unwrap();
        let zone: Name = "test.".parse().unwrap();
        answer.add_authority(Record::from_rdata(zone, 900, soa));
        vec![bytes(&answer)]
    })
    .await;
    let result = done(json!({ "host": "nobody.test", "server": server.address })).await;
    assert_eq!(result["rcode"], "NXDOMAIN");
    assert_eq!(result["authority"][0]["name"], "test");
    assert_eq!(result["authority"][0]["data"]["negative_ttl_seconds"], 5);
}

#[tokio::test]
async fn answers_to_other_questions_are_passed_over() {
    let server = Scripted::on_loopback(|question| {
        let mut other_id = answer_to(question);
        other_id.metadata.id = question.metadata.id.wrapping_add(1);
        let mut other_name = answer_to(question);
        other_name.queries[0].set_name("evil.test.".parse().unwrap());
        let mut other_type = answer_to(question);
        other_type.queries[0].set_query_type(RecordType::TXT);
        let itself = bytes(question);
        let good = bytes(&answer_to(question));
        vec![
            vec![],
            vec![0; 3],
            bytes(&other_id),
            bytes(&other_name),
            bytes(&other_type),
            itself,
            good,
        ]
    })
    .await;
    let result = done(json!({ "host": "good.test", "server": server.address })).await;
    assert_eq!(result["name"], "good.test");
    assert_eq!(result["answers"][0]["name"], "good.test");
}

#[tokio::test]
async fn a_server_without_edns_is_asked_without_it() {
    let server = Scripted::on_loopback(|question| {
        if question.edns.is_none() {
            return vec![bytes(&answer_to(question))];
        }
        // Old servers send back nothing but the header.
        let id = question.metadata.id;
        let op_code = question.metadata.op_code;
        vec![bytes(&Message::error_msg(
            id,
            op_code,
            ResponseCode::FormErr,
        ))]
    })
    .await;
    let result = done(json!({ "host": "old.test", "server": server.address })).await;
    assert_eq!(result["rcode"], "NOERROR");
    assert_eq!(result["answers"][0]["data"], "192.0.2.1");
}

#[tokio::test]
async fn a_lost_question_is_asked_again() {
    let n_heard = std::sync::atomic::AtomicU32::new(0);
    let server = Scripted::on_loopback(move |question| {
        match n_heard.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => vec![],
            _ => vec![bytes(&answer_to(question))],
        }
    })
    .await;
    let result = done(json!({ "host": "lossy.test", "server": server.address })).await;
    assert_eq!(result["answers"][0]["data"], "192.0.2.1");
}

#[tokio::test]
async fn a_text_that_is_not_printable_is_shown_escaped() {
    let server = Scripted::on_loopback(|question| {
        let mut answer = question.clone().into_response();
        let name = question.queries[0].name().clone();
        let text = rdata::TXT::from_bytes(vec![b"a\x1b[2J", b"\xff|b"]);
        answer.add_answer(Record::from_rdata(name, 1, RData::TXT(text)));
        vec![bytes(&answer)]
    })
    .await;
    let arguments = json!({ "host": "t.test", "type": "TXT", "server": server.address });
    let result = done(arguments).await;
    assert_eq!(result["answers"][0]["data"], "a\\027[2J\\255|b");
}

#[tokio::test]
async fn a_silent_server_is_unreachable() {
    let zone = lab().silent("silent.test").unwrap();
    let server = DnsServer::start(zone).await.unwrap();
    let start = Instant::now();
    let error = failed(json!({ "host": "silent.test", "server": server.address() })).await;
    assert_eq!(error["code"], "unreachable");
    assert_eq!(error["retryable"], true);
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(&server.address().to_string()), "{message}");
    assert!(start.elapsed() >= PATIENCE, "{:?}", start.elapsed());
    assert_eq!(server.queries().len(), 3, "asked again before giving up");
}

#[tokio::test]
async fn a_closed_port_is_told_at_once() {
    let address = refusing_address().unwrap();
    let start = Instant::now();
    let error = failed(json!({ "host": "h1.lab.test", "server": address })).await;
    assert_eq!(error["code"], "connection_refused", "{error}");
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
}

#[tokio::test]
async fn an_answer_that_is_no_dns_message_is_a_bad_response() {
    let server = Scripted::on_loopback(|question| {
        let mut garbage = question.metadata.id.to_be_bytes().to_vec();
        garbage.extend([0x81, 0x80, 0, 1, 0, 9, 0, 0, 0, 0, 0xff, 0xff]);
        vec![garbage]
    })
    .await;
    let error = failed(json!({ "host": "h1.lab.test", "server": server.address })).await;
    assert_eq!(error["code"], "bad_response", "{error}");
}

#[tokio::test]
async fn a_server_that_is_silent_over_tcp_does_not_hang_the_call() {
    let tcp = TcpServer::silent(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap();
    let _udp = Scripted::start(tcp.address(), |question| {
        let mut answer = answer_to(question);
        answer.metadata.truncation = true;
        vec![bytes(&answer)]
    })
    .await;
    let result = done(json!({ "host": "h1.lab.test", "server": tcp.address() })).await;
    assert_eq!(result["truncated"], true);
    assert_eq!(result["answers"][0]["data"], "192.0.2.1");
}

#[tokio::test]
async fn an_ipv6_server_is_asked() {
    let at: SocketAddr = "[::1]:0".parse().unwrap();
    let server = Scripted::start(at, |question| vec![bytes(&answer_to(question))]).await;
    let result = done(json!({ "host": "six.test", "server": server.address })).await;
    assert_eq!(result["server"], server.address.to_string());
    assert_eq!(result["answers"][0]["data"], "192.0.2.1");
}

/// A worker whose host has this resolv.conf, with a port for its servers.
fn worker_with(resolv_conf: &str, port: u16) -> (Worker, NamedTempFile) {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), resolv_conf).unwrap();
    let config = nslookup::Config {
        resolv_conf: file.path().to_owned(),
        port,
        ..config()
    };
    (worker(config), file)
}

#[tokio::test]
async fn without_a_server_the_resolver_of_the_host_is_asked() {
    let server = DnsServer::start(lab()).await.unwrap();
    let port = server.address().port();
    let (worker, _file) = worker_with("nameserver 127.0.0.1\nsearch lab.test\n", port);
    let call = async |host: &str| {
        let arguments = json!({ "host": host });
        structured(&worker.call_for_test("nslookup", arguments).await)
    };
    let short = call("h1").await;
    assert_eq!(short["name"], "h1.lab.test");
    assert_eq!(short["answers"][0]["data"], "192.0.2.1");
    let full = call("h1.lab.test").await;
    assert_eq!(full["name"], "h1.lab.test");
    let absolute = call("h1.").await;
    assert_eq!(absolute["name"], "h1");
    assert_eq!(absolute["rcode"], "NXDOMAIN");
    let unknown = call("nobody").await;
    assert_eq!(unknown["name"], "nobody");
    assert_eq!(unknown["rcode"], "NXDOMAIN");
}

#[tokio::test]
async fn the_next_server_of_the_host_is_asked_where_one_fails() {
    let port = free_port().unwrap();
    let at = |last| SocketAddr::from(([127, 0, 0, last], port));
    let _failing = Scripted::start(at(2), |question| {
        let id = question.metadata.id;
        let mut answer = Message::error_msg(id, question.metadata.op_code, ResponseCode::ServFail);
        answer.add_query(question.queries[0].clone());
        vec![bytes(&answer)]
    })
    .await;
    let good = Scripted::start(at(3), |question| vec![bytes(&answer_to(question))]).await;
    let resolv_conf = "nameserver 127.0.0.1\nnameserver 127.0.0.2\nnameserver 127.0.0.3\n";
    let (worker, _file) = worker_with(resolv_conf, port);
    let arguments = json!({ "host": "h1.lab.test" });
    let result = structured(&worker.call_for_test("nslookup", arguments).await);
    assert_eq!(result["server"], good.address.to_string());
    assert_eq!(result["rcode"], "NOERROR");
}

#[tokio::test]
async fn a_host_without_a_resolver_says_so() {
    let (worker, _file) = worker_with("# nothing here\n", 53);
    let result = worker
        .call_for_test("nslookup", json!({ "host": "h1.lab.test" }))
        .await;
    let error = error(&result);
    assert_eq!(error["code"], "unsupported");
    assert!(error["hint"].as_str().unwrap().contains("server"));
}

#[tokio::test]
async fn a_server_out_of_scope_is_never_asked() {
    for server in [
        "8.8.8.8",
        "8.8.8.8:53",
        "169.254.169.254",
        "[::ffff:169.254.169.254]:53",
        "::ffff:8.8.8.8",
        "224.0.0.251:5353",
        "255.255.255.255",
        "0.0.0.0",
    ] {
        let error = failed(json!({ "host": "h1.lab.test", "server": server })).await;
        assert_eq!(error["code"], "out_of_scope", "{server}: {error}");
    }
}

#[tokio::test]
async fn bad_arguments_are_refused_and_the_next_call_works() {
    let server = DnsServer::start(lab()).await.unwrap();
    let worker = worker(config());
    let long_label = "a".repeat(64);
    let long_name = ["a".repeat(60).as_str(); 5].join(".");
    let rows = [
        (json!({}), "host"),
        (json!({ "host": "" }), "host"),
        (json!({ "host": 7 }), "host"),
        (json!({ "host": null }), "host"),
        (json!({ "host": ["a.test"] }), "host"),
        (json!({ "host": "a".repeat(300) }), "host"),
        (json!({ "host": long_name }), "254"),
        (json!({ "host": long_label }), "63"),
        (json!({ "host": "a..b" }), "host"),
        (json!({ "host": "-iL" }), "hyphen"),
        (json!({ "host": "a b" }), "character"),
        (json!({ "host": "a\u{0}b" }), "character"),
        (json!({ "host": "a\nb" }), "character"),
        (json!({ "host": "a;id" }), "character"),
        (json!({ "host": "10.0.0.0/8" }), "character"),
        (json!({ "host": "bücher.test" }), "bücher"),
        (json!({ "host": "a.test", "type": "ANY" }), "type"),
        (json!({ "host": "a.test", "type": "a" }), "type"),
        (json!({ "host": "a.test", "type": "AXFR" }), "type"),
        (json!({ "host": "192.0.2.1", "type": "MX" }), "MX"),
        (json!({ "host": "a.test", "server": "" }), "server"),
        (json!({ "host": "a.test", "server": "127.0.0.1:0" }), "port"),
        (
            json!({ "host": "a.test", "server": "127.0.0.1:99999" }),
            "port",
        ),
        (json!({ "host": "a.test", "server": "127.1" }), "server"),
        (
            json!({ "host": "a.test", "server": "2130706433" }),
            "server",
        ),
        (json!({ "host": "a.test", "server": "-x" }), "server"),
        (json!({ "host": "a.test", "server": "[::1]" }), "server"),
        (
            json!({ "host": "a.test", "server": "tls://127.0.0.1" }),
            "server",
        ),
        (json!({ "host": "a.test", "timeout": 5 }), "timeout"),
        (json!({ "host": "a.test", "port": 53 }), "known arguments"),
    ];
    for (arguments, part) in rows {
        let result = worker.call_for_test("nslookup", arguments.clone()).await;
        let error = error(&result);
        assert_eq!(error["code"], "invalid_arguments", "{arguments}: {error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(part), "{arguments}: {message}");
    }
    let arguments = json!({ "host": "h1.lab.test", "server": server.address() });
    let result = structured(&worker.call_for_test("nslookup", arguments).await);
    assert_eq!(result["answers"][0]["data"], "192.0.2.1");
    assert_eq!(server.queries().len(), 1, "no refused call asked anything");
}

#[tokio::test]
async fn the_summary_names_the_records() {
    let server = DnsServer::start(lab()).await.unwrap();
    let result = call(json!({ "host": "h1.lab.test", "server": server.address() })).await;
    let text = result["content"][0]["text"].as_str().unwrap();
    for part in ["h1.lab.test", "NOERROR", "192.0.2.1", "192.0.2.2", "60"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn the_schema_states_types_and_default() {
    let descriptors = worker(config()).descriptors();
    let schema = serde_json::to_value(&descriptors[0].input_schema).unwrap();
    assert_eq!(schema["required"], json!(["host"]));
    let kind = &schema["properties"]["type"];
    assert_eq!(kind["default"], "A", "{kind:#}");
    let listed = kind.to_string();
    for name in [
        "A", "AAAA", "MX", "NS", "TXT", "CNAME", "PTR", "SOA", "SRV", "CAA",
    ] {
        assert!(listed.contains(&format!("{name:?}")), "{name} in {kind:#}");
    }
    assert!(schema["properties"]["server"]["description"].is_string());
}

#[test]
fn the_declaration_is_as_agreed() {
    insta::assert_json_snapshot!("nslookup", worker(config()).descriptors()[0]);
}
