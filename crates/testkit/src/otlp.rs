//! A receiver for OpenTelemetry spans (OTLP over HTTP with protobuf, path `/v1/traces`).

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{AnyValue, KeyValue, any_value},
    trace::v1,
};
use prost::Message as _;
use tokio::{net::TcpListener, sync::watch, task::JoinSet, time::timeout};

/// One span as it was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// The span it belongs to, absent for the first of a trace.
    pub parent: Option<String>,
    /// What it is called.
    pub name: String,
    /// `service.name` of the process that exported it, empty where there is none.
    pub service: String,
    /// Its attributes, values as text.
    pub attributes: HashMap<String, String>,
}

type Spans = Arc<watch::Sender<Vec<Span>>>;

/// The receiver; it ends when it is dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    spans: Spans,
    _serving: JoinSet<()>,
}

impl Receiver {
    /// Listens on a port of 127.0.0.1.
    ///
    /// # Errors
    /// No port can be had.
    pub async fn start() -> Result<Self> {
        let spans: Spans = Arc::new(watch::Sender::new(Vec::new()));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let router = Router::new()
            .route("/v1/traces", post(receive))
            .with_state(Arc::clone(&spans));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            // It serves until it is dropped; there is nobody to hear of an error before that but
            // the test, which then waits in vain and says so.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            address,
            spans,
            _serving: serving,
        })
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` has to be.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All spans so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.spans.borrow().clone()
    }

    /// Waits until the spans so far satisfy a condition, and gives them.
    ///
    /// # Errors
    /// They do not within `deadline`; the message lists them.
    pub async fn wait_for(
        &self,
        what: &str,
        deadline: Duration,
        mut condition: impl FnMut(&[Span]) -> bool,
    ) -> Result<Vec<Span>> {
        let mut watch = self.spans.subscribe();
        let seen = timeout(deadline, watch.wait_for(|spans| condition(spans)))
            .await
            .with_context(|| format!("{what}: not in {deadline:?}; seen: {:#?}", self.spans()))?;
        Ok(seen.context("the receiver has ended")?.clone())
    }
}

async fn receive(State(spans): State<Spans>, body: Bytes) -> Result<Vec<u8>, StatusCode> {
    let request = ExportTraceServiceRequest::decode(body).map_err(|_| StatusCode::BAD_REQUEST)?;
    let received = request.resource_spans.into_iter().flat_map(|resource| {
        let attributes = resource
            .resource
            .map(|it| texts(&it.attributes))
            .unwrap_or_default();
        let service = attributes.get("service.name").cloned().unwrap_or_default();
        let scopes = resource
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans);
        scopes
            .map(move |exported| span(exported, &service))
            .collect::<Vec<_>>()
    });
    let received: Vec<Span> = received.collect();
    spans.send_modify(|spans| spans.extend(received));
    Ok(ExportTraceServiceResponse::default().encode_to_vec())
}

fn span(exported: v1::Span, service: &str) -> Span {
    Span {
        trace_id: hex(&exported.trace_id),
        span_id: hex(&exported.span_id),
        parent: (!exported.parent_span_id.is_empty()).then(|| hex(&exported.parent_span_id)),
        attributes: texts(&exported.attributes),
        name: exported.name,
        service: service.to_owned(),
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 15)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(*byte)])
        .collect()
}

fn texts(attributes: &[KeyValue]) -> HashMap<String, String> {
    attributes
        .iter()
        .map(|it| (it.key.clone(), text(it.value.as_ref())))
        .collect()
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::BoolValue(value)) => value.to_string(),
        Some(any_value::Value::IntValue(value)) => value.to_string(),
        Some(any_value::Value::DoubleValue(value)) => value.to_string(),
        other => format!("{other:?}"),
    }
}
