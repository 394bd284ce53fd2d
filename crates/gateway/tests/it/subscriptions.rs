//! What clients are told of, from an event on the bus to the message of each era.

use bus::memory::MemoryBus;
use bus::{Bus, Message, Publish};
use protocol::{Change, Event, Names};
use serde_json::{Value, json};

use crate::harness::*;

/// Says on the bus that something has changed, as a worker does.
pub async fn publish(bus: &MemoryBus, change: &Change) {
    let event = Event::new("1", "/lab/test", change);
    publish_text(bus, change, &serde_json::to_string(&event).unwrap()).await;
}

async fn publish_text(bus: &MemoryBus, change: &Change, body: &str) {
    let names = Names::default();
    let message = Message {
        body: body.to_owned().into(),
        ..Message::default()
    };
    let key = names.event_key(change.kind());
    let publish = Publish::broadcast(names.events_exchange(), key, message);
    bus.publish(publish).await.unwrap();
}

pub fn updated(uri: &str) -> Change {
    Change::ResourceUpdated {
        uri: uri.to_owned(),
    }
}

/// A request for news.
pub fn listen(id: i64, notifications: &Value) -> Value {
    let mut body = request(id, "subscriptions/listen");
    body["params"]["notifications"] = notifications.clone();
    body
}

/// An event stream of an HTTP client.
struct Stream {
    open: Open,
    text: String,
}

impl Stream {
    async fn open(gate: &Gate, body: &Value) -> Self {
        let headers = [
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "subscriptions/listen"),
        ];
        let open = gate.client().open_post(&headers, &body.to_string()).await;
        assert_eq!(open.headers["content-type"], "text/event-stream");
        Self {
            open,
            text: String::new(),
        }
    }

    /// The next message; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                match events(&event).pop() {
                    Some(message) => return Some(message),
                    None => continue,
                }
            }
            let piece = self.open.piece().await?;
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }

    async fn method(&mut self) -> String {
        let message = self.next().await.expect("a message");
        message["method"].as_str().unwrap_or_default().to_owned()
    }
}

#[tokio::test]
async fn an_event_reaches_who_asked_for_it_over_http() {
    let bus = MemoryBus::new();
    let gate = Gate::http(&bus).await;
    let asked = json!({ "toolsListChanged": true, "resourceSubscriptions": ["test://a"] });
    let mut news = Stream::open(&gate, &listen(7, &asked)).await;
    let mut prompts = Stream::open(&gate, &listen(8, &json!({ "promptsListChanged": true }))).await;
    let acknowledged = news.next().await.unwrap();
    assert_eq!(
        acknowledged["method"],
        "notifications/subscriptions/acknowledged"
    );
    assert_eq!(acknowledged["params"]["notifications"], asked);
    prompts.next().await.unwrap();

    for change in [
        updated("test://b"),
        updated("test://a"),
        Change::PromptsListChanged,
    ] {
        publish(&bus, &change).await;
    }
    assert_eq!(
        news.next().await.unwrap(),
        json!({ "jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {
            "_meta": { "io.modelcontextprotocol/subscriptionId": 7 }, "uri": "test://a",
        }})
    );
    assert_eq!(prompts.method().await, "notifications/prompts/list_changed");

    gate.process.shutdown.cancel();
    for (stream, id) in [(&mut news, 7), (&mut prompts, 8)] {
        let end = stream.next().await.unwrap();
        assert_eq!(end["id"], id);
        assert_eq!(end["result"]["resultType"], "complete");
        assert_eq!(
            end["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"],
            id
        );
        assert_eq!(stream.next().await, None);
    }
    gate.ended().await.unwrap();
}

#[tokio::test]
async fn a_malformed_event_is_passed_over_and_the_next_one_heard() {
    let bus = MemoryBus::new();
    let gate = Gate::http(&bus).await;
    let mut news = Stream::open(&gate, &listen(1, &json!({ "toolsListChanged": true }))).await;
    news.next().await.unwrap();
    let tools = Change::ToolsListChanged;
    for body in ["", "nonsense", "[]", "{}", r#"{"specversion":"1.0"}"#] {
        publish_text(&bus, &tools, body).await;
    }
    publish(&bus, &tools).await;
    assert_eq!(news.method().await, "notifications/tools/list_changed");
}

#[tokio::test]
async fn a_malformed_filter_is_refused_with_status_400() {
    let gate = Gate::http(&MemoryBus::new()).await;
    for notifications in [json!(null), json!([]), json!({ "toolsListChanged": "yes" })] {
        let answer = gate.client().modern(&listen(1, &notifications)).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (400, -32602));
    }
    let answer = gate
        .client()
        .modern(&request(1, "subscriptions/listen"))
        .await;
    assert_eq!((answer.status.as_u16(), answer.code()), (400, -32602));
}

#[tokio::test]
async fn after_the_bus_was_lost_everything_may_have_changed() {
    let bus = MemoryBus::new();
    let gate = Gate::http(&bus).await;
    let asked = json!({ "promptsListChanged": true, "resourceSubscriptions": ["test://a"] });
    let mut news = Stream::open(&gate, &listen(1, &asked)).await;
    news.next().await.unwrap();
    bus.go_away();
    bus.come_back();
    assert_eq!(news.method().await, "notifications/prompts/list_changed");
    assert_eq!(news.method().await, "notifications/resources/updated");
    publish(&bus, &updated("test://a")).await;
    assert_eq!(news.method().await, "notifications/resources/updated");
}
