//! What every process does around its work.
//!
//! - [`settings`]: defaults, `discovery.toml`, environment; validated once, then typed.
//! - [`telemetry`]: the log on standard error, spans to an OTLP receiver, W3C trace context.
//! - [`metrics`]: what is counted, in the `OpenMetrics` format.
//! - [`health`]: which dependency is up or down, and the port that tells.
//! - [`broker`]: from settings to a message bus.
//! - [`process`]: the frame of a binary: settings, runtime, signals, drain, exit code.
//!
//! It is *not* the place for anything that knows calls or tools.
//!
//! The way in is [`process::run`]: a `main` hands it a name and an async function, and returns the
//! exit code it gives back.

pub mod broker;
mod error;
pub mod health;
pub mod metrics;
pub mod process;
pub mod settings;
pub mod telemetry;

pub use error::Error;
pub use health::Health;
pub use metrics::{Metrics, Outcome};
pub use process::{ExitError, Process};
pub use settings::Settings;
pub use telemetry::trace::TraceContext;
