//! A worker on a memory bus, and a caller.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bus::memory::MemoryBus;
use bus::{Binding, Bus, Consumer, Delivery, Headers, Link, Message, Publish, Queue};
use bytes::Bytes;
use futures::StreamExt;
use protocol::control::{ANNOUNCE, GRANT, Grant};
use protocol::mcp::method;
use protocol::{Category, Names, headers};
use serde_json::{Value, json};
use service::{Process, Settings};
use tokio::task::JoinSet;
use worker::{Error, Tool, Worker};

use crate::gate::{until, within};
use crate::unruly::Unruly;

/// The caller's reply queue.
pub(crate) const REPLIES: &str = "replies";

pub(crate) struct Site {
    pub(crate) memory: MemoryBus,
    /// The bus of the worker, unless a test gives it another one.
    pub(crate) unruly: Arc<Unruly>,
    pub(crate) names: Names,
    pub(crate) process: Process,
    worker: JoinSet<Result<(), Error>>,
    client: Client,
}

/// The connection of a caller that also listens to announcements.
struct Client {
    link: Box<dyn Link>,
    replies: Consumer,
    news: Consumer,
}

impl Client {
    async fn connect(bus: &MemoryBus, names: &Names) -> Self {
        let link = bus.open("client").await.unwrap();
        let news = Binding {
            exchange: Names::CONTROL.to_owned(),
            pattern: names.announce_key(),
        };
        for queue in [
            Queue::exclusive(REPLIES, Vec::new()),
            Queue::exclusive("news", vec![news]),
        ] {
            link.declare(&queue).await.unwrap();
        }
        Self {
            replies: link.consume(REPLIES, None).await.unwrap(),
            news: link.consume("news", None).await.unwrap(),
            link,
        }
    }
}

pub(crate) fn category() -> Category {
    "lab".parse().unwrap()
}

pub(crate) fn worker(prefetch: u16, tools: impl IntoIterator<Item = Tool>) -> Worker {
    let worker = Worker::new(category(), NonZeroU16::new(prefetch).unwrap());
    tools.into_iter().fold(worker, Worker::tool)
}

impl Site {
    /// A bus with a caller, and no worker yet.
    pub(crate) async fn new() -> Self {
        Self::on(MemoryBus::new()).await
    }

    pub(crate) async fn on(memory: MemoryBus) -> Self {
        let names = Names::default();
        let client = Client::connect(&memory, &names).await;
        Self {
            unruly: Unruly::new(&memory),
            memory,
            names,
            process: Process::new("test", Settings::default()),
            worker: JoinSet::new(),
            client,
        }
    }

    /// A site whose worker consumes.
    pub(crate) async fn with(worker: Worker) -> Self {
        let mut site = Self::new().await;
        site.start(worker).await;
        site
    }

    pub(crate) async fn start(&mut self, worker: Worker) {
        self.start_on(worker, self.unruly.clone()).await;
    }

    pub(crate) async fn start_on(&mut self, worker: Worker, bus: Arc<dyn Bus>) {
        self.spawn(worker, bus);
        let news = self.news().await;
        assert_eq!(news["method"], ANNOUNCE);
    }

    pub(crate) fn spawn(&mut self, worker: Worker, bus: Arc<dyn Bus>) {
        let process = self.process.clone();
        self.worker
            .spawn(async move { worker::serve(worker, bus, &process).await });
    }

    /// How the worker ends.
    pub(crate) async fn ended(&mut self) -> Result<(), Error> {
        within("the worker to end", self.worker.join_next())
            .await
            .unwrap()
            .unwrap()
    }

    /// The worker ends as a process does that is killed: without another word.
    pub(crate) async fn kill(&mut self) {
        let killed = std::mem::replace(&mut self.unruly, Unruly::new(&self.memory));
        killed.die();
        self.worker.shutdown().await;
    }

    /// The broker goes away and comes back, with the same caller.
    pub(crate) async fn outage(&mut self) {
        self.memory.go_away();
        self.memory.come_back();
        self.call_back().await;
    }

    /// The caller goes without a word, and its queues with it.
    pub(crate) async fn hang_up(&self) {
        self.client.link.close().await;
    }

    /// Another caller comes.
    pub(crate) async fn call_back(&mut self) {
        self.client = Client::connect(&self.memory, &self.names).await;
    }

    pub(crate) async fn publish(&self, publish: Publish) {
        self.memory.publish(publish).await.unwrap();
    }

