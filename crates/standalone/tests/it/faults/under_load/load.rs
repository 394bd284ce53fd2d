//! Clients that call tools all the time.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};
use testkit::http::{Request, RpcClient};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use super::books::{Books, Entry};
use crate::site::Target;

/// A tool that is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    /// `wget` of the category network, which may run again, from the target.
    Fetch,
    /// `test_at_most_once` of the category conformance, from the target.
    Once,
    /// `test_simple_text` of the category conformance; no target knows of it.
    Text,
}

/// One call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(super) tool: Tool,
    pub(super) id: u64,
    /// Unlike that of every other call of this process.
    pub(super) path: String,
}

/// Clients, each of which sends its next call when it has the answer to the last one.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// How many.
    pub(crate) n_clients: usize,
    /// What they call, in turn.
    pub(crate) tools: Vec<Tool>,
    /// Least time between two calls of one client.
    pub(crate) pace: Duration,
    /// How long a call may take.
    pub(crate) deadline: Duration,
}

impl Tool {
    fn request(self, id: u64, path: &str, target: &Target, deadline: Duration) -> Request {
        let (name, arguments) = match self {
            Self::Fetch => ("wget", target.arguments(path)),
            Self::Once => ("test_at_most_once", json!({ "url": target.url(path) })),
            Self::Text => ("test_simple_text", json!({})),
        };
        let meta = json!({ "opendiscovery/timeoutMs": deadline.as_millis() });
        let params = json!({ "name": name, "arguments": arguments, "_meta": meta });
        Request::modern(id, "tools/call", params)
    }

    /// Whether this is what the tool says when all is well.
    pub(super) fn is_real(self, answer: &Value, path: &str) -> bool {
        let result = &answer["result"];
        if result["isError"] == true {
            return false;
        }
        match self {
            Self::Fetch => result["structuredContent"]["body"] == path,
            Self::Once => result["content"][0]["text"] == path,
            Self::Text => result["content"][0]["text"].is_string(),
        }
    }
}

impl Load {
    /// One in five calls must not run twice.
    pub(crate) fn mixed() -> Self {
        let mut load = Self::fetches();
        load.tools.push(Tool::Once);
        load
    }

    /// Every call may run again.
    pub(crate) fn fetches() -> Self {
        Self::of(Tool::Fetch)
    }

    /// Calls of one tool.
    pub(crate) fn of(tool: Tool) -> Self {
        Self {
            n_clients: 16,
            tools: vec![tool; 4],
            pace: Duration::from_millis(60),
            deadline: Duration::from_mins(1),
        }
    }

    /// Calls until `fault` is over, then waits for every answer that is still due.
    pub(crate) async fn during<T>(
        &self,
        url: &str,
        target: &Target,
        fault: impl Future<Output = T>,
    ) -> (T, Books) {
        let done = CancellationToken::new();
        let clients = (0..self.n_clients).map(|number| self.client(number, url, target, &done));
        let ended = async {
            let value = fault.await;
            done.cancel();
            value
        };
        let (entries, value) = tokio::join!(join_all(clients), ended);
        let entries = entries.into_iter().flatten().collect();
        (value, Books { entries })
    }

    /// When the first call of a client is due.
    fn share(&self, number: usize) -> Duration {
        let part = |number: usize| u32::try_from(number).unwrap();
        self.pace * part(number) / part(self.n_clients)
    }

    async fn client(
        &self,
        number: usize,
        url: &str,
        target: &Target,
        done: &CancellationToken,
    ) -> Vec<Entry> {
        static N_CALLS: AtomicUsize = AtomicUsize::new(0);
        let client = RpcClient::new(url);
        let mut entries = Vec::new();
        // Not all of them at once.
        let mut next = tokio::time::Instant::now() + self.share(number);
        let mut turn = number;
        loop {
            tokio::select! {
                () = done.cancelled() => return entries,
                () = sleep_until(next) => {}
            }
            next = tokio::time::Instant::now() + self.pace;
            turn += 1;
            let tool = self.tools[turn % self.tools.len()];
            let path = format!("/call/{}", N_CALLS.fetch_add(1, Ordering::Relaxed));
            let id = turn as u64;
            let request = tool.request(id, &path, target, self.deadline);
            let call = Call { tool, id, path };
            let sent = Instant::now();
            // A gateway that says nothing is found out by the books.
            let patience = self.deadline + Duration::from_secs(10);
            let reply = client.send(&request, patience).await;
            let reply = reply.map(|reply| reply.messages);
            entries.push(Entry::new(call, sent, reply));
        }
    }
}
