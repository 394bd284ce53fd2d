use protocol::json::reject_duplicate_keys;
use protocol::response::CallToolResult;
use protocol::{Error, ErrorCode, ToolError};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::Summary;
use super::arguments::Format;
use super::schema::Schemas;
use crate::Stop;
use crate::call::{Written, written};

/// The result of `tools/call` of a typed tool, written from what it gave back without a tree of it
/// in between, which would take longer than all else for a large one.
///
/// The schema comes from the same type, so builds for release leave the check to those for tests
/// (docs/decisions/0033-results-are-written-once.md).
pub(super) fn of<O: Serialize + Summary>(
    result: &O,
    tool: &str,
    format: Format,
    schemas: &Schemas,
) -> Result<Written, Stop> {
    let structured = text(result)?;
    if cfg!(debug_assertions) {
        check_written(&structured, tool, schemas)?;
    }
    with_text(&structured, &result.summary(), format)
}

/// What an earlier run gave back, maybe of an earlier version of the tool.
pub(super) fn stored(
    structured: &Value,
    summary: &str,
    tool: &str,
    format: Format,
    schemas: &Schemas,
) -> Result<Written, Stop> {
    check(structured, tool, schemas)?;
    with_text(&text(structured)?, summary, format)
}

fn text(result: &impl Serialize) -> Result<Box<RawValue>, ToolError> {
    to_raw_value(result).map_err(|error| {
        tracing::error!(%error, "a tool's result cannot be written as JSON");
        fault("its result cannot be written as JSON")
    })
}

fn with_text(structured: &RawValue, summary: &str, format: Format) -> Result<Written, Stop> {
    let text = match format {
        Format::Markdown => summary,
        Format::Json => structured.get(),
    };
    written(&CallToolResult::ok(text, structured))
}

fn check_written(structured: &RawValue, tool: &str, schemas: &Schemas) -> Result<(), ToolError> {
    let text = structured.get();
    let read = reject_duplicate_keys(text)
        .and_then(|()| serde_json::from_str(text).map_err(Error::NotJson));
    let structured: Value = read.map_err(|error| {
        tracing::error!(tool, %error, "a tool's result is not good JSON");
        fault("its result is not good JSON")
    })?;
    check(&structured, tool, schemas)
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
