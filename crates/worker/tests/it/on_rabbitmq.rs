//! What only a real broker can show: it keeps what a worker gives back or leaves behind.

use std::sync::Arc;
use std::time::Duration;

use bus::{Backoff, Binding, Bus, CallRequest, Caller, Frame, PendingCall, Queue, QueueState};
use protocol::{Change, Event, LogLevel, Names, ToolError, headers, mcp};
use serde_json::{Value, json};
use service::{Process, Settings, broker};
use testkit::rabbitmq::{self, Vhost};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use worker::{Context, Error, Tool, Worker};

use crate::gate::{Gate, until, within};
use crate::lab::{self, Nothing, Text};
use crate::site::{category, worker};

/// A virtual host with a worker and a caller, each on connections of their own.
struct Site {
    vhost: Vhost,
    names: Names,
    process: Process,
    bus: Arc<dyn Bus>,
    caller: Caller,
    tasks: JoinSet<()>,
    worker: JoinSet<Result<(), Error>>,
}

impl Site {
    async fn new() -> Self {
        let broker = rabbitmq::shared().await.unwrap();
        let vhost = broker.vhost().await.unwrap();
        let settings = Settings {
            amqp_url: Some(vhost.url().parse().unwrap()),
            ..Settings::default()
        };
        let bus = broker::connect(&settings, "caller").unwrap();
        let names = Names::default();
        let caller = Caller::new(
            Arc::clone(&bus),
            names.clone(),
            "caller",
            Duration::from_hours(1),
        );
        let mut tasks = JoinSet::new();
        let running = caller.clone();
        tasks.spawn(async move {
            running
                .run(&Backoff::default(), &CancellationToken::new())
                .await
                .unwrap();
        });
        within("the caller to connect", caller.connected()).await;
        Self {
            vhost,
            names,
            process: Process::new("test", settings),
            bus,
            caller,
            tasks,
            worker: JoinSet::new(),
        }
    }

    async fn with(worker: Worker) -> Self {
        let mut site = Self::new().await;
        site.spawn(worker);
        site.consumed().await;
        site
    }

    fn spawn(&mut self, worker: Worker) {
        let process = self.process.clone();
        let bus = broker::connect(&process.settings, "worker").unwrap();
        self.worker
            .spawn(async move { worker::serve(worker, bus, &process).await });
    }

    async fn consumed(&self) {
        until("a consumer", async || self.state().await.consumers == 1).await;
    }

    async fn state(&self) -> QueueState {
        let queue = self.names.work_queue(&category());
        let state = self.bus.queue_state(&queue).await.ok().flatten();
        state.unwrap_or(QueueState {
            consumers: 0,
            messages: 0,
        })
    }

    fn call(&self, tool: &str, message_id: &str) -> PendingCall {
        let params = json!({ "name": tool, "arguments": {} });
        self.call_with(tool, message_id, &params)
    }

    fn call_with(&self, tool: &str, message_id: &str, params: &Value) -> PendingCall {
        self.send(tool, message_id, params, false)
    }

    /// A call whose caller gave it a key.
    fn call_with_key(&self, tool: &str, key: &str) -> PendingCall {
        let params = json!({ "name": tool, "arguments": {} });
        self.send(tool, key, &params, true)
    }

    fn send(&self, tool: &str, id: &str, params: &Value, idempotent: bool) -> PendingCall {
        let body = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params,
        });
        let request = CallRequest {
            category: category(),
            tool: tool.to_owned(),
            method: mcp::method::TOOLS_CALL,
            name: tool.to_owned(),
            body: body.to_string().into(),
            timeout: Duration::from_secs(20),
            message_id: id.to_owned(),
            idempotent,
            workers_read_zstd: true,
            waits_for_worker: false,
            params: Vec::new(),
            trace: Vec::new(),
        };
        self.caller.call(request).unwrap()
    }

    async fn stop(&mut self) {
        self.process.shutdown.cancel();
        let ended = within("the worker to end", self.worker.join_next()).await;
        ended.unwrap().unwrap().unwrap();
    }
}

