//! One call is one trace through all processes, and the log is for programs too.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{
    http::Request,
    otlp::{Receiver, Span},
    process::{Process, Program},
};

use crate::site::{Answer, END, READY, Running, SOON, Site, Target, embedded_program};

const GATEWAY: &str = "discovery-gateway";
const WORKER: &str = "discovery-worker-network";

/// A trace that a client has begun: its identifier, and its span that waits for the answer.
struct Client {
    trace: String,
    span: String,
}

impl Client {
    fn new() -> Self {
        let trace = uuid::Uuid::new_v4().simple().to_string();
        let span = trace[..16].to_owned();
        Self { trace, span }
    }

    fn traceparent(&self) -> String {
        format!("00-{}-{}-01", self.trace, self.span)
    }
}

/// Exports spans at once rather than in batches of seconds.
fn traced(program: Program, receiver: &Receiver) -> Program {
    program
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
        .env("OTEL_BSP_SCHEDULE_DELAY", "100")
}

/// A gateway and a worker on a broker, whose spans go to the receiver.
async fn site(receiver: &Receiver) -> (Site, Running, Running) {
    let site = Site::new().await;
    let worker = Running::worker(traced(site.worker_program().await, receiver));
    let gateway = Running::gateway(traced(site.gateway_program().await, receiver));
    tokio::join!(worker.ready(), gateway.ready());
    gateway.lists("ifconfig").await;
    (site, gateway, worker)
}

fn call(id: &str) -> Request {
    Request::modern_call(id, "ifconfig", &json!({ "interface": "lo" }))
}

/// The spans of a trace, once there are so many.
async fn spans_of(receiver: &Receiver, trace: &str, n_spans: usize) -> Vec<Span> {
    let of_trace = |spans: &[Span]| -> Vec<Span> {
        let of_trace = spans.iter().filter(|span| span.trace_id == trace);
        of_trace.cloned().collect()
    };
    let enough = |spans: &[Span]| of_trace(spans).len() >= n_spans;
    let spans = receiver.wait_for("the spans of the trace", SOON, enough);
    of_trace(&spans.await.unwrap())
}

/// The one span that a process has exported.
fn of<'a>(spans: &'a [Span], service: &str) -> &'a Span {
    let found: Vec<&Span> = spans
        .iter()
        .filter(|span| span.service == service)
        .collect();
    let [span] = found[..] else {
        panic!("{} spans of {service}: {spans:#?}", found.len())
    };
    span
}

/// Client, gateway, worker: each one's span is the parent of the next one's.
fn check(spans: &[Span], client: &Client, outcome: &str) {
    let (gateway, worker) = (of(spans, GATEWAY), of(spans, WORKER));
    assert_eq!(gateway.name, "mcp.request");
    assert_eq!(gateway.parent.as_ref(), Some(&client.span), "{spans:#?}");
    assert_eq!(gateway.attributes["method"], "tools/call");
    assert_eq!(worker.name, "tools/call");
    assert_eq!(worker.parent.as_ref(), Some(&gateway.span_id), "{spans:#?}");
    for span in [gateway, worker] {
        assert_eq!(span.trace_id, client.trace);
        assert_eq!(span.attributes["tool"], "ifconfig", "{span:#?}");
        assert_eq!(span.attributes["category"], "network", "{span:#?}");
        assert_eq!(span.attributes["outcome"], outcome, "{span:#?}");
    }
}

#[tokio::test]
async fn a_call_is_one_trace_from_the_client_through_gateway_and_broker_to_the_worker() {
    let receiver = Receiver::start().await.unwrap();
    let (_site, gateway, _worker) = site(&receiver).await;
    let send = async |request: Request| {
        let reply = gateway.client().send(&request, READY).await.unwrap();
        reply.answer().unwrap()["result"]["isError"].clone()
    };

    let in_header = Client::new();
    let request = call("header").header("traceparent", &in_header.traceparent());
    assert_eq!(send(request).await, false);
    check(
        &spans_of(&receiver, &in_header.trace, 2).await,
        &in_header,
        "ok",
    );

    let in_meta = Client::new();
    let mut request = call("meta");
    request.body["params"]["_meta"]["traceparent"] = in_meta.traceparent().into();
    assert_eq!(send(request).await, false);
    check(
        &spans_of(&receiver, &in_meta.trace, 2).await,
        &in_meta,
        "ok",
    );

    // What the request says itself counts more than what a proxy in between may have added.
    let (own, proxy) = (Client::new(), Client::new());
    let mut request = call("both").header("traceparent", &proxy.traceparent());
    request.body["params"]["_meta"]["traceparent"] = own.traceparent().into();
    request.body["params"]["arguments"]["interface"] = "nosuch0".into();
    assert_eq!(send(request).await, true);
    check(
        &spans_of(&receiver, &own.trace, 2).await,
        &own,
        "tool_error",
    );
    assert!(
        receiver
            .spans()
            .iter()
            .all(|span| span.trace_id != proxy.trace)
    );
}

