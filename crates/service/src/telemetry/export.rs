//! Spans to an OTLP receiver, over HTTP as protobuf.
//!
//! The batch processor sends from a thread of its own, without a tokio runtime; so the HTTP client
//! is the blocking one.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use reqwest::blocking::Client;
use rustls::{ClientConfig, RootCertStore};
use tracing_opentelemetry::OpenTelemetryLayer;
use uuid::Uuid;

use crate::Error;
use crate::settings::OtlpEndpoint;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Longest time that sending one batch may take.
const SEND: Duration = Duration::from_secs(10);

/// A provider whose spans go to this endpoint.
pub(super) fn provider(endpoint: &OtlpEndpoint, service: &str) -> Result<SdkTracerProvider, Error> {
    let exporter = exporter(endpoint).map_err(Error::Exporter)?;
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource(service))
        .build())
}

/// The layer that turns spans of `tracing` into spans of this provider.
pub(super) fn layer<S>(provider: &SdkTracerProvider) -> OpenTelemetryLayer<S, SdkTracer>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    tracing_opentelemetry::layer().with_tracer(provider.tracer("discovery"))
}

fn resource(service: &str) -> Resource {
    Resource::builder()
        .with_service_name(service.to_owned())
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", Uuid::new_v4().to_string()),
        ])
        .build()
}

fn exporter(endpoint: &OtlpEndpoint) -> Result<SpanExporter, Cause> {
    let endpoint = endpoint.traces();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client(endpoint.scheme() == "https")?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .with_timeout(SEND)
        .build()?;
    Ok(exporter)
}

/// The blocking client starts a runtime of its own, which is not allowed on a thread that already
/// has one.
fn client(tls: bool) -> Result<Client, Cause> {
    let build = move || -> Result<Client, Cause> {
        let roots = if tls {
            system_roots()?
        } else {
            RootCertStore::empty()
        };
        let tls = tls_config(roots)?;
        Ok(Client::builder()
            .timeout(SEND)
            .tls_backend_preconfigured(tls)
            .build()?)
    };
    thread::spawn(build)
        .join()
        .map_err(|_| Cause::from("the thread that builds the HTTP client panicked"))?
}

/// The authorities that the operating system trusts.
fn system_roots() -> Result<RootCertStore, Cause> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err("the operating system has no certificates of authorities".into());
    }
    Ok(roots)
}

/// TLS 1.2 and 1.3. The cryptography is named here, so that none has to be installed for the whole
/// process.
fn tls_config(roots: RootCertStore) -> Result<ClientConfig, Cause> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}
