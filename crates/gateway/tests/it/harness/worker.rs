//! A worker that follows a script: it speaks the bus's own language, nothing else.

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bus::memory::MemoryBus;
use bus::{Binding, Bus, Delivery, Headers, Message, Publish, Queue};
use futures::StreamExt;
use protocol::control::{self, Announcement, Cancel, Digest};
use protocol::{Category, Envelope, Instance, Kind, Names, headers, response};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::asks::{asked, given};
use super::offer::{Offer, answer};

/// A running worker; it goes without a goodbye when dropped.
pub struct Worker {
    bus: MemoryBus,
    names: Names,
    announcement: Announcement,
    seen: Arc<Seen>,
    tasks: JoinSet<()>,
}

/// What came to a worker.
#[derive(Default)]
pub struct Seen {
    instance: String,
    calls: Mutex<Vec<Message>>,
    cancelled: Mutex<Vec<String>>,
    running: Mutex<HashMap<String, CancellationToken>>,
    discovers: Mutex<usize>,
    grants: Mutex<usize>,
    /// How far `lab_steps` may go: one step each.
    steps: Steps,
}

struct Steps(Semaphore);

impl Default for Steps {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

/// A descriptor with nothing but a name.
pub fn descriptor(name: &str) -> String {
    json!({ "name": name, "inputSchema": { "type": "object" } }).to_string()
}

/// A descriptor with deadlines in milliseconds.
pub fn with_deadlines(name: &str, default: u64, max: u64) -> String {
    json!({
        "name": name, "inputSchema": { "type": "object" },
        "_meta": { "opendiscovery/defaultTimeoutMs": default, "opendiscovery/maxTimeoutMs": max },
    })
    .to_string()
}

/// The tools of [`reply`], as descriptors.
pub fn scripted() -> Vec<String> {
    let mut tools: Vec<String> = [
        "ping",
        "lab_echo",
        "lab_progress",
        "lab_fail",
        "lab_error",
        "lab_odd",
        "lab_silent",
        "lab_asks",
        "lab_text",
    ]
    .map(descriptor)
    .to_vec();
    for tool in ["lab_hang", "lab_steps"] {
        tools.push(with_deadlines(tool, 20_000, 60_000));
    }
    tools
}

impl Worker {
    /// Starts a worker of category `network` with the scripted tools and waits until it takes
    /// calls.
    pub async fn start(bus: &MemoryBus) -> Self {
        Self::of(bus, "network", &scripted()).await
    }

    /// Starts a worker of any category with these descriptors.
    pub async fn of(bus: &MemoryBus, category: &str, tools: &[String]) -> Self {
        let mut worker = Self::quiet(bus, category, tools);
        worker.consume().await;
        worker.listen().await;
        worker.announce().await;
        worker
    }

    /// A worker that takes no calls and has not spoken yet.
    pub fn quiet(bus: &MemoryBus, category: &str, tools: &[String]) -> Self {
        let tools = tools.to_vec();
        Self::quiet_offering(
            bus,
            category,
            &Offer {
                tools,
                ..Offer::default()
            },
        )
    }

    /// Starts a worker of any category with all it offers.
    pub async fn offering(bus: &MemoryBus, category: &str, offer: &Offer) -> Self {
        let mut worker = Self::quiet_offering(bus, category, offer);
        worker.consume().await;
        worker.listen().await;
        worker.announce().await;
        worker
    }

    fn quiet_offering(bus: &MemoryBus, category: &str, offer: &Offer) -> Self {
        let instance = format!("{category}-{}", uuid::Uuid::new_v4().simple());
        let announcement = offer.announcement(Instance {
            instance: instance.clone(),
            category: category.parse().unwrap(),
        });
        Self {
            bus: bus.clone(),
            names: Names::default(),
            announcement,
            seen: Arc::new(Seen {
                instance,
                ..Seen::default()
            }),
            tasks: JoinSet::new(),
        }
    }

    pub fn category(&self) -> &Category {
        &self.announcement.instance.category
    }

    /// Takes calls from the work queue.
    pub async fn consume(&mut self) {
        let queue = Queue::work(&self.names, self.category());
        let link = self.bus.open("worker").await.unwrap();
        link.declare(&queue).await.unwrap();
        let prefetch = NonZeroU16::new(2000);
        let mut consumer = link.consume(&queue.name, prefetch).await.unwrap();
        let (bus, seen) = (self.bus.clone(), Arc::clone(&self.seen));
        self.tasks.spawn(async move {
            let mut calls = JoinSet::new();
            while let Some(delivery) = consumer.next().await {
                calls.spawn(call(bus.clone(), Arc::clone(&seen), delivery));
            }
            drop(link);
        });
    }

