//! How a worker that joins others learns what they know.

use std::time::Duration;

use bus::{Binding, Queue};
use protocol::Names;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::gate::{Gate, until};
use crate::site::{REPLIES, Site, Taking, category, worker};

/// A site with another worker on the bus, which the test plays.
struct Peer {
    site: Site,
    /// What is said to all workers.
    control: Taking,
    /// Its place among the consumers.
    work: Taking,
}

impl Peer {
    async fn new() -> Self {
        let site = Site::new().await;
        let binding = Binding {
            exchange: Names::CONTROL.to_owned(),
            pattern: site.names.answers_key(&category()),
        };
        let control = Queue::exclusive("peer", vec![binding]);
        let control = site.take(&control).await;
        let work = site.take(&Queue::work(&site.names, &category())).await;
        Self {
            site,
            control,
            work,
        }
    }

    /// Starts a worker, and gives the queue on which it wants to be told.
    async fn joins(&mut self, gate: &Gate) -> String {
        let bus = self.site.unruly.clone();
        self.site.spawn(worker(1, [gate.tool("hold")]), bus);
        let (method, params) = message(&mut self.control).await;
        assert_eq!(method, "opendiscovery/answers/hello");
        params["queue"].as_str().unwrap().to_owned()
    }

    /// The worker that joined takes calls, and answers one with the key `k` like this.
    async fn answers(mut self, expected: &Value) {
        self.work.stop().await;
        self.site.news().await;
        self.site.call_with_key("a", "k", "hold").await;
        assert_eq!(self.site.reply().await.result(), expected);
    }
}

/// The next message, settled: its method and parameters.
async fn message(queue: &mut Taking) -> (String, Value) {
    let delivery = queue.next().await;
    delivery.ack().await.unwrap();
    let mut body: Value = serde_json::from_slice(&delivery.message.body).unwrap();
    let method = body["method"].as_str().unwrap().to_owned();
    (method, body["params"].take())
}

async fn say(site: &Site, queue: &str, method: &str, params: Value) {
    let body = json!({ "jsonrpc": "2.0", "method": method, "params": params });
    site.say(queue, &body).await;
}

async fn here(site: &Site, to: &str, queue: &str, told: Option<bool>) {
    let mut params = json!({ "instance": queue, "queue": queue });
    if let Some(told) = told {
        params["told"] = told.into();
    }
    say(site, to, "opendiscovery/answers/here", params).await;
}

/// Tells an answer when asked for all.
async fn tell(site: &Site, to: &str, asked: &mut Taking) -> Value {
    assert_eq!(message(asked).await.0, "opendiscovery/answers/tell");
    let result = json!({ "content": [], "x": 1 });
    // SHA-256 of the name `hold`, and of no arguments in their canonical form.
    let keep = json!({ "key": "k", "result": result, "fingerprint":
        "35e36f5a8fd70a5cecfe1f387a9b0151f7ea96476453e14809963ba84d8661d0" });
    say(site, to, "opendiscovery/answers/keep", keep).await;
    say(site, to, "opendiscovery/answers/told", json!({})).await;
    result
}

#[tokio::test]
async fn who_joins_asks_one_that_knows_and_not_one_that_joins_too() {
    for told in [Some(true), None] {
        let gate = Gate::new();
        let mut peer = Peer::new().await;
        let queue = peer.joins(&gate).await;
        let queues = ["new", "old"].map(|name| Queue::exclusive(name, Vec::new()));
        let _new = peer.site.take(&queues[0]).await;
        let mut old = peer.site.take(&queues[1]).await;
        here(&peer.site, &queue, "new", Some(false)).await;
        here(&peer.site, &queue, "old", told).await;
        let result = tell(&peer.site, &queue, &mut old).await;
        peer.answers(&result).await;
        assert_eq!(gate.runs(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn who_joins_waits_for_one_that_is_busy() {
    let gate = Gate::new();
    let mut peer = Peer::new().await;
    let queue = peer.joins(&gate).await;
    let mut old = peer.site.take(&Queue::exclusive("old", Vec::new())).await;
    sleep(Duration::from_secs(4)).await;
    here(&peer.site, &queue, "old", Some(true)).await;
    let result = tell(&peer.site, &queue, &mut old).await;
    peer.answers(&result).await;
    assert_eq!(gate.runs(), 0);
}

/// How long a worker that lost its connection takes until it consumes again, while a consumer is
/// counted that says nothing.
async fn time_to_come_back(has_met_another: bool) -> Duration {
    let gate = Gate::new();
    let site = Site::with(worker(1, [gate.tool("hold")])).await;
    if has_met_another {
        let hello = json!({ "jsonrpc": "2.0", "method": "opendiscovery/answers/hello",
            "params": { "instance": "other", "queue": "other" } });
        let mut other = site.take(&Queue::exclusive("other", Vec::new())).await;
        let key = site.names.answers_key(&category());
        site.control(key, &hello).await;
        assert_eq!(message(&mut other).await.0, "opendiscovery/answers/here");
    }
    let _silent = site.take(&Queue::work(&site.names, &category())).await;
    site.unruly.end_links().await;
    let began = Instant::now();
    until("it to consume", async || site.consumers().await == 2).await;
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_waits_for_one_that_is_silent_only_if_there_ever_was_another() {
    let alone = time_to_come_back(false).await;
    assert!(alone < Duration::from_secs(2), "{alone:?}");
    let in_company = time_to_come_back(true).await;
    assert!(in_company >= Duration::from_secs(5), "{in_company:?}");
}

#[tokio::test(start_paused = true)]
async fn where_nobody_knows_who_joins_too_is_asked_in_the_end() {
    let gate = Gate::new();
    let mut peer = Peer::new().await;
    let began = Instant::now();
    let queue = peer.joins(&gate).await;
    let mut new = peer.site.take(&Queue::exclusive("new", Vec::new())).await;
    here(&peer.site, &queue, "new", Some(false)).await;
    let result = tell(&peer.site, &queue, &mut new).await;
    assert!(
        began.elapsed() >= Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    peer.answers(&result).await;
}

#[tokio::test(start_paused = true)]
async fn who_joins_does_not_wait_for_others_to_be_told() {
    let gate = Gate::new();
    let mut site = Site::with(worker(1, [gate.tool("hold")])).await;
    let mut mine = site.take(&Queue::exclusive("mine", Vec::new())).await;
    let key = site.names.answers_key(&category());
    let keep = json!({ "key": "k", "fingerprint": "f", "result": {} });
    for (method, params) in [
        ("keep", keep),
        ("tell", json!({ "instance": "slow", "queue": REPLIES })),
        ("hello", json!({ "instance": "me", "queue": "mine" })),
    ] {
        site.unruly
            .holds_replies
            .store(true, std::sync::atomic::Ordering::SeqCst);
        let method = format!("opendiscovery/answers/{method}");
        let body = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        site.control(key.clone(), &body).await;
    }
    let began = Instant::now();
    let (method, params) = message(&mut mine).await;
    assert_eq!(method, "opendiscovery/answers/here");
    assert_eq!(params["told"], true);
    assert_eq!(began.elapsed(), Duration::ZERO);
    site.all_is_settled().await;
}
