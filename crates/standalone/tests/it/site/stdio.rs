//! A process as its own client sees it: one JSON-RPC message per line.

use std::ops::Deref;

use serde_json::{Value, json};
use testkit::http::Request;
use testkit::process::{Process, Program};

use super::{READY, session};

/// A gateway or an embedded platform on standard input and output.
#[derive(Debug)]
pub(crate) struct Stdio {
    process: Process,
}

impl Stdio {
    pub(crate) fn start(program: &Program) -> Self {
        Self {
            process: program.start().unwrap(),
        }
    }

    /// Opens a session of the revisions that begin with `initialize`, with request 0.
    pub(crate) async fn initialize(&self) {
        self.send(&session::initialize(0));
        let answer = self.answer(0).await;
        assert!(answer["result"]["serverInfo"].is_object(), "{answer}");
        self.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    }

    pub(crate) fn send(&self, message: &Value) {
        self.process.write_line(&message.to_string()).unwrap();
    }

    /// Calls a tool as a client of revision 2026-07-28 does.
    pub(crate) fn send_modern_call(&self, id: u64, tool: &str, arguments: &Value) {
        self.send(&Request::modern_call(id, tool, arguments).body);
    }

    pub(crate) fn cancel(&self, id: u64) {
        let params = json!({ "requestId": id, "reason": "enough" });
        let cancelled = "notifications/cancelled";
        self.send(&json!({ "jsonrpc": "2.0", "method": cancelled, "params": params }));
    }

    /// The answer to a request.
    pub(crate) async fn answer(&self, id: u64) -> Value {
        let is_answer = |message: &Value| message["id"] == id && message.get("method").is_none();
        let wanted = |line: &str| is_answer(&parse(line));
        let what = format!("the answer to {id}");
        let line = self.process.stdout().line(&what, READY, wanted).await;
        parse(&line.unwrap())
    }

    /// Everything that was written so far.
    pub(crate) fn messages(&self) -> Vec<Value> {
        let lines = self.process.stdout().all();
        lines.iter().map(|line| parse(line)).collect()
    }
}

/// Nothing but protocol may be written to standard output.
fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

impl Deref for Stdio {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl Drop for Stdio {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let lines = self.process.stderr().all();
            let from = lines.len().saturating_sub(30);
            println!("--- {} said last:", self.process.pid());
            for line in &lines[from..] {
                println!("{line}");
            }
        }
    }
}
