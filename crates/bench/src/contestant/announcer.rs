//! Workers that have very many tools, none of which is ever called.

use std::num::NonZeroU16;
use std::process::ExitCode;
use std::sync::Arc;

use protocol::Category;
use serde_json::value::{RawValue, to_raw_value};
use service::{ExitError, Process, broker, process};
use tokio::task::JoinSet;
use worker::{Tool, ToolContent, Worker};

/// Workers that share the tools, each with a category of its own.
const WORKERS: usize = 10;
/// Bytes of a tool's description; with schema and names it is announced with about 2 KB.
const DESCRIPTION: usize = 1500;

/// Announces so many tools until SIGTERM.
pub(crate) fn run(tools: usize) -> ExitCode {
    process::run("bench-announcer", async move |process| {
        announce(process, tools).await
    })
}

async fn announce(process: Process, tools: usize) -> Result<(), ExitError> {
    let bus = broker::connect(&process.settings, process.name)?;
    let mut working = JoinSet::new();
    for number in 0..WORKERS {
        let worker = worker(number, tools / WORKERS)?;
        let (bus, process) = (Arc::clone(&bus), process.clone());
        working.spawn(async move { worker::serve(worker, bus, &process).await });
    }
    while let Some(worked) = working.join_next().await {
        let worked = worked.map_err(ExitError::internal)?;
        worked.map_err(worker::Error::into_exit)?;
    }
    bus.close().await;
    Ok(())
}

fn worker(number: usize, tools: usize) -> Result<Worker, ExitError> {
    let category: Category = format!("bench{number}").parse().map_err(ExitError::usage)?;
    let mut worker = Worker::new(category, NonZeroU16::MIN);
    for tool in 0..tools {
        let name = format!("bench{number}_tool_{tool:04}").leak();
        let schema = schema(name).map_err(ExitError::internal)?;
        let description = format!("{name} {:.>DESCRIPTION$}", "");
        let tool = Tool::raw(name, schema, async |_, _| Ok(ToolContent::new()));
        worker = worker.tool(tool.description(&description));
    }
    Ok(worker)
}

/// A schema such as tools have: some arguments, each explained.
fn schema(name: &str) -> serde_json::Result<Box<RawValue>> {
    let argument = |what: &str| {
        serde_json::json!({
            "type": "string",
            "description": format!("The {what} that {name} is about."),
        })
    };
    to_raw_value(&serde_json::json!({
        "type": "object",
        "properties": { "host": argument("host"), "port": argument("port"), "path": argument("path") },
        "required": ["host"],
        "additionalProperties": false,
    }))
}