/// The text of the answer.
async fn answer(mut call: PendingCall) -> String {
    match within("an answer", call.next()).await.unwrap() {
        Frame::Final(body) => {
            let body: Value = serde_json::from_slice(&body).unwrap();
            let text = &body["result"]["content"][0]["text"];
            text.as_str().unwrap_or(&body.to_string()).to_owned()
        }
        early => panic!("{early:?} came before the answer"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_one_moment_with_one_key_run_once_at_one_of_two_workers() {
    const ROUNDS: usize = 50;
    let gate = Gate::new();
    gate.open(2 * ROUNDS);
    let mut site = Site::with(worker(4, [gate.tool("hold")])).await;
    site.spawn(worker(4, [gate.tool("hold")]));
    until("both workers", async || site.state().await.consumers == 2).await;
    for round in 1..=ROUNDS {
        let key = format!("key {round}");
        let answers = (0..4).map(|_| answer(site.call_with_key("hold", &key)));
        let answers = futures::future::join_all(answers).await;
        assert_eq!(answers, vec![format!("run {round}"); 4]);
    }
    assert_eq!(gate.runs(), ROUNDS);
    site.process.shutdown.cancel();
    for _ in 0..2 {
        let ended = within("the worker to end", site.worker.join_next()).await;
        ended.unwrap().unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_stops_leaves_to_others_what_it_has_not_started() {
    let gate = Gate::new();
    let mut site = Site::with(worker(1, [gate.tool("hold")])).await;
    let (first, second) = (site.call("hold", "first"), site.call("hold", "second"));
    let stopping = async {
        gate.entered().await;
        let queue = site.names.work_queue(&category());
        until("the second call to wait", async || {
            let state = site.bus.queue_state(&queue).await.unwrap();
            state.unwrap().messages == 1
        })
        .await;
        // Whether the first call ends before or after the broker has heard that no more is
        // wanted: the second one is not for this worker.
        site.process.shutdown.cancel();
        gate.open(9);
        site.stop().await;
        assert_eq!(gate.runs(), 1);
        site.process = Process::new("test", (*site.process.settings).clone());
        site.spawn(worker(1, [gate.tool("hold")]));
    };
    let (first, second, ()) = tokio::join!(answer(first), answer(second), stopping);
    assert_eq!((first.as_str(), second.as_str()), ("run 1", "run 2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_connections_end_has_its_real_answer() {
    let gate = Gate::new();
    let site = Site::with(worker(4, [gate.tool("hold")])).await;
    let call = site.call("hold", "a");
    let outage = async {
        gate.entered().await;
        let broker = site.vhost.broker();
        broker.close_connections(site.vhost.name()).await.unwrap();
        until("the first run to end", async || gate.left() >= 1).await;
        gate.entered().await;
        gate.open(9);
    };
    let (text, ()) = tokio::join!(answer(call), outage);
    assert!(text.starts_with("run "), "{text}");
    site.consumed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_call_stops_within_a_second() {
    let gate = Gate::new();
    let mut site = Site::with(worker(1, [gate.tool("hold")])).await;
    let mut call = site.call("hold", "a");
    {
        let mut waiting = std::pin::pin!(call.next());
        tokio::select! {
            answer = &mut waiting => panic!("{answer:?} came too early"),
            () = gate.entered() => {}
        }
    }
    let cancelled = std::time::Instant::now();
    call.cancel("the test says so").await;
    until("the tool to stop", async || gate.left() == 1).await;
    assert!(
        cancelled.elapsed() < Duration::from_secs(1),
        "{:?}",
        cancelled.elapsed()
    );
    site.stop().await;
    assert_eq!(site.state().await.messages, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_broker_counts_and_the_worker_gives_up() {
    let gate = Gate::new();
    let mut site = Site::new().await;
    let link = site.bus.open("before").await.unwrap();
    link.declare(&Queue::work(&site.names, &category()))
        .await
        .unwrap();
    let call = site.call("hold", "a");
    let poisoning = async {
        // Each link that ends with the message in hand counts.
        for _ in 0..5 {
            let link = site.bus.open("crashing").await.unwrap();
            let queue = site.names.work_queue(&category());
            let mut consumer = link
                .consume(&queue, std::num::NonZeroU16::new(1))
                .await
                .unwrap();
            within("the call", futures::StreamExt::next(&mut consumer))
                .await
                .unwrap();
            link.close().await;
        }
        site.spawn(lab::worker().tool(gate.tool("hold")));
    };
    let (text, ()) = tokio::join!(answer(call), poisoning);
    assert!(text.contains("-31005"), "{text}");
    let link = site.bus.open("after").await.unwrap();
    let dead = site.names.dead_queue();
    let mut letters = within("a consumer", link.consume(&dead, None))
        .await
        .unwrap();
    let letter = within("a letter", futures::StreamExt::next(&mut letters))
        .await
        .unwrap();
    assert_eq!(letter.message.message_id.as_deref(), Some("a"));
    assert!(letter.message.headers.int("mcp-dead-deliveries").unwrap() >= 5);
    assert!(letter.message.headers.text(headers::INSTANCE).is_some());
    site.stop().await;
    assert_eq!((gate.runs(), site.state().await.messages), (0, 0));
    site.tasks.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_of_another_version_ends_the_worker() {
    let mut site = Site::new().await;
    let mut other = Queue::work(&site.names, &category());
    other.delivery_limit = Some(3);
    let link = site.bus.open("before").await.unwrap();
    link.declare(&other).await.unwrap();
    site.spawn(lab::worker());
    let ended = within("the worker to end", site.worker.join_next()).await;
    let exit = ended.unwrap().unwrap().unwrap_err().into_exit();
    assert_eq!(exit.code(), 69);
    assert!(exit.to_string().contains("delete_queue"), "{exit}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_queues_are_deleted_makes_them_anew() {
    let greet = Tool::new("greet", async |_: Context, _: Nothing| {
        let text = "hello".to_owned();
        Ok::<_, ToolError>(Text { text })
    });
    let mut site = Site::with(lab::worker().tool(greet)).await;
    assert_eq!(answer(site.call("greet", "a")).await, "hello");
    let vhost = site.vhost.name();
    // Every queue of the virtual host but the caller's: the worker's own control queue goes too.
    let delete = format!(
        r#"integer_to_list(length([rabbit_amqqueue:delete(Q, false, false, <<"test">>)
            || Q <- rabbit_amqqueue:list(<<"{vhost}">>),
            binary:match(element(4, amqqueue:get_name(Q)), <<"responses">>) =:= nomatch]))"#
    );
    let deleted = site.vhost.broker().eval(&delete).await.unwrap();
    assert_eq!(deleted, "3", "work, dead letters, control");
    until("the worker to be ready again", async || {
        site.state().await.consumers == 1 && site.process.health.is_ready()
    })
    .await;
    assert_eq!(answer(site.call("greet", "b")).await, "hello");
    site.stop().await;
    site.tasks.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notifications_come_in_order_and_events_reach_who_listens() {
    let talk = Tool::new("talk", async |context: Context, _: Nothing| {
        context.notify(Change::ToolsListChanged);
        context.log(LogLevel::Info, None, 1);
        context.detach();
        context.log(LogLevel::Info, None, 2);
        let text = "done".to_owned();
        Ok::<_, ToolError>(Text { text })
    });
    let mut site = Site::with(lab::worker().tool(talk)).await;
    let link = site.bus.open("listener").await.unwrap();
    let binding = Binding {
        exchange: site.names.events_exchange().to_owned(),
        pattern: site.names.event_key("#"),
    };
    let queue = Queue::exclusive("events", vec![binding]);
    link.declare(&queue).await.unwrap();
    let mut events = link.consume(&queue.name, None).await.unwrap();

    let params = json!({"name": "talk", "_meta": {"io.modelcontextprotocol/logLevel": "debug"}});
    let mut call = site.call_with("talk", "a", &params);
    let mut told = Vec::new();
    loop {
        match within("a frame", call.next()).await.unwrap() {
            Frame::Notification(body) => {
                let body: Value = serde_json::from_slice(&body).unwrap();
                told.push(body["params"]["data"].clone());
            }
            Frame::Detach => told.push("detach".into()),
            Frame::Final(_) => break,
        }
    }
    assert_eq!(told, [json!(1), json!("detach"), json!(2)]);
    let event = within("an event", futures::StreamExt::next(&mut events)).await;
    let event: Event = serde_json::from_slice(&event.unwrap().message.body).unwrap();
    assert_eq!(event.change(), Some(Change::ToolsListChanged));
    site.stop().await;
    site.tasks.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_decompresses_beyond_the_limit_is_refused_and_never_inflated() {
    let mut site = Site::new().await;
    let mut settings = (*site.process.settings).clone();
    settings.amqp_max_message_size = "65536".parse().unwrap();
    site.process = Process::new("test", settings);
    site.spawn(lab::worker());
    site.consumed().await;
    let host =
        |bytes: usize| json!({ "name": "probe", "arguments": { "host": "a".repeat(bytes) } });
    let refused = answer(site.call_with("probe", "a", &host(9 << 20))).await;
    for part in ["-32600", "cannot be read", "AMQP_MAX_MESSAGE_SIZE"] {
        assert!(refused.contains(part), "{refused}");
    }
    // Compressed as well, and within the limit: it is read, and the argument is no host.
    let read = answer(site.call_with("probe", "b", &host(65_000))).await;
    assert!(read.contains("invalid_arguments"), "{read}");
    site.stop().await;
}
