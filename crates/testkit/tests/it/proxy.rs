//! Turns, streams and replicas that are gone.

use std::{net::SocketAddr, time::Duration};

use testkit::{
    http::{Connection, get, request},
    proxy::RoundRobin,
    targets::{ANY_PORT, HttpServer, Script, refusing_address},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

const SOON: Duration = Duration::from_secs(10);
const REQUEST: &[u8] = b"GET /mcp HTTP/1.1\r\nHost: proxy.test\r\n\r\n";
const EVENTS: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

async fn replica(name: &'static str) -> HttpServer {
    let answer = move |_: &_| Script::response(200, &[("X-Replica", name)], name);
    HttpServer::start(ANY_PORT, answer).await.unwrap()
}

async fn asked(proxy: &RoundRobin) -> String {
    let response = get(proxy.address(), "/mcp", SOON).await.unwrap();
    assert_eq!(response.status, 200, "{}", response.text());
    response.text()
}

#[tokio::test]
async fn each_request_goes_to_the_next_replica() {
    let (a, b) = (replica("a").await, replica("b").await);
    let proxy = RoundRobin::start(vec![a.address(), b.address()])
        .await
        .unwrap();
    let mut connection = Connection::open(proxy.address()).await.unwrap();
    let mut answers = Vec::new();
    for _ in 0..4 {
        // One connection: it is requests that take turns.
        connection.send(REQUEST).await.unwrap();
        answers.push(connection.response(SOON).await.unwrap().text());
    }
    assert_eq!(answers, ["a", "b", "a", "b"]);
    let counts = proxy.requests_per_upstream();
    assert_eq!(counts, [(a.address(), 2), (b.address(), 2)]);
}

#[tokio::test]
async fn a_dead_replica_is_passed_over_and_none_is_a_bad_gateway() {
    let dead = refusing_address().unwrap();
    let (a, b) = (replica("a").await, replica("b").await);
    let proxy = RoundRobin::start(vec![a.address(), dead, b.address()])
        .await
        .unwrap();
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(asked(&proxy).await);
    }
    assert_eq!(answers, ["a", "b", "a", "b"]);
    for upstreams in [vec![dead], Vec::new()] {
        proxy.set_upstreams(upstreams);
        let response = get(proxy.address(), "/mcp", SOON).await.unwrap();
        assert_eq!(response.status, 502);
        assert_eq!(response.text(), "no replica can be connected to\n");
    }
    proxy.set_upstreams(vec![b.address()]);
    assert_eq!(asked(&proxy).await, "b");
}

#[tokio::test]
async fn a_request_goes_through_unchanged_with_its_host() {
    let replica = replica("a").await;
    let proxy = RoundRobin::start(vec![replica.address()]).await.unwrap();
    let headers = [
        ("Host", "evil.example"),
        ("Mcp-Name", "  padded  "),
        ("X-Twice", "1"),
        ("X-Twice", "2"),
        ("Content-Length", "5"),
    ];
    let line = "POST /mcp?a=%20b";
    let response = request(proxy.address(), line, &headers, b"hello", SOON)
        .await
        .unwrap();
    assert_eq!(response.header("x-replica"), Some("a"));
    let [seen] = replica.requests().try_into().unwrap();
    assert_eq!(format!("{} {}", seen.method, seen.path), line);
    assert_eq!(seen.body, b"hello");
    assert_eq!(seen.header("host"), Some("evil.example"));
    assert_eq!(seen.header("mcp-name"), Some("padded"));
    let twice: Vec<&str> = seen
        .headers
        .iter()
        .filter(|(name, _)| name == "x-twice")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(twice, ["1", "2"]);
}

/// A replica that takes one connection; the test plays its part by hand.
async fn by_hand() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(ANY_PORT).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Takes the connection and reads a request without a body.
async fn take(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = timeout(SOON, listener.accept()).await.unwrap().unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let byte = timeout(SOON, stream.read_u8()).await.unwrap().unwrap();
        request.push(byte);
    }
    stream
}

async fn assert_closed(mut stream: TcpStream) {
    let mut rest = Vec::new();
    let read = timeout(SOON, stream.read_to_end(&mut rest)).await;
    // A reset is an end too.
    let _ = read.expect("the proxy keeps the connection to the replica");
    assert!(rest.is_empty());
}

#[tokio::test]
async fn events_come_one_by_one_and_a_client_that_goes_is_gone_at_the_replica() {
    let (listener, address) = by_hand().await;
    let proxy = RoundRobin::start(vec![address]).await.unwrap();
    let mut client = Connection::open(proxy.address()).await.unwrap();
    client.send(REQUEST).await.unwrap();
    let mut replica = take(&listener).await;
    replica.write_all(EVENTS).await.unwrap();
    assert_eq!(client.head(SOON).await.unwrap().status, 200);
    for data in ["1", "2"] {
        let event = format!("data: {data}\n\n");
        replica.write_all(event.as_bytes()).await.unwrap();
        assert_eq!(client.event(SOON).await.unwrap().unwrap().data, data);
    }
    drop(client);
    assert_closed(replica).await;
}

#[tokio::test]
async fn a_client_that_goes_before_the_answer_is_gone_at_the_replica() {
    let (listener, address) = by_hand().await;
    let proxy = RoundRobin::start(vec![address]).await.unwrap();
    let mut client = Connection::open(proxy.address()).await.unwrap();
    client.send(REQUEST).await.unwrap();
    let replica = take(&listener).await;
    drop(client);
    assert_closed(replica).await;
}

#[tokio::test]
async fn a_replica_that_breaks_off_breaks_the_answer() {
    let (listener, address) = by_hand().await;
    let spare = replica("spare").await;
    let proxy = RoundRobin::start(vec![address, spare.address()])
        .await
        .unwrap();
    let mut client = Connection::open(proxy.address()).await.unwrap();
    client.send(REQUEST).await.unwrap();
    drop(take(&listener).await);
    let response = client.response(SOON).await.unwrap();
    assert_eq!(response.status, 502, "the request may have had effects");
    assert_eq!(asked(&proxy).await, "spare");
}
