//! The routes of the health port, over a real socket.

use std::collections::BTreeMap;
use std::time::Duration;

use service::health::{CategoryReport, LONGEST_TURN, router, serve};
use service::{Health, Metrics};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::child::PATIENCE;

struct Port {
    address: std::net::SocketAddr,
    health: Health,
    metrics: Metrics,
    shutdown: CancellationToken,
    server: JoinSet<std::io::Result<()>>,
}

impl Port {
    async fn open() -> Self {
        let (health, metrics) = (Health::default(), Metrics::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let mut server = JoinSet::new();
        server.spawn(serve(
            listener,
            router(health.clone(), metrics.clone()),
            shutdown.clone(),
        ));
        Self {
            address,
            health,
            metrics,
            shutdown,
            server,
        }
    }

    async fn check(&self, request: &str, parts: &[&str]) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer))
            .await
            .unwrap()
            .unwrap();
        for part in parts {
            assert!(answer.contains(part), "{part} is not in {answer}");
        }
    }
}

#[tokio::test]
async fn health_tells_which_component_is_down_and_why() {
    let port = Port::open().await;
    let broker = port.health.component("broker");
    broker.up();
    port.check(
        "GET /health",
        &["HTTP/1.1 200", "application/json", r#""status":"up""#],
    )
    .await;
    broker.down("connection refused");
    port.check(
        "GET /health",
        &["HTTP/1.1 503", r#""reason":"connection refused""#],
    )
    .await;
    port.check("GET /ready", &["HTTP/1.1 503"]).await;
}

#[tokio::test]
async fn a_draining_process_is_healthy_and_not_ready() {
    let port = Port::open().await;
    port.check("GET /ready", &["HTTP/1.1 200"]).await;
    port.health.drain();
    port.check("GET /ready", &["HTTP/1.1 503", r#""draining":true"#])
        .await;
    port.check("GET /health", &["HTTP/1.1 200"]).await;
}

#[tokio::test]
async fn health_tells_of_each_category_and_readiness_does_not() {
    let port = Port::open().await;
    let network = CategoryReport {
        workers: 2,
        consumers: Some(3),
        ..CategoryReport::default()
    };
    let categories = BTreeMap::from([("network".to_owned(), network)]);
    port.health.set_categories(categories);
    let told = r#""categories":{"network":{"workers":2,"consumers":3,"depth":null,"oldest_message_age_ms":null,"last_success_seconds_ago":null}}"#;
    port.check("GET /health", &["HTTP/1.1 200", told]).await;
    port.check("GET /ready", &["HTTP/1.1 200", r#""components":{}}"#])
        .await;
}

#[tokio::test]
async fn a_process_without_its_broker_is_live_and_one_with_a_stuck_loop_is_not() {
    let port = Port::open().await;
    port.health.component("broker").down("connection refused");
    port.health.drain();
    let turning = port.health.pulse("turning", LONGEST_TURN);
    port.check(
        "GET /live",
        &["HTTP/1.1 200", r#"{"status":"up","stuck":[]}"#],
    )
    .await;
    let _stuck = port.health.pulse("stuck loop", Duration::ZERO);
    turning.beat();
    let parts = [
        "HTTP/1.1 503",
        r#"{"status":"down","stuck":[{"name":"stuck loop","for_seconds":0}]}"#,
    ];
    port.check("GET /live", &parts).await;
}

#[tokio::test]
async fn metrics_have_the_type_of_their_format() {
    let port = Port::open().await;
    port.metrics.reconnected();
    let parts = [
        "HTTP/1.1 200",
        "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8",
        "discovery_amqp_reconnects_total 1\n",
        "# EOF\n",
    ];
    port.check("GET /metrics", &parts).await;
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let port = Port::open().await;
    port.check("GET /config", &["HTTP/1.1 404"]).await;
    port.check("POST /health", &["HTTP/1.1 405"]).await;
}

#[tokio::test]
async fn an_idle_client_does_not_keep_the_port_open() {
    let mut port = Port::open().await;
    let _idle = TcpStream::connect(port.address).await.unwrap();
    port.shutdown.cancel();
    let ended = timeout(PATIENCE, port.server.join_next()).await.unwrap();
    assert!(ended.unwrap().unwrap().is_ok());
    assert!(TcpStream::connect(port.address).await.is_err());
}
