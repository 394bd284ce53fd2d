//! Everything that can be wrong with a request, and what is said of it. After each, the next
//! good request is answered.

use axum::http::StatusCode;
use bus::memory::MemoryBus;
use serde_json::json;

use crate::harness::*;

type Header = (&'static str, &'static str);
type HeaderRow = (
    &'static str,
    &'static [Header],
    &'static str,
    u16,
    i64,
    &'static str,
);

const VERSION: Header = ("mcp-protocol-version", "2026-07-28");
const OLD: Header = ("mcp-protocol-version", "1900-01-01");
const LEGACY: Header = ("mcp-protocol-version", "2025-11-25");
const SESSION: Header = ("mcp-session-id", "unknown");
const CALL: Header = ("mcp-method", "tools/call");
const LIST: Header = ("mcp-method", "tools/list");
const DELETE: Header = ("mcp-method", "tools/delete");
const PING: Header = ("mcp-name", "ping");

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

/// Bodies that are no request: what, body, code, and what the message says.
#[rustfmt::skip]
const BODIES: &[(&str, &str, i64, &str)] = &[
    ("nothing", "", -32700, "not valid JSON"),
    ("no JSON", "hello", -32700, "not valid JSON"),
    ("half an object", r#"{"jsonrpc":"2.0","id":1"#, -32700, "not valid JSON"),
    ("two objects", "{} {}", -32700, "not valid JSON"),
    ("a number", "7", -32700, "not valid JSON"),
    ("a NUL byte", "\0", -32700, "not valid JSON"),
    ("a lone surrogate", r#"{"jsonrpc":"2.0","id":1,"method":"\ud800"}"#, -32600, "method"),
    ("a batch of none", "[]", -32600, "batches"),
    ("a batch", r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600, "batches"),
    ("another protocol", r#"{"id":1,"method":"x"}"#, -32600, "jsonrpc"),
    ("JSON-RPC 1.0", r#"{"jsonrpc":"1.0","id":1,"method":"x"}"#, -32600, "2.0"),
    ("a null id", r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#, -32600, "id"),
    ("a fraction as id", r#"{"jsonrpc":"2.0","id":1.5,"method":"x"}"#, -32600, "integer"),
    ("an object as id", r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#, -32600, "integer"),
    ("a number as method", r#"{"jsonrpc":"2.0","id":1,"method":1}"#, -32600, "method"),
    ("neither method nor result", r#"{"jsonrpc":"2.0","id":1}"#, -32600, "needs"),
    ("a response", r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, -32600, "response"),
    ("an error", r#"{"jsonrpc":"2.0","id":1,"error":{}}"#, -32600, "response"),
    ("a key twice", r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"x"}"#, -32700, "twice"),
    ("an escaped key twice", r#"{"jsonrpc":"2.0","id":1,"\u0069d":2,"method":"x"}"#, -32700, "twice"),
    ("parameters by position", r#"{"jsonrpc":"2.0","id":1,"method":"x","params":[]}"#, -32600, "params"),
];

/// Parameters that do not fit: what, headers beside the version, method, parameters (`META`
/// stands for good metadata), and what the message says.
#[rustfmt::skip]
const PARAMETERS: &[(&str, &[Header], &str, &str, &str)] = &[
    ("no metadata", &[LIST], "tools/list", "", "protocolVersion"),
    ("null metadata", &[LIST], "tools/list", r#""_meta":null"#, "_meta"),
    ("no version", &[LIST], "tools/list", r#""_meta":{"io.modelcontextprotocol/clientCapabilities":{}}"#, "protocolVersion"),
    ("no capabilities", &[LIST], "tools/list", r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#, "clientCapabilities"),
    ("capabilities that are no object", &[LIST], "tools/list", r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":7}"#, "object"),
    ("a metadata key twice", &[LIST], "tools/list", r#""_meta":{"a":1,"a":2}"#, "twice"),
    ("a parameter twice", &[LIST], "tools/list", r#"META,"cursor":"a","cursor":"b""#, "twice"),
    ("an unknown cursor", &[LIST], "tools/list", r#"META,"cursor":"?""#, "cursor"),
    ("a number as cursor", &[LIST], "tools/list", r#"META,"cursor":1"#, "cursor"),
    ("a number as version", &[LIST], "tools/list", r#""_meta":{"io.modelcontextprotocol/protocolVersion":1,"io.modelcontextprotocol/clientCapabilities":{}}"#, "string"),
    ("a call without a name", &[CALL], "tools/call", "META", "name"),
    ("a number as name", &[CALL], "tools/call", r#"META,"name":1"#, "name"),
    ("an unknown name", &[CALL, ("mcp-name", "zz")], "tools/call", r#"META,"name":"zz""#, "Unknown tool: zz"),
    ("a negative deadline", &[CALL, PING], "tools/call", r#"META+"opendiscovery/timeoutMs":-1,"name":"ping""#, "positive"),
    ("a deadline that is text", &[CALL, PING], "tools/call", r#"META+"opendiscovery/timeoutMs":"1s","name":"ping""#, "positive"),
    ("a deadline beyond the maximum", &[CALL, PING], "tools/call", r#"META+"opendiscovery/timeoutMs":30001,"name":"ping""#, "30000"),
];

/// Headers that do not fit: what, headers, body (short for a good one of that name), status,
/// code, and what the message says.
#[rustfmt::skip]
const HEADERS: &[HeaderRow] = &[
    ("no version", &[LIST], "list", 400, -32020, "MCP-Protocol-Version is missing"),
    ("another version", &[LEGACY, LIST], "list", 400, -32020, "2025-11-25"),
    ("the version twice", &[VERSION, VERSION, LIST], "list", 400, -32020, "more than once"),
    ("no method", &[VERSION], "list", 400, -32020, "Mcp-Method is missing"),
    ("another method", &[VERSION, CALL], "list", 400, -32020, "tools/list"),
    ("the method in capitals", &[VERSION, ("mcp-method", "TOOLS/LIST")], "list", 400, -32020, "Mcp-Method"),
    ("no name", &[VERSION, CALL], "call", 400, -32020, "Mcp-Name is missing"),
    ("another name", &[VERSION, CALL, ("mcp-name", "telnet")], "call", 400, -32020, "telnet"),
    ("a name that is no Base64", &[VERSION, CALL, ("mcp-name", "=?base64?!?=")], "call", 400, -32020, "Base64"),
    ("a name beyond ASCII", &[VERSION, CALL, ("mcp-name", "p\u{ef}ng")], "call", 400, -32020, "ASCII"),
    ("an unknown version", &[OLD, LIST], "old list", 400, -32022, "1900-01-01"),
    ("an unknown version without metadata", &[OLD], "bare list", 400, -32022, "1900-01-01"),
    ("no era at all", &[], "bare list", 400, -32602, "initialize"),
    ("no session", &[LEGACY], "bare list", 400, -32600, "Mcp-Session-Id"),
    ("an unknown session", &[SESSION], "bare list", 404, -32600, "initialize"),
    ("a session twice", &[SESSION, SESSION], "bare list", 400, -32020, "more than once"),
    ("a notification to an unknown session", &[SESSION], "notification", 404, -32600, "initialize"),
    ("a notification of no era", &[], "notification", 400, -32602, "initialize"),
    ("a notification of an unknown version", &[OLD], "notification", 400, -32022, "1900-01-01"),
    ("an unknown method", &[VERSION, DELETE], "delete", 404, -32601, "tools/delete"),
    ("initialize without parameters", &[], "initialize", 200, -32602, "protocolVersion"),
    ("no media type", &[("content-type", ""), VERSION, LIST], "list", 415, -32600, "Content-Type"),
    ("another media type", &[("content-type", "text/plain"), VERSION, LIST], "list", 415, -32600, "Content-Type"),
    ("JSON alone accepted", &[("accept", "application/json"), VERSION, LIST], "list", 406, -32600, "Accept"),
    ("events alone accepted", &[("accept", "text/event-stream"), VERSION, LIST], "list", 406, -32600, "Accept"),
    ("web pages accepted", &[("accept", "text/html"), VERSION, LIST], "list", 406, -32600, "Accept"),
    ("another host", &[("host", "evil.example"), VERSION, LIST], "list", 403, -32600, "HTTP_ALLOWED_HOSTS"),
    ("a host that begins like ours", &[("host", "127.0.0.1.evil.example"), VERSION, LIST], "list", 403, -32600, "HTTP_ALLOWED_HOSTS"),
    ("another origin", &[("origin", "https://evil.example"), VERSION, LIST], "list", 403, -32600, "HTTP_ALLOWED_ORIGINS"),
    ("the null origin", &[("origin", "null"), VERSION, LIST], "list", 403, -32600, "HTTP_ALLOWED_ORIGINS"),
];

/// A gateway, and what must be true of it after every bad request.
struct Bench {
    gate: Gate,
    worker: Worker,
}

impl Bench {
    async fn new() -> Self {
        let bus = MemoryBus::new();
        let worker = Worker::start(&bus).await;
        let gate = Gate::http(&bus).await;
        gate.lists("ping").await;
        Self { gate, worker }
    }

    async fn check(&self, what: &str, headers: &[Header], body: &str, expected: (u16, i64, &str)) {
        let (status, code, says) = expected;
        let before = self.worker.calls().len();
        let answer = self.gate.client().post(headers, body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (status, code),
            "{what}: {answer:?}"
        );
        let message = answer.json()["error"]["message"].to_string();
        assert!(message.contains(says), "{what}: {message}");
        assert_eq!(
            self.worker.calls().len(),
            before,
            "{what}: no worker saw it"
        );
        let next = self.gate.client().call("ping", json!({})).await;
        assert_eq!(next.status, StatusCode::OK, "after {what}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_request_is_refused() {
    let bench = Bench::new().await;
    for (what, body, code, says) in BODIES {
        bench
            .check(what, &[VERSION, LIST], body, (400, *code, says))
            .await;
    }
}

#[tokio::test]
async fn parameters_that_do_not_fit_are_refused() {
    let bench = Bench::new().await;
    for (what, headers, method, params, says) in PARAMETERS {
        let more = META.strip_suffix('}').unwrap();
        let params = match params.split_once("META+") {
            Some((_, rest)) => {
                let (addition, others) = rest.split_once(",\"name\"").unwrap();
                format!("{more},{addition}}},\"name\"{others}")
            }
            None => params.replace("META", META),
        };
        let body = with_params(method, &params);
        let headers = [&[VERSION], *headers].concat();
        bench
            .check(what, &headers, &body, (400, -32602, says))
            .await;
    }
}

#[tokio::test]
async fn headers_that_do_not_fit_are_refused() {
    let bench = Bench::new().await;
    for (what, headers, body, status, code, says) in HEADERS {
        bench
            .check(what, headers, &named(body), (*status, *code, says))
            .await;
    }
}

#[tokio::test]
async fn a_name_of_any_length_is_only_unknown() {
    let bench = Bench::new().await;
    let name = "n".repeat(300);
    let answer = bench.gate.client().call(&name, json!({})).await;
    assert_eq!(
        (answer.status, answer.code()),
        (StatusCode::BAD_REQUEST, -32602)
    );
    assert!(answer.body.len() < 600, "it is not repeated whole");
}

#[tokio::test]
async fn the_answer_to_an_unknown_version_names_the_known_ones() {
    let gate = Gate::http(&MemoryBus::new()).await;
    let answer = gate.client().post(&[OLD, LIST], &named("old list")).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let data = &answer.json()["error"]["data"];
    assert_eq!(data["requested"], "1900-01-01");
    let supported = [
        "2026-07-28",
        "2025-11-25",
        "2025-06-18",
        "2025-03-26",
        "2024-11-05",
    ];
    assert_eq!(data["supported"], json!(supported));
}

#[tokio::test]
async fn a_name_that_is_not_safe_in_a_header_may_be_encoded() {
    let bench = Bench::new().await;
    let headers = [VERSION, CALL, ("mcp-name", "=?base64?cGluZw==?=")];
    let answer = bench.gate.client().post(&headers, &named("call")).await;
    assert_eq!(answer.status, StatusCode::OK);
}

/// A request of the stateless era with these members in its parameters.
fn with_params(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}}}}}"#)
}

/// The bodies that stand in the table by a word.
fn named(word: &str) -> String {
    match word {
        "list" => with_params("tools/list", META),
        "old list" => with_params("tools/list", &META.replace("2026-07-28", "1900-01-01")),
        "delete" => with_params("tools/delete", META),
        "call" => with_params("tools/call", &format!(r#"{META},"name":"ping""#)),
        "bare list" => r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#.to_owned(),
        "initialize" => r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#.to_owned(),
        "notification" => r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned(),
        other => panic!("no body is called {other:?}"),
    }
}