    /// Hears cancels, and answers `discover` by announcing itself.
    pub async fn listen(&mut self) {
        let keys = [
            self.names.cancel_key(self.category()),
            self.names.discover_key(),
        ];
        let bindings = keys
            .map(|pattern| Binding {
                exchange: Names::CONTROL.to_owned(),
                pattern,
            })
            .to_vec();
        let queue = Queue::exclusive(
            format!("{}.control", self.announcement.instance.instance),
            bindings,
        );
        let link = self.bus.open("control").await.unwrap();
        link.declare(&queue).await.unwrap();
        let mut consumer = link.consume(&queue.name, None).await.unwrap();
        let (bus, names, seen) = (self.bus.clone(), self.names.clone(), Arc::clone(&self.seen));
        let announcement = self.announcement.clone();
        self.tasks.spawn(async move {
            while let Some(delivery) = consumer.next().await {
                let body = delivery.message.body;
                let envelope = Envelope::parse(&body).unwrap();
                let Kind::Notification {
                    params: Some(params),
                    ..
                } = envelope.kind
                else {
                    continue;
                };
                if envelope.method().unwrap() == control::DISCOVER {
                    *seen.discovers.lock().unwrap() += 1;
                    say(&bus, &names, control::ANNOUNCE, &announcement).await;
                    continue;
                }
                if envelope.method().unwrap() == control::GRANT {
                    let grant: control::Grant = serde_json::from_str(params.get()).unwrap();
                    assert!(grant.granted, "{grant:?}");
                    *seen.grants.lock().unwrap() += 1;
                    continue;
                }
                let cancel: Cancel = serde_json::from_str(params.get()).unwrap();
                if let Some(token) = seen.running.lock().unwrap().get(&cancel.request_id) {
                    token.cancel();
                }
                seen.cancelled.lock().unwrap().push(cancel.request_id);
            }
            drop(link);
        });
    }

    pub async fn announce(&self) {
        say(
            &self.bus,
            &self.names,
            control::ANNOUNCE,
            &self.announcement,
        )
        .await;
    }

    /// Offers something else from now on.
    pub async fn change(&mut self, offer: &Offer) {
        self.announcement = offer.announcement(self.announcement.instance.clone());
        self.announce().await;
    }

    pub async fn digest(&self, digest: &str) {
        self.digest_having_taken(digest, None).await;
    }

    /// Says that it is there, and when the newest request that it has taken was made.
    pub async fn taken_up_to(&self, unix_ms: u64) {
        let digest = self.announcement.digest.clone();
        self.digest_having_taken(&digest, Some(unix_ms)).await;
    }

    async fn digest_having_taken(&self, digest: &str, taken_up_to: Option<u64>) {
        let instance = self.announcement.instance.clone();
        let digest = Digest {
            instance,
            digest: digest.to_owned(),
            taken_up_to,
        };
        say(&self.bus, &self.names, control::DIGEST, &digest).await;
    }

    /// Says goodbye and goes.
    pub async fn leave(mut self) {
        say(
            &self.bus,
            &self.names,
            control::GOODBYE,
            &self.announcement.instance,
        )
        .await;
        self.tasks.shutdown().await;
    }

    /// Goes without a word.
    pub async fn die(mut self) {
        self.tasks.shutdown().await;
    }

    pub fn calls(&self) -> Vec<Message> {
        self.seen.calls.lock().unwrap().clone()
    }

    pub fn cancelled(&self) -> Vec<String> {
        self.seen.cancelled.lock().unwrap().clone()
    }

    pub fn running(&self) -> usize {
        self.seen.running.lock().unwrap().len()
    }

    /// Lets `lab_steps` go on by so many steps; the one after the last is its answer.
    pub fn step(&self, steps: usize) {
        self.seen.steps.0.add_permits(steps);
    }

    /// Calls that were granted to it.
    pub fn grants(&self) -> usize {
        *self.seen.grants.lock().unwrap()
    }

