//! Which servers are asked, and what happens where they do not answer.

use std::net::SocketAddr;
use std::time::Instant;

use hickory_resolver::proto::op::{Message, ResponseCode};
use serde_json::json;
use tempfile::NamedTempFile;
use testkit::ports::free_port;
use testkit::targets::{DnsServer, TcpServer, refusing_address};
use worker::Worker;
use worker_network::nslookup;

use super::{PATIENCE, Scripted, answer_to, bytes, config, done, failed, lab, worker};
use crate::call::{error, structured};

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
    assert!(server.queries().len() > 1, "asked again before giving up");
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
