//! How a process keeps its connection to the broker.

use std::time::{Duration, Instant};

use testkit::{
    process::Program,
    targets::{ANY_PORT, TcpServer, refusing_address},
};

use super::{ends, operator::Operator};
use crate::site::{Running, Site, embedded_program};

/// A worker for a broker that is not there, which gives up after some attempts.
async fn hopeless(url: String, attempts: &str) -> Program {
    let site = Site::new().await;
    site.worker_program()
        .await
        .env("AMQP_URL", url)
        .env("AMQP_MAX_RECONNECT_ATTEMPTS", attempts)
}

#[tokio::test]
async fn attempts_are_so_many_and_so_far_apart() {
    let nobody = refusing_address().unwrap();
    let check = async |attempts: &str, delay: &str| {
        let program = hopeless(format!("amqp://{nobody}"), attempts).await;
        let program = program.env("AMQP_RECONNECT_DELAY", delay);
        let started = Instant::now();
        let said = format!("gave up on the message broker after {attempts} attempts");
        let output = ends(program, 69, &[&said, &nobody.to_string(), "AMQP_URL"]).await;
        let tries = |line: &&str| line.contains("trying again") && line.contains("network worker");
        let n_tries = output.stderr.lines().filter(tries).count();
        assert_eq!(n_tries.to_string(), attempts, "{}", output.stderr);
        started.elapsed()
    };
    let (long, short) = tokio::join!(check("2", "2s"), check("3", "1ms"));
    // Two pauses, of which none is longer than 2 s.
    assert!(long >= Duration::from_secs(4), "{long:?}");
    assert!(short < Duration::from_secs(4), "{short:?}");
}

#[tokio::test]
async fn every_process_gives_up_after_the_last_attempt() {
    let nobody = refusing_address().unwrap();
    let site = Site::new().await;
    for program in [embedded_program().await, site.gateway_program().await] {
        let program = program
            .env("AMQP_URL", format!("amqp://{nobody}"))
            .env("AMQP_MAX_RECONNECT_ATTEMPTS", "2")
            .env("AMQP_RECONNECT_DELAY", "1ms")
            .env("HTTP_PORT", "0");
        ends(program, 69, &["after 2 attempts", "fix: check AMQP_URL"]).await;
    }
}

#[tokio::test]
async fn a_broker_that_never_answers_is_given_up_in_time() {
    let silent = TcpServer::silent(ANY_PORT).await.unwrap();
    let check = async |timeout: &str| {
        let program = hopeless(format!("amqp://{}", silent.address()), "1").await;
        let program = program
            .env("AMQP_CONNECTION_TIMEOUT", timeout)
            .env("AMQP_RECONNECT_DELAY", "1ms");
        let started = Instant::now();
        ends(program, 69, &[timeout]).await;
        started.elapsed()
    };
    let (long, short) = tokio::join!(check("2s"), check("100ms"));
    // The first attempt and the one after it.
    assert!(long >= Duration::from_secs(4), "{long:?}");
    assert!(short < Duration::from_secs(4), "{short:?}");
}

#[tokio::test]
async fn the_broker_agrees_on_the_heartbeat() {
    let check = async |interval: &str, expected: u64| {
        let site = Site::new().await;
        let settings = [("AMQP_HEARTBEAT_INTERVAL", interval)];
        let gateway = site
            .gateway_program()
            .await
            .env("AMQP_HEARTBEAT_INTERVAL", interval);
        let gateway = Running::gateway(gateway);
        let (_worker, ()) = tokio::join!(site.worker_with(&settings), gateway.ready());
        let operator = Operator::of(&site).await;
        operator.until_connected("publisher", 2).await;
        let connections = operator.connections().await;
        assert!(connections.len() >= 4, "{connections:#?}");
        let is_agreed = connections.iter().all(|it| it.heartbeat == expected);
        assert!(is_agreed, "{connections:#?}");
    };
    tokio::join!(check("", 10), check("7", 7), check("3000ms", 3));
}

#[tokio::test]
async fn so_many_connections_publish() {
    let check = async |size: &str, expected: usize| {
        let site = Site::new().await;
        let gateway = site
            .gateway_program()
            .await
            .env("AMQP_CONNECTION_POOL_SIZE", size);
        let gateway = Running::gateway(gateway);
        gateway.ready().await;
        let operator = Operator::of(&site).await;
        operator
            .until_connected("discovery-gateway publisher", expected)
            .await;
        let settings = [("AMQP_CONNECTION_POOL_SIZE", size)];
        let _worker = site.worker_with(&settings).await;
        operator
            .until_connected("discovery-worker-network publisher", expected)
            .await;
    };
    tokio::join!(check("", 1), check("3", 3));
}