    pub fn discovers(&self) -> usize {
        *self.seen.discovers.lock().unwrap()
    }
}

async fn say(bus: &MemoryBus, names: &Names, method: &str, params: &(impl Serialize + Sync)) {
    let message = Message {
        kind: Some(headers::kind::NOTIFICATION.to_owned()),
        body: response::notification(method, params).unwrap().into(),
        ..Message::default()
    };
    bus.publish(Publish::broadcast(
        Names::CONTROL,
        names.announce_key(),
        message,
    ))
    .await
    .unwrap();
}

/// Runs one call to its end, or until it is cancelled.
async fn call(bus: MemoryBus, seen: Arc<Seen>, delivery: Delivery) {
    let request = delivery.message.clone();
    let id = request.correlation_id.clone().unwrap();
    let token = CancellationToken::new();
    seen.calls.lock().unwrap().push(request.clone());
    seen.running
        .lock()
        .unwrap()
        .insert(id.clone(), token.clone());
    token
        .run_until_cancelled(reply(&bus, &seen, &request))
        .await;
    seen.running.lock().unwrap().remove(&id);
    delivery.ack().await.unwrap();
}

/// What each tool does.
async fn reply(bus: &MemoryBus, seen: &Seen, request: &Message) {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let params = &body["params"];
    let id = &body["id"];
    if body["method"] != "tools/call" {
        let text = answer(&body).to_string();
        return send(bus, request, text.into(), 0, true).await;
    }
    let name = params["name"].as_str().unwrap();
    let result = |content: Value| json!({ "resultType": "complete", "content": [], "structuredContent": content, "isError": false });
    let answer = match protocol::canonical_tool_name(name).as_ref() {
        // The body as it came, so that a test can compare it byte for byte.
        "lab_echo" => result(json!({
            "body": std::str::from_utf8(&request.body).unwrap(),
            "headers": request.headers,
        })),
        "lab_progress" => {
            let token = &params["_meta"]["progressToken"];
            for step in 1..=2 {
                let progress = json!({ "progressToken": token, "progress": step, "total": 2 });
                let body = response::notification("notifications/progress", &progress).unwrap();
                send(bus, request, body, step - 1, false).await;
            }
            result(json!({ "done": params["arguments"] }))
        }
        "lab_fail" => json!({ "resultType": "complete", "content": [], "isError": true }),
        "lab_error" => {
            let code = params["arguments"]["code"].as_i64().unwrap();
            let error = json!({ "code": code, "message": "scripted" });
            let text = json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string();
            return send(bus, request, text.into(), 0, true).await;
        }
        "lab_odd" => return send(bus, request, odd(id).into(), 0, true).await,
        "lab_asks" => asked(params),
        "lab_text" => return send(bus, request, given(&body).into(), 0, true).await,
        "lab_once" => {
            send_started(bus, &seen.instance, request).await;
            return std::future::pending().await;
        }
        "lab_steps" => {
            for (step, kind) in params["arguments"]["steps"]
                .as_str()
                .unwrap()
                .bytes()
                .enumerate()
            {
                seen.steps.0.acquire().await.unwrap().forget();
                take_step(bus, request, step.try_into().unwrap(), kind).await;
            }
            seen.steps.0.acquire().await.unwrap().forget();
            result(json!({ "done": true }))
        }
        "lab_hang" => return std::future::pending().await,
        "lab_silent" => return tokio::time::sleep(Duration::from_millis(1)).await,
        other => result(json!({ "tool": other, "arguments": params["arguments"] })),
    };
    let text = json!({ "jsonrpc": "2.0", "id": id, "result": answer }).to_string();
    send(bus, request, text.into(), 2, true).await;
}

/// A step of `lab_steps`: a detach, or a notification with its number.
async fn take_step(bus: &MemoryBus, request: &Message, step: i64, kind: u8) {
    if kind == b'd' {
        let message = Message {
            kind: Some(headers::kind::DETACH.to_owned()),
            correlation_id: request.correlation_id.clone(),
            headers: Headers::default()
                .with(headers::SEQ, step)
                .with(headers::FINAL, false),
            ..Message::default()
        };
        let reply_to = request.reply_to.clone().unwrap();
        bus.publish(Publish::to_queue(reply_to, message))
            .await
            .unwrap();
    } else {
        let progress = json!({ "progressToken": 1, "progress": step });
        let body = response::notification("notifications/progress", &progress).unwrap();
        send(bus, request, body, step, false).await;
    }
}

/// An answer that no serializer would write like this.
pub fn odd(id: &Value) -> String {
    format!(
        "{{ \"result\" :{{\"resultType\":\"complete\",\n\"n\":1.0,\"big\":123456789012345678901234567890,\
         \"e\":1E+2,\"u\":\"\\u00e4\",\"unknown\":[{{}}, null]}}, \"jsonrpc\":\"2.0\",\"id\":{id} }}"
    )
}

async fn send_started(bus: &MemoryBus, instance: &str, request: &Message) {
    let message = Message {
        kind: Some(headers::kind::STARTED.to_owned()),
        correlation_id: request.correlation_id.clone(),
        reply_to: Some(format!("{instance}.control")),
        headers: Headers::default().with(headers::INSTANCE, instance),
        ..Message::default()
    };
    let reply_to = request.reply_to.clone().unwrap();
    bus.publish(Publish::to_queue(reply_to, message))
        .await
        .unwrap();
}

async fn send(bus: &MemoryBus, request: &Message, body: Vec<u8>, seq: i64, is_final: bool) {
    let kind = if is_final {
        headers::kind::RESPONSE
    } else {
        headers::kind::NOTIFICATION
    };
    let message = Message {
        kind: Some(kind.to_owned()),
        correlation_id: request.correlation_id.clone(),
        headers: Headers::default()
            .with(headers::SEQ, seq)
            .with(headers::FINAL, is_final),
        body: body.into(),
        ..Message::default()
    };
    let reply_to = request.reply_to.clone().unwrap();
    // The caller may be gone.
    let _ = bus.publish(Publish::to_queue(reply_to, message)).await;
}
