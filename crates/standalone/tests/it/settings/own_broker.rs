//! Settings that only show at a broker which speaks TLS, freezes or goes away.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::{certificates::Authority, process::Program, rabbitmq::Node, wait};

use super::ends;
use crate::site::{END, Running, SOON, Site};

#[tokio::test]
async fn calls_go_through_tls_with_client_certificates() {
    let authority = Authority::new().unwrap();
    let server = authority.server(&["localhost"]).unwrap();
    let node = Node::builder().mutual_tls(server).start().await.unwrap();
    let client = authority.client("discovery").unwrap();
    let port = node.tls_port().unwrap();
    let bare = |program: Program| {
        program
            .env("AMQP_URL", format!("amqp://guest:guest@localhost:{port}"))
            .env("AMQP_TLS", "true")
            .env("AMQP_CA_CERT", authority.ca())
    };
    let shown = |program: Program| {
        bare(program)
            .env("AMQP_CLIENT_CERT", &client.certificate)
            .env("AMQP_CLIENT_KEY", &client.key)
    };
    let site = Site::on(&node);
    let worker = Running::worker(shown(site.worker_program().await));
    let gateway = Running::gateway(shown(site.gateway_program().await));
    tokio::join!(worker.ready(), gateway.ready());
    gateway.lists("ping").await;
    let answer = gateway
        .call("ping", json!({ "host": "127.0.0.1", "count": 1 }))
        .await;
    assert_eq!(
        answer["result"]["structuredContent"]["received"], 1,
        "{answer}"
    );
    let encrypted = "rabbit_json:encode([S || [{ssl, S}] <- \
                     rabbit_networking:connection_info_all([ssl])])";
    let encrypted = node.eval(encrypted).await.unwrap();
    assert!(
        encrypted.contains("true") && !encrypted.contains("false"),
        "{encrypted}"
    );

    let nobody = bare(site.worker_program().await)
        .env("AMQP_MAX_RECONNECT_ATTEMPTS", "1")
        .env("AMQP_RECONNECT_DELAY", "1ms");
    ends(nobody, 69, &["cannot connect", "amqps://localhost"]).await;
}

#[tokio::test]
async fn a_frozen_broker_is_noticed_after_two_heartbeats() {
    let node = Node::start().await.unwrap();
    let site = Site::on(&node);
    let start = async |interval: &str| {
        let program = site.gateway_program().await;
        let gateway = Running::gateway(program.env("AMQP_HEARTBEAT_INTERVAL", interval));
        gateway.ready().await;
        gateway
    };
    let (quick, slow) = tokio::join!(start("1s"), start("60s"));
    let worker = site.worker_with(&[("AMQP_HEARTBEAT_INTERVAL", "1s")]).await;
    node.freeze().unwrap();
    let frozen = Instant::now();
    for process in [&quick, &worker] {
        let noticed = async || (!process.is_ready().await).then_some(());
        wait::until("the silence is noticed", SOON, noticed)
            .await
            .unwrap();
        assert!(process.is_live().await, "to start it again would not help");
    }
    assert!(
        frozen.elapsed() < Duration::from_secs(10),
        "{:?}",
        frozen.elapsed()
    );
    assert!(slow.is_ready().await, "60 s are not over");
    node.thaw().unwrap();
    quick.ready().await;
    worker.ready().await;
}

#[tokio::test]
async fn processes_give_up_on_a_broker_that_stays_away() {
    let mut node = Node::start().await.unwrap();
    let site = Site::on(&node);
    let limited = |program: Program| program.env("AMQP_MAX_RECONNECT_ATTEMPTS", "3");
    let worker = Running::worker(limited(site.worker_program().await));
    let gateway = Running::gateway(limited(site.gateway_program().await));
    let patient = site.gateway().await;
    tokio::join!(worker.ready(), gateway.ready());
    node.kill_9().unwrap();
    for process in [&worker, &gateway] {
        assert_eq!(process.exit_code(END).await.unwrap(), 69);
        let lines = process.stderr().to_end(SOON).await.unwrap().join("\n");
        assert!(lines.contains("after 3 attempts"), "{lines}");
    }
    assert_eq!(
        patient.try_exit().unwrap(),
        None,
        "without a limit it goes on"
    );
    assert!(!patient.is_ready().await);
}
