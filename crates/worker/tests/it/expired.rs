//! Calls whose deadline passes while they are queued, on a real broker.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bus::{Bus, Headers, Message, Publish, Queue};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use protocol::{Names, headers, mcp::method};
use serde_json::json;
use service::{Process, Settings, broker};
use testkit::rabbitmq::{self, Vhost};
use tokio::task::JoinSet;

use crate::gate::{Gate, until, within};
use crate::site::{category, unix_ms_in, worker};

/// Calls that come too late.
const CALLS: usize = 10_000;
/// How long each call may wait; most of them are published in that time.
const PATIENCE: Duration = Duration::from_secs(3);

struct Site {
    _vhost: Vhost,
    names: Names,
    process: Process,
    bus: Arc<dyn Bus>,
}

impl Site {
    async fn new() -> Self {
        let vhost = rabbitmq::shared().await.unwrap().vhost().await.unwrap();
        let settings = Settings {
            amqp_url: Some(vhost.url().parse().unwrap()),
            ..Settings::default()
        };
        let bus = broker::connect(&settings, "caller").unwrap();
        within("the bus to connect", bus.connected()).await;
        let names = Names::default();
        let link = bus.open("before").await.unwrap();
        for queue in [Queue::work(&names, &category()), Queue::dead(&names)] {
            link.declare(&queue).await.unwrap();
        }
        link.close().await;
        Self {
            _vhost: vhost,
            names,
            process: Process::new("test", settings),
            bus,
        }
    }

    /// Publishes calls with this deadline; `expiration` is what the broker knows of it.
    async fn queue_calls(&self, n_calls: usize, deadline: i64, expiration: Option<Duration>) {
        let body = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "hold" },
        });
        let body = bytes::Bytes::from(body.to_string());
        let publish = |number: usize| {
            let message = Message {
                kind: Some(headers::kind::REQUEST.to_owned()),
                correlation_id: Some(number.to_string()),
                message_id: Some(number.to_string()),
                reply_to: Some("nobody".to_owned()),
                persistent: true,
                expiration,
                headers: Headers::default()
                    .with(headers::PROTOCOL_VERSION, "2026-07-28")
                    .with(headers::METHOD, method::TOOLS_CALL)
                    .with(headers::NAME, "hold")
                    .with(headers::DEADLINE, deadline),
                body: body.clone(),
                ..Message::default()
            };
            self.bus.publish(Publish {
                exchange: Names::REQUESTS.to_owned(),
                routing_key: self.names.tool_key(&category(), "hold"),
                mandatory: true,
                may_share: false,
                message,
            })
        };
        let published = stream::iter(0..n_calls).map(publish).buffer_unordered(512);
        published.try_collect::<Vec<()>>().await.unwrap();
    }

    async fn waiting(&self, queue: &str) -> u32 {
        self.bus.queue_state(queue).await.unwrap().unwrap().messages
    }

    /// Runs a worker until nothing waits and nothing is held, and gives how many calls it
    /// counted as expired.
    async fn work(&self, gate: &Gate, is_done: impl Fn(usize) -> bool) -> usize {
        let (process, worker) = (self.process.clone(), worker(64, [gate.tool("hold")]));
        let bus = broker::connect(&process.settings, "worker").unwrap();
        let mut working = JoinSet::new();
        working.spawn(async move { worker::serve(worker, bus, &process).await });
        let queue = self.names.work_queue(&category());
        until("every call to be dropped", async || {
            self.waiting(&queue).await == 0 && is_done(self.expired())
        })
        .await;
        self.process.shutdown.cancel();
        within("the worker to end", working.join_next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        // What the worker had held would be back by now.
        assert_eq!(self.waiting(&queue).await, 0);
        self.expired()
    }

    fn expired(&self) -> usize {
        let text = self.process.metrics.encode();
        let name = "discovery_expired_calls_total{category=\"lab\"} ";
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        value.map_or(0, |value| value.parse().unwrap())
    }
}

/// Waits until a moment has passed.
async fn after(unix_ms: i64) {
    let left = u64::try_from(unix_ms - unix_ms_in(Duration::ZERO)).unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(left + 1)).await;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    assert!(i64::try_from(now.unwrap().as_millis()).unwrap() > unix_ms);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_calls_that_expire_in_the_queue_are_counted_and_leave_no_letter() {
    let (site, gate) = (Site::new().await, Gate::new());
    let deadline = unix_ms_in(PATIENCE);
    site.queue_calls(CALLS, deadline, None).await;
    after(deadline).await;
    let expired = site.work(&gate, |expired| expired == CALLS).await;
    assert_eq!((expired, gate.runs()), (CALLS, 0));
    assert_eq!(site.waiting(&site.names.dead_queue()).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_broker_drops_by_itself_leaves_no_letter_either() {
    let (site, gate) = (Site::new().await, Gate::new());
    let deadline = unix_ms_in(PATIENCE);
    // At the head of the queue is a call that the broker does not drop.
    site.queue_calls(1, deadline, None).await;
    let expiration = Some(Duration::from_secs(1));
    site.queue_calls(1_000, deadline, expiration).await;
    after(deadline).await;
    let expired = site.work(&gate, |expired| expired > 0).await;
    assert!((1..=1_001).contains(&expired), "{expired}");
    assert_eq!(gate.runs(), 0);
    assert_eq!(site.waiting(&site.names.dead_queue()).await, 0);
}