    /// A call whose caller gave it a key.
    pub(crate) fn keyed(&self, id: &str, key: &str, tool: &str, arguments: &Value) -> Publish {
        let mut request = self.request(id, tool, arguments);
        request.message.message_id = Some(key.to_owned());
        request.message.headers.insert(headers::IDEMPOTENT, true);
        request
    }

    pub(crate) async fn call_with_key(&self, id: &str, key: &str, tool: &str) {
        self.publish(self.keyed(id, key, tool, &json!({}))).await;
    }

    pub(crate) async fn call(&self, id: &str, tool: &str) {
        self.publish(self.request(id, tool, &json!({}))).await;
    }

    /// A call as a gateway sends it; its correlation id is also its JSON-RPC id.
    pub(crate) fn request(&self, id: &str, tool: &str, arguments: &Value) -> Publish {
        let params = json!({ "name": tool, "arguments": arguments });
        self.request_with(id, tool, &params)
    }

    pub(crate) fn request_with(&self, id: &str, tool: &str, params: &Value) -> Publish {
        self.request_of(id, method::TOOLS_CALL, tool, params)
    }

    /// A request of any method, for what has this name or URI.
    pub(crate) fn request_of(&self, id: &str, method: &str, name: &str, params: &Value) -> Publish {
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let headers = Headers::default()
            .with(headers::PROTOCOL_VERSION, "2026-07-28")
            .with(headers::METHOD, method)
            .with(headers::NAME, name)
            .with(headers::DEADLINE, unix_ms_in(Duration::from_mins(1)));
        let routed = match method {
            method::TOOLS_CALL | method::PROMPTS_GET => name,
            _ => "",
        };
        Publish {
            exchange: Names::REQUESTS.to_owned(),
            routing_key: self.names.tool_key(&category(), routed),
            mandatory: true,
            may_share: false,
            message: Message {
                kind: Some(headers::kind::REQUEST.to_owned()),
                correlation_id: Some(id.to_owned()),
                reply_to: Some(REPLIES.to_owned()),
                message_id: Some(format!("message of {id}")),
                headers,
                body: body.to_string().into(),
                ..Message::default()
            },
        }
    }

    /// Sends a request and waits for what comes first.
    pub(crate) async fn ask(&mut self, method: &str, name: &str, params: &Value) -> Reply {
        self.publish(self.request_of("a", method, name, params))
            .await;
        self.reply().await
    }

    pub(crate) async fn cancel(&self, id: &str) {
        let body = json!({
            "jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id},
        });
        self.control(self.names.cancel_key(&category()), &body)
            .await;
    }

    /// The caller's word to a worker that asks whether it may run a call.
    pub(crate) async fn grant(&self, question: &Reply, granted: bool) {
        let grant = Grant {
            request_id: question.correlation_id.clone(),
            granted,
        };
        let body = json!({ "jsonrpc": "2.0", "method": GRANT, "params": grant });
        let message = Message {
            kind: Some(headers::kind::GRANT.to_owned()),
            body: body.to_string().into(),
            ..Message::default()
        };
        let to = question.control_queue.clone().unwrap();
        self.publish(Publish::to_queue(to, message)).await;
    }

    pub(crate) async fn control(&self, key: String, body: &Value) {
        let message = Message {
            body: body.to_string().into(),
            ..Message::default()
        };
        self.publish(Publish::broadcast(Names::CONTROL, key, message))
            .await;
    }

    /// What another worker says to one of them.
    pub(crate) async fn say(&self, queue: &str, body: &Value) {
        let message = Message {
            body: body.to_string().into(),
            ..Message::default()
        };
        self.publish(Publish::to_queue(queue, message)).await;
    }

    /// The next message to the caller.
    pub(crate) async fn reply(&mut self) -> Reply {
        within("a reply", self.next_reply()).await
    }

    /// The next message to the caller, however long it takes.
    pub(crate) async fn next_reply(&mut self) -> Reply {
        loop {
            let delivery = self.client.replies.next().await.unwrap();
            // As every caller does with them.
            if delivery.message.kind.as_deref() != Some(headers::kind::PROBE) {
                return Reply::of(&delivery);
            }
        }
    }

    /// The next announcement, digest or goodbye.
    pub(crate) async fn news(&mut self) -> Value {
        serde_json::from_slice(&self.news_as_written().await).unwrap()
    }

    pub(crate) async fn news_as_written(&mut self) -> Bytes {
        let delivery = within("an announcement", self.client.news.next()).await;
        delivery.unwrap().message.body
    }

    /// Fails if the caller gets anything before the answer to a call sent now.
    pub(crate) async fn nothing_came(&mut self) {
        self.call("the last", "probe").await;
        let reply = self.reply().await;
        assert_eq!(reply.correlation_id, "the last", "{reply:?}");
    }

