//! `wget` against HTTP servers that answer as a test wants.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use protocol::Category;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use testkit::certificates::{Authority, Files};
use testkit::targets::{ANY_PORT, HttpServer, Script, TcpServer, refusing_address};
use worker::{Scope, Worker};
use worker_network::wget;

use crate::call::{error, structured};

fn worker(config: wget::Config) -> Worker {
    Worker::new(Category::network(), NonZeroU16::MIN)
        .tool(wget::tool_with(config))
        .scope(Scope::default())
}

async fn call(arguments: Value) -> Value {
    let worker = worker(wget::Config::default());
    worker.call_for_test("wget", arguments).await
}

async fn done(arguments: Value) -> Value {
    structured(&call(arguments).await)
}

async fn failed(arguments: Value) -> Value {
    error(&call(arguments).await)
}

/// A server with one answer for everything.
async fn serving(script: Script) -> HttpServer {
    HttpServer::start(ANY_PORT, move |_| script.clone())
        .await
        .unwrap()
}

fn header<'a>(result: &'a Value, name: &str) -> Vec<&'a str> {
    let headers = result["headers"].as_array().unwrap();
    headers
        .iter()
        .filter(|header| header["name"] == name)
        .map(|header| header["value"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_page_comes_with_status_headers_body_and_times() {
    let headers = [
        ("Content-Type", "text/plain"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
    ];
    let server = serving(Script::response(200, &headers, "grüß dich\n")).await;
    let result = done(json!({ "url": server.url("/a?b=c#d") })).await;
    assert_eq!(result["status"], 200);
    assert_eq!(result["url"], server.url("/a?b=c"));
    assert_eq!(result["body"], "grüß dich\n");
    assert_eq!(result["encoding"], "utf-8");
    assert_eq!(result["body_bytes"], 12);
    assert_eq!(result["content_length"], 12);
    assert_eq!(result["content_type"], "text/plain");
    assert_eq!(result["truncated"], false);
    assert_eq!(result["redirects"], json!([]));
    assert_eq!(result["address"], server.address().to_string());
    assert_eq!(header(&result, "set-cookie"), ["a=1", "b=2"]);
    assert!(result.get("tls").is_none());
    let timing = &result["timing"];
    let total = timing["total_ms"].as_f64().unwrap();
    for phase in ["dns_ms", "connect_ms", "first_byte_ms"] {
        let phase = timing[phase].as_f64().unwrap();
        assert!((0.0..=total).contains(&phase), "{timing}");
    }
    assert!(timing.get("tls_ms").is_none());
}

#[tokio::test]
async fn the_request_says_who_asks_and_asks_for_plain_bytes() {
    let server = serving(Script::response(200, &[], "")).await;
    done(json!({ "url": server.url("/x%20y?q=[1]") })).await;
    done(json!({ "url": server.url("/"), "user_agent": "Probe/1.0 (test)" })).await;
    let requests = server.requests();
    assert_eq!(requests[0].method, "GET");
    assert_eq!(requests[0].path, "/x%20y?q=[1]");
    let host = server.address().to_string();
    assert_eq!(requests[0].header("host"), Some(host.as_str()));
    assert_eq!(requests[0].header("accept-encoding"), Some("identity"));
    let agent = requests[0].header("user-agent").unwrap();
    assert!(agent.starts_with("OpenDiscovery/"), "{agent}");
    assert_eq!(requests[1].header("user-agent"), Some("Probe/1.0 (test)"));
    for secret in ["authorization", "cookie", "referer"] {
        assert_eq!(requests[0].header(secret), None);
    }
}

#[tokio::test]
async fn an_error_status_is_a_result() {
    for status in [400, 401, 404, 500, 503] {
        let server = serving(Script::response(status, &[], "sorry")).await;
        let result = done(json!({ "url": server.url("/") })).await;
        assert_eq!(result["status"], status);
        assert_eq!(result["body"], "sorry");
    }
}

#[tokio::test]
async fn binary_data_comes_in_base64() {
    let server = serving(Script::response(
        200,
        &[("Content-Type", "image/png")],
        b"\x89PNG\0",
    ))
    .await;
    let result = done(json!({ "url": server.url("/") })).await;
    assert_eq!(result["encoding"], "base64");
    assert_eq!(result["body"], "iVBORwA=");
    assert_eq!(result["body_bytes"], 5);
}

#[tokio::test]
async fn a_declared_character_set_is_converted() {
    let headers = [("Content-Type", "text/html; charset=iso-8859-1")];
    let server = serving(Script::response(200, &headers, b"gr\xfc\xdfe")).await;
    let result = done(json!({ "url": server.url("/") })).await;
    assert_eq!(result["body"], "grüße");
    assert_eq!(result["charset"], "windows-1252");
}

#[tokio::test]
async fn a_long_body_is_cut_at_the_limit() {
    let server = serving(Script::response(200, &[], "x".repeat(3_000_000))).await;
    for (max_bytes, expected) in [
        (None, 1_048_576),
        (Some(10), 10),
        (Some(2_097_152), 2_097_152),
    ] {
        let mut arguments = json!({ "url": server.url("/") });
        if let Some(max_bytes) = max_bytes {
            arguments["max_bytes"] = max_bytes.into();
        }
        let result = done(arguments).await;
        assert_eq!(result["truncated"], true);
        assert_eq!(result["body_bytes"], expected);
        assert_eq!(result["body"].as_str().unwrap().len(), expected);
        assert_eq!(result["content_length"], 3_000_000);
    }
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_whole() {
    let server = serving(Script::response(200, &[], "0123456789")).await;
    let result = done(json!({ "url": server.url("/"), "max_bytes": 10 })).await;
    assert_eq!(result["truncated"], false);
    assert_eq!(result["body"], "0123456789");
}

#[tokio::test]
async fn an_endless_body_is_cut_and_the_connection_closed() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("2000\r\n{}\r\n", "y".repeat(0x2000)).repeat(8);
    let script = Script::raw(format!("{head}{chunk}")).and_hang();
    let server = serving(script).await;
    let result = done(json!({ "url": server.url("/"), "max_bytes": 1000 })).await;
    assert_eq!(result["truncated"], true);
    assert_eq!(result["body_bytes"], 1000);
}

#[tokio::test]
async fn a_body_without_a_length_ends_with_the_connection() {
    let server = serving(Script::raw("HTTP/1.0 200 OK\r\n\r\nold style")).await;
    let result = done(json!({ "url": server.url("/") })).await;
    assert_eq!(result["body"], "old style");
    assert_eq!(result["http_version"], "HTTP/1.0");
    assert!(result.get("content_length").is_none());
}

#[tokio::test]
async fn redirects_are_followed_and_listed() {
    let last = serving(Script::response(200, &[], "there")).await;
    let location = last.url("/end");
    let server = HttpServer::start(ANY_PORT, move |request| match request.path.as_str() {
        "/start" => Script::redirect("/middle/x?y"),
        "/middle/x?y" => Script::response(308, &[("Location", "z")], "ignored"),
        "/middle/z" => Script::response(303, &[("Location", &location)], ""),
        _ => Script::response(404, &[], ""),
    })
    .await
    .unwrap();
    let result = done(json!({ "url": server.url("/start") })).await;
    assert_eq!(result["status"], 200);
    assert_eq!(result["url"], last.url("/end"));
    assert_eq!(result["body"], "there");
    let hop = |url: &str, status: u16, location: &str| json!({ "url": url, "status": status, "location": location, "downgraded": false });
    let expected = json!([
        hop(&server.url("/start"), 302, &server.url("/middle/x?y")),
        hop(&server.url("/middle/x?y"), 308, &server.url("/middle/z")),
        hop(&server.url("/middle/z"), 303, &last.url("/end")),
    ]);
    assert_eq!(result["redirects"], expected);
}

#[tokio::test]
async fn without_redirects_the_redirect_is_the_result() {
    let server = serving(Script::redirect("http://169.254.169.254/")).await;
    let result = done(json!({ "url": server.url("/"), "max_redirect": 0 })).await;
    assert_eq!(result["status"], 302);
    assert_eq!(header(&result, "location"), ["http://169.254.169.254/"]);
    let not_moved = serving(Script::response(304, &[("Location", "/x")], "")).await;
    let result = done(json!({ "url": not_moved.url("/") })).await;
    assert_eq!(result["status"], 304);
    let without_location = serving(Script::response(302, &[], "where?")).await;
    let result = done(json!({ "url": without_location.url("/") })).await;
    assert_eq!(result["body"], "where?");
}

#[tokio::test]
async fn one_redirect_too_many_is_an_error_that_lists_them() {
    let server = HttpServer::start(ANY_PORT, |request| {
        let n: u32 = request.path[1..].parse().unwrap();
        Script::redirect(&format!("/{}", n + 1))
    })
    .await
    .unwrap();
    for (max_redirect, n_asked) in [(1, 2), (5, 6), (10, 11)] {
        let before = server.requests().len();
        let arguments = json!({ "url": server.url("/0"), "max_redirect": max_redirect });
        let error = failed(arguments).await;
        assert_eq!(error["code"], "bad_response");
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains(&format!("more than {max_redirect} redirects")),
            "{message}"
        );
        assert!(message.contains(&server.url("/1")), "{message}");
        assert_eq!(server.requests().len() - before, n_asked);
    }
}

#[tokio::test]
async fn a_redirect_loop_is_found() {
    let server = HttpServer::start(ANY_PORT, |request| match request.path.as_str() {
        "/a" => Script::redirect("/b"),
        _ => Script::redirect("/a#again"),
    })
    .await
    .unwrap();
    let error = failed(json!({ "url": server.url("/a"), "max_redirect": 10 })).await;
    assert_eq!(error["code"], "bad_response");
    assert!(
        error["message"].as_str().unwrap().contains("redirect loop"),
        "{error}"
    );
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_redirect_out_of_scope_is_not_followed() {
    for location in [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/latest/meta-data/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://2852039166/",
        "http://0xA9.0xFE.0xA9.0xFE/",
        "http://0251.0376.0251.0376/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://8.8.8.8/",
        "http://0.0.0.0/",
        "//169.254.169.254/",
    ] {
        let server = serving(Script::redirect(location)).await;
        let error = failed(json!({ "url": server.url("/hop") })).await;
        assert_eq!(error["code"], "out_of_scope", "{location}: {error}");
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains(&server.url("/hop")),
            "the hop in {message}"
        );
        assert!(error["hint"].is_string(), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_to_what_is_not_http_is_refused() {
    for location in [
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "gopher://127.0.0.1:6379/_x",
        "http://user:secret@127.0.0.1/",
        "http://",
        "http://127.0.0.1:0/",
        "javascript:alert(1)",
    ] {
        let server = serving(Script::redirect(location)).await;
        let error = failed(json!({ "url": server.url("/hop") })).await;
        assert_eq!(error["code"], "bad_response", "{location}: {error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(&server.url("/hop")), "{message}");
    }
}

#[tokio::test]
async fn an_error_behind_a_redirect_names_the_way_to_it() {
    let closed = refusing_address().unwrap();
    let server = serving(Script::redirect(&format!("http://{closed}/"))).await;
    let error = failed(json!({ "url": server.url("/hop") })).await;
    assert_eq!(error["code"], "connection_refused");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains(&server.url("/hop"))
    );
}

#[tokio::test]
async fn what_is_out_of_scope_is_never_connected_to() {
    for url in [
        "http://8.8.8.8/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "https://[fd00:ec2::254]/",
        "http://0.0.0.0/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
    ] {
        let error = failed(json!({ "url": url })).await;
        assert_eq!(error["code"], "out_of_scope", "{url}: {error}");
    }
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let closed = refusing_address().unwrap();
    let error = failed(json!({ "url": format!("http://{closed}/") })).await;
    assert_eq!(error["code"], "connection_refused");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains(&closed.to_string())
    );
}

#[tokio::test]
async fn a_silent_server_ends_with_the_timeout() {
    let server = serving(Script::silence()).await;
    let start = Instant::now();
    let error = failed(json!({ "url": server.url("/"), "timeout": 1 })).await;
    assert_eq!(error["code"], "deadline_exceeded", "{error}");
    assert_eq!(error["retryable"], true);
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_slow_body_ends_with_the_timeout_and_says_how_far_it_came() {
    let script = Script::raw("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n12345").and_hang();
    let server = serving(script).await;
    let error = failed(json!({ "url": server.url("/"), "timeout": 1 })).await;
    assert_eq!(error["code"], "deadline_exceeded");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("5 of 50 bytes"), "{message}");
}

#[tokio::test]
async fn a_body_that_ends_early_is_not_taken_for_whole() {
    let server = serving(Script::raw(
        "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n12345",
    ))
    .await;
    let error = failed(json!({ "url": server.url("/") })).await;
    assert_eq!(error["code"], "bad_response");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("after 5 of 50 bytes"), "{message}");
}

#[tokio::test]
async fn what_is_not_http_is_a_bad_response() {
    let many = "X-Bomb: 1\r\n".repeat(500);
    let large = format!("X-Bomb: {}\r\n", "b".repeat(200_000));
    let bomb = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
    for (bytes, part) in [
        ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), "not HTTP"),
        ("\u{0}\u{1}\u{2}\u{3}".to_owned(), "not HTTP"),
        ("HTTP/1.1 abc OK\r\n\r\n".to_owned(), "not HTTP"),
        ("HTTP/9.9 200 OK\r\n\r\n".to_owned(), "not HTTP"),
        (
            "HTTP/1.1 200 OK\r\nNo colon here\r\n\r\n".to_owned(),
            "not HTTP",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n".to_owned(),
            "not HTTP",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx".to_owned(),
            "not HTTP",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_owned(),
            "",
        ),
        ("HTTP/1.1 200".to_owned(), "connection ended"),
        (String::new(), "connection ended"),
        (bomb(&many), "128 fields"),
        (bomb(&large), "65536 bytes"),
    ] {
        let server = serving(Script::raw(bytes.clone())).await;
        let error = failed(json!({ "url": server.url("/") })).await;
        let shown: String = bytes.chars().take(60).collect();
        assert_eq!(error["code"], "bad_response", "{shown:?}: {error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(part), "{shown:?}: {message}");
        assert!(message.len() < 2000, "{} characters", message.len());
    }
}

/// An authority, and a worker that trusts it.
fn trusting() -> (Authority, Worker) {
    let authority = Authority::new().unwrap();
    let root = CertificateDer::from_pem_file(authority.ca()).unwrap();
    let config = wget::Config {
        extra_roots: vec![root],
    };
    (authority, worker(config))
}

async fn serving_tls(at: SocketAddr, files: &Files, script: Script) -> HttpServer {
    HttpServer::start_tls(at, files, move |_| script.clone())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_page_over_tls_comes_with_its_certificate() {
    let (authority, worker) = trusting();
    let files = authority.server(&["127.0.0.1", "server.test"]).unwrap();
    let server = serving_tls(ANY_PORT, &files, Script::response(200, &[], "secret")).await;
    let result = worker
        .call_for_test("wget", json!({ "url": server.url("/") }))
        .await;
    let result = structured(&result);
    assert_eq!(result["body"], "secret");
    let tls = &result["tls"];
    assert_eq!(tls["version"], "TLS 1.3");
    assert!(
        tls["cipher_suite"].as_str().unwrap().starts_with("TLS13_"),
        "{tls}"
    );
    assert!(
        tls["issuer"]
            .as_str()
            .unwrap()
            .contains("CN=testkit authority"),
        "{tls}"
    );
    assert!(
        tls["subject"].as_str().unwrap().contains("CN=127.0.0.1"),
        "{tls}"
    );
    assert_eq!(tls["san"], json!(["127.0.0.1", "server.test"]));
    assert_eq!(tls["not_before"].as_str().unwrap().len(), 20, "{tls}");
    assert!(tls["not_after"].as_str().unwrap().ends_with('Z'), "{tls}");
    assert_eq!(tls["fingerprint_sha256"].as_str().unwrap().len(), 64);
    assert!(result["timing"]["tls_ms"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn a_name_is_checked_against_the_certificate() {
    let (authority, worker) = trusting();
    let files = authority.server(&["localhost"]).unwrap();
    let server = serving_tls(ANY_PORT, &files, Script::response(200, &[], "hello")).await;
    let url = format!("https://localhost:{}/", server.address().port());
    let result = worker.call_for_test("wget", json!({ "url": url })).await;
    assert_eq!(structured(&result)["body"], "hello");
}

/// The words of a handshake that must have failed.
async fn tls_failure(worker: &Worker, server: &HttpServer) -> String {
    let result = worker
        .call_for_test("wget", json!({ "url": server.url("/") }))
        .await;
    let error = error(&result);
    assert_eq!(error["code"], "tls_failed", "{error}");
    assert_eq!(error["retryable"], false);
    assert!(server.requests().is_empty(), "nothing was sent");
    error["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_expired_certificate_is_told_with_its_end() {
    let (authority, worker) = trusting();
    let files = authority.expired_server(&["127.0.0.1"]).unwrap();
    let server = serving_tls(ANY_PORT, &files, Script::response(200, &[], "")).await;
    let message = tls_failure(&worker, &server).await;
    assert!(
        message.contains("expired on 2001-01-01T00:00:00Z"),
        "{message}"
    );
}

#[tokio::test]
async fn a_certificate_for_another_name_is_told_with_its_names() {
    let (authority, worker) = trusting();
    let files = authority.server(&["other.test", "192.0.2.9"]).unwrap();
    let server = serving_tls(ANY_PORT, &files, Script::response(200, &[], "")).await;
    let message = tls_failure(&worker, &server).await;
    assert!(
        message.contains("for another name than 127.0.0.1"),
        "{message}"
    );
    assert!(message.contains("other.test, 192.0.2.9"), "{message}");
}

#[tokio::test]
async fn a_certificate_of_an_unknown_issuer_is_told_with_its_issuer() {
    let (_trusted, worker) = trusting();
    let stranger = Authority::new().unwrap();
    let files = stranger.server(&["127.0.0.1"]).unwrap();
    let server = serving_tls(ANY_PORT, &files, Script::response(200, &[], "")).await;
    let message = tls_failure(&worker, &server).await;
    assert!(message.contains("issuer"), "{message}");
    assert!(message.contains("CN=testkit authority"), "{message}");
}

#[tokio::test]
async fn a_self_signed_certificate_is_called_so() {
    let (_authority, worker) = trusting();
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    for is_ca in [false, true] {
        let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        if is_ca {
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        }
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("cert"), params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(path("key"), key.serialize_pem()).unwrap();
        let files = Files {
            ca: path("cert"),
            certificate: path("cert"),
            key: path("key"),
        };
        let server = serving_tls(ANY_PORT, &files, Script::response(200, &[], "")).await;
        let message = tls_failure(&worker, &server).await;
        assert!(message.contains("self-signed"), "{message}");
    }
}

#[tokio::test]
async fn a_port_without_tls_is_told_apart() {
    let (_authority, worker) = trusting();
    let plain = serving(Script::raw("HTTP/1.1 400 Bad Request\r\n\r\n")).await;
    let closing = TcpServer::closing(ANY_PORT).await.unwrap();
    let banner = TcpServer::banner(ANY_PORT, "220 mail ESMTP\r\n")
        .await
        .unwrap();
    for address in [plain.address(), closing.address(), banner.address()] {
        let url = format!("https://{address}/");
        let result = worker.call_for_test("wget", json!({ "url": url })).await;
        let error = error(&result);
        assert_eq!(error["code"], "tls_failed", "{error}");
        assert!(error["hint"].is_string(), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_that_gives_up_tls_is_marked() {
    let (authority, worker) = trusting();
    let plain = serving(Script::response(200, &[], "plain")).await;
    let files = authority.server(&["127.0.0.1"]).unwrap();
    let server = serving_tls(ANY_PORT, &files, Script::redirect(&plain.url("/"))).await;
    let result = worker
        .call_for_test("wget", json!({ "url": server.url("/") }))
        .await;
    let result = structured(&result);
    assert_eq!(result["body"], "plain");
    assert_eq!(result["redirects"][0]["downgraded"], true);
    assert!(result.get("tls").is_none());
}

/// Calls that must be refused for their arguments, with a part of the reason; a good call of the
/// same worker works afterwards.
async fn refuses(rows: &[(Value, &str)]) {
    let server = serving(Script::response(200, &[], "fine")).await;
    let worker = worker(wget::Config::default());
    for (arguments, part) in rows {
        let mut arguments = arguments.clone();
        let members = arguments.as_object_mut().unwrap();
        if members.get("url").is_some_and(|url| url == GOOD) {
            members.insert("url".to_owned(), server.url("/").into());
        }
        let result = worker.call_for_test("wget", arguments.clone()).await;
        let error = error(&result);
        assert_eq!(error["code"], "invalid_arguments", "{arguments}: {error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(part), "{arguments}: {message}");
    }
    assert!(
        server.requests().is_empty(),
        "no refused call asked anything"
    );
    let result = worker
        .call_for_test("wget", json!({ "url": server.url("/") }))
        .await;
    assert_eq!(structured(&result)["body"], "fine");
}

/// Stands for the URL of a server that answers.
const GOOD: &str = "good";

#[tokio::test]
async fn a_bad_url_is_refused_and_the_next_call_works() {
    let long_path = format!("http://127.0.0.1/{}", "a".repeat(3000));
    let long_host = format!("http://{}/", "a".repeat(300));
    let url = |url: &str| json!({ "url": url });
    refuses(&[
        (json!({}), "url"),
        (json!({ "url": 5 }), "url"),
        (json!({ "url": null }), "url"),
        (url(""), "url"),
        (url("127.0.0.1"), "scheme"),
        (url("ftp://127.0.0.1/"), "neither http nor https"),
        (url("file:///etc/passwd"), "neither http nor https"),
        (url("http://"), "url"),
        (url("http://user:pw@127.0.0.1/"), "user name or password"),
        (url("http://-oN/"), "hyphen"),
        (url("http://127.0.0.1:0/"), "port 0"),
        (url("http://127.0.0.1:99999/"), "port"),
        (url("http://127.1/"), "127.0.0.1"),
        (url("http://2130706433/"), "127.0.0.1"),
        (url("http://127.0.0.1/a b"), "blank"),
        (url("http://127.0.0.1/\r\nHost: x"), "blank or a control"),
        (url("http://127.0.0.1/\u{0}"), "control"),
        (url("http://127.0.0.1\\@8.8.8.8/"), "backslash"),
        (url(&long_path), "url"),
        (url(&long_host), "253"),
    ])
    .await;
}

#[tokio::test]
async fn arguments_out_of_range_are_refused_and_the_next_call_works() {
    let with = |name: &str, value: Value| json!({ "url": GOOD, name: value });
    refuses(&[
        (with("timeout", json!(0)), "timeout"),
        (with("timeout", json!(301)), "timeout"),
        (with("timeout", json!("30")), "timeout"),
        (with("timeout", json!(1.5)), "timeout"),
        (with("max_redirect", json!(11)), "max_redirect"),
        (with("max_redirect", json!(-1)), "max_redirect"),
        (with("max_bytes", json!(0)), "max_bytes"),
        (with("max_bytes", json!(2_097_153)), "max_bytes"),
        (with("user_agent", json!("")), "user_agent"),
        (
            with("user_agent", json!("a\r\nX-Injected: 1")),
            "user_agent",
        ),
        (with("user_agent", json!("a\u{0}")), "user_agent"),
        (with("user_agent", json!(" padded")), "user_agent"),
        (with("user_agent", json!("ü")), "user_agent"),
        (with("user_agent", json!("a".repeat(300))), "user_agent"),
        (with("output", json!("/etc/cron.d/x")), "unknown argument"),
        (with("method", json!("POST")), "known arguments"),
    ])
    .await;
}

#[tokio::test]
async fn a_body_cannot_break_out_of_the_summary() {
    let body = "```\n# not a heading of ours\n````";
    let server = serving(Script::response(
        200,
        &[("Content-Type", "text/plain")],
        body,
    ))
    .await;
    let result = call(json!({ "url": server.url("/") })).await;
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(
        text.contains("`````\n```\n# not a heading of ours\n````\n`````"),
        "{text}"
    );
    assert!(text.contains("200"), "{text}");
}

#[test]
fn the_schema_states_ranges_and_defaults() {
    let descriptors = worker(wget::Config::default()).descriptors();
    let schema = serde_json::to_value(&descriptors[0].input_schema).unwrap();
    assert_eq!(schema["required"], json!(["url"]));
    let property = |name: &str, key: &str| schema["properties"][name][key].clone();
    let numbers = |name: &str| {
        json!([
            property(name, "minimum"),
            property(name, "maximum"),
            property(name, "default")
        ])
    };
    assert_eq!(numbers("timeout"), json!([1, 300, 30]));
    assert_eq!(numbers("max_redirect"), json!([0, 10, 5]));
    assert_eq!(numbers("max_bytes"), json!([1, 2_097_152, 1_048_576]));
    assert!(
        property("user_agent", "default")
            .as_str()
            .unwrap()
            .starts_with("OpenDiscovery/")
    );
}

#[test]
fn the_declaration_is_as_agreed() {
    let worker = worker(wget::Config::default());
    insta::assert_json_snapshot!("wget", worker.descriptors()[0]);
}
