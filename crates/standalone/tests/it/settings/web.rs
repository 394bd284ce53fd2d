//! Where HTTP is served, and to whom.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use serde_json::json;
use testkit::{
    http::{Request, Response, get, request},
    ports::free_port,
    process::{Process, Program},
    wait,
};
use tokio::net::TcpStream;

use super::{ends, transports::listening};
use crate::site::{Running, SOON, Site, embedded_program};

/// Waits until a process answers at an address.
async fn answers(process: &Process, address: SocketAddr, path: &str) -> Response {
    let answer = async || {
        assert_eq!(
            process.try_exit().unwrap(),
            None,
            "{:#?}",
            process.stderr().all()
        );
        get(address, path, SOON).await.ok()
    };
    wait::until(&format!("{address} answers"), SOON, answer)
        .await
        .unwrap()
}

async fn is_refused(address: SocketAddr) {
    let connected = TcpStream::connect(address).await;
    assert!(connected.is_err(), "{address} is listened on");
}

fn at(host: [u8; 4], port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::from(host), port))
}

#[tokio::test]
async fn http_is_served_at_the_host_that_is_set_and_nowhere_else() {
    let check = async |host: &str, served: [u8; 4], refused: [u8; 4]| {
        let port = free_port().unwrap();
        let platform = embedded_program()
            .await
            .env("HTTP_HOST", host)
            .env("HTTP_PORT", port.to_string())
            .start()
            .unwrap();
        answers(&platform, at(served, port), "/health").await;
        is_refused(at(refused, port)).await;
    };
    check("", [127, 0, 0, 1], [127, 0, 0, 2]).await;
    check("127.0.0.2", [127, 0, 0, 2], [127, 0, 0, 1]).await;
    // An address of nobody's (RFC 5737).
    let elsewhere = embedded_program().await.env("HTTP_HOST", "192.0.2.1");
    ends(
        elsewhere,
        69,
        &["cannot listen on 192.0.2.1:3000", "HTTP_HOST"],
    )
    .await;
}

#[tokio::test]
async fn a_host_may_be_a_name() {
    let platform = embedded_program()
        .await
        .env("HTTP_HOST", "localhost")
        .env("HTTP_PORT", "0")
        .start()
        .unwrap();
    let listens = async || listening(&platform).first().copied();
    let port = wait::until("a port is open", SOON, listens).await.unwrap();
    // Which of its addresses comes first is the system's choice.
    let (v4, v6) = tokio::join!(
        get(at([127, 0, 0, 1], port), "/health", SOON),
        get(
            SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
            "/health",
            SOON
        )
    );
    assert!(v4.is_ok() || v6.is_ok(), "{v4:?} {v6:?}");
}

#[tokio::test]
async fn http_is_served_on_the_port_that_is_set() {
    let port = free_port().unwrap();
    let start = async |port: u16| -> Process {
        let program = embedded_program().await.env("HTTP_PORT", port.to_string());
        program.start().unwrap()
    };
    let set = start(port).await;
    answers(&set, at([127, 0, 0, 1], port), "/health").await;
    assert_eq!(listening(&set), [port]);
    let any = start(0).await;
    let listens = async || listening(&any).first().copied();
    let chosen = wait::until("a port is open", SOON, listens).await.unwrap();
    assert!(chosen != 0 && chosen != port);
    answers(&any, at([127, 0, 0, 1], chosen), "/health").await;
}

#[tokio::test]
async fn a_port_that_is_taken_gives_69_and_the_setting_to_change() {
    let site = Site::new().await;
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let port = address.port().to_string();
    let message = format!("cannot listen on {address}");
    let http = [message.as_str(), "in use", "fix: set HTTP_PORT"];
    ends(embedded_program().await.env("HTTP_PORT", &port), 69, &http).await;
    ends(
        site.gateway_program().await.env("HTTP_PORT", &port),
        69,
        &http,
    )
    .await;
    let health = [message.as_str(), "in use", "HEALTH_PORT"];
    ends(
        site.worker_program().await.env("HEALTH_PORT", &port),
        69,
        &health,
    )
    .await;
}