    /// Calls that a worker was handed and has not settled.
    pub(crate) fn unsettled(&self) -> usize {
        self.memory.unsettled(&self.names.work_queue(&category()))
    }

    /// Messages that wait in the work queue.
    pub(crate) async fn queued(&self) -> u32 {
        self.work_queue().await.messages
    }

    /// Fails unless every call is settled: what a worker still held would come back when
    /// it loses its connection.
    pub(crate) async fn all_is_settled(&mut self) {
        self.process.shutdown.cancel();
        self.ended().await.unwrap();
        assert_eq!(self.queued().await, 0);
    }

    /// Waits until the worker holds nothing and nothing waits for it.
    pub(crate) async fn all_is_dropped(&mut self) {
        until("nothing to wait", async || self.queued().await == 0).await;
        self.all_is_settled().await;
    }

    pub(crate) async fn consumers(&self) -> u32 {
        self.work_queue().await.consumers
    }

    async fn work_queue(&self) -> bus::QueueState {
        let name = self.names.work_queue(&category());
        self.memory.queue_state(&name).await.unwrap().unwrap()
    }

    /// Waits until a metric is written like this.
    pub(crate) async fn metric(&self, line: &str) {
        let line = format!("{line}\n");
        until(&line, async || {
            self.process.metrics.encode().contains(&line)
        })
        .await;
    }

    /// Takes messages from a queue by hand, one at a time.
    pub(crate) async fn take(&self, queue: &Queue) -> Taking {
        self.client.link.declare(queue).await.unwrap();
        let consumer = self.client.link.consume(&queue.name, Some(NonZeroU16::MIN));
        Taking(consumer.await.unwrap())
    }

    pub(crate) async fn declare(&self, queue: &Queue) {
        self.client.link.declare(queue).await.unwrap();
    }
}

pub(crate) struct Taking(Consumer);

impl Taking {
    pub(crate) async fn next(&mut self) -> Delivery {
        within("a message", self.0.next()).await.unwrap()
    }

    pub(crate) async fn stop(mut self) {
        self.0.cancel().await.unwrap();
    }
}

/// A message to the caller, taken apart.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) kind: String,
    pub(crate) correlation_id: String,
    /// The worker that sent it.
    pub(crate) sender: String,
    pub(crate) sequence: i64,
    pub(crate) is_final: bool,
    /// Where a question is answered.
    pub(crate) control_queue: Option<String>,
    pub(crate) instance: Option<String>,
    pub(crate) body: Value,
    /// The body as it was written.
    pub(crate) text: String,
}

impl Reply {
    fn of(delivery: &Delivery) -> Self {
        let message = &delivery.message;
        Self {
            kind: message.kind.clone().unwrap(),
            correlation_id: message.correlation_id.clone().unwrap_or_default(),
            sender: message.app_id.clone().unwrap(),
            sequence: message.headers.int(headers::SEQ).unwrap(),
            is_final: message.headers.is_true(headers::FINAL),
            control_queue: message.reply_to.clone(),
            instance: message.headers.text(headers::INSTANCE).map(str::to_owned),
            body: serde_json::from_slice(&message.body).unwrap(),
            text: String::from_utf8(message.body.to_vec()).unwrap(),
        }
    }

    /// A result of any kind.
    pub(crate) fn result(&self) -> &Value {
        assert!(self.is_final, "{self:?}");
        assert_eq!(self.kind, headers::kind::RESPONSE, "{self:?}");
        &self.body["result"]
    }

    /// The text of a good result.
    pub(crate) fn text(&self) -> &str {
        assert_eq!(self.result()["isError"], false, "{self:?}");
        self.result()["content"][0]["text"].as_str().unwrap()
    }

    /// The code of a tool's failure.
    pub(crate) fn failure(&self) -> &str {
        assert!(self.is_final, "{self:?}");
        assert_eq!(self.body["result"]["isError"], true, "{self:?}");
        let error = &self.body["result"]["structuredContent"]["error"];
        error["code"].as_str().unwrap()
    }

    /// The code and message of a JSON-RPC error.
    pub(crate) fn error(&self) -> (i64, &str) {
        assert!(self.is_final, "{self:?}");
        assert_eq!(self.kind, headers::kind::ERROR, "{self:?}");
        let error = &self.body["error"];
        (
            error["code"].as_i64().unwrap(),
            error["message"].as_str().unwrap(),
        )
    }
}

pub(crate) fn unix_ms_in(time: Duration) -> i64 {
    let at = SystemTime::now() + time;
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}
