//! What ends without a response.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::targets::{Script, refusing_address};

use super::{failed, serving};

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
