//! The log on standard error, and spans to an OTLP receiver if there is one.
//!
//! Standard output belongs to the protocol, so nothing here ever writes to it.

mod export;
pub mod trace;

use std::io;
use std::time::Duration;

use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Dispatch, Metadata, level_filters::LevelFilter};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::Error;
use crate::settings::{LogFormat, Settings};

/// Longest time that the last spans may take to leave.
const FLUSH: Duration = Duration::from_secs(3);

/// Keeps the export of spans alive; the process ends it with [`Telemetry::shutdown`].
#[derive(Debug)]
#[must_use = "spans are exported only while it lives"]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

/// Sets up log and traces for the whole process; `process` is its name, such as
/// `discovery-gateway`.
///
/// # Errors
/// If it was done before, or the exporter cannot be built. An unreachable receiver is no error:
/// spans are dropped then and the log says so.
pub fn init(settings: &Settings, process: &str) -> Result<Telemetry, Error> {
    let (dispatch, telemetry) = build(settings, process)?;
    dispatch
        .try_init()
        .map_err(|error| Error::Subscriber(error.into()))?;
    Ok(telemetry)
}

/// Like [`init`], without making it the process's own: for tests, and for a part of a process with
/// a log of its own.
///
/// # Errors
/// If the exporter cannot be built.
pub fn build(settings: &Settings, process: &str) -> Result<(Dispatch, Telemetry), Error> {
    let provider = match &settings.otel_exporter_otlp_endpoint {
        Some(endpoint) => {
            let service = settings.otel_service_name.as_deref().unwrap_or(process);
            Some(export::provider(endpoint, service)?)
        }
        None => None,
    };
    let (format, filter) = (settings.log_format, settings.rust_log.filter());
    let dispatch = match &provider {
        Some(provider) => {
            let spans = export::layer(provider).with_filter(filter_fn(is_exported));
            let log = log(format).with_filter(filter);
            tracing_subscriber::registry().with(spans).with(log).into()
        }
        // One filter for all costs less than one for each layer.
        None => tracing_subscriber::registry()
            .with(filter)
            .with(log(format))
            .into(),
    };
    Ok((dispatch, Telemetry { provider }))
}

impl Telemetry {
    /// Sends the spans that are still here, for at most 3 s. It blocks: call it outside the
    /// asynchronous runtime.
    pub fn shutdown(self) {
        if let Some(provider) = self.provider
            && let Err(error) = provider.shutdown_with_timeout(FLUSH)
        {
            tracing::warn!(%error, "the last spans were not exported");
        }
    }
}

fn log<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    match format {
        LogFormat::Human => {
            let colours = io::IsTerminal::is_terminal(&io::stderr());
            layer.with_ansi(colours).boxed()
        }
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    }
}

/// Traces do not depend on how much is logged. What the export itself does is left out, since it
/// would beget spans without end.
fn is_exported(metadata: &Metadata<'_>) -> bool {
    const OF_THE_EXPORT: [&str; 5] = ["opentelemetry", "hyper", "reqwest", "rustls", "h2"];
    let target = metadata.target();
    *metadata.level() <= LevelFilter::INFO
        && !OF_THE_EXPORT
            .iter()
            .any(|prefix| target.starts_with(prefix))
}
