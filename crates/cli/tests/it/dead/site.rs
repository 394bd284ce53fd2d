//! A virtual host with letters in it.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, Headers, Link, Message, Publish, Queue};
use futures::StreamExt as _;
use protocol::headers::{self, dead};
use protocol::{Names, mcp};
use serde_json::{Value, json};
use service::{Settings, broker};
use testkit::process::{Output, Process, Program, binary};
use testkit::rabbitmq::{self, Vhost};
use testkit::wait;

use crate::discovery::{PATIENCE, discovery, ends};

pub(super) struct Site {
    pub(super) vhost: Vhost,
    bus: Arc<dyn Bus>,
    names: Names,
    link: Box<dyn Link>,
}

impl Site {
    /// A virtual host in which no worker ever ran.
    pub(super) async fn empty() -> Self {
        let vhost = rabbitmq::shared().await.unwrap().vhost().await.unwrap();
        let settings = Settings {
            amqp_url: Some(vhost.url().parse().unwrap()),
            ..Settings::default()
        };
        let bus = broker::connect(&settings, "test").unwrap();
        bus.connected().await;
        let link = bus.open("test").await.unwrap();
        Self {
            vhost,
            bus,
            names: Names::default(),
            link,
        }
    }

    /// With these letters, as workers write them.
    pub(super) async fn with(letters: &[Message]) -> Self {
        let site = Self::empty().await;
        site.link.declare(&Queue::dead(&site.names)).await.unwrap();
        for letter in letters {
            let publish = Publish::to_queue(site.names.dead_queue(), letter.clone());
            site.bus.publish(publish).await.unwrap();
        }
        site
    }

    /// The command, not started yet.
    pub(super) fn command(&self, arguments: &[&str]) -> Program {
        let arguments: Vec<&str> = ["dead"].iter().chain(arguments).copied().collect();
        discovery(&arguments).env("AMQP_URL", self.vhost.url())
    }

    /// Runs the command to its end, which must be this exit code.
    pub(super) async fn dead(&self, arguments: &[&str], code: i32) -> Output {
        ends(self.command(arguments), code).await
    }

    /// Runs the command, which must succeed and print JSON.
    pub(super) async fn json(&self, arguments: &[&str]) -> Value {
        let output = self.dead(arguments, 0).await;
        assert_eq!(output.stderr, "", "{arguments:?}");
        serde_json::from_str(&output.stdout).unwrap()
    }

    /// What lies in the queue, in its order; it is all there, and free.
    pub(super) async fn check_ids(&self, expected: &[&str]) {
        let queue = self.names.dead_queue();
        let n_expected = u32::try_from(expected.len()).unwrap();
        let all = async || {
            let state = self.bus.queue_state(&queue).await.ok()??;
            (state.consumers == 0 && state.messages == n_expected).then_some(())
        };
        let what = format!("{n_expected} letters in the queue");
        wait::until(&what, PATIENCE, all).await.unwrap();
        let link = self.bus.open("check").await.unwrap();
        let mut letters = link.consume(&queue, Some(NonZeroU16::MAX)).await.unwrap();
        let mut ids = Vec::new();
        for _ in expected {
            let next = tokio::time::timeout(PATIENCE, letters.next()).await;
            let id = next.unwrap().unwrap().message.message_id;
            ids.push(id.unwrap_or_default());
        }
        link.close().await;
        assert_eq!(ids, expected);
    }

    /// The right to work on letters, until the link is closed.
    pub(super) async fn lock(&self) -> Box<dyn Link> {
        let link = self.bus.open("other").await.unwrap();
        let lock = Queue::exclusive(self.names.dead_lock(), Vec::new());
        link.declare(&lock).await.unwrap();
        link
    }

    /// Closes every connection of the virtual host, as an operator would.
    pub(super) async fn close_connections(&self) {
        let broker = self.vhost.broker();
        broker.close_connections(self.vhost.name()).await.unwrap();
        self.bus.connected().await;
    }

    /// A worker process of the category `network` that consumes.
    pub(super) async fn worker(&self) -> Process {
        let path = binary("worker-network", "discovery-worker-network").await;
        let worker = Program::new(path.unwrap())
            .env("AMQP_URL", self.vhost.url())
            .folder(env!("CARGO_TARGET_TMPDIR"))
            .start()
            .unwrap();
        let is_consuming = |line: &str| line.contains("consuming");
        let consuming = worker.stderr().line("the worker", PATIENCE, is_consuming);
        consuming.await.unwrap();
        // The broker counts a consumer a moment after it has confirmed it.
        let queue = self.names.work_queue(&protocol::Category::network());
        let counted = async || {
            let state = self.bus.queue_state(&queue).await.ok()??;
            (state.consumers > 0).then_some(())
        };
        wait::until("a consumer", PATIENCE, counted).await.unwrap();
        worker
    }
}

/// The letter of a call, as a worker of the category `network` writes it.
pub(super) fn letter(id: &str, tool: &str, arguments: &Value) -> Message {
    let body = json!({
        "jsonrpc": "2.0", "id": "as the client wrote it", "method": mcp::method::TOOLS_CALL,
        "params": { "name": tool, "arguments": arguments, "_meta": {
            mcp::meta::PROTOCOL_VERSION: mcp::MODERN_VERSION,
            mcp::meta::CLIENT_CAPABILITIES: {},
            mcp::meta::PROGRESS_TOKEN: 1,
        } },
    });
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    Message {
        kind: Some(headers::kind::DEAD_LETTER.to_owned()),
        correlation_id: Some(format!("correlation of {id}")),
        message_id: Some(id.to_owned()),
        app_id: Some("gateway-1".to_owned()),
        persistent: true,
        headers: Headers::default()
            .with(headers::METHOD, mcp::method::TOOLS_CALL)
            .with(headers::NAME, tool)
            .with(headers::PROTOCOL_VERSION, mcp::MODERN_VERSION)
            .with(headers::TRACEPARENT, trace)
            .with(headers::DEADLINE, 1_769_860_830_000_i64)
            .with(headers::INSTANCE, "01a1fbf21cce71cbb7d17fb7c6779b58")
            .with(dead::REASON, "handed out too often")
            .with(dead::TIME, 1_769_860_800_123_i64)
            .with(dead::FIRST_ERROR, "hand-out 1: unknown here; it ended")
            .with(
                dead::LAST_ERROR,
                "hand-out 5, worker w: the reply was not confirmed",
            )
            .with(dead::DELIVERIES, 5_i64)
            .with(dead::EXCHANGE, Names::REQUESTS)
            .with(
                dead::ROUTING_KEY,
                format!("mcp.discovery.tools.network.{tool}"),
            )
            .with(dead::CATEGORY, "network")
            .with(dead::SITE, "dc1")
            .with(dead::VERSION, "0.1.0")
            .with(dead::AT_MOST_ONCE, false)
            .with(dead::TIMEOUT, 20_000_i64),
        body: body.to_string().into(),
        ..Message::default()
    }
}

/// The letter of a call that every worker can answer.
pub(super) fn ping(id: &str) -> Message {
    letter(id, "ping", &json!({ "host": "127.0.0.1", "count": 1 }))
}

/// How long nothing must happen, where it would happen at once.
pub(super) const MOMENT: Duration = Duration::from_millis(300);
