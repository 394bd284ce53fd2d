use std::sync::Arc;

use protocol::response::CallToolResult;
use protocol::{ErrorCode, ToolError};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use crate::progress::Progress;
use crate::tool::{Arguments, Format, Output};
use crate::{Context, Tool};

/// One call of a tool, ready to run.
pub(crate) struct Call {
    pub(crate) tool: Arc<Tool>,
    pub(crate) context: Context,
    pub(crate) progress: Progress,
}

/// How a call ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// With a result.
    Done(Output, Format),
    /// With a failure that the caller is told.
    Failed(ToolError),
    /// By its caller, who wants no answer.
    Cancelled,
}

impl Call {
    /// Runs the tool until it is done, its deadline passes or it is cancelled; then it
    /// runs no more. The tool has a task of its own, so that a panic or a tool that
    /// blocks does not reach the caller of this.
    pub(crate) async fn run(self, arguments: Arguments) -> Ended {
        let started = Instant::now();
        let cancellation = self.context.cancellation().clone();
        // Whatever the tool started beside itself ends with the call.
        let _over = cancellation.clone().drop_guard();
        let (tool, context) = (Arc::clone(&self.tool), self.context.clone());
        let mut task = JoinSet::new();
        let run = async move { tool.run(context, arguments.value).await };
        task.spawn(run.in_current_span());
        let joined = tokio::select! {
            biased;
            () = cancellation.cancelled() => return Ended::Cancelled,
            joined = timeout_at(self.context.deadline(), task.join_next()) => joined,
        };
        match joined {
            Ok(Some(Ok(Ok(output)))) => Ended::Done(output, arguments.format),
            Ok(Some(Ok(Err(error)))) => Ended::Failed(error),
            Ok(Some(Err(error))) => Ended::Failed(self.panicked(&error)),
            Ok(None) => Ended::Failed(ToolError::new(ErrorCode::Internal, "the tool did not run")),
            Err(_) => Ended::Failed(self.late(started)),
        }
    }

    fn panicked(&self, error: &JoinError) -> ToolError {
        let tool = self.tool.name();
        tracing::error!(tool, %error, "a tool panicked");
        let message = format!("tool {tool} failed by a fault of its own");
        ToolError::new(ErrorCode::Internal, message)
            .hint("report this; the worker's log has the details")
    }

    fn late(&self, started: Instant) -> ToolError {
        let ran = started.elapsed();
        let done = self.progress.last().map_or_else(
            || "it had told no progress".to_owned(),
            |step| {
                let total = step
                    .total
                    .map(|total| format!(" of {total}"))
                    .unwrap_or_default();
                format!("it had done {}{total} ({})", step.done, step.message)
            },
        );
        let message = format!(
            "the deadline passed when it had run {} ms; {done}",
            ran.as_millis()
        );
        let max = self.tool.max_deadline().as_millis();
        ToolError::new(ErrorCode::DeadlineExceeded, message).hint(format!(
            "ask for less, or for more time: _meta opendiscovery/timeoutMs up to {max}"
        ))
    }
}

impl Ended {
    /// What the caller gets.
    pub(crate) fn into_result(self) -> CallToolResult {
        match self {
            Self::Done(output, format) => output.into_result(format),
            Self::Failed(error) => CallToolResult::error(&error),
            Self::Cancelled => CallToolResult::error(&ToolError::new(
                ErrorCode::Cancelled,
                "the call was cancelled",
            )),
        }
    }
}
