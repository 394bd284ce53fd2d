//! TLS and its certificates, good and faulty.

use std::net::SocketAddr;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;
use testkit::certificates::{Authority, Files};
use testkit::targets::{ANY_PORT, HttpServer, Script, TcpServer};
use worker::Worker;
use worker_network::wget;

use super::{serving, worker};
use crate::call::{error, structured};

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
