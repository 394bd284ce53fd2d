//! The HTTP clients against the scripted HTTP server.

use std::time::Duration;

use serde_json::json;
use testkit::{
    http::{Connection, Request, RpcClient, get, request},
    targets::{ANY_PORT, HttpServer, Script},
};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn request_arrives_as_sent_and_the_response_is_read_whole() {
    let server = HttpServer::start(ANY_PORT, |request| {
        Script::response(418, &[("X-Path", &request.path)], &request.body)
    });
    let server = server.await.unwrap();
    let headers = [("X-Own", "1"), ("Host", "else.test")];
    let response = request(server.address(), "POST /a?b", &headers, b"body", SOON)
        .await
        .unwrap();
    assert_eq!((response.status, response.text().as_str()), (418, "body"));
    assert_eq!(response.header("x-path"), Some("/a?b"));
    let heard = server.requests().remove(0);
    assert_eq!(
        (heard.method.as_str(), heard.header("host")),
        ("POST", Some("else.test"))
    );
}

#[tokio::test]
async fn redirect_is_shown_and_not_followed() {
    let server = HttpServer::start(ANY_PORT, |_| Script::redirect("http://192.0.2.1/"))
        .await
        .unwrap();
    let response = get(server.address(), "/", SOON).await.unwrap();
    assert_eq!(
        (response.status, response.header("location")),
        (302, Some("http://192.0.2.1/"))
    );
}

#[tokio::test]
async fn server_that_hangs_is_an_error_at_the_deadline() {
    let server = HttpServer::start(ANY_PORT, |_| Script::silence())
        .await
        .unwrap();
    let error = get(server.address(), "/", Duration::from_millis(100))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("100ms"), "{error}");
}

#[tokio::test]
async fn events_are_read_one_by_one_from_chunks() {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = "9\r\ndata: 1\n\n\r\n5\r\ndata:\r\n4\r\n 2\n\n\r\n0\r\n\r\n";
    let script = Script::raw(format!("{head}{body}"));
    let server = HttpServer::start(ANY_PORT, move |_| script.clone())
        .await
        .unwrap();
    let mut connection = Connection::open(server.address()).await.unwrap();
    connection
        .send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(connection.head(SOON).await.unwrap().status, 200);
    assert_eq!(connection.event(SOON).await.unwrap().unwrap().data, "1");
    assert_eq!(connection.event(SOON).await.unwrap().unwrap().data, "2");
    assert_eq!(connection.event(SOON).await.unwrap(), None);
    connection.closed(SOON).await.unwrap();
}

#[tokio::test]
async fn modern_call_carries_its_headers_and_the_answer_is_the_last_message() {
    let events =
        "data: {\"method\":\"notifications/progress\"}\n\ndata: {\"id\":1,\"result\":{}}\n\n";
    let server = HttpServer::start(ANY_PORT, move |_| {
        Script::response(200, &[("Content-Type", "text/event-stream")], events)
    });
    let server = server.await.unwrap();
    let call = Request::modern_call(1, "ping", &json!({ "host": "127.0.0.1" }));
    let reply = RpcClient::new(server.url("/mcp"))
        .send(&call, SOON)
        .await
        .unwrap();
    assert_eq!(reply.messages.len(), 2);
    assert_eq!(reply.answer().unwrap()["result"], json!({}));
    let heard = server.requests().remove(0);
    assert_eq!(heard.header("mcp-name"), Some("ping"));
    assert_eq!(heard.header("mcp-method"), Some("tools/call"));
    let body: serde_json::Value = serde_json::from_slice(&heard.body).unwrap();
    let version = &body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"];
    assert_eq!(version, "2026-07-28");
}
