use std::net::{SocketAddr, TcpStream as BlockingStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::namespaces::{far_side, hosts, ip, lab, sysctl};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::call::{call, done, error, structured};

/// Calls the tool while a service of our own serves one connection.
async fn with_service(address: &str, serve: impl AsyncFnOnce(TcpStream)) -> Value {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let service = async {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream).await;
    };
    let ((), result) = tokio::join!(
        service,
        done("telnet", json!({ "host": address, "port": port }))
    );
    assert_eq!(result["port"], port);
    result
}

fn check_open(result: &Value, address: &str) {
    assert_eq!(result["reachable"], true, "{result:#}");
    assert_eq!(result["address"], address);
    assert!(result["connect_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(result.get("error_class"), None);
}

#[tokio::test]
async fn a_greeting_is_given_as_text() {
    for address in ["127.0.0.1", "::1"] {
        let result = with_service(address, async |mut stream| {
            stream
                .write_all(b"220 mail.example ESMTP\r\n")
                .await
                .unwrap();
        })
        .await;
        check_open(&result, address);
        let banner =
            json!({ "text": "220 mail.example ESMTP\r\n", "size_bytes": 24, "truncated": false });
        assert_eq!(result["banner"], banner);
    }
}

#[tokio::test]
async fn a_greeting_in_pieces_is_put_together() {
    let result = with_service("127.0.0.1", async |mut stream| {
        stream.set_nodelay(true).unwrap();
        for piece in ["SSH-2.0-", "server", "\r\n"] {
            stream.write_all(piece.as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        closed_by_peer(stream).await;
    })
    .await;
    assert_eq!(result["banner"]["text"], "SSH-2.0-server\r\n");
}

#[tokio::test]
async fn bytes_that_are_no_text_are_given_in_base64() {
    let result = with_service("127.0.0.1", async |mut stream| {
        stream
            .write_all(&[0xff, 0xfd, 0x18, 0xff, 0xfd, 0x20])
            .await
            .unwrap();
    })
    .await;
    let banner = json!({ "base64": "//0Y//0g", "size_bytes": 6, "truncated": false });
    assert_eq!(result["banner"], banner);
}

#[tokio::test]
async fn a_flood_is_cut_at_512_bytes() {
    let started = Instant::now();
    let result = with_service("127.0.0.1", async |mut stream| {
        // Goes on until the tool has had enough.
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    })
    .await;
    let banner = json!({ "text": "x".repeat(512), "size_bytes": 512, "truncated": true });
    assert_eq!(result["banner"], banner);
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_service_that_waits_for_its_client_is_sent_nothing_and_is_open() {
    let started = Instant::now();
    let result = with_service("127.0.0.1", async |stream| closed_by_peer(stream).await).await;
    check_open(&result, "127.0.0.1");
    assert_eq!(result.get("banner"), None);
    let elapsed = started.elapsed();
    assert!(
        elapsed >= Duration::from_secs(1) && elapsed < Duration::from_secs(5),
        "{elapsed:?}"
    );
}

#[tokio::test]
async fn a_service_that_hangs_up_at_once_is_open() {
    let result = with_service("127.0.0.1", async |stream| drop(stream)).await;
    check_open(&result, "127.0.0.1");
    assert_eq!(result.get("banner"), None);
}

#[tokio::test]
async fn a_closed_port_is_a_result() {
    for address in ["127.0.0.1", "::1"] {
        // Bound and not listening, so that nobody else can listen there meanwhile.
        let reserved = socket_bound_to(address);
        let port = reserved.local_addr().unwrap().port();
        let result = done("telnet", json!({ "host": address, "port": port })).await;
        check_failed(&result, "refused", Some(address));
    }
}

#[tokio::test]
async fn the_old_name_tcp_connect_still_works() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let result = done("tcp_connect", json!({ "host": "127.0.0.1", "port": port })).await;
    check_open(&result, "127.0.0.1");
}

#[test]
fn a_connection_that_meets_itself_is_no_open_port() {
    lab(async || {
        // With one source port to choose from, every connection to it meets itself.
        sysctl("net/ipv4/ip_local_port_range", "40000 40000");
        let address: SocketAddr = "127.0.0.1:40000".parse().unwrap();
        {
            let plain = BlockingStream::connect(address).expect("the kernel lets it meet itself");
            assert_eq!(plain.local_addr().unwrap(), plain.peer_addr().unwrap());
            let socket = TcpStream::from_std({
                plain.set_nonblocking(true).unwrap();
                plain
            });
            socket.unwrap().set_zero_linger().unwrap();
        }
        for _ in 0..20 {
            let result = done("telnet", json!({ "host": "127.0.0.1", "port": 40000 })).await;
            check_failed(&result, "refused", Some("127.0.0.1"));
        }
        let listener = TcpListener::bind(address)
            .await
            .expect("nothing was left on the port");
        sysctl("net/ipv4/ip_local_port_range", "40000 40010");
        let result = done("telnet", json!({ "host": "127.0.0.1", "port": 40000 })).await;
        check_open(&result, "127.0.0.1");
        drop(listener);
    });
}

#[test]
fn a_silent_address_is_a_timeout_and_leaves_time_for_the_next() {
    lab(async || {
        far_side();
        ip("neigh add 10.1.0.66 lladdr 02:00:00:00:00:66 dev near nud permanent");
        let started = Instant::now();
        let arguments = json!({ "host": "10.1.0.66", "port": 80, "timeout": 1 });
        let result = done("telnet", arguments).await;
        check_failed(&result, "timeout", Some("10.1.0.66"));
        let elapsed = started.elapsed();
        assert!(
            elapsed >= Duration::from_secs(1) && elapsed < Duration::from_secs(3),
            "{elapsed:?}"
        );

        hosts("10.1.0.66 two.example\n10.1.0.1 two.example\n");
        let listener = TcpListener::bind("10.1.0.1:8080").await.unwrap();
        let arguments = json!({ "host": "two.example", "port": 8080, "timeout": 4 });
        let result = done("telnet", arguments).await;
        check_open(&result, "10.1.0.1");
        assert_eq!(result["host"], "two.example");
        let attempts = result["attempts"].as_array().unwrap();
        assert_eq!(attempts.last().unwrap()["address"], "10.1.0.1");
        drop(listener);
        let arguments = json!({ "host": "two.example", "port": 8080, "timeout": 2 });
        let result = done("telnet", arguments).await;
        assert_eq!(result["reachable"], false);
        let mut classes: Vec<&str> = result["attempts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|attempt| attempt["error_class"].as_str().unwrap())
            .collect();
        classes.sort_unstable();
        assert_eq!(classes, ["refused", "timeout"]);
    });
}

#[test]
fn an_address_without_a_way_to_it_is_unreachable() {
    lab(async || {
        far_side();
        ip("-netns far route add unreachable 10.3.0.0/24");
        ip("route add 10.3.0.0/24 via 10.1.0.2");
        ip("-netns far -6 route add prohibit fd04::/64");
        ip("route add fd04::/64 via fd01::2");
        for path in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
            let command = format!("echo 1 > /proc/sys/{path}");
            testkit::namespaces::run(&["ip", "netns", "exec", "far", "sh", "-c", &command]);
        }
        for host in ["10.3.0.5", "fd04::5", "10.9.9.9", "fd09::9"] {
            let result = done("telnet", json!({ "host": host, "port": 80, "timeout": 5 })).await;
            check_failed(&result, "unreachable", Some(host));
        }
    });
}

#[test]
fn a_name_without_an_address_is_a_result() {
    lab(async || {
        hosts("127.0.0.1 localhost\n");
        let arguments = json!({ "host": "nowhere.invalid", "port": 80, "timeout": 5 });
        let result = done("telnet", arguments).await;
        check_failed(&result, "name", None);
        assert_eq!(result["attempts"], json!([]));
    });
}

#[test]
fn of_a_name_only_addresses_in_scope_are_tried() {
    lab(async || {
        hosts("8.8.8.8 mixed.example\n127.0.0.1 mixed.example\n8.8.4.4 outside.example\n");
        let listener = TcpListener::bind("127.0.0.1:8080").await.unwrap();
        let result = done("telnet", json!({ "host": "mixed.example", "port": 8080 })).await;
        check_open(&result, "127.0.0.1");
        assert_eq!(result["attempts"].as_array().unwrap().len(), 1);
        drop(listener);
        let result = call("telnet", json!({ "host": "outside.example", "port": 8080 })).await;
        assert_eq!(error(&result)["code"], "out_of_scope");
    });
}

#[tokio::test]
async fn a_greeting_cannot_write_markup_into_the_summary() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let service = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream
            .write_all(b"[click](http://x) <b> `c`\x1b[31m\r\n")
            .await
            .unwrap();
    };
    let arguments = json!({ "host": "127.0.0.1", "port": port });
    let ((), result) = tokio::join!(service, call("telnet", arguments));
    structured(&result);
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(
        text.contains("\\[click\\]") && text.contains("\\<b\\>"),
        "{text}"
    );
    assert!(!text.contains('\x1b'), "{text:?}");
}

fn check_failed(result: &Value, class: &str, address: Option<&str>) {
    assert_eq!(result["reachable"], false, "{result:#}");
    assert_eq!(result["error_class"], class, "{result:#}");
    assert_eq!(
        result.get("address").and_then(Value::as_str),
        address,
        "{result:#}"
    );
    assert_eq!(result.get("connect_ms"), None);
    assert_eq!(result.get("banner"), None);
}

/// Waits until the tool closes its end, without having sent anything.
async fn closed_by_peer(mut stream: TcpStream) {
    assert_eq!(
        stream.read(&mut [0; 16]).await.unwrap(),
        0,
        "the end of the stream comes first"
    );
}

fn socket_bound_to(address: &str) -> tokio::net::TcpSocket {
    let address = SocketAddr::new(address.parse().unwrap(), 0);
    let socket = if address.is_ipv4() {
        tokio::net::TcpSocket::new_v4().unwrap()
    } else {
        tokio::net::TcpSocket::new_v6().unwrap()
    };
    socket.bind(address).unwrap();
    socket
}
