//! Who a broker must be. None is needed here: a connection that is refused never gets to AMQP.

use std::path::Path;

use testkit::{
    certificates::{Authority, Files},
    process::Program,
    targets::{ANY_PORT, HttpServer, Script},
};

use super::ends;
use crate::site::Site;

/// A worker that connects over TLS, once.
async fn worker(url: String, ca: &Path) -> Program {
    let site = Site::new().await;
    site.worker_program()
        .await
        .env("AMQP_URL", url)
        .env("AMQP_TLS", "true")
        .env("AMQP_CA_CERT", ca)
        .env("AMQP_MAX_RECONNECT_ATTEMPTS", "1")
        .env("AMQP_RECONNECT_DELAY", "1ms")
}

async fn tls_server(files: &Files) -> HttpServer {
    let answer = |_: &_| Script::response(400, &[], "");
    HttpServer::start_tls(ANY_PORT, files, answer)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_broker_that_cannot_show_who_it_is_gets_no_connection() {
    let (authority, stranger) = (Authority::new().unwrap(), Authority::new().unwrap());
    let check = async |files: Files, ca: &Path, expected: &str| {
        let server = tls_server(&files).await;
        let url = format!("amqp://localhost:{}", server.address().port());
        ends(worker(url, ca).await, 69, &["amqps://localhost", expected]).await;
        assert!(server.requests().is_empty());
    };
    let good = || authority.server(&["localhost"]).unwrap();
    check(good(), &stranger.ca(), "UnknownIssuer").await;
    let other = authority.server(&["elsewhere.example"]).unwrap();
    check(other, &authority.ca(), "not valid for name").await;
    let expired = authority.expired_server(&["localhost"]).unwrap();
    check(expired, &authority.ca(), "expired").await;
}

#[tokio::test]
async fn an_address_that_begins_with_amqps_asks_for_tls_too() {
    let (authority, stranger) = (Authority::new().unwrap(), Authority::new().unwrap());
    let server = tls_server(&authority.server(&["localhost"]).unwrap()).await;
    let url = format!("amqps://localhost:{}", server.address().port());
    let program = worker(url, &stranger.ca()).await.env("AMQP_TLS", "");
    ends(program, 69, &["UnknownIssuer"]).await;
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new().unwrap();
    let client = authority.client("worker").unwrap();
    let url = || "amqps://localhost:1".to_owned();
    let missing = Path::new("/nonexistent/ca.pem");
    ends(
        worker(url(), missing).await,
        64,
        &["AMQP_CA_CERT", "/nonexistent/ca.pem"],
    )
    .await;
    // A private key is no certificate, and the other way round.
    ends(
        worker(url(), &client.key).await,
        64,
        &["AMQP_CA_CERT", "no certificate"],
    )
    .await;
    let swapped = worker(url(), &authority.ca())
        .await
        .env("AMQP_CLIENT_CERT", &client.certificate)
        .env("AMQP_CLIENT_KEY", &client.certificate);
    ends(swapped, 64, &["AMQP_CLIENT_KEY"]).await;
    let other = authority.client("other").unwrap();
    let foreign = worker(url(), &authority.ca())
        .await
        .env("AMQP_CLIENT_CERT", &client.certificate)
        .env("AMQP_CLIENT_KEY", &other.key);
    ends(foreign, 64, &["AMQP_CLIENT_KEY"]).await;
}
