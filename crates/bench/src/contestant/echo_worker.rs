//! A worker of ours whose one tool gives back what it gets.

use std::num::NonZeroU16;
use std::process::ExitCode;
use std::sync::Arc;

use protocol::{Category, ToolError};
use serde::Deserialize;
use serde_json::value::RawValue;
use service::{ExitError, Process, broker, process};
use worker::{Tool, ToolContent, Worker};

/// Category of the worker.
pub(crate) const CATEGORY: &str = "bench";
/// Name of the tool.
pub(crate) const TOOL: &str = "echo";
/// Calls that the worker runs at once, as many as one of the category network does.
pub(crate) const PREFETCH: NonZeroU16 = NonZeroU16::new(64).unwrap();
/// JSON Schema of the tool's arguments.
pub(crate) const SCHEMA: &str = r#"{"type":"object","properties":{"text":{"type":"string"}},"required":["text"],"additionalProperties":false}"#;

#[derive(Deserialize)]
struct Arguments {
    text: String,
}

/// The worker.
pub(crate) fn worker() -> Result<Worker, ExitError> {
    let category: Category = CATEGORY.parse().map_err(ExitError::usage)?;
    let schema = RawValue::from_string(SCHEMA.to_owned()).map_err(ExitError::usage)?;
    let echo = Tool::raw(TOOL, schema, async |_context, arguments| {
        let arguments: Arguments = serde_json::from_str(arguments.get())
            .map_err(|error| ToolError::new(protocol::ErrorCode::Internal, error.to_string()))?;
        Ok(ToolContent::new().text(arguments.text))
    });
    let echo = echo.description("Gives the text back.").read_only();
    Ok(Worker::new(category, PREFETCH).tool(echo))
}

/// Works until SIGTERM.
pub(crate) fn run() -> ExitCode {
    process::run("bench-echo-worker", work)
}

async fn work(process: Process) -> Result<(), ExitError> {
    let bus = broker::connect(&process.settings, process.name)?;
    let served = worker::serve(worker()?, Arc::clone(&bus), &process).await;
    bus.close().await;
    served.map_err(worker::Error::into_exit)
}