#[tokio::test]
async fn further_hosts_and_origins_are_accepted_once_they_are_listed() {
    let ask = async |platform: &Running, field: (&str, &str)| {
        let list = Request::modern(1, "tools/list", json!({}));
        let mut headers: Vec<(&str, &str)> = vec![
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
            field,
        ];
        headers.extend(
            list.headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        let body = list.body.to_string();
        let response = request(
            platform.address(),
            "POST /mcp",
            &headers,
            body.as_bytes(),
            SOON,
        );
        let response = response.await.unwrap();
        (response.status, response.text())
    };
    let start = async |hosts: &str, origins: &str| {
        let program = embedded_program()
            .await
            .env("HTTP_ALLOWED_HOSTS", hosts)
            .env("HTTP_ALLOWED_ORIGINS", origins);
        let platform = Running::gateway(program);
        platform.ready().await;
        platform
    };
    let host = ("Host", "gateway.example:8443");
    let origin = ("Origin", "https://console.example");
    let other = ("Origin", "https://console.example.evil.example");
    let (closed, open) = tokio::join!(
        start("", ""),
        start("gateway.example,10.1.2.3", "https://console.example")
    );
    for (field, setting) in [
        (host, "HTTP_ALLOWED_HOSTS"),
        (origin, "HTTP_ALLOWED_ORIGINS"),
    ] {
        let (status, text) = ask(&closed, field).await;
        assert!(status == 403 && text.contains(setting), "{status} {text}");
        assert_eq!(ask(&open, field).await.0, 200, "{field:?}");
    }
    assert_eq!(ask(&open, other).await.0, 403);
    assert_eq!(ask(&open, ("Host", "other.example")).await.0, 403);
    assert_eq!(ask(&open, ("Host", "10.1.2.3")).await.0, 200);
}

#[tokio::test]
async fn a_worker_tells_its_health_where_it_is_set_and_nowhere_else() {
    let site = Site::new().await;
    let port = free_port().unwrap();
    let open = site
        .worker_program()
        .await
        .env("HEALTH_HOST", "127.0.0.3")
        .env("HEALTH_PORT", port.to_string());
    let open = open.start().unwrap();
    let consumes = |line: &str| line.contains("consuming");
    let address = at([127, 0, 0, 3], port);
    let ready = async || (answers(&open, address, "/ready").await.status == 200).then_some(());
    wait::until("it is ready", SOON, ready).await.unwrap();
    for path in ["/health", "/metrics"] {
        let answer = answers(&open, address, path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    is_refused(at([127, 0, 0, 1], port)).await;
    assert_eq!(listening(&open), [port]);
    let closed = site.worker_program().await.start().unwrap();
    closed
        .stderr()
        .line("the worker", SOON, consumes)
        .await
        .unwrap();
    assert_eq!(listening(&closed), [0; 0], "no port unless it is set");
}

#[tokio::test]
async fn a_process_that_serves_http_has_its_health_there_and_opens_no_second_port() {
    let site = Site::new().await;
    let health = free_port().unwrap().to_string();
    let programs: [Program; 2] = [embedded_program().await, site.gateway_program().await];
    for program in programs {
        let running = Running::gateway(program.clone().env("HEALTH_PORT", &health));
        running.ready().await;
        assert_eq!(listening(&running), [running.address().port()]);
        let stdio = program
            .env("TRANSPORT_MODE", "stdio")
            .env("HEALTH_PORT", &health);
        let stdio = stdio.start().unwrap();
        let port = health.parse().unwrap();
        answers(&stdio, at([127, 0, 0, 1], port), "/health").await;
    }
}

#[tokio::test]
async fn health_says_what_is_down_and_why_and_nothing_of_the_configuration() {
    let site = Site::new().await;
    let nobody = testkit::targets::refusing_address().unwrap();
    let program = site
        .gateway_program()
        .await
        .env(
            "AMQP_URL",
            format!("amqp://operator:hunter2@{nobody}/secret-vhost"),
        )
        .env("AMQP_QUEUE_PREFIX", "secret.prefix")
        .env("SCAN_SCOPE_ALLOW", "10.99.0.0/16");
    let gateway = Running::gateway(program);
    let health = answers(&gateway, gateway.address(), "/health").await;
    assert_eq!(health.status, 503);
    let said = health.json().unwrap();
    assert_eq!(said["components"]["broker"]["status"], "down", "{said}");
    assert!(said["components"]["broker"]["reason"].is_string(), "{said}");
    for path in ["/health", "/ready", "/live", "/metrics"] {
        let answer = answers(&gateway, gateway.address(), path).await;
        assert_eq!(answer.header("access-control-allow-origin"), None);
        for word in ["operator", "hunter2", "secret", "10.99"] {
            assert!(!answer.text().contains(word), "{path}: {}", answer.text());
        }
    }
}
