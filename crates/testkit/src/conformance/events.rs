//! Tools that say something before they answer: log messages, progress, changes of lists.

use std::time::Duration;

use protocol::{Change, LogLevel};
use tokio::time::sleep;
use worker::{Context, Stop, Tool, ToolContent};

use super::declare::plain;

/// Time between two steps of a tool.
const STEP: Duration = Duration::from_millis(50);
/// How long a detached call is quiet: the client is to come back before its end, and it waits for
/// five seconds.
const QUIET: Duration = Duration::from_secs(1);

pub(super) fn tools() -> Vec<Tool> {
    vec![
        plain(
            "test_tool_with_logging",
            "Sends three log messages while it runs.",
            with_logging,
        ),
        plain(
            "test_logging_tool",
            "Sends log messages to a client that asks for them.",
            with_logging,
        ),
        plain(
            "test_tool_with_progress",
            "Tells how far it has come, three times.",
            with_progress,
        ),
        plain(
            "test_reconnection",
            "Is quiet for long, so that its stream is closed and resumed.",
            detached,
        ),
        change("test_trigger_tool_change", Change::ToolsListChanged),
        change("test_trigger_prompt_change", Change::PromptsListChanged),
        // The suite has no scenario for this one.
        change("test_trigger_resource_update", watched()),
    ]
}

fn watched() -> Change {
    Change::ResourceUpdated {
        uri: "test://watched-resource".to_owned(),
    }
}

async fn with_logging(context: Context) -> Result<ToolContent, Stop> {
    context.log(LogLevel::Info, None, "Tool execution started");
    sleep(STEP).await;
    context.log(LogLevel::Info, None, "Tool processing data");
    sleep(STEP).await;
    context.log(LogLevel::Info, None, "Tool execution completed");
    Ok(ToolContent::new().text("Three messages were logged."))
}

async fn with_progress(context: Context) -> Result<ToolContent, Stop> {
    let total = Some(100.0);
    context.progress(0.0, total, "begun");
    sleep(STEP).await;
    context.progress(50.0, total, "half done");
    sleep(STEP).await;
    context.progress(100.0, total, "done");
    Ok(ToolContent::new().text("Three steps were done."))
}

async fn detached(context: Context) -> Result<ToolContent, Stop> {
    context.detach();
    sleep(QUIET).await;
    Ok(ToolContent::new().text("The call went on while its stream was closed."))
}

/// A tool that tells clients of a change. Nothing changes in truth: what clients are told and
/// what is in the list are two things, and this is about the first.
fn change(name: &'static str, change: Change) -> Tool {
    let description = format!("Tells clients {}.", change.method());
    plain(name, &description, move |context| {
        context.notify(change.clone());
        async move { Ok(ToolContent::new().text("Clients are being told.")) }
    })
}
