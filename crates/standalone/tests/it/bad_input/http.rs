//! Messages and headers over HTTP.

use testkit::http::{Connection, Response, request};

use super::{next_good_call_works, with_params};
use crate::site::{Running, SOON, embedded};

type Header = (&'static str, &'static str);

const JSON: Header = ("Content-Type", "application/json");
const BOTH: Header = ("Accept", "application/json, text/event-stream");
const VERSION: Header = ("MCP-Protocol-Version", "2026-07-28");
const LEGACY: Header = ("MCP-Protocol-Version", "2025-11-25");
const OLD: Header = ("MCP-Protocol-Version", "1900-01-01");
const CALL: Header = ("Mcp-Method", "tools/call");
const LIST: Header = ("Mcp-Method", "tools/list");
const PING: Header = ("Mcp-Name", "ping");
const NO_SESSION: Header = ("Mcp-Session-Id", "nobody");

/// Largest message that is read, in bytes.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// Bodies that are no request: body, code, and what the message says. The status is 400.
#[rustfmt::skip]
pub(super) const BODIES: &[(&str, i64, &str)] = &[
    ("hello", -32700, "not valid JSON"),
    (r#"{"jsonrpc":"2.0","id":1"#, -32700, "not valid JSON"),
    ("{} {}", -32700, "not valid JSON"),
    ("7", -32700, "not valid JSON"),
    ("\0", -32700, "not valid JSON"),
    ("\u{feff}{}", -32700, "not valid JSON"),
    ("{'jsonrpc':'2.0'}", -32700, "not valid JSON"),
    (r#"{"jsonrpc":"2.0","id":NaN,"method":"x"}"#, -32700, "not valid JSON"),
    ("[]", -32600, "batches"),
    (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600, "batches"),
    (r#"{"id":1,"method":"x"}"#, -32600, "jsonrpc"),
    (r#"{"jsonrpc":"1.0","id":1,"method":"x"}"#, -32600, "2.0"),
    (r#"{"jsonrpc":2.0,"id":1,"method":"x"}"#, -32600, "2.0"),
    (r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#, -32600, "id"),
    (r#"{"jsonrpc":"2.0","id":1.5,"method":"x"}"#, -32600, "integer"),
    (r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#, -32600, "integer"),
    (r#"{"jsonrpc":"2.0","id":true,"method":"x"}"#, -32600, "integer"),
    (r#"{"jsonrpc":"2.0","id":1,"method":1}"#, -32600, "method"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"\ud800"}"#, -32600, "method"),
    (r#"{"jsonrpc":"2.0","id":1}"#, -32600, "needs"),
    (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"x"}"#, -32700, "twice"),
    (r#"{"jsonrpc":"2.0","id":1,"\u0069d":2,"method":"x"}"#, -32700, "twice"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"x","params":[]}"#, -32600, "params"),
];

/// Parameters that do not fit: headers beside the version, method, parameters, code, and what
/// the message says. The status is 400.
#[rustfmt::skip]
const PARAMETERS: &[(&[Header], &str, &str, i64, &str)] = &[
    (&[LIST], "tools/list", "", -32602, "protocolVersion"),
    (&[LIST], "tools/list", r#""_meta":null"#, -32602, "_meta"),
    (&[LIST], "tools/list", r#""_meta":{"a":1,"a":2}"#, -32602, "twice"),
    (&[LIST], "tools/list", r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#, -32602, "clientCapabilities"),
    (&[LIST], "tools/list", r#"META,"cursor":"a","cursor":"b""#, -32602, "twice"),
    (&[LIST], "tools/list", r#"META,"cursor":"?""#, -32602, "cursor"),
    (&[LIST], "tools/list", r#"META,"cursor":1"#, -32602, "cursor"),
    (&[CALL], "tools/call", "META", -32602, "name"),
    (&[CALL], "tools/call", r#"META,"name":1"#, -32602, "name"),
    (&[CALL, ("Mcp-Name", "pinng")], "tools/call", r#"META,"name":"pinng""#, -32602, "did you mean ping?"),
    (&[CALL, ("Mcp-Name", "../ping")], "tools/call", r#"META,"name":"../ping""#, -32602, "Unknown tool"),
    (&[CALL, ("Mcp-Name", "PING")], "tools/call", r#"META,"name":"PING""#, -32602, "Unknown tool"),
];

/// Headers that do not fit: headers, body, status, code, and what the message says.
#[rustfmt::skip]
const HEADERS: &[(&[Header], Body, u16, i64, &str)] = &[
    (&[LIST], Body::List, 400, -32020, "MCP-Protocol-Version is missing"),
    (&[LEGACY, LIST], Body::List, 400, -32020, "2025-11-25"),
    (&[VERSION, VERSION, LIST], Body::List, 400, -32020, "more than once"),
    (&[VERSION], Body::List, 400, -32020, "Mcp-Method is missing"),
    (&[VERSION, CALL], Body::List, 400, -32020, "tools/list"),
    (&[VERSION, CALL], Body::Call, 400, -32020, "Mcp-Name is missing"),
    (&[VERSION, CALL, ("Mcp-Name", "telnet")], Body::Call, 400, -32020, "telnet"),
    (&[VERSION, CALL, ("Mcp-Name", "=?base64?!?=")], Body::Call, 400, -32020, "Base64"),
    (&[VERSION, CALL, ("Mcp-Name", "p\u{ef}ng")], Body::Call, 400, -32020, "ASCII"),
    (&[OLD, LIST], Body::OldList, 400, -32022, "1900-01-01"),
    (&[OLD], Body::BareList, 400, -32022, "1900-01-01"),
    (&[VERSION, ("Mcp-Method", "tools/delete")], Body::Delete, 404, -32601, "tools/delete"),
    (&[VERSION, ("Mcp-Method", "logging/setLevel")], Body::SetLevel, 404, -32601, "logging/setLevel"),
    (&[], Body::BareList, 400, -32602, "initialize"),
    (&[LEGACY], Body::BareList, 400, -32600, "Mcp-Session-Id"),
    (&[NO_SESSION], Body::BareList, 404, -32600, "initialize"),
    (&[NO_SESSION, NO_SESSION], Body::BareList, 400, -32020, "more than once"),
    (&[], Body::Initialize, 200, -32602, "protocolVersion"),
    (&[("Content-Type", "text/plain"), VERSION, LIST], Body::List, 415, -32600, "Content-Type"),
    (&[("Content-Type", ""), VERSION, LIST], Body::List, 415, -32600, "Content-Type"),
    (&[("Accept", "application/json"), VERSION, LIST], Body::List, 406, -32600, "Accept"),
    (&[("Accept", "text/html"), VERSION, LIST], Body::List, 406, -32600, "Accept"),
    (&[("Host", "evil.example"), VERSION, LIST], Body::List, 403, -32600, "HTTP_ALLOWED_HOSTS"),
    (&[("Host", "127.0.0.1.evil.example"), VERSION, LIST], Body::List, 403, -32600, "HTTP_ALLOWED_HOSTS"),
    (&[("Origin", "https://evil.example"), VERSION, LIST], Body::List, 403, -32600, "HTTP_ALLOWED_ORIGINS"),
    (&[("Origin", "null"), VERSION, LIST], Body::List, 403, -32600, "HTTP_ALLOWED_ORIGINS"),
];

/// Good bodies, but for the headers they come with.
#[derive(Debug, Clone, Copy)]
enum Body {
    List,
    OldList,
    BareList,
    Call,
    Delete,
    SetLevel,
    Initialize,
}

impl Body {
    fn text(self) -> String {
        match self {
            Self::List => with_params("1", "tools/list", "META"),
            Self::OldList => Self::List.text().replace("2026-07-28", "1900-01-01"),
            Self::BareList => r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#.to_owned(),
            Self::Call => with_params("1", "tools/call", r#"META,"name":"ping""#),
            Self::Delete => with_params("1", "tools/delete", "META"),
            Self::SetLevel => with_params("1", "logging/setLevel", "META"),
            Self::Initialize => r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#.to_owned(),
        }
    }
}

/// Posts a body; the usual headers are added unless they are given.
async fn post(platform: &Running, headers: &[Header], body: &[u8]) -> Response {
    let is_given = |name: &str| headers.iter().any(|(given, _)| *given == name);
    let usual = [JSON, BOTH].into_iter().filter(|(name, _)| !is_given(name));
    let headers: Vec<Header> = usual.chain(headers.iter().copied()).collect();
    request(platform.address(), "POST /mcp", &headers, body, SOON)
        .await
        .unwrap()
}

/// The response is this error.
fn check_error(response: &Response, what: &str, expected: (u16, i64, &str)) {
    let (status, code, says) = expected;
    assert_eq!(response.status, status, "{what}: {}", response.text());
    let answer = response.json().unwrap();
    assert_eq!(answer["jsonrpc"], "2.0", "{what}");
    assert_eq!(answer["error"]["code"], code, "{what}: {answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(
        message.contains(says),
        "{what}: {says:?} is not in {message}"
    );
    assert!(message.len() < 1000, "{what}: {message}");
}

#[tokio::test]
async fn a_body_that_is_no_request_is_refused() {
    let platform = embedded().await;
    for (body, code, says) in BODIES {
        let response = post(&platform, &[VERSION, LIST], body.as_bytes()).await;
        check_error(&response, body, (400, *code, says));
        next_good_call_works(&platform, body).await;
    }
    // What stdio passes over, or cannot even say.
    let others: [(&[u8], i64, &str); 5] = [
        (b"", -32700, "not valid JSON"),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}",
            -32700,
            "UTF-8",
        ),
        (
            br#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            -32600,
            "response",
        ),
        (
            br#"{"jsonrpc":"2.0","id":1,"error":{}}"#,
            -32600,
            "response",
        ),
        (
            br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            0,
            "",
        ),
    ];
    for (body, code, says) in others {
        let response = post(&platform, &[VERSION, LIST], body).await;
        let what = String::from_utf8_lossy(body);
        if code == 0 {
            assert_eq!(response.status, 202, "{what}: a notification has no answer");
        } else {
            check_error(&response, &what, (400, code, says));
        }
        next_good_call_works(&platform, &what).await;
    }
}

#[tokio::test]
async fn parameters_that_do_not_fit_are_refused() {
    let platform = embedded().await;
    for (headers, method, params, code, says) in PARAMETERS {
        let headers = [&[VERSION], *headers].concat();
        let body = with_params("1", method, params);
        let response = post(&platform, &headers, body.as_bytes()).await;
        check_error(&response, &body, (400, *code, says));
        assert_eq!(response.json().unwrap()["id"], 1, "{body}");
        next_good_call_works(&platform, &body).await;
    }
    let more = r#","opendiscovery/timeoutMs":"#;
    for (timeout, says) in [
        ("-1", "positive"),
        ("0", "positive"),
        ("\"1s\"", "positive"),
        ("1.5", "positive"),
        ("999999999", "maximum"),
    ] {
        let meta = super::META.strip_suffix('}').unwrap();
        let params = format!(r#"{meta}{more}{timeout}}},"name":"ping","arguments":{{}}"#);
        let body = with_params("1", "tools/call", &params);
        let response = post(&platform, &[VERSION, CALL, PING], body.as_bytes()).await;
        check_error(&response, &body, (400, -32602, says));
        next_good_call_works(&platform, &body).await;
    }
    let name = "n".repeat(300);
    let body = with_params("1", "tools/call", &format!(r#"META,"name":"{name}""#));
    let name: &'static str = name.leak();
    let response = post(
        &platform,
        &[VERSION, CALL, ("Mcp-Name", name)],
        body.as_bytes(),
    )
    .await;
    check_error(&response, "a long name", (400, -32602, "Unknown tool: nnn"));
    assert!(response.body.len() < 600, "it is not repeated whole");
}

#[tokio::test]
async fn headers_that_do_not_fit_are_refused() {
    let platform = embedded().await;
    for (headers, body, status, code, says) in HEADERS {
        let what = format!("{headers:?} {body:?}");
        let response = post(&platform, headers, body.text().as_bytes()).await;
        check_error(&response, &what, (*status, *code, says));
        next_good_call_works(&platform, &what).await;
    }
}

#[tokio::test]
async fn a_key_that_the_arguments_name_twice_is_refused_by_the_tool() {
    let platform = embedded().await;
    let params = r#"META,"name":"ping","arguments":{"host":"127.0.0.1","host":"8.8.8.8"}"#;
    let body = with_params("1", "tools/call", params);
    let response = post(&platform, &[VERSION, CALL, PING], body.as_bytes()).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let result = &response.json().unwrap()["result"];
    assert_eq!(result["isError"], true, "{result}");
    let error = &result["structuredContent"]["error"];
    assert_eq!(error["code"], "invalid_arguments", "{error}");
    assert!(
        error["message"].as_str().unwrap().contains("\"host\""),
        "{error}"
    );
    next_good_call_works(&platform, "a duplicate argument").await;
}

#[tokio::test]
async fn a_message_that_is_too_large_or_too_deep_is_refused() {
    let platform = embedded().await;
    let limit = MAX_BODY.to_string();
    let large = with_params(
        "1",
        "tools/list",
        &format!(r#"META,"x":"{}""#, "x".repeat(MAX_BODY)),
    );
    let response = post(&platform, &[VERSION, LIST], large.as_bytes()).await;
    check_error(&response, "a large body", (413, -32600, &limit));
    next_good_call_works(&platform, "a large body").await;

    // Nothing is read of what is announced as too large.
    let announced = [VERSION, LIST, ("Content-Length", "5000000000")];
    let response = post(&platform, &announced, b"").await;
    check_error(&response, "an announced body", (413, -32600, &limit));
    let mut chunked = b"400000\r\n".to_vec();
    chunked.extend(vec![b' '; MAX_BODY]);
    chunked.extend(b"\r\n10\r\n                \r\n0\r\n\r\n");
    let headers = [VERSION, LIST, ("Transfer-Encoding", "chunked")];
    let response = post(&platform, &headers, &chunked).await;
    check_error(&response, "chunks", (413, -32600, &limit));
    next_good_call_works(&platform, "chunks").await;

    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let params = format!(r#"META,"name":"ping","arguments":{{"host":{deep}}}"#);
    let body = with_params("1", "tools/call", &params);
    let response = post(&platform, &[VERSION, CALL, PING], body.as_bytes()).await;
    assert!(
        response.text().contains("recursion limit"),
        "{}",
        response.text()
    );
    next_good_call_works(&platform, "deep arguments").await;
}

#[tokio::test]
async fn other_methods_and_paths_of_http_are_refused() {
    let platform = embedded().await;
    let check = async |line: &str, headers: &[Header], status: u16| {
        let response = request(platform.address(), line, headers, b"", SOON)
            .await
            .unwrap();
        assert_eq!(response.status, status, "{line}: {}", response.text());
        next_good_call_works(&platform, line).await;
        response
    };
    for method in ["PUT", "PATCH", "OPTIONS"] {
        let response = check(&format!("{method} /mcp"), &[], 405).await;
        assert_eq!(response.header("allow"), Some("GET, POST, DELETE"));
        assert_eq!(response.header("access-control-allow-origin"), None);
    }
    check("GET /mcp", &[], 406).await;
    check("DELETE /mcp", &[], 400).await;
    check("DELETE /mcp", &[NO_SESSION], 404).await;
    check("GET /", &[], 404).await;
    check("GET /mcp/../health", &[], 404).await;
    check("GET /config", &[], 404).await;
    check("POST /health", &[], 405).await;
}

#[tokio::test]
async fn bytes_that_are_no_http_end_the_connection_and_nothing_else() {
    let platform = embedded().await;
    let many = "X: y\r\n".repeat(1000);
    let long = format!("X: {}\r\n", "y".repeat(1_000_000));
    let rows: [(&str, &str); 9] = [
        ("hello\r\n\r\n", "400"),
        ("\0\0\0\0\r\n\r\n", "400"),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}", "400"),
        ("POST /mcp HTTP/9.9\r\nHost: localhost\r\n\r\n", "400"),
        ("POST /mcp HTTP/1.1\r\n\r\n", "403"),
        (
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
            "403",
        ),
        (
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
            "400",
        ),
        (
            &format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"),
            "431",
        ),
        (
            &format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\n{long}\r\n"),
            "431",
        ),
    ];
    for (bytes, status) in rows {
        let what: String = bytes.chars().take(80).collect();
        let mut connection = Connection::open(platform.address()).await.unwrap();
        // The server may close while a long head is still being sent.
        let _ = connection.send(bytes.as_bytes()).await;
        let response = connection.response(SOON).await.unwrap();
        assert_eq!(response.status.to_string(), status, "{what}");
        next_good_call_works(&platform, &what).await;
    }
}