#[tokio::test]
async fn a_client_without_a_trace_or_with_a_broken_one_begins_none_of_its_own() {
    let receiver = Receiver::start().await.unwrap();
    let (_site, gateway, _worker) = site(&receiver).await;
    let broken = "00-00000000000000000000000000000000-0000000000000000-01";
    for request in [call("none"), call("broken").header("traceparent", broken)] {
        let before = receiver.spans().len();
        let reply = gateway.client().send(&request, READY).await.unwrap();
        assert_eq!(reply.answer().unwrap()["result"]["isError"], false);
        let calls = |spans: &[Span]| -> Vec<Span> {
            let new = spans.get(before..).unwrap_or_default().iter();
            new.filter(|span| span.attributes.contains_key("tool"))
                .cloned()
                .collect()
        };
        let both = |spans: &[Span]| calls(spans).len() >= 2;
        let spans = receiver.wait_for("both spans", SOON, both).await.unwrap();
        let spans = calls(&spans);
        let (gateway, worker) = (of(&spans, GATEWAY), of(&spans, WORKER));
        assert_eq!(gateway.parent, None, "a trace begins here");
        assert_eq!(worker.parent.as_ref(), Some(&gateway.span_id));
        assert_eq!(worker.trace_id, gateway.trace_id);
    }
}

#[tokio::test]
async fn a_process_that_exports_nothing_passes_the_trace_on() {
    let receiver = Receiver::start().await.unwrap();
    let site = Site::new().await;
    let worker = Running::worker(traced(site.worker_program().await, &receiver));
    let (gateway, ()) = tokio::join!(site.gateway(), worker.ready());
    gateway.lists("ifconfig").await;
    let client = Client::new();
    let request = call("a").header("traceparent", &client.traceparent());
    gateway.client().send(&request, READY).await.unwrap();
    let spans = spans_of(&receiver, &client.trace, 1).await;
    assert_eq!(of(&spans, WORKER).parent.as_ref(), Some(&client.span));
}

#[tokio::test]
async fn the_last_spans_are_exported_before_a_process_ends() {
    let receiver = Receiver::start().await.unwrap();
    let platform = embedded_program()
        .await
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
        .env("OTEL_SERVICE_NAME", "edge-7");
    let platform = Running::gateway(platform);
    platform.ready().await;
    platform.lists("ifconfig").await;
    let client = Client::new();
    let request = call("a").header("traceparent", &client.traceparent());
    platform.client().send(&request, READY).await.unwrap();
    // A batch would wait 5 s for more.
    platform.terminate().unwrap();
    assert_eq!(platform.exit_code(END).await.unwrap(), 0);
    let spans = spans_of(&receiver, &client.trace, 2).await;
    assert_eq!(spans.len(), 2, "{spans:#?}");
    assert!(
        spans.iter().all(|span| span.service == "edge-7"),
        "{spans:#?}"
    );
}

/// Every line of a log in JSON, after the process has ended.
async fn log(process: &Process) -> Vec<Value> {
    process.terminate().unwrap();
    assert_eq!(process.exit_code(END).await.unwrap(), 0);
    let lines = process.stderr().to_end(SOON).await.unwrap();
    let parse = |line: &String| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    lines.iter().map(parse).collect()
}

#[tokio::test]
async fn the_log_in_json_is_one_object_per_line_on_standard_error() {
    let site = Site::new().await;
    let json = |program: Program| program.env("LOG_FORMAT", "json").env("RUST_LOG", "debug");
    let worker = Running::worker(json(site.worker_program().await));
    let gateway = Running::gateway(json(site.gateway_program().await));
    tokio::join!(worker.ready(), gateway.ready());
    gateway.lists("wget").await;
    // What a client, a target and a log can break: quotes, line ends, control characters.
    let target = Target::start(|_, _| Answer::AtOnce).await;
    gateway.call("wget", target.arguments("/a%22b")).await;
    gateway
        .call("ping", json!({ "host": "a\"b\n{}\u{1b}" }))
        .await;
    gateway.call("no \"such\" tool", json!({})).await;
    for process in [&*gateway, &*worker] {
        let stdout = process.stdout().all();
        assert_eq!(stdout, [""; 0], "standard output is not for the log");
        let lines = log(process).await;
        for line in &lines {
            for key in ["timestamp", "level", "target", "message"] {
                assert!(line[key].is_string(), "{key}: {line}");
            }
        }
        let messages: Vec<&Value> = lines.iter().map(|line| &line["message"]).collect();
        assert!(messages.contains(&&json!("started")) && messages.contains(&&json!("stopped")));
    }
}

#[tokio::test]
async fn standard_output_carries_protocol_alone_in_stdio_mode() {
    let site = Site::new().await;
    let (_worker, gateway) = tokio::join!(site.worker(), site.stdio());
    gateway.initialize().await;
    let target = Target::start(|_, _| Answer::After(Duration::from_millis(1))).await;
    gateway.send_modern_call(1, "wget", &target.arguments("/"));
    gateway.send(&json!({ "jsonrpc": "2.0", "id": 2, "method": "nonsense" }));
    gateway.answer(1).await;
    gateway.answer(2).await;
    gateway.close_stdin();
    assert_eq!(gateway.exit_code(END).await.unwrap(), 0);
    for line in gateway.stdout().to_end(SOON).await.unwrap() {
        let message: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(message["jsonrpc"], "2.0", "{line}");
    }
    assert!(!gateway.stderr().all().is_empty(), "the log is there");
}
