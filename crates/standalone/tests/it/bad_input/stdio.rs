//! Messages on standard input.

use serde_json::{Value, json};

use super::{check_good, good_call, http::BODIES, with_params};
use crate::site::{END, SOON, Stdio, embedded_stdio};

/// Requests that the gateway refuses: method, parameters, code, and what the message says.
#[rustfmt::skip]
const REQUESTS: &[(&str, &str, i64, &str)] = &[
    ("tools/list", "", -32602, "initialize"),
    ("tools/list", r#""_meta":null"#, -32602, "_meta"),
    ("tools/list", r#""_meta":{"a":1,"a":2}"#, -32602, "twice"),
    ("tools/list", r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#, -32602, "clientCapabilities"),
    ("tools/list", r#""_meta":{"io.modelcontextprotocol/protocolVersion":"1900-01-01","io.modelcontextprotocol/clientCapabilities":{}}"#, -32022, "1900-01-01"),
    ("tools/list", r#"META,"cursor":"?""#, -32602, "cursor"),
    ("tools/delete", "META", -32601, "tools/delete"),
    ("initialize", "META", -32601, "initialize"),
    ("initialize", "", -32602, "protocolVersion"),
    ("server/discover", "", -32602, "_meta"),
    ("tools/call", "META", -32602, "name"),
    ("tools/call", r#"META,"name":7"#, -32602, "name"),
    ("tools/call", r#"META,"name":"pinng""#, -32602, "did you mean ping?"),
];

/// Calls that a tool refuses: tool, arguments, the code of its error, and what it says.
#[rustfmt::skip]
const CALLS: &[(&str, &str, &str, &str)] = &[
    ("ping", r#"{"host":"-iL/etc/passwd"}"#, "invalid_arguments", "hyphen"),
    ("ping", r#"{"host":"127.0.0.1\u0000"}"#, "invalid_arguments", "character"),
    ("ping", r#"{"host":"127.0.0.1","host":"8.8.8.8"}"#, "invalid_arguments", "twice"),
    ("ping", r#"{"host":"::ffff:169.254.169.254"}"#, "out_of_scope", "metadata"),
    ("telnet", r#"{"host":"127.0.0.1","port":1e3000}"#, "invalid_arguments", "arguments"),
    ("wget", r#"{"url":"file:///etc/passwd"}"#, "invalid_arguments", "neither http nor https"),
    ("route", "[]", "invalid_arguments", "object"),
];

/// One platform, asked one thing after the other.
struct Client {
    platform: Stdio,
    n_good_calls: u64,
}

impl Client {
    async fn start() -> Self {
        let mut client = Self {
            platform: embedded_stdio().await,
            n_good_calls: 1_000_000,
        };
        client.next_good_call_works("the start").await;
        client
    }

    async fn next_good_call_works(&mut self, after: &str) {
        self.n_good_calls += 1;
        let call = good_call(self.n_good_calls).body;
        self.platform.send(&call);
        check_good(&self.platform.answer(self.n_good_calls).await, after);
    }

    /// Sends a line; the one message that comes before the next good call's is its answer.
    async fn answer_to(&mut self, line: &str) -> Value {
        let before = self.platform.messages().len();
        self.platform.write_line(line).unwrap();
        let what: String = line.chars().take(80).collect();
        let is_new = |n: usize| n > before;
        let answered = async || {
            let messages = self.platform.messages();
            is_new(messages.len()).then_some(messages)
        };
        let messages = testkit::wait::until(&what, SOON, answered).await.unwrap();
        self.next_good_call_works(&what).await;
        assert_eq!(
            self.platform.messages().len(),
            before + 2,
            "one answer to {what}"
        );
        messages[before].clone()
    }
}

fn check_error(answer: &Value, what: &str, id: &Value, code: i64, says: &str) {
    assert_eq!(&answer["id"], id, "{what}: {answer}");
    assert_eq!(answer["error"]["code"], code, "{what}: {answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(
        message.contains(says),
        "{what}: {says:?} is not in {message}"
    );
}

#[tokio::test]
async fn a_line_that_is_no_request_is_refused() {
    let mut client = Client::start().await;
    for (line, code, says) in BODIES {
        let answer = client.answer_to(line).await;
        check_error(&answer, line, &Value::Null, *code, says);
    }
    let too_long = format!("{{\"x\":\"{}\"}}", "x".repeat(4 * 1024 * 1024));
    let answer = client.answer_to(&too_long).await;
    check_error(
        &answer,
        "a long line",
        &Value::Null,
        -32600,
        "bytes at most",
    );
}

#[tokio::test]
async fn a_request_that_cannot_be_served_is_refused() {
    let mut client = Client::start().await;
    for (method, params, code, says) in REQUESTS {
        let line = with_params("\"row\"", method, params);
        let answer = client.answer_to(&line).await;
        check_error(&answer, &line, &json!("row"), *code, says);
    }
    for (tool, arguments, code, says) in CALLS {
        let params = format!(r#"META,"name":"{tool}","arguments":{arguments}"#);
        let line = with_params("7", "tools/call", &params);
        let answer = client.answer_to(&line).await;
        assert_eq!(answer["id"], 7, "{line}: {answer}");
        assert_eq!(answer["result"]["isError"], true, "{line}: {answer}");
        let error = &answer["result"]["structuredContent"]["error"];
        assert_eq!(error["code"], *code, "{line}: {error}");
        assert!(
            error["message"].as_str().unwrap().contains(says),
            "{line}: {error}"
        );
    }
}

#[tokio::test]
async fn what_needs_no_answer_gets_none() {
    let mut client = Client::start().await;
    let before = client.platform.messages().len();
    for line in [
        "",
        "   \t ",
        r#"{"jsonrpc":"2.0","method":"notifications/unheard-of"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":[1]}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":404}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"no"}}"#,
    ] {
        client.platform.write_line(line).unwrap();
    }
    client.next_good_call_works("notifications").await;
    assert_eq!(client.platform.messages().len(), before + 1);
    client.platform.close_stdin();
    assert_eq!(client.platform.exit_code(END).await.unwrap(), 0);
}
