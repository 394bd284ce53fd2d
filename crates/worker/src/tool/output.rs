use protocol::response::CallToolResult;
use protocol::{ErrorCode, ToolError};
use serde::Serialize;
use serde_json::Value;

use super::schema::Schemas;
use super::{Format, Summary};

/// What a tool gave back.
#[derive(Debug)]
pub(crate) struct Output {
    structured: Value,
    summary: String,
}

impl Output {
    pub(super) fn of<O: Serialize + Summary>(result: &O) -> Result<Self, ToolError> {
        let structured = serde_json::to_value(result).map_err(|error| {
            tracing::error!(%error, "a tool's result cannot be written as JSON");
            fault("its result cannot be written as JSON")
        })?;
        let summary = result.summary();
        Ok(Self {
            structured,
            summary,
        })
    }

    /// Refuses a result that does not keep what its schema promises.
    pub(super) fn check(self, tool: &str, schemas: &Schemas) -> Result<Self, ToolError> {
        let Err(error) = schemas.result.validate(&self.structured) else {
            return Ok(self);
        };
        // Which value broke the promise is for the log; the caller cannot act on it.
        tracing::error!(
            tool,
            path = %error.instance_path(),
            keyword = %error.schema_path(),
            "a tool's result breaks its output schema"
        );
        let path = error.instance_path();
        Err(fault(&format!(
            "its result breaks its output schema at {path:?}"
        )))
    }

    /// The result of `tools/call`.
    pub(crate) fn into_result(self, format: Format) -> CallToolResult {
        match format {
            Format::Markdown => CallToolResult::ok(&self.summary, self.structured),
            Format::Json => CallToolResult::ok(&self.structured.to_string(), self.structured),
        }
    }
}

fn fault(why: &str) -> ToolError {
    ToolError::new(ErrorCode::Internal, format!("the tool is at fault: {why}"))
        .hint("report this; another call with other arguments may work")
}
