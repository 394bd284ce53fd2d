use protocol::response::CallToolResult;
use protocol::{ErrorCode, ToolError};
use serde::Serialize;
use serde_json::Value;

use super::Summary;
use super::arguments::Format;
use super::schema::Schemas;
use crate::Stop;
use crate::call::{Written, written};

/// What a tool gave back.
#[derive(Debug)]
pub(super) struct Output {
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

    /// What an earlier run gave back.
    pub(super) fn stored(structured: Value, summary: String) -> Self {
        Self {
            structured,
            summary,
        }
    }

    /// The result of `tools/call`; refused if it does not keep what its schema promises.
    pub(super) fn into_result(
        self,
        tool: &str,
        format: Format,
        schemas: &Schemas,
    ) -> Result<Written, Stop> {
        check(&self.structured, tool, schemas)?;
        written(&match format {
            Format::Markdown => CallToolResult::ok(&self.summary, self.structured),
            Format::Json => CallToolResult::ok(&self.structured.to_string(), self.structured),
        })
    }
}

/// Refuses a result that does not keep what its schema promises.
pub(super) fn check(structured: &Value, tool: &str, schemas: &Schemas) -> Result<(), ToolError> {
    let result = schemas.result.as_ref();
    let Some(Err(error)) = result.map(|result| result.validate(structured)) else {
        return Ok(());
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

pub(super) fn fault(why: &str) -> ToolError {
    ToolError::new(ErrorCode::Internal, format!("the tool is at fault: {why}"))
        .hint("report this; another call with other arguments may work")
}
