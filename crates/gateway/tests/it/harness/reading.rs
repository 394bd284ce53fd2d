//! Event streams, read one event at a time.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::http::{Connection, Event};

use super::client::legacy_call;
use super::gate::Gate;

const TIME: Duration = Duration::from_secs(20);

/// A response whose events are read one by one; dropped, the connection breaks.
pub struct Reading {
    connection: Connection,
    pub status: u16,
}

impl Reading {
    async fn open(gate: &Gate, head: &str, body: &str) -> Self {
        let mut connection = Connection::open(gate.address.unwrap()).await.unwrap();
        let length = body.len();
        let request = format!(
            "{head} /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\
             Content-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\n\r\n{body}"
        );
        // The first line ends with the further headers.
        let (line, headers) = head.split_once('\n').unwrap_or((head, ""));
        let request = if headers.is_empty() {
            request
        } else {
            request.replace(
                &format!("{head} /mcp HTTP/1.1\r\n"),
                &format!("{line} /mcp HTTP/1.1\r\n{headers}"),
            )
        };
        connection.send(request.as_bytes()).await.unwrap();
        let status = connection.head(TIME).await.unwrap().status;
        Self { connection, status }
    }

    /// Calls `lab_steps`: `n` is a notification, `d` a detach.
    pub async fn call(gate: &Gate, session: &str, steps: &str) -> Self {
        let body = legacy_call(7, "lab_steps", json!({ "steps": steps })).to_string();
        Self::open(gate, &format!("POST\nMcp-Session-Id: {session}\r\n"), &body).await
    }

    pub async fn get(gate: &Gate, session: &str, last: Option<&str>) -> Self {
        let last = last
            .map(|id| format!("Last-Event-ID: {id}\r\n"))
            .unwrap_or_default();
        let head = format!("GET\nMcp-Session-Id: {session}\r\n{last}");
        let reading = Self::open(gate, &head, "").await;
        assert_eq!(reading.status, 200);
        reading
    }

    pub async fn next(&mut self) -> Option<Event> {
        self.connection.event(TIME).await.unwrap()
    }

    pub async fn id(&mut self) -> String {
        self.next().await.unwrap().id.unwrap()
    }

    /// The next message with its id.
    pub async fn message(&mut self) -> (String, Value) {
        let event = self.next().await.unwrap();
        let message = event.json().unwrap();
        (event.id.unwrap(), message)
    }
}

/// The number in a progress notification of `lab_steps`.
pub fn progress(message: &Value) -> i64 {
    assert_eq!(message["method"], "notifications/progress", "{message}");
    message["params"]["progress"].as_i64().unwrap()
}
