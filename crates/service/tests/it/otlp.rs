//! Spans that leave a process arrive at an OTLP receiver, as one trace.

use std::io::Write;

use service::telemetry::{self, Telemetry, trace};
use service::{Settings, TraceContext};
use tokio::task::spawn_blocking;
use tracing::Dispatch;
use tracing::dispatcher::with_default;

use crate::child::{self, Ended};
use crate::receiver::{Received, Receiver};

const TRACE: u128 = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;
const PARENT: u64 = 0xb7ad_6b71_6920_3331;

fn build(receiver: &Receiver, process: &str) -> (Dispatch, Telemetry) {
    let settings = Settings {
        otel_exporter_otlp_endpoint: Some(receiver.endpoint.parse().unwrap()),
        ..Settings::default()
    };
    telemetry::build(&settings, process).unwrap()
}

/// Runs the example until its end; the receiver takes its spans meanwhile.
async fn run_example(environment: Vec<(&'static str, String)>) -> Ended {
    spawn_blocking(move || {
        let environment: Vec<(&str, &str)> = environment
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        child::start("span", None, &environment).end()
    })
    .await
    .unwrap()
}

fn attribute<'a>(received: &'a Received, name: &str) -> &'a str {
    let found = received.resource.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.as_str()).unwrap_or_default()
}

/// The context that a client sends; flag 01 says that the trace is sampled.
fn traceparent(flags: &str) -> String {
    format!("00-{TRACE:032x}-{PARENT:016x}-{flags}")
}

#[tokio::test]
async fn a_trace_goes_through_two_processes() {
    let mut receiver = Receiver::plain().await;
    let (gateway, gateway_telemetry) = build(&receiver, "discovery-gateway");
    let (worker, worker_telemetry) = build(&receiver, "discovery-worker-network");
    let client = TraceContext::new(Some(&traceparent("01")), Some("vendor=1"), Some("user=7"));

    let sent = with_default(&gateway, || {
        let request = tracing::info_span!("request");
        trace::set_parent(&request, &client);
        let publish = request.in_scope(|| tracing::info_span!("publish"));
        trace::current(&publish).unwrap()
    });
    assert_eq!(sent.tracestate.as_deref(), Some("vendor=1"));
    assert_eq!(sent.baggage.as_deref(), Some("user=7"));
    with_default(&worker, || {
        let call = tracing::info_span!("call");
        trace::set_parent(&call, &sent);
        call.in_scope(|| tracing::info!("running"));
    });
    spawn_blocking(|| {
        gateway_telemetry.shutdown();
        worker_telemetry.shutdown();
    })
    .await
    .unwrap();

    let spans = receiver.spans(3).await;
    let find = |name: &str| {
        spans
            .iter()
            .find(|received| received.span.name == name)
            .unwrap()
    };
    let (request, publish, call) = (find("request"), find("publish"), find("call"));
    for received in &spans {
        assert_eq!(received.span.trace_id, TRACE.to_be_bytes());
        assert_eq!(
            attribute(received, "service.version"),
            env!("CARGO_PKG_VERSION")
        );
    }
    assert_eq!(request.span.parent_span_id, PARENT.to_be_bytes());
    assert_eq!(publish.span.parent_span_id, request.span.span_id);
    assert_eq!(call.span.parent_span_id, publish.span.span_id);
    assert_eq!(attribute(request, "service.name"), "discovery-gateway");
    assert_eq!(attribute(call, "service.name"), "discovery-worker-network");
    let instance = |received| attribute(received, "service.instance.id").to_owned();
    assert_eq!(instance(request), instance(publish));
    assert!(instance(request) != instance(call));
}

#[tokio::test]
async fn a_trace_that_is_not_sampled_is_passed_on_and_not_exported() {
    let mut receiver = Receiver::plain().await;
    let (gateway, telemetry) = build(&receiver, "discovery-gateway");
    with_default(&gateway, || {
        let unsampled = tracing::info_span!("unsampled");
        trace::set_parent(
            &unsampled,
            &TraceContext::new(Some(&traceparent("00")), None, None),
        );
        let sent = trace::current(&unsampled).unwrap().traceparent.unwrap();
        assert!(
            sent.starts_with(&format!("00-{TRACE:032x}-")) && sent.ends_with("-00"),
            "{sent}"
        );
        drop(tracing::info_span!("sampled").entered());
    });
    spawn_blocking(|| telemetry.shutdown()).await.unwrap();
    let spans = receiver.spans(1).await;
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].span.name, "sampled");
}

#[tokio::test]
async fn a_quiet_log_does_not_silence_traces() {
    let mut receiver = Receiver::plain().await;
    let environment = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.clone()),
        ("RUST_LOG", "off".to_owned()),
    ];
    let ended = run_example(environment).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let spans = receiver.spans(1).await;
    assert_eq!(spans[0].span.name, "work");
    assert_eq!(attribute(&spans[0], "service.name"), "example");
}

#[tokio::test]
async fn the_name_of_the_service_can_be_set() {
    let mut receiver = Receiver::plain().await;
    let environment = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.clone()),
        ("OTEL_SERVICE_NAME", "edge".to_owned()),
    ];
    assert_eq!(run_example(environment).await.code, Some(0));
    assert_eq!(
        attribute(&receiver.spans(1).await[0], "service.name"),
        "edge"
    );
}

#[tokio::test]
async fn spans_go_over_tls_to_a_receiver_that_the_system_trusts() {
    let (mut receiver, certificate) = Receiver::tls().await;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(certificate.as_bytes()).unwrap();
    let environment = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.clone()),
        ("SSL_CERT_FILE", file.path().display().to_string()),
    ];
    let ended = run_example(environment).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(receiver.spans(1).await[0].span.name, "work");
}

#[tokio::test]
async fn an_unreachable_receiver_is_logged_and_stops_nothing() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let environment = vec![("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{closed}"))];
    let ended = run_example(environment).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("Export"), "{}", ended.stderr);
}
